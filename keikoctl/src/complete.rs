//! Live completion: the scripts in `completions/` ask this command what fits.
//!
//! Verbs and flags come from the grammar, names from the daemon that a command would reach. Whoever
//! waits for the Tab key waits 150 ms at most; what goes wrong is silent. Names of others become
//! words of a shell, so only plain ones are offered.

use crate::cli::Cli;
use crate::context::{self, Surroundings};
use crate::generate;
use crate::print::FORMATS;
use crate::rooms::registry::object::{Item, KindWord};
use crate::rooms::security::WHOM;
use crate::settings::{Files, Given};
use crate::usage;
use clap::{Arg, Command, CommandFactory, FromArgMatches};
use clap_complete::env::{EnvCompleter, Shells};
use clap_complete::{ArgValueCandidates, CompleteEnv, CompletionCandidate, Shell};
use keiko_client::proto::v1::{
    Kind, ListLocksRequest, ListNodesRequest, ListRequest, ListWindowsRequest,
};
use keiko_client::{Client, Settings};
use keiko_core::refusal::{Code, Refusal, Result};
use std::ffi::OsString;
use std::sync::OnceLock;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// Set by the scripts to the shell's name.
const VARIABLE: &str = "KEIKO_COMPLETE";
const PROGRAM: &str = "keikoctl";
/// Longer, and the Tab key feels stuck.
const BUDGET: Duration = Duration::from_millis(150);
/// More than anybody reads.
const NAMES_MAX: u32 = 1_000;

/// The words of the command line that is being completed.
static TYPED: OnceLock<Vec<OsString>> = OnceLock::new();

/// Answers a shell; true if it was one that asked.
pub(crate) fn answer(words: &[OsString]) -> bool {
    if context::set(VARIABLE).is_none_or(|shell| shell == "0") {
        return false;
    }
    let typed = words.iter().skip_while(|word| *word != "--").skip(1).cloned().collect();
    // Set once: this is the only call.
    let _ = TYPED.set(typed);
    let here = std::env::current_dir().ok();
    let asked = CompleteEnv::with_factory(grammar).var(VARIABLE).bin(PROGRAM).completer(PROGRAM);
    // A shell that we don't know, or a pipe that is closed: nobody reads a message here.
    let _ = asked.try_complete(words.iter().cloned(), here.as_deref());
    true
}

/// The script that a shell sources.
pub(crate) fn script(shell: Shell) -> Result<String> {
    let broken = |cause: &dyn std::fmt::Display| {
        Refusal::new(Code::Internal, format!("there is no completion for {shell}")).cause(cause)
    };
    let shells = Shells::builtins();
    let completer: &dyn EnvCompleter =
        shells.completer(&shell.to_string()).ok_or_else(|| broken(&"the shell is not known"))?;
    let mut script = Vec::new();
    completer
        .write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)
        .map_err(|error| broken(&error))?;
    let script = String::from_utf8(script).map_err(|error| broken(&error))?;
    let script = script.trim();
    Ok(match shell {
        // A command that is gone is not worth a message in the middle of a line.
        Shell::Bash => format!(
            "{}\n",
            script.replace("-- \"${words[@]}\" \\", "-- \"${words[@]}\" 2>/dev/null \\")
        ),
        // Loaded from $fpath, the first Tab is already a question.
        Shell::Zsh => format!(
            "{script}\n\nif [ \"$funcstack[1]\" = \"_{PROGRAM}\" ]; then\n    _clap_dynamic_completer_{PROGRAM} \"$@\"\nfi\n"
        ),
        _ => format!("{script}\n"),
    })
}

