//! What the store and consensus count: plain atomics, read by whoever exports metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Only ever grows while the process lives.
#[derive(Debug, Default)]
pub struct Counters {
    /// Syncs of the write-ahead log.
    pub syncs: AtomicU64,
    /// Log entries that these syncs made durable; divided by `syncs`, the size of a group commit.
    pub synced_entries: AtomicU64,
    /// Log entries that were applied.
    pub applied_entries: AtomicU64,
    /// Rounds in which they were applied, each one write batch.
    pub apply_rounds: AtomicU64,
    /// Proposals that were answered.
    pub proposals: AtomicU64,
    /// How long these took together, in microseconds.
    pub propose_us_sum: AtomicU64,
}

impl Counters {
    /// One sync that made `entries` durable.
    pub fn count_sync(&self, entries: u64) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.synced_entries.fetch_add(entries, Ordering::Relaxed);
    }

    /// One round that applied `entries`.
    pub fn count_apply(&self, entries: u64) {
        self.apply_rounds.fetch_add(1, Ordering::Relaxed);
        self.applied_entries.fetch_add(entries, Ordering::Relaxed);
    }

    /// One proposal that was answered after `latency`.
    pub fn count_proposal(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.proposals.fetch_add(1, Ordering::Relaxed);
        self.propose_us_sum.fetch_add(micros, Ordering::Relaxed);
    }
}
