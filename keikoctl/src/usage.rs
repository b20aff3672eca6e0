//! A malformed command line, in the look of every other error, with what was probably meant.

mod order;

use crate::exit::Exit;
use crate::fault::{Fault, usage};
use crate::print::{ColorChoice, Style};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use keiko_core::refusal::Refusal;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};

/// Shows what clap gave back: help and version on stdout, the rest as a refusal.
pub(crate) fn show(error: &clap::Error, words: &[OsString]) -> Exit {
    let color = color_of(words);
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            print(&mut std::io::stdout().lock(), error, Style::of(color, &std::io::stdout()));
            Exit::Done
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if !wants_json(words) => {
            let mut stderr = std::io::stderr().lock();
            print(&mut stderr, error, Style::of(color, &std::io::stderr()));
            Exit::Refused(2)
        }
        _ => {
            let fault = Fault::from(refusal(error, words));
            let text = if wants_json(words) {
                fault.json()
            } else {
                fault.human(&Style::of(color, &std::io::stderr()))
            };
            // The exit code says it too, if stderr is gone.
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
            Exit::of(&fault.refusal)
        }
    }
}

fn print(stream: &mut (impl Write + IsTerminal), error: &clap::Error, style: Style) {
    let text = error.render();
    let text = if style.is_colored() { text.ansi().to_string() } else { text.to_string() };
    // Whoever closed the pipe has read enough.
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}

fn refusal(error: &clap::Error, words: &[OsString]) -> Refusal {
    let context = |kind| error.get(kind).map(words_of).unwrap_or_default();
    let first = |kind| context(kind).into_iter().next().unwrap_or_default();
    let argument = first(ContextKind::InvalidArg);
    let value = first(ContextKind::InvalidValue);
    let mut refusal = usage(match error.kind() {
        ErrorKind::InvalidSubcommand => {
            format!("there is no command {:?}", first(ContextKind::InvalidSubcommand))
        }
        ErrorKind::UnknownArgument => format!("unexpected argument {argument:?}"),
        ErrorKind::MissingRequiredArgument => {
            format!("missing: {}", context(ContextKind::InvalidArg).join(" "))
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "a verb is missing".to_owned()
        }
        ErrorKind::InvalidValue if value.is_empty() => format!("{argument} needs a value"),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            format!("{value:?} does not fit {argument}")
        }
        ErrorKind::ArgumentConflict => {
            format!("{argument} does not go with {}", context(ContextKind::PriorArg).join(", "))
        }
        ErrorKind::TooManyValues => format!("{value:?} is one value too many for {argument}"),
        _ => plain(error),
    });
    if let Some(source) = std::error::Error::source(error) {
        refusal = refusal.cause(source);
    }
    let valid = context(ContextKind::ValidValue);
    if !valid.is_empty() {
        refusal = refusal.cause(format!("it is one of {}", valid.join(", ")));
    }
    if let Some(line) = typed_so(error, &argument, words) {
        return refusal.hint(line);
    }
    if argument == "--field-selector" {
        return refusal.hint("did you mean --field?");
    }
    let meant = [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
        ContextKind::SuggestedCommand,
    ];
    // The likeliest stands last.
    for word in meant.into_iter().filter_map(|kind| context(kind).pop()) {
        refusal = refusal.hint(format!("did you mean {word}?"));
    }
    let usages = usages(&first(ContextKind::Usage));
    if usages.is_empty() {
        return refusal.hint("keikoctl --help lists every command");
    }
    usages.into_iter().fold(refusal, Refusal::hint)
}

/// The line that was meant, if it was typed as another tool has it.
fn typed_so(error: &clap::Error, argument: &str, words: &[OsString]) -> Option<String> {
    let words: Vec<String> =
        words.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match error.kind() {
        ErrorKind::InvalidSubcommand => order::reordered(&words),
        ErrorKind::UnknownArgument if argument.starts_with('-') => order::divided(&words),
        ErrorKind::UnknownArgument => order::divided(&words).or_else(|| order::reordered(&words)),
        _ => None,
    }
}

/// How it is typed, a line for each form. Where a verb is missing, what lists them.
fn usages(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.trim().trim_start_matches("Usage:").trim());
    let typed = lines.filter(|line| !line.is_empty()).map(|line| {
        match line.strip_suffix("<VERB>").map(str::trim_end) {
            Some(noun) => format!("{} --help", noun.trim_end_matches("[OPTIONS]").trim_end()),
            None => line.to_owned(),
        }
    });
    typed.collect()
}