/// The grammar with what is asked of the daemon.
fn grammar() -> Command {
    let command = generate::visible(Cli::command());
    let command = command.mut_arg("context", |argument| argument.add(contexts()));
    let command = command.mut_arg("output", |argument| argument.add(formats()));
    let verbs = command.get_subcommands().map(|below| below.get_name().to_owned());
    let verbs: Vec<String> = verbs.collect();
    let command = verbs.iter().fold(command, |command, noun| {
        command.mut_subcommand(noun, |below| match noun.as_str() {
            // Of a noun and its alias only the first of the alphabet would be offered.
            "event" => hook(below, &|_, _| None).visible_alias(None::<&'static str>).alias("ev"),
            "wait" => hook(below, &|_, _| Some(ArgValueCandidates::new(references))),
            "context" => hook(below, &|_, _| Some(contexts())),
            "explain" => hook(below, &|_, _| Some(ArgValueCandidates::new(explained))),
            "node" => hook(below, &|_, _| Some(ArgValueCandidates::new(nodes))),
            "find" => hook(below, &|_, _| Some(ArgValueCandidates::new(capabilities))),
            "lock" => hook(below, &|verb, _| match verb {
                "create" | "arrive" => None,
                "delete" => Some(ArgValueCandidates::new(windows)),
                _ => Some(ArgValueCandidates::new(locks)),
            }),
            noun => {
                let kind = KindWord::read(noun).map(|known| known.kind);
                hook(below, &|_, argument| match (kind, says(argument, &["KIND"])) {
                    (Some(kind), false) => Some(ArgValueCandidates::new(move || names(kind))),
                    (None, false) => None,
                    (_, true) => Some(ArgValueCandidates::new(references)),
                })
            }
        })
    });
    // Before a dash is typed it is a name that is wanted; flags come where there is nothing else.
    let is_bare = TYPED.get().is_some_and(|typed| !is_flag(current(typed)));
    if is_bare { without_flags(command) } else { command }
}

/// The word at the cursor: some shells say which, the others end there.
fn current(typed: &[OsString]) -> Option<&OsString> {
    let index = context::set("_CLAP_COMPLETE_INDEX").and_then(|index| index.parse::<usize>().ok());
    index.map_or_else(|| typed.last(), |index| typed.get(index))
}

fn is_flag(word: Option<&OsString>) -> bool {
    word.is_some_and(|word| word.as_encoded_bytes().starts_with(b"-"))
}

fn without_flags(command: Command) -> Command {
    let command = command.mut_args(|argument| match argument.is_positional() {
        true => argument,
        false => argument.hide(true),
    });
    let below: Vec<String> =
        command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    below.iter().fold(command, |command, name| command.mut_subcommand(name, without_flags))
}

/// Adds candidates to every argument that names something that is there.
fn hook(
    command: Command,
    candidates: &dyn Fn(&str, &Arg) -> Option<ArgValueCandidates>,
) -> Command {
    let verb = command.get_name().to_owned();
    // What is registered or added is not there yet.
    let names_something = !["register", "add", "token"].contains(&verb.as_str());
    let command = command.mut_args(|argument| {
        let argument = match argument.get_id().as_str() {
            "namespace" => argument.add(ArgValueCandidates::new(namespaces)),
            "what" => argument.add(ArgValueCandidates::new(awaited)),
            "whom" => argument.add(ArgValueCandidates::new(roles)),
            "to" => argument.add(ArgValueCandidates::new(nodes)),
            _ => argument,
        };
        let named = argument.is_positional() && says(&argument, &["NAME", "CODE", "CAPABILITY"]);
        let depends = argument.get_id() == "depends_on";
        let taken = (named && names_something) || depends;
        match candidates(&verb, &argument).filter(|_| taken) {
            Some(candidates) => argument.add(candidates),
            None => argument,
        }
    });
    let below: Vec<String> =
        command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    below.iter().fold(command, |command, name| {
        command.mut_subcommand(name, |below| hook(below, candidates))
    })
}

/// True if one of the words is in what the argument is called.
fn says(argument: &Arg, words: &[&str]) -> bool {
    let names = argument.get_value_names().unwrap_or_default();
    names.iter().any(|name| words.iter().any(|word| name.contains(word)))
}

fn candidates(words: impl IntoIterator<Item = String>) -> Vec<CompletionCandidate> {
    words.into_iter().filter(|word| is_plain(word)).map(CompletionCandidate::new).collect()
}

/// True if a shell takes the word as it is.
fn is_plain(word: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./@".contains(&byte);
    !word.is_empty() && !word.starts_with('-') && word.len() <= 256 && word.bytes().all(fits)
}

fn contexts() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let files = Files::read(&Surroundings::of_process()).unwrap_or_default();
        candidates(files.contexts().into_keys())
    })
}

fn formats() -> ArgValueCandidates {
    let words = FORMATS.iter().map(|word| word.trim_end_matches("EXPR"));
    ArgValueCandidates::new(move || words.clone().map(CompletionCandidate::new).collect())
}

fn explained() -> Vec<CompletionCandidate> {
    let kinds = KindWord::all().map(|kind| kind.word.to_owned()).into_iter();
    candidates(kinds.chain(Code::ALL.iter().map(ToString::to_string)))
}

fn names(kind: Kind) -> Vec<CompletionCandidate> {
    candidates(live(vec![kind], false).into_iter().map(|found| found.name))
}

/// KIND/NAME of everything.
fn references() -> Vec<CompletionCandidate> {
    let all = live(KindWord::all().map(|known| known.kind).to_vec(), false);
    let word = |found: Found| format!("{}/{}", KindWord::of(found.kind).word, found.name);
    candidates(all.into_iter().map(word))
}

