//! A term has one leader at most.

use super::{Event, Watcher};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Elections {
    leaders: BTreeMap<u64, u64>,
}

impl Watcher for Elections {
    fn see(&mut self, event: &Event) -> Result<(), String> {
        let Event::Leads { node, term } = event else { return Ok(()) };
        match *self.leaders.entry(*term).or_insert(*node) {
            leader if leader == *node => Ok(()),
            leader => Err(format!("nodes {leader} and {node} both lead term {term}")),
        }
    }
}