fn words_of(value: &ContextValue) -> Vec<String> {
    match value {
        ContextValue::String(word) => vec![word.clone()],
        ContextValue::Strings(words) => words.clone(),
        ContextValue::StyledStr(text) => vec![text.to_string()],
        ContextValue::StyledStrs(texts) => texts.iter().map(ToString::to_string).collect(),
        ContextValue::Number(number) => vec![number.to_string()],
        _ => Vec::new(),
    }
}

/// The first line of what clap would have said.
fn plain(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or("the command line is malformed");
    first.trim_start_matches("error: ").to_owned()
}

/// The value of a flag in a command line that nobody could read: the last one.
pub(crate) fn flag<'w>(words: &'w [OsString], long: &str, short: Option<&str>) -> Option<&'w str> {
    flags(words, long, short).pop()
}

/// Every value of a flag that may be given again.
pub(crate) fn flags<'w>(words: &'w [OsString], long: &str, short: Option<&str>) -> Vec<&'w str> {
    let words: Vec<&str> =
        words.iter().map_while(|word| word.to_str()).take_while(|word| *word != "--").collect();
    let values = words.iter().enumerate().filter_map(|(at, word)| {
        if *word == long || Some(*word) == short {
            return words.get(at + 1).copied();
        }
        let joined = word.strip_prefix(long).and_then(|rest| rest.strip_prefix('='));
        let glued = short.and_then(|short| word.strip_prefix(short));
        joined.or_else(|| glued.map(|rest| rest.trim_start_matches('=')))
    });
    values.collect()
}

fn wants_json(words: &[OsString]) -> bool {
    let variable = std::env::var("KEIKO_OUTPUT").ok();
    let format = flag(words, "--output", Some("-o")).or(variable.as_deref());
    matches!(format, Some("json" | "jsonl"))
}

fn color_of(words: &[OsString]) -> ColorChoice {
    match flag(words, "--color", None) {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    fn check(line: &str) -> Refusal {
        let words = std::iter::once("keikoctl").chain(line.split_whitespace());
        let words: Vec<OsString> = words.map(Into::into).collect();
        let command = crate::help::dress(Cli::command());
        refusal(&command.try_get_matches_from(&words).unwrap_err(), &words)
    }

    #[test]
    fn says_what_was_meant() {
        for (line, message, hint) in [
            ("agnet list", "there is no command \"agnet\"", "did you mean agent?"),
            ("agent lst", "there is no command \"lst\"", "did you mean list?"),
            ("agent list --watc", "unexpected argument \"--watc\"", "did you mean --watch?"),
            ("status --color sometimes", "\"sometimes\" does not fit --color <WHEN>", ""),
            ("status -o xml", "\"xml\" does not fit --output <FORMAT>", ""),
            ("agent get", "missing: <NAME>", ""),
            ("status -q -v", "--quiet does not go with --verbose", ""),
        ] {
            let refusal = check(line);
            assert_eq!(refusal.message, message, "{line}");
            assert!(hint.is_empty() || refusal.hints.contains(&hint.to_owned()), "{refusal:?}");
            assert!(!refusal.hints.is_empty(), "{line}");
        }
        assert!(check("status -o xml").causes[0].contains("jsonpath=EXPR"));
    }

    #[test]
    fn a_hint_can_be_typed() {
        for (line, expect) in [
            ("agnet list", vec!["did you mean agent?", "keikoctl --help"]),
            ("agent lst", vec!["did you mean list?", "keikoctl agent --help"]),
            ("get agents", vec!["keikoctl agent list"]),
            ("agents", vec!["keikoctl agent list"]),
            ("list", vec!["as in: keikoctl agent list"]),
            ("agent list --field-selector a=b", vec!["did you mean --field?"]),
            ("delete agent hello", vec!["keikoctl agent delete hello"]),
            (
                "mcp register t mcp-server-time --local-timezone UTC",
                vec!["keikoctl mcp register t -- mcp-server-time --local-timezone UTC"],
            ),
            (
                "mcp register",
                vec![
                    "keikoctl mcp register [NAME] URL [FLAGS]",
                    "keikoctl mcp register NAME [FLAGS] -- COMMAND…",
                ],
            ),
        ] {
            assert_eq!(check(line).hints, expect, "{line}");
        }
    }

    #[test]
    fn the_format_of_errors_is_found_in_a_bad_line() {
        for (line, expect) in [
            ("x -o json", true),
            ("x -ojson", true),
            ("x --output=jsonl --bad", true),
            ("x -o yaml", false),
            ("x -- -o json", false),
            ("x -o", false),
            ("x", false),
        ] {
            let words: Vec<OsString> = line.split_whitespace().map(Into::into).collect();
            let found = flag(&words, "--output", Some("-o"));
            assert_eq!(matches!(found, Some("json" | "jsonl")), expect, "{line}");
        }
    }
}
