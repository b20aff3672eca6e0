//! One log id is one entry, behind one entry, whoever has it; and what is applied at an index is
//! one entry.

use super::{Event, Watcher};
use crate::raft::types::{Digest, LogId};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct LogMatching {
    written: BTreeMap<LogId, (Digest, Option<LogId>, u64)>,
    applied: BTreeMap<u64, (LogId, Digest, u64)>,
}

impl Watcher for LogMatching {
    fn see(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Appended { node, id, digest, before } => {
                let first = self.written.entry(*id).or_insert((*digest, *before, *node));
                if (first.0, first.1) == (*digest, *before) {
                    return Ok(());
                }
                let writer = first.2;
                Err(format!("log id {id} is one entry on node {writer}, another on node {node}"))
            }
            Event::Applied { node, id, digest, .. } => {
                let first = self.applied.entry(id.index).or_insert((*id, *digest, *node));
                if (first.0, first.1) == (*id, *digest) {
                    return Ok(());
                }
                let (known, _, applier) = first;
                Err(format!("node {applier} applied {known}, node {node} applies {id}"))
            }
            _ => Ok(()),
        }
    }
}
