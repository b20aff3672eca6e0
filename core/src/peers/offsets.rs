//! How far the clocks of the others are from this node's, and whether this one is the odd one.
//!
//! As in NTP, of each exchange: `offset = remote - (sent + received) / 2`, good to half of the round
//! trip. Of the last eight exchanges the fastest counts (RFC 5905, section 10: the clock filter).
//!
//! Whose clock is right is asked of the voters: a majority of them stands together, and this one
//! apart. Where no majority stands together nobody is right: of two voters, neither. Then there is
//! an alarm and nothing else, for a node that gives up leading because of a wrong clock of another
//! would help nobody.
//!
//! Never: sets a clock. The stamp goes on whatever the clocks do.

use crate::limits::NODES_MAX;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How far from the voters' median a clock may be.
pub const CLOCK_OFF_MS_MAX: u64 = 500;

/// The exchanges that are kept: two seconds of four a second.
const SAMPLES_MAX: usize = 8;
/// A slower exchange says too little: 500 ms are 250 ms of doubt, half of what a clock may be off.
const ROUND_TRIP_MS_MAX: u64 = 500;
/// An older one says nothing about clocks that were set since: forty beats.
const SAMPLE_AGE_MS_MAX: u64 = 10_000;

/// What one exchange says of the other's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// By how much the other's clock is ahead.
    pub offset_ms: i64,
    /// How long the exchange took.
    pub round_trip_ms: u64,
}

impl Sample {
    /// From when it was sent, the answer's time, and when the answer came; by wall clocks. None if
    /// the own clock went back between.
    pub fn of(sent_ms: u64, remote_ms: u64, received_ms: u64) -> Option<Self> {
        let round_trip_ms = received_ms.checked_sub(sent_ms)?;
        let middle_ms = sent_ms + round_trip_ms / 2;
        let ahead_ms = i64::try_from(remote_ms.abs_diff(middle_ms)).unwrap_or(i64::MAX);
        let offset_ms = if remote_ms < middle_ms { -ahead_ms } else { ahead_ms };
        Some(Self { offset_ms, round_trip_ms })
    }
}

/// What to think of this node's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// It stands with the others, or too little is known of them.
    Fine,
    /// It differs from others, but nobody can say who is right: for an alarm only.
    Apart {
        /// By how much it is ahead of the median; of two clocks that is half of what lies between.
        ahead_ms: i64,
    },
    /// A majority of the voters says that it is wrong: it should not lead.
    Off {
        /// By how much it is ahead of the median.
        ahead_ms: i64,
    },
}

/// The clocks of the other nodes, as seen from this one.
#[derive(Clone, Debug)]
pub struct Offsets {
    own: u64,
    peers: BTreeMap<u64, VecDeque<(Sample, u64)>>,
}

impl Offsets {
    /// Those of the node `own`.
    pub fn new(own: u64) -> Self {
        Self { own, peers: BTreeMap::new() }
    }

    /// Takes in an exchange that ended at `now_ms` of a clock that nobody sets.
    pub fn note(&mut self, id: u64, sample: Sample, now_ms: u64) {
        let is_new = !self.peers.contains_key(&id);
        if sample.round_trip_ms > ROUND_TRIP_MS_MAX || (is_new && self.peers.len() >= NODES_MAX) {
            return;
        }
        let samples = self.peers.entry(id).or_default();
        if samples.len() == SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back((sample, now_ms));
    }

    /// Forgets who is not among the others.
    pub fn retain(&mut self, others: &BTreeSet<u64>) {
        self.peers.retain(|id, _| others.contains(id));
    }

    /// By how much a node's clock is ahead of this one's; 0 for the own.
    pub fn offset_ms(&self, id: u64, now_ms: u64) -> Option<i64> {
        if id == self.own {
            return Some(0);
        }
        let fresh = |(_, at): &&(Sample, u64)| now_ms.saturating_sub(*at) <= SAMPLE_AGE_MS_MAX;
        // Of equally fast ones the latest.
        let best = self.peers.get(&id)?.iter().rev().filter(fresh);
        best.map(|(sample, _)| sample)
            .min_by_key(|sample| sample.round_trip_ms)
            .map(|sample| sample.offset_ms)
    }

    /// By how much the median of the voters' clocks is ahead of this one's.
    pub fn median_ms(&self, voters: &BTreeSet<u64>, now_ms: u64) -> Option<i64> {
        median(&self.known(voters, now_ms))
    }

    /// What to think of this node's clock.
    pub fn clock(&self, voters: &BTreeSet<u64>, now_ms: u64) -> Clock {
        let known = self.known(voters, now_ms);
        let Some(median_ms) = median(&known) else { return Clock::Fine };
        let stand_at = |place: i64| {
            known.iter().filter(|offset| offset.abs_diff(place) <= CLOCK_OFF_MS_MAX).count()
        };
        let ahead_ms = median_ms.saturating_neg();
        let is_far = median_ms.unsigned_abs() > CLOCK_OFF_MS_MAX;
        if is_far && stand_at(median_ms) > voters.len() / 2 {
            Clock::Off { ahead_ms }
        } else if 2 * stand_at(0) <= known.len() {
            Clock::Apart { ahead_ms }
        } else {
            Clock::Fine
        }
    }

    /// True if this node's clock is wrong by the word of a majority of the voters.
    pub fn is_off(&self, voters: &BTreeSet<u64>, now_ms: u64) -> bool {
        matches!(self.clock(voters, now_ms), Clock::Off { .. })
    }

    /// The offsets of the voters that are known, in order.
    fn known(&self, voters: &BTreeSet<u64>, now_ms: u64) -> Vec<i64> {
        let offset = |id: &u64| self.offset_ms(*id, now_ms);
        let mut known: Vec<i64> = voters.iter().filter_map(offset).collect();
        known.sort_unstable();
        known
    }
}

/// The middle one, or what is between the two in the middle.
fn median(sorted: &[i64]) -> Option<i64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some(i64::midpoint(lower, upper))
}
