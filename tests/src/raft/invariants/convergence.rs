//! When all is well again, everybody is soon at the same place, and takes writes.

use super::{Event, Watcher};

pub(super) struct Convergence;

impl Watcher for Convergence {
    fn see(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Unsettled { what } => Err(what.clone()),
            _ => Ok(()),
        }
    }
}
