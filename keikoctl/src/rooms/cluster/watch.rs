//! `node list --watch`: redraws on a terminal, appends lines of JSON in a pipe and on a terminal
//! that can't move its cursor.
//!
//! How a node is, is soft state that no revision counts: it is asked for again and again, and a line
//! is written where more changed than figures that always move.

use super::node;
use super::table::{self, NODES, Row};
use crate::fault::{Outcome, usage};
use crate::print::columns::Wanted;
use crate::print::time::Clock;
use crate::print::{Format, FormatKind, Shown, is_dumb};
use crate::rooms::registry::flags::Look;
use crate::rooms::registry::watch::frame;
use crate::session::Session;
use keiko_client::Client;
use keiko_client::proto::v1::NodeInfo;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::sleep;

/// As often as ages move on.
const AGAIN: Duration = Duration::from_secs(1);

/// Watches until the caller has enough.
pub(super) async fn run(look: &Look, client: &Client, session: &Session) -> Outcome {
    let printer = &session.printer;
    let kind = match &printer.format {
        Format::Plain(kind @ (FormatKind::Table | FormatKind::Wide)) => {
            Some(*kind).filter(|_| printer.is_terminal && !is_dumb())
        }
        Format::Plain(FormatKind::Json | FormatKind::Jsonl) => None,
        _ => {
            return Err(usage("a watch is a table or lines of JSON")
                .hint("-o jsonl, or no -o at all")
                .into());
        }
    };
    session.detaches();
    if kind.is_some() {
        // What stands on the screen goes up into what can be scrolled back to.
        printer.data(&"\n".repeat(printer.height().unwrap_or_default()))?;
    }
    let wanted = look.wanted(false);
    let mut known = Known::default();
    loop {
        let listed = node::all(client).await?;
        match kind {
            Some(kind) => draw(table::rows(listed.items), kind, &wanted, look, session)?,
            None => {
                for (what, node) in known.take(listed.items) {
                    printer.json_line(line(what, node, listed.revision))?;
                }
            }
        }
        sleep(AGAIN).await;
    }
}

fn draw(
    rows: Vec<Row>,
    kind: FormatKind,
    wanted: &Wanted,
    look: &Look,
    session: &Session,
) -> Outcome<()> {
    let printer = &session.printer;
    let clock = Clock::now(printer.clock.utc);
    let rows = wanted.sort(NODES, rows, &clock)?;
    let grid = wanted.grid(NODES, &rows, kind, &clock)?;
    let text = grid.lay_out(&printer.style, printer.width(), !look.no_headers);
    printer.data(&frame(&text, printer.height().unwrap_or(usize::MAX)))
}

/// What was told last, by id.
#[derive(Default)]
struct Known(BTreeMap<u64, NodeInfo>);

impl Known {
    /// What is worth a line.
    fn take(&mut self, nodes: Vec<NodeInfo>) -> Vec<(&'static str, NodeInfo)> {
        let gone: Vec<u64> = self.0.keys().copied().collect();
        let gone = gone.into_iter().filter(|id| nodes.iter().all(|node| node.id != *id));
        let mut changes: Vec<(&'static str, NodeInfo)> = Vec::new();
        for id in gone {
            changes.extend(self.0.remove(&id).map(|node| ("DELETED", node)));
        }
        for node in nodes {
            match self.0.insert(node.id, settled(&node)) {
                None => changes.push(("ADDED", node)),
                Some(before) if before != settled(&node) => changes.push(("MODIFIED", node)),
                Some(_) => {}
            }
        }
        changes
    }
}

/// Without the figures that always move.
fn settled(node: &NodeInfo) -> NodeInfo {
    NodeInfo {
        applied_index: 0,
        state_hash: String::new(),
        last_heard_ms: 0,
        phi: 0.0,
        clock_offset_ms: 0,
        round_trip_us: 0,
        lag: 0,
        ..node.clone()
    }
}

fn line(what: &str, node: NodeInfo, revision: u64) -> Value {
    json!({"type": what, "object": Row { node, lag: None }.json(), "revision": revision})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matters_is_a_line() {
        let node = |id: u64, state: &str, heard: u64| NodeInfo {
            id,
            state: state.into(),
            last_heard_ms: heard,
            ..NodeInfo::default()
        };
        let mut known = Known::default();
        let mut told = |nodes: Vec<NodeInfo>| -> Vec<(&str, u64)> {
            known.take(nodes).into_iter().map(|(what, node)| (what, node.id)).collect()
        };
        let both = told(vec![node(1, "leader", 0), node(2, "follower", 3)]);
        assert_eq!(both, [("ADDED", 1), ("ADDED", 2)]);
        assert_eq!(told(vec![node(1, "leader", 0), node(2, "follower", 99)]), []);
        assert_eq!(told(vec![node(1, "leader", 0), node(2, "down", 9_000)]), [("MODIFIED", 2)]);
        assert_eq!(told(vec![node(1, "leader", 0)]), [("DELETED", 2)]);
        let line = line("ADDED", node(7, "leader", 0), 4).to_string();
        assert!(line.starts_with("{\"type\":\"ADDED\",\"object\":{\"id\":7"), "{line}");
    }
}
