//! A read, by a quorum or by a lease, is as new as all that anybody knew when it began.

use super::{Event, Watcher};

pub(super) struct Freshness;

impl Watcher for Freshness {
    fn see(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Read { node, policy, revision, floor } if revision < floor => Err(format!(
                "node {node} reads revision {revision} by {policy}, {floor} was known before"
            )),
            _ => Ok(()),
        }
    }
}