/// Where agents and servers are.
fn namespaces() -> Vec<CompletionCandidate> {
    let all = live(vec![Kind::Agent, Kind::McpServer], true);
    let mut words: Vec<String> = all.into_iter().map(|found| found.namespace).collect();
    words.sort();
    words.dedup();
    candidates(words)
}

/// What `wait --for` waits for.
fn awaited() -> Vec<CompletionCandidate> {
    ["condition=Ready", "condition=Ready=False", "delete", "jsonpath="]
        .map(CompletionCandidate::new)
        .into()
}

/// Whom a token is for.
fn roles() -> Vec<CompletionCandidate> {
    WHOM.iter().map(CompletionCandidate::new).collect()
}

/// The members.
fn nodes() -> Vec<CompletionCandidate> {
    let listed = in_time(|| {
        let (settings, _) = meant()?;
        talk(settings, async |client| {
            let listed = client
                .read(ListNodesRequest {}, |client, request| async move {
                    client.cluster().list_nodes(request).await
                })
                .await;
            Some(listed.ok()?.items)
        })
    });
    candidates(listed.unwrap_or_default().into_iter().map(|node| node.name))
}

/// The locks that somebody holds.
fn locks() -> Vec<CompletionCandidate> {
    let listed = in_time(|| {
        let (settings, namespace) = meant()?;
        talk(settings, async |client| {
            let page_size = NAMES_MAX;
            let request = ListLocksRequest { namespace, page_size, ..ListLocksRequest::default() };
            let listed = client.read(request, |client, request| async move {
                client.coordination().list_locks(request).await
            });
            Some(listed.await.ok()?.items)
        })
    });
    let names = listed.unwrap_or_default().into_iter().filter_map(|info| info.lock);
    candidates(names.map(|lock| lock.name))
}

/// The maintenance windows.
fn windows() -> Vec<CompletionCandidate> {
    let listed = in_time(|| {
        let (settings, _) = meant()?;
        talk(settings, async |client| {
            let request = ListWindowsRequest::default();
            let listed = client.read(request, |client, request| async move {
                client.coordination().list_windows(request).await
            });
            Some(listed.await.ok()?.items)
        })
    });
    let names = listed.unwrap_or_default().into_iter().filter_map(|info| info.window);
    candidates(names.map(|window| window.name))
}

/// What tools and skills are called without their owner.
fn capabilities() -> Vec<CompletionCandidate> {
    let all = live(vec![Kind::Tool, Kind::Skill], false);
    let own = |name: &str| name.split_once('.').map_or(name, |(_, own)| own).to_owned();
    let mut words: Vec<String> = all.iter().map(|found| own(&found.name)).collect();
    words.sort();
    words.dedup();
    candidates(words)
}

/// Something that is there.
struct Found {
    kind: Kind,
    namespace: String,
    name: String,
}

/// Objects of these kinds.
fn live(kinds: Vec<Kind>, everywhere: bool) -> Vec<Found> {
    in_time(move || ask(&kinds, everywhere)).unwrap_or_default()
}

/// Asks the daemon; what comes too late does not come.
fn in_time<T: Send + 'static>(ask: impl FnOnce() -> Option<T> + Send + 'static) -> Option<T> {
    let (sender, receiver) = sync_channel(1);
    // The thread ends with the process if it is late: nothing here is worth waiting for.
    let asking = std::thread::Builder::new().spawn(move || {
        let _ = sender.send(ask());
    });
    asking.ok()?;
    receiver.recv_timeout(BUDGET).ok().flatten()
}

/// Where the line that is typed would go, and in which namespace.
fn meant() -> Option<(Settings, String)> {
    let typed = TYPED.get()?;
    // Of a line that is half typed only what says where to ask.
    let mut line: Vec<OsString> = vec![PROGRAM.into(), "version".into()];
    for flag in ["--endpoint", "--context", "--token-file", "--ca"] {
        for value in usage::flags(typed, flag, None) {
            line.extend([flag.into(), value.into()]);
        }
    }
    let matches = Cli::command().try_get_matches_from(line).ok()?;
    let mut globals = Cli::from_arg_matches(&matches).ok()?.globals;
    globals.given = Given::of(&matches);
    let around = Surroundings::of_process();
    let way = context::way(&globals, &around).ok()?;
    let files = Files::read(&around).ok()?;
    let chosen = files.named(&way.name).ok();
    let namespace = usage::flag(typed, "--namespace", Some("-n")).map(str::to_owned);
    let namespace = namespace
        .or_else(|| context::set("KEIKO_NAMESPACE"))
        .or_else(|| files.namespace(chosen.as_ref()).map(|(namespace, _)| namespace))
        .unwrap_or_else(|| "default".to_owned());
    let settings = context::settings(way, &globals, &around, BUDGET).ok()?;
    Some((settings, namespace))
}

