//! Peers that mean harm: each is told for what it is, costs what is bounded, and harms nobody else.

mod later;
mod memory;
mod text;
mod told;

use crate::objects::wait_ready;
use keiko_tests::{Node, Output, ctl, programs};
use std::process::Command;

/// Nothing that a terminal would obey.
#[track_caller]
fn assert_clean(text: &str) {
    let harmful = |c: char| {
        c.is_control() && !matches!(c, '\n' | '\t')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let found = text.lines().find(|line| line.contains(harmful));
    assert!(found.is_none(), "raw: {found:?}");
}

#[track_caller]
fn clean(output: Output) -> Output {
    assert_clean(&output.stdout);
    assert_clean(&output.stderr);
    output
}

/// The fake server as a command of its own.
fn neighbour(node: &Node, name: &str) -> String {
    let fake = programs::path("fake-mcp");
    node.ctl.ok(&format!("mcp register {name} -- {} {name}", fake.display()));
    wait_ready(&node.ctl, name, "True");
    format!(r#"tool call {name}.echo '{{"text":"still here"}}'"#)
}

/// The command as a person types it: on a terminal, with both streams in one.
pub(crate) fn terminal(node: &Node, line: &str) -> Command {
    let typed = node.ctl.command(line);
    let words = std::iter::once(typed.get_program()).chain(typed.get_args());
    let quoted = words.map(|word| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''")));
    let mut script = Command::new("script");
    script.args(["-qec", &quoted.collect::<Vec<_>>().join(" "), "/dev/null"]).env_clear();
    for (name, value) in typed.get_envs() {
        if let Some(value) = value {
            script.env(name, value);
        }
    }
    if let Some(folder) = typed.get_current_dir() {
        script.current_dir(folder);
    }
    script
}

/// What a person sees.
#[track_caller]
fn on_terminal(node: &Node, line: &str) -> Output {
    let script = terminal(node, &format!("{line} --quiet --color never"));
    let seen = ctl::run(script, line, "");
    // What the terminal itself makes of the end of a line.
    let stdout = seen.stdout.replace("\r\n", "\n");
    clean(Output { stdout, ..seen })
}
