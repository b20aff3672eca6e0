//! Other tools put the verb first, or forget the `--` before a command. What was typed so is said
//! again as this command has it.

use crate::cli::Cli;
use crate::session::quoted;
use clap::{Command, CommandFactory};

/// What others say in the plural, or behind the verb.
const NOUNS: &[&str] = &["agent", "mcp", "tool", "skill", "event", "node", "context"];
/// The word after these is no name.
const VALUED: &[&str] = &[
    "-n",
    "--namespace",
    "-o",
    "--output",
    "-l",
    "--selector",
    "--context",
    "--endpoint",
    "--limit",
    "--timeout",
];

/// The words of a line in our order; none if nobody knows what was meant.
pub(super) fn reordered(words: &[String]) -> Option<String> {
    let grammar = Cli::command();
    let (first, rest) = words.split_first()?;
    if let Some(noun) = noun(first) {
        let (verb, names) = match rest.split_first() {
            Some((verb, names)) => (verb.as_str(), names),
            None => ("list", rest),
        };
        let is_there = grammar.find_subcommand(noun)?.find_subcommand(verb).is_some();
        let is_ours = first == noun && (is_there || rest.is_empty());
        return if is_ours { None } else { line(&grammar, noun, verb, names) };
    }
    if let Some((second, names)) = rest.split_first() {
        if let Some(noun) = noun(second) {
            return line(&grammar, noun, first, names);
        }
        if let Some((kind, name)) = second.split_once('/')
            && let Some(noun) = noun(kind)
        {
            let names = [&[name.to_owned()], names].concat();
            return line(&grammar, noun, first, &names);
        }
    }
    if grammar.find_subcommand(first).is_some() {
        return None;
    }
    // A verb without a noun: the first that knows it is an example.
    let example = NOUNS.iter().find_map(|noun| line(&grammar, noun, first, rest))?;
    Some(format!("as in: {example}"))
}

/// `mcp register NAME COMMAND --its-flag`: the line with what divides the two.
pub(super) fn divided(words: &[String]) -> Option<String> {
    let [noun, verb, name, command, ..] = words else { return None };
    let is_command = !command.starts_with('-') && !command.contains("://");
    let is_so = noun == "mcp" && verb == "register" && !name.starts_with('-') && is_command;
    if !is_so || words.iter().any(|word| word == "--") {
        return None;
    }
    Some(format!("keikoctl mcp register {} -- {}", quoted(name), joined(&words[3..])))
}

/// The noun of a word, also in the plural.
fn noun(word: &str) -> Option<&'static str> {
    let fits = |noun: &&str| {
        word.strip_prefix(*noun).is_some_and(|ending| ending.is_empty() || ending == "s")
    };
    NOUNS.iter().copied().find(fits)
}

/// What others' verbs are here, the likeliest first: a noun has one of them.
fn meant(verb: &str, is_named: bool) -> Vec<&str> {
    match (verb, is_named) {
        ("list" | "ls" | "get", false) | ("list" | "ls", true) => vec!["list", "tail"],
        ("show", false) => vec!["show", "list", "tail"],
        ("get" | "show", true) => vec!["get", "show"],
        ("describe", _) => vec!["describe", "show", "get"],
        ("delete" | "rm" | "remove", _) => vec!["delete", "remove"],
        ("register" | "create" | "add", _) => vec!["register", "add"],
        (same, _) => vec![same],
    }
}

fn line(grammar: &Command, noun: &str, verb: &str, rest: &[String]) -> Option<String> {
    let is_named = names(rest);
    let verbs = grammar.find_subcommand(noun)?;
    let found = meant(verb, is_named).into_iter().find_map(|verb| verbs.find_subcommand(verb))?;
    let mut text = format!("keikoctl {noun} {}", found.get_name());
    let needs = found.get_positionals().next().is_some_and(clap::Arg::is_required_set);
    if needs && !is_named {
        text.push_str(" NAME");
    }
    if !rest.is_empty() {
        text.push(' ');
        text.push_str(&joined(rest));
    }
    Some(text)
}

/// True if one of the words is neither a flag nor its value.
fn names(words: &[String]) -> bool {
    let mut is_value = false;
    words.iter().any(|word| {
        let is_name = !is_value && !word.starts_with('-');
        is_value = VALUED.contains(&word.as_str());
        is_name
    })
}

fn joined(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_of_other_tools_becomes_one_of_ours() {
        for (line, expect) in [
            ("get agents", "keikoctl agent list"),
            ("get agents -A -o json", "keikoctl agent list -A -o json"),
            ("get agent hello", "keikoctl agent get hello"),
            ("get agent -n team-a hello", "keikoctl agent get -n team-a hello"),
            ("get agent/hello -o yaml", "keikoctl agent get hello -o yaml"),
            ("describe agent hello", "keikoctl agent describe hello"),
            ("describe mcps", "keikoctl mcp describe NAME"),
            ("delete agent hello", "keikoctl agent delete hello"),
            ("delete mcp/time --yes", "keikoctl mcp delete time --yes"),
            ("rm context prod", "keikoctl context delete prod"),
            ("get nodes", "keikoctl node list"),
            ("drain node n1", "keikoctl node drain n1"),
            ("delete node n3", "keikoctl node remove n3"),
            ("node rm n3", "keikoctl node remove n3"),
            ("create agent a http://b", "keikoctl agent register a http://b"),
            ("get events", "keikoctl event tail"),
            ("get contexts", "keikoctl context list"),
            ("describe context prod", "keikoctl context show prod"),
            ("logs mcp time", "keikoctl mcp logs time"),
            ("agents", "keikoctl agent list"),
            ("agents list", "keikoctl agent list"),
            ("agent ls", "keikoctl agent list"),
            ("agent rm hello", "keikoctl agent delete hello"),
            ("list", "as in: keikoctl agent list"),
            ("get hello", "as in: keikoctl agent get hello"),
            ("logs time", "as in: keikoctl mcp logs time"),
            ("get agent 'a b'", "keikoctl agent get ''\\''a' 'b'\\'''"),
        ] {
            assert_eq!(reordered(&words(line)).as_deref(), Some(expect), "{line}");
        }
        for line in
            ["", "agnet list", "agent lst", "agent list x", "agent", "delete x", "status agent"]
        {
            assert_eq!(reordered(&words(line)), None, "{line}");
        }
    }

    #[test]
    fn a_command_is_divided_from_the_line_that_registers_it() {
        for (line, expect) in [
            (
                "mcp register t2 mcp-server-time --local-timezone UTC",
                Some("keikoctl mcp register t2 -- mcp-server-time --local-timezone UTC"),
            ),
            ("mcp register t2 https://a --lable x=y", None),
            ("mcp register t2 -- x --y", None),
            ("mcp register t2 --lable x=y", None),
            ("agent register t2 x --y", None),
        ] {
            assert_eq!(divided(&words(line)).as_deref(), expect, "{line}");
        }
    }
}
