//! `--dry-run`: what would change, field by field. Nothing was changed when this is printed.

use super::differ;
use super::flags::DryRunBy;
use super::object::Item;
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::{Format, FormatKind, Shown, escape};
use crate::session::Session;
use serde_json::{Value, json};

/// Deeper than this a change is shown by its parent.
const DEPTH_MAX: usize = 8;
/// What every write moves, and what is only known live.
const NOISE: &[&str] =
    &["metadata.revision", "metadata.generation", "metadata.updatedMs", "status.live"];
/// Characters of a value: a card or a schema has many more.
const VALUE_CHARS_MAX: usize = 120;

/// What would be done to one object.
pub(super) struct Preview {
    pub by: DryRunBy,
    /// `kind/name`.
    pub reference: String,
    /// As in `registered`.
    pub change: &'static str,
    pub before: Option<Item>,
    pub after: Option<Item>,
    /// More lines for people.
    pub notes: Vec<String>,
}

/// Prints it.
pub(super) fn show(preview: &Preview, session: &Session) -> Outcome {
    let before = preview.before.as_ref().map(Shown::json);
    let after = preview.after.as_ref().map(Shown::json);
    let changes = match (&before, &after) {
        (_, None) => Vec::new(),
        (before, Some(after)) => changes(before.as_ref().unwrap_or(&Value::Null), after),
    };
    let by = match preview.by {
        DryRunBy::Client => "client",
        DryRunBy::Server => "server",
    };
    let shown: Vec<Value> = changes.iter().map(Change::json).collect();
    let mut document = json!({"dryRun": by, "change": preview.change, "changes": shown});
    for (name, object) in [("before", before), ("object", after)] {
        if let Some(object) = object {
            document[name] = object;
        }
    }
    session.printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("{}\n", preview.reference),
        _ => text(preview, &changes),
    })?;
    Ok(Exit::Done)
}

fn text(preview: &Preview, changes: &[Change]) -> String {
    let first = match preview.change {
        "unchanged" => format!("{} would stay as it is\n", preview.reference),
        change => format!("{} would be {change}; nothing was changed\n", preview.reference),
    };
    // What is new in full is no difference worth reading.
    let changes = if preview.before.is_some() { changes } else { &[] };
    let lines = changes.iter().map(|change| format!("  {}\n", escape::line(&change.line())));
    let notes = preview.notes.iter().map(|note| format!("  {}\n", escape::line(note)));
    std::iter::once(first).chain(lines).chain(notes).collect()
}

struct Change {
    path: String,
    before: Value,
    after: Value,
}

impl Change {
    fn line(&self) -> String {
        let Self { path, before, after } = self;
        match (before, after) {
            (Value::Null, after) => format!("+ {path}: {}", cut(after)),
            (before, Value::Null) => format!("- {path}: {}", cut(before)),
            (before, after) => format!("~ {path}: {} -> {}", cut(before), cut(after)),
        }
    }

    fn json(&self) -> Value {
        json!({"path": self.path, "before": self.before, "after": self.after})
    }
}

fn cut(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text;
    }
    text.chars().take(VALUE_CHARS_MAX).chain(['…']).collect()
}

/// What is another, without what every write moves.
fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    differ::walk("", before, after, DEPTH_MAX, &mut found);
    let changes = found.into_iter().map(|(path, before, after)| Change { path, before, after });
    changes.filter(|change| !is_noise(&change.path)).collect()
}

fn is_noise(path: &str) -> bool {
    NOISE.iter().any(|noise| path == *noise || path.starts_with(&format!("{noise}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_another() {
        let before = json!({
            "metadata": {"revision": 7, "labels": {"team": "red", "old": "x"}},
            "status": {"live": {"routable": true}},
        });
        let after = json!({
            "metadata": {"revision": 9, "labels": {"team": "blue", "new": "y"}},
            "status": {"adminState": "draining"},
        });
        let lines: Vec<String> = changes(&before, &after).iter().map(Change::line).collect();
        assert_eq!(
            lines,
            [
                "~ metadata.labels.team: \"red\" -> \"blue\"",
                "- metadata.labels.old: \"x\"",
                "+ metadata.labels.new: \"y\"",
                "+ status.adminState: \"draining\"",
            ]
        );
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(cut(&json!("x".repeat(500))).chars().count(), VALUE_CHARS_MAX + 1);
    }
}
