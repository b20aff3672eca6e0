//! Completions, man pages and the reference, all from the grammar itself.

use crate::cli::Cli;
use crate::complete;
use crate::exit::{self, Exit};
use crate::fault::Outcome;
use crate::help;
use crate::print::Printer;
use crate::schema;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use keiko_core::refusal::{Code, Refusal, Result};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const SHELLS: &[(Shell, &str)] = &[
    (Shell::Bash, "keikoctl.bash"),
    (Shell::Zsh, "_keikoctl"),
    (Shell::Fish, "keikoctl.fish"),
    (Shell::PowerShell, "_keikoctl.ps1"),
    (Shell::Elvish, "keikoctl.elv"),
];

/// `completion SHELL`.
pub(crate) fn completion(shell: Shell, printer: &Printer) -> Outcome {
    printer.data(&complete::script(shell)?)?;
    Ok(Exit::Done)
}

/// `__generate FOLDER`: what is checked in.
pub(crate) fn everything(folder: &Path) -> Outcome {
    for (shell, name) in SHELLS {
        write(&folder.join("completions").join(name), complete::script(*shell)?.as_bytes())?;
    }
    let mut command = visible(help::dress(Cli::command()));
    command.build();
    manuals(&command, &mut vec![], &folder.join("man"))?;
    let mut reference = String::from(
        "# Commands\n\nWritten by `./x gen` from the command itself: change the code, not this page.\n",
    );
    let _ = writeln!(reference, "\n## Exit codes\n\n| code | meaning |\n|---|---|");
    for (number, words) in exit::TABLE {
        let _ = writeln!(reference, "| {number} | {words} |");
    }
    describe(&command, &mut vec![], &mut reference);
    write(&folder.join("docs/reference/cli.md"), reference.as_bytes())?;
    for kind in schema::KINDS {
        let text = format!("{:#}\n", schema::of(kind));
        write(&folder.join(format!("docs/reference/schemas/{kind}.json")), text.as_bytes())?;
    }
    Ok(Exit::Done)
}

/// Without what is hidden: the generators would list it.
pub(crate) fn visible(command: Command) -> Command {
    let mut kept = Command::new("keikoctl").version(env!("CARGO_PKG_VERSION"));
    if let Some(about) = command.get_about() {
        kept = kept.about(about.clone());
    }
    if let Some(examples) = command.get_before_help() {
        kept = kept.before_help(examples.clone());
    }
    kept.disable_help_subcommand(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .subcommand_required(true)
        .subcommand_value_name("VERB")
        .args(command.get_arguments().cloned())
        .subcommands(command.get_subcommands().filter(|below| !below.is_hide_set()).cloned())
}

/// One page for each verb, named by its words.
fn manuals(command: &Command, words: &mut Vec<String>, folder: &Path) -> Result<()> {
    words.push(command.get_name().to_owned());
    let name = words.join("-");
    let mut page = Vec::new();
    let shown = command.clone().name(name.clone()).display_name(name.clone());
    // The examples come in a section of their own, at the end, where man pages have them.
    let examples = command.get_before_help().map(ToString::to_string).unwrap_or_default();
    let manual = clap_mangen::Man::new(shown.before_help(""))
        .title(name.to_uppercase())
        .source(concat!("keiko ", env!("CARGO_PKG_VERSION")))
        .manual("Keiko");
    let rendered = manual.render(&mut page);
    rendered.map_err(|error| Refusal::new(Code::Internal, "no man page").cause(error))?;
    if let Some((_, lines)) = examples.split_once('\n') {
        let lines = lines.replace('\\', "\\e").replace('-', "\\-").replace("\n  ", "\n");
        page.extend(format!(".SH EXAMPLES\n.nf\n{}\n.fi\n", lines.trim_start()).bytes());
    }
    write(&folder.join(format!("{name}.1")), &page)?;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        manuals(below, words, folder)?;
    }
    words.pop();
    Ok(())
}

fn describe(command: &Command, words: &mut Vec<String>, text: &mut String) {
    words.push(command.get_name().to_owned());
    let _ = writeln!(text, "\n## {}\n", words.join(" "));
    if let Some(about) = command.get_about() {
        let _ = writeln!(text, "{about}\n");
    }
    let usage = command.clone().name(words.join(" ")).bin_name(words.join(" ")).render_usage();
    let usage = usage.to_string();
    let _ = writeln!(text, "```\n{}\n```", usage.trim_start_matches("Usage: ").trim());
    if let Some(examples) = command.get_before_help() {
        let examples = examples.to_string();
        let lines: Vec<&str> = examples.lines().skip(1).map(str::trim).collect();
        let _ = writeln!(text, "\n```sh\n{}\n```", lines.join("\n"));
    }
    let is_top = words.len() == 1;
    let arguments: Vec<_> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && (is_top || !argument.is_global_set()))
        .filter(|argument| !["help", "version"].contains(&argument.get_id().as_str()))
        .collect();
    if !arguments.is_empty() {
        let _ = writeln!(text, "\n| argument | meaning |\n|---|---|");
    }
    for argument in arguments {
        let shown = argument.to_string().replace('|', "\\|");
        let short = argument.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
        let meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "| `{short}{shown}` | {} |", meaning.replace('|', "\\|"));
    }
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        describe(below, words, text);
    }
    words.pop();
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let unwritable = |error: std::io::Error| {
        Refusal::new(Code::Internal, format!("{} can't be written", path.display())).cause(error)
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(unwritable)?;
    }
    fs::write(path, bytes).map_err(unwritable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_generated_twice_the_same() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        everything(one.path()).unwrap();
        everything(other.path()).unwrap();
        for (name, word) in [
            ("completions/keikoctl.bash", "KEIKO_COMPLETE"),
            ("completions/_keikoctl", "#compdef keikoctl"),
            ("man/keikoctl-mcp-register.1", "register"),
            ("docs/reference/cli.md", "register"),
            ("docs/reference/schemas/McpServer.json", "json-schema.org"),
        ] {
            let text = fs::read_to_string(one.path().join(name)).unwrap();
            assert_eq!(text, fs::read_to_string(other.path().join(name)).unwrap(), "{name}");
            assert!(!text.contains("__generate"), "{name}");
            assert!(text.contains(word), "{name}");
        }
    }
}
