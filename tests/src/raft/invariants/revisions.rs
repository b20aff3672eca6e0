//! Revisions grow: by one at most with each entry, never back on a node that lives, and a write
//! that is accepted has a higher one than all that was known when it was sent.

use super::{Event, Watcher};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Revisions {
    /// Of each node, in this life.
    nodes: BTreeMap<u64, u64>,
}

impl Watcher for Revisions {
    fn see(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Started { node } => {
                self.nodes.remove(node);
                Ok(())
            }
            Event::Applied { node, id, revision, .. } => {
                match self.nodes.insert(*node, *revision) {
                    Some(before) if !(before..=before + 1).contains(revision) => {
                        Err(format!("node {node} goes from {before} to {revision} at {id}"))
                    }
                    _ => Ok(()),
                }
            }
            Event::Installed { node, id, revision, .. } => {
                match self.nodes.insert(*node, *revision) {
                    Some(before) if before > *revision => {
                        Err(format!("node {node} goes back from {before} to {revision} at {id}"))
                    }
                    _ => Ok(()),
                }
            }
            Event::Acknowledged { index, accepted, revision, floor, .. } => {
                let least = floor + u64::from(*accepted);
                match *revision >= least {
                    true => Ok(()),
                    false => Err(format!(
                        "the write at {index} is revision {revision}, {floor} was known before"
                    )),
                }
            }
            _ => Ok(()),
        }
    }
}
