//! Help: grouped by task, examples first, and a few topics.

use crate::cli::{Cli, HelpArgs};
use crate::exit::{self, Exit};
use crate::fault::{Outcome, usage};
use crate::print::Printer;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Command, CommandFactory};
use std::fmt::Write as _;

/// What stands together on the first page.
const GROUPS: &[(&str, &[&str])] = &[
    ("Fleet", &["agent", "mcp", "tool", "skill", "find", "wait"]),
    ("Manifests", &["apply", "diff", "delete"]),
    ("Insight", &["status", "doctor", "event", "explain"]),
    ("Coordination", &["lock"]),
    ("Access", &["whoami", "can-i", "role", "binding", "person", "security", "audit"]),
    ("Admin", &["cluster", "node", "context", "dev"]),
    ("This command", &["completion", "version", "help"]),
];

const FIRST_EXAMPLES: &str = "Examples:
  keikoctl status
  keikoctl mcp register time -- mcp-server-time --local-timezone UTC
  keikoctl tool call get_current_time '{\"timezone\":\"UTC\"}'";

const OUTPUT: &str = "\
-o table       columns for people; nothing is cut in a pipe (the default)
-o wide        more columns
-o json        one document; a list is {\"items\": [...], \"revision\": N}
-o jsonl       one object for each line: for events, watches and logs
-o yaml        the same as json, in YAML
-o name        kind/name for each line; every verb takes names in that form
-o jsonpath=E  what the path leads to, as in .items[*].metadata.name
-o csv         the columns of wide, comma separated

stdout is data, stderr is everything else. Errors with -o json are one object on stderr:
{code, message, causes, hints, retryable, request_id, trace_id}.
";

const ENVIRONMENT: &str = "\
KEIKO_ENDPOINT     where the daemon is, as --endpoint; members of one cluster as A:PORT,B:PORT
KEIKO_CONTEXT      the context, as --context
KEIKO_TOKEN        a bearer token
KEIKO_TOKEN_FILE   a file with a bearer token, as --token-file
KEIKO_CA           the cluster's CA certificate, as --ca
KEIKO_NAMESPACE    the namespace, as -n
KEIKO_OUTPUT       the format, as -o
KEIKO_TIMEOUT      how long a call may take, as --timeout
KEIKO_FENCE        what must be held for a write to count, as --fence; lock run sets it
KEIKO_COLOR        auto, always or never, as --color
KEIKO_NO_INPUT     never ask, as --no-input
KEIKO_COMPLETE     set by the completion scripts
NO_COLOR, CLICOLOR_FORCE, TERM=dumb are obeyed.

Without --endpoint, --context and their variables it is the current context's, then the socket of
the first daemon of this user ($XDG_RUNTIME_DIR/keiko/keiko.sock), then of root
(/run/keiko/keiko.sock).

A flag wins over a variable, that over the project's .keiko.toml (found upwards; output and namespace
only), that over $XDG_CONFIG_HOME/keiko/config.toml, that over /etc/keiko/config.toml.
keikoctl context show --origin tells who said what.
";

const TEMPLATE: &str = "{about}\n\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// The grammar with everything that help shows.
pub(crate) fn dress(command: Command) -> Command {
    let after = groups(&command);
    let styles = Styles::styled()
        .header(AnsiColor::Yellow.on_default().bold())
        .usage(AnsiColor::Yellow.on_default().bold())
        .literal(AnsiColor::Cyan.on_default())
        .placeholder(AnsiColor::Cyan.on_default());
    dress_below(command)
        .styles(styles)
        .max_term_width(100)
        .before_help(FIRST_EXAMPLES)
        .help_template(format!(
            "{{about}}\n\n{{before-help}}{{usage-heading}} {{usage}}\n\n{after}Flags of every command:\n{{options}}\n\n\
             A verb's own help: keikoctl agent register --help. Exit codes: keikoctl help exit-codes\n"
        ))
}

fn dress_below(command: Command) -> Command {
    let command = command
        .help_template(TEMPLATE)
        .disable_help_subcommand(true)
        .disable_help_flag(true)
        .mut_args(|argument| match argument.get_help_heading() {
            None if !argument.is_positional() => argument.help_heading("Flags"),
            _ => argument,
        });
    let names: Vec<String> =
        command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    let command = if names.is_empty() {
        command
    } else {
        command.subcommand_value_name("VERB").subcommand_help_heading("Verbs")
    };
    names.iter().fold(command, |command, name| command.mut_subcommand(name, dress_below))
}

fn groups(command: &Command) -> String {
    let mut text = String::new();
    for (title, names) in GROUPS {
        let _ = writeln!(text, "{title}:");
        for name in *names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {name:<12}{about}");
        }
        text.push('\n');
    }
    text
}

/// `help [WORD…]`.
pub(crate) fn run(args: &HelpArgs, printer: &Printer) -> Outcome {
    let mut command = dress(Cli::command());
    command.build();
    match args.words.join(" ").as_str() {
        "exit-codes" => printer.data(&exit_codes())?,
        "output" | "formatting" => printer.data(OUTPUT)?,
        "environment" => printer.data(ENVIRONMENT)?,
        _ => {
            let mut found = &mut command;
            for word in &args.words {
                let Some(below) = found.find_subcommand_mut(word) else {
                    return Err(usage(format!("there is no command or topic {word:?}"))
                        .hint("the topics are exit-codes, output and environment")
                        .into());
                };
                found = below;
            }
            let help = found.render_long_help();
            let colored = printer.style.is_colored();
            printer.data(&if colored { help.ansi().to_string() } else { help.to_string() })?;
        }
    }
    Ok(Exit::Done)
}

fn exit_codes() -> String {
    exit::TABLE.iter().map(|(number, words)| format!("{number:>3}   {words}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let command = Cli::command();
        for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
            let name = below.get_name();
            let groups = GROUPS.iter().filter(|(_, names)| names.contains(&name)).count();
            assert_eq!(groups, 1, "{name}");
        }
        for name in GROUPS.iter().flat_map(|(_, names)| *names) {
            assert!(command.find_subcommand(name).is_some(), "{name}");
        }
    }

    #[test]
    fn every_verb_shows_an_example_that_parses() {
        fn check(command: &Command) {
            let help = command.get_before_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> = help.lines().skip(1).map(str::trim).collect();
            assert!(!examples.is_empty(), "{}", command.get_name());
            for example in examples.iter().filter(|line| line.starts_with("keikoctl ")) {
                let line = example.split([';', '&', '>', '<', '|']).next().unwrap_or_default();
                let words = shell_words(line);
                let parsed = dress(Cli::command()).try_get_matches_from(words);
                assert!(parsed.is_ok(), "{example}: {:?}", parsed.err().map(|e| e.to_string()));
            }
            command.get_subcommands().filter(|below| !below.is_hide_set()).for_each(check);
        }
        let dressed = dress(Cli::command());
        dressed.get_subcommands().filter(|below| !below.is_hide_set()).for_each(check);
    }

    fn shell_words(line: &str) -> Vec<String> {
        let (mut words, mut quote) = (vec![String::new()], None);
        for character in line.trim().chars() {
            match (quote, character) {
                (None, '\'' | '"') => quote = Some(character),
                (Some(open), _) if open == character => quote = None,
                (None, ' ') => words.push(String::new()),
                _ => words.last_mut().unwrap().push(character),
            }
        }
        words.into_iter().filter(|word| !word.is_empty()).collect()
    }
}
