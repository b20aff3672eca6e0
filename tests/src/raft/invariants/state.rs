//! At one index every node has one state, however it came there.

use super::{Event, Watcher};
use keiko_core::hash::Hash;
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct State {
    /// The state at each index, and whose it was.
    states: BTreeMap<u64, (u64, Hash, u64)>,
}

impl Watcher for State {
    fn see(&mut self, event: &Event) -> Result<(), String> {
        let (node, index, revision, hash) = match event {
            Event::Applied { node, id, revision, hash, .. }
            | Event::Installed { node, id, revision, hash } => (node, &id.index, revision, hash),
            Event::Settled { node, index, revision, hash } => (node, index, revision, hash),
            _ => return Ok(()),
        };
        let first = self.states.entry(*index).or_insert((*revision, *hash, *node));
        if (first.0, first.1) == (*revision, *hash) {
            return Ok(());
        }
        let (known, _, other) = first;
        Err(format!(
            "at {index} node {node} has revision {revision}, node {other} has {known}, \
             and their hashes differ"
        ))
    }
}
