//! An MCP server with one idempotent tool: `note_number` keeps a number in a file, once, however
//! often it is asked to. Whoever starts it elsewhere goes on with the same file.

use super::stdio::{Server, text};
use crate::{Outcome, checkout::Checkout};
use anyhow::Context;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Result, Write};
use std::path::Path;

pub(crate) fn run(_checkout: &Checkout, arguments: &[String]) -> Outcome {
    let path = arguments.first().context("usage: builtin-notes FILE")?;
    let path = Path::new(path);
    let call = |arguments: &Value| {
        let Some(number) = arguments["number"].as_u64() else {
            return text("number is no number", true);
        };
        match note(path, number) {
            Ok(()) => text(&format!("{number} is noted"), false),
            Err(error) => text(&format!("{}: {error}", path.display()), true),
        }
    };
    Server { name: "builtin-notes", tool: tool(), call }.run()
}

fn tool() -> Value {
    json!({
        "name": "note_number",
        "description": "Notes a number; twice is as good as once.",
        "inputSchema": {
            "type": "object",
            "properties": {"number": {"type": "integer", "minimum": 0}},
            "required": ["number"],
        },
        "annotations": {"readOnlyHint": false, "destructiveHint": false, "idempotentHint": true},
    })
}

fn note(path: &Path, number: u64) -> Result<()> {
    if noted(path)?.contains(&number) {
        return Ok(());
    }
    // One write at the end of the file: it is there as a whole, or not at all.
    let mut file = fs::File::options().create(true).append(true).open(path)?;
    file.write_all(format!("{number}\n").as_bytes())
}

/// What the file holds.
pub(crate) fn noted(path: &Path) -> Result<BTreeSet<u64>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_noted_once() {
        let name = format!("keiko-notes-test-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        for number in [3, 1, 3] {
            note(&path, number).unwrap();
        }
        let (set, text) = (noted(&path).unwrap(), fs::read_to_string(&path).unwrap());
        fs::remove_file(&path).unwrap();
        assert_eq!(set, BTreeSet::from([1, 3]));
        assert_eq!(text, "3\n1\n");
        assert!(noted(&path).unwrap().is_empty());
    }
}
