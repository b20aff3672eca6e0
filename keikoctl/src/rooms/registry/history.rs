//! `history`: past versions of one object, and what changed from each to the next.

use super::flags::HistoryArgs;
use super::object::{Item, KindWord};
use super::{differ, state};
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::{Cell, Column, Listing, Shown};
use crate::session::{QUICK, Session};
use keiko_client::proto::v1::{HistoryRequest, Version};
use serde_json::{Value, json};

/// Deeper than this a change is named by its parent.
const DEPTH_MAX: usize = 3;

/// Runs `history`.
pub(crate) async fn run(kind: KindWord, args: &HistoryArgs, session: &Session) -> Outcome {
    let name = kind.name(&args.name)?;
    // A version in which it was deleted has no object to take it from.
    let reference = format!("{}/{name}", kind.word);
    let request = HistoryRequest {
        kind: kind.kind.into(),
        namespace: args.namespace.one(),
        name,
        limit: args.limit.unwrap_or(0),
    };
    let client = session.client(QUICK).await?;
    let found = client
        .read(request, |client, request| async move { client.registry().history(request).await })
        .await?;
    let printer = &session.printer;
    let wanted = args.look.wanted(false);
    let steps = wanted.sort(COLUMNS, steps(found.items), &printer.clock)?;
    let name = |step: &Step| format!("{reference}@{}", step.revision);
    let listing = Listing { revision: found.revision, name: &name };
    printer.rows(COLUMNS, &wanted, &steps, !args.look.no_headers, listing)?;
    Ok(Exit::Done)
}

/// A version, and what it changed.
struct Step {
    revision: u64,
    /// None: deleted.
    item: Option<Item>,
    change: &'static str,
    what: Vec<String>,
}

impl Shown for Step {
    fn json(&self) -> Value {
        let mut json = json!({"revision": self.revision});
        if let Some(item) = &self.item {
            json["object"] = item.json();
        }
        json
    }
}

const COLUMNS: &[Column<Step>] = &[
    Column::new("REVISION", |step: &Step, _| Cell::number(step.revision)),
    Column::new("CHANGE", |step: &Step, _| Cell::text(step.change)),
    Column::new("STATE", |step: &Step, _| step.item.as_ref().map(state::cell).unwrap_or_default()),
    Column::new("WHAT", |step: &Step, _| Cell::text(step.what.join(", "))).flexible(),
    Column::new("AGE", |step: &Step, clock| {
        let updated_ms = step.item.as_ref().map_or(0, |item| item.metadata().updated_ms);
        Cell::age(clock, updated_ms)
    }),
];

/// Newest first, each compared with the one after it in the list.
fn steps(versions: Vec<Version>) -> Vec<Step> {
    let items: Vec<(u64, Option<Item>)> =
        versions.into_iter().map(|version| (version.revision, version.object.map(Item))).collect();
    let olders = items.iter().skip(1).map(|(_, item)| item.as_ref()).chain([None]);
    let described: Vec<_> =
        items.iter().zip(olders).map(|((_, item), older)| describe(item.as_ref(), older)).collect();
    let pairs = items.into_iter().zip(described);
    pairs.map(|((revision, item), (change, what))| Step { revision, item, change, what }).collect()
}

fn describe(item: Option<&Item>, older: Option<&Item>) -> (&'static str, Vec<String>) {
    match (item, older) {
        (None, _) => ("deleted", Vec::new()),
        (Some(item), Some(older)) if item.metadata().uid == older.metadata().uid => {
            let mut what = differences(&older.json(), &item.json());
            what.retain(|path| {
                !["metadata.revision", "metadata.updatedMs"].contains(&path.as_str())
            });
            ("updated", what)
        }
        // The oldest that is kept need not be the first that was.
        (Some(item), None) if item.metadata().updated_ms > item.metadata().created_ms => {
            ("updated", Vec::new())
        }
        (Some(_), _) => ("registered", Vec::new()),
    }
}

fn differences(older: &Value, newer: &Value) -> Vec<String> {
    let mut found = Vec::new();
    differ::walk("", older, newer, DEPTH_MAX, &mut found);
    found.into_iter().map(|(path, _, _)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_changed() {
        for (older, newer, expect) in [
            (json!({"a": 1}), json!({"a": 1}), vec![]),
            (json!({"a": 1, "b": {"c": 2}}), json!({"a": 2, "b": {"c": 3}}), vec!["a", "b.c"]),
            (json!({"a": {}}), json!({"b": 1}), vec!["a", "b"]),
            (json!({"a": [1]}), json!({"a": [2]}), vec!["a"]),
            (
                json!({"a": {"b": {"c": {"d": 1}}}}),
                json!({"a": {"b": {"c": {"d": 2}}}}),
                vec!["a.b.c"],
            ),
        ] {
            assert_eq!(differences(&older, &newer), expect, "{older} {newer}");
        }
    }
}
