//! What was acknowledged stays: nobody ever applies something else in its place, and in the end
//! everybody has come past it.

use super::{Event, Watcher};
use crate::raft::types::Digest;
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Acknowledged {
    acknowledged: BTreeMap<u64, Digest>,
    /// As who came last applied it.
    applied: BTreeMap<u64, Digest>,
}

impl Watcher for Acknowledged {
    fn see(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Acknowledged { index, digest, .. } => {
                self.acknowledged.insert(*index, *digest);
                match self.applied.get(index) {
                    Some(applied) if applied == digest => Ok(()),
                    Some(_) => Err(format!("the write at {index} was acknowledged when lost")),
                    None => Err(format!("the write at {index} was acknowledged, not applied")),
                }
            }
            Event::Applied { node, id, digest, .. } => {
                self.applied.insert(id.index, *digest);
                match self.acknowledged.get(&id.index) {
                    Some(known) if known != digest => {
                        Err(format!("node {node} applies something else for the write at {id}"))
                    }
                    _ => Ok(()),
                }
            }
            Event::Settled { node, index, .. } => match self.acknowledged.last_key_value() {
                Some((last, _)) if last > index => {
                    Err(format!("node {node} ends at {index}, {last} was acknowledged"))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}
