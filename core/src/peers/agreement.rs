//! Whether the replicas of one group are in the same state, by the chained hash at every checkpoint.
//!
//! Invariants:
//! - only hashes of the same index are compared, and what was not reported yet is waited for;
//! - more than half of the voters are right, whoever they are; learners are judged and never judge;
//! - the hash is chained, so the latest index that can be judged speaks for those before it.
//!
//! Never: repairs anything. Who differs stops, and without a majority nobody writes, until a person
//! has looked.

use crate::hash::Hash;
use crate::limits::NODES_MAX;
use std::collections::{BTreeMap, BTreeSet};

/// Checkpoints that are kept of each node: one every 1,024 entries, so 65,536 entries that a node may
/// be behind and still be compared. 64 nodes × 64 × 40 bytes are 160 KiB.
pub const CHECKPOINTS_MAX: usize = 64;

/// What this node makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No difference is known.
    Agreed,
    /// This node's state is not that of the majority: it must stop.
    Minority {
        /// Where they differ; they may differ since an earlier entry.
        index: u64,
        /// The voters that are of one mind.
        others: BTreeSet<u64>,
    },
    /// All voters have told, and no hash has more than half of them: nobody may write.
    NoMajority {
        /// Where they differ.
        index: u64,
    },
}

/// The checkpoints of one group, of this node and the others.
#[derive(Clone, Debug, Default)]
pub struct Agreement {
    own: Checkpoints,
    others: BTreeMap<u64, Checkpoints>,
}

type Checkpoints = BTreeMap<u64, Hash>;

impl Agreement {
    /// Another node says its hash after the entry at `index`.
    pub fn note(&mut self, node: u64, index: u64, hash: Hash) {
        if self.others.contains_key(&node) || self.others.len() < NODES_MAX {
            keep(self.others.entry(node).or_default(), index, hash);
        }
    }

    /// This node's own.
    pub fn own(&mut self, index: u64, hash: Hash) {
        keep(&mut self.own, index, hash);
    }

    /// The latest index of this node's own; 0 if there is none.
    pub fn own_latest(&self) -> u64 {
        self.own.last_key_value().map_or(0, |(index, _)| *index)
    }

    /// Forgets what a node said: it began anew, or is no member any more.
    pub fn forget(&mut self, node: u64) {
        self.others.remove(&node);
    }

    /// Who is right, as far as that can be said.
    pub fn verdict(&self, voters: &BTreeSet<u64>, own: u64) -> Verdict {
        let all = self.others.values().chain([&self.own]);
        let indices: BTreeSet<u64> =
            all.flat_map(|checkpoints| checkpoints.keys().copied()).collect();
        let judged = indices.iter().rev().find_map(|index| self.judge(*index, voters, own));
        judged.unwrap_or(Verdict::Agreed)
    }

    /// None if too little was reported.
    fn judge(&self, index: u64, voters: &BTreeSet<u64>, own: u64) -> Option<Verdict> {
        let mut camps: BTreeMap<&Hash, BTreeSet<u64>> = BTreeMap::new();
        for voter in voters {
            let said = if *voter == own { Some(&self.own) } else { self.others.get(voter) };
            if let Some(hash) = said.and_then(|checkpoints| checkpoints.get(&index)) {
                camps.entry(hash).or_default().insert(*voter);
            }
        }
        let told: usize = camps.values().map(BTreeSet::len).sum();
        match camps.into_iter().find(|(_, camp)| camp.len() > voters.len() / 2) {
            Some((hash, _)) if self.own.get(&index)? == hash => Some(Verdict::Agreed),
            Some((_, others)) => Some(Verdict::Minority { index, others }),
            None if told > 0 && told == voters.len() => Some(Verdict::NoMajority { index }),
            None => None,
        }
    }
}

fn keep(checkpoints: &mut Checkpoints, index: u64, hash: Hash) {
    checkpoints.insert(index, hash);
    if checkpoints.len() > CHECKPOINTS_MAX {
        checkpoints.pop_first();
    }
}
