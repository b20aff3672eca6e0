//! The chained state hash at every 1,024th entry: what replicas compare.

use keiko_core::hash::Hash;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Entries between two of them.
pub(super) const CHECKPOINT_EVERY: u64 = 1024;
/// As many as are kept: a follower that is 65,536 entries behind is still compared.
const KEPT: usize = 64;

/// The latest of them, oldest first.
#[derive(Debug, Default)]
pub(super) struct Checkpoints(Mutex<VecDeque<(u64, Hash)>>);

impl Checkpoints {
    pub(super) fn push(&self, marks: Vec<(u64, Hash)>) {
        if marks.is_empty() {
            return;
        }
        let mut kept = self.lock();
        kept.extend(marks);
        while kept.len() > KEPT {
            kept.pop_front();
        }
    }

    /// Those behind `after`.
    pub(super) fn behind(&self, after: u64) -> Vec<(u64, Hash)> {
        self.lock().iter().filter(|(index, _)| *index > after).copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(u64, Hash)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept() {
        let checkpoints = Checkpoints::default();
        for index in 1..=100 {
            checkpoints.push(vec![(index * CHECKPOINT_EVERY, [0; 32])]);
        }
        assert_eq!(checkpoints.behind(0).len(), KEPT);
        assert_eq!(checkpoints.behind(98 * CHECKPOINT_EVERY).len(), 2);
    }
}