/// Connects, and asks what is to be asked.
fn talk<T>(settings: Settings, ask: impl AsyncFnOnce(Client) -> Option<T>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async { ask(Client::with(settings).await.ok()?).await })
}

fn ask(kinds: &[Kind], everywhere: bool) -> Option<Vec<Found>> {
    let (settings, namespace) = meant()?;
    let namespace = if everywhere { String::new() } else { namespace };
    talk(settings, async |client| {
        let mut found = Vec::new();
        for kind in kinds {
            let request = ListRequest {
                kind: (*kind).into(),
                namespace: namespace.clone(),
                limit: NAMES_MAX,
                ..ListRequest::default()
            };
            let listed = client
                .read(
                    request,
                    |client, request| async move { client.registry().list(request).await },
                )
                .await
                .ok()?;
            found.extend(listed.items.into_iter().map(|object| {
                let item = Item(object);
                let (namespace, name) =
                    (item.metadata().namespace.clone(), item.metadata().name.clone());
                Found { kind: *kind, namespace, name }
            }));
        }
        Some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_words_are_offered() {
        for (word, expect) in [
            ("time.get_current_time", true),
            ("agent/hello", true),
            ("", false),
            ("a b", false),
            ("$(reboot)", false),
            ("a*", false),
            ("--yes", false),
            ("\u{1b}[31m", false),
            ("nаme", false),
        ] {
            assert_eq!(is_plain(word), expect, "{word:?}");
        }
    }

    #[test]
    fn a_bare_word_is_no_flag() {
        let offered = |command: &mut Command, words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(Into::into).collect();
            let last = words.len() - 1;
            let found = clap_complete::engine::complete(command, words, last, None).unwrap();
            let values = found.iter().map(|one| one.get_value().to_string_lossy().into_owned());
            values.collect::<Vec<_>>()
        };
        let mut bare = without_flags(grammar());
        let nouns = offered(&mut bare, &["keikoctl", "e"]);
        assert_eq!(nouns, ["event", "explain"]);
        let mut verbs = offered(&mut bare, &["keikoctl", "ev", ""]);
        verbs.sort();
        assert_eq!(verbs, ["get", "tail"], "an alias is understood");
        let flags = offered(&mut bare, &["keikoctl", "agent", "list", ""]);
        assert!(flags.contains(&"--watch".to_owned()), "there is nothing else: {flags:?}");
        let formats = offered(&mut bare, &["keikoctl", "status", "-o", "js"]);
        assert_eq!(formats, ["json", "jsonl", "jsonpath="]);
        let all = offered(&mut grammar(), &["keikoctl", "agent", "list", "--wa"]);
        assert_eq!(all, ["--watch"]);
        for (word, expect) in [("", false), ("a", false), ("-", true), ("--w", true)] {
            assert_eq!(is_flag(Some(&word.into())), expect, "{word}");
        }
    }

    #[test]
    fn every_shell_has_a_script_that_asks() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let script = script(shell).unwrap();
            assert!(script.contains(VARIABLE) && script.contains(PROGRAM), "{shell}: {script}");
        }
        assert!(script(Shell::Bash).unwrap().contains("2>/dev/null"));
    }

    #[test]
    fn names_are_asked_for_where_something_is_named() {
        let command = grammar();
        let asks = |line: &str| {
            let mut words = line.split(' ');
            let name = words.next_back().unwrap();
            let found = words.try_fold(&command, |command, word| command.find_subcommand(word));
            let argument =
                found.unwrap().get_arguments().find(|argument| argument.get_id() == name);
            argument.unwrap().get::<ArgValueCandidates>().is_some()
        };
        for (line, expect) in [
            ("agent get name", true),
            ("mcp logs name", true),
            ("tool call name", true),
            ("tool call arguments", false),
            ("context use name", true),
            ("context add name", false),
            ("explain word", true),
            ("agent impact name", true),
            ("mcp register depends_on", true),
            ("find capability", true),
            ("agent list limit", false),
            ("wait names", true),
            ("agent wait names", true),
            ("wait what", true),
            ("mcp list namespace", true),
            ("node describe name", true),
            ("node drain name", true),
            ("cluster transfer-leader to", true),
            ("cluster token create whom", true),
            ("cluster token create name", false),
            ("cluster token revoke token", false),
            ("cluster join address", false),
            ("apply namespace", true),
            ("lock run name", true),
            ("lock get name", true),
            ("lock window create name", false),
            ("lock window delete name", true),
            ("lock barrier arrive name", false),
        ] {
            assert_eq!(asks(line), expect, "{line}");
        }
    }
}
