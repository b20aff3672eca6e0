//! What tests put between nodes. Nothing is ever cut in a daemon that nobody told to.

use keiko_core::features;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// True if what the first node says does not reach the second one.
pub type Cut = dyn Fn(&str, &str) -> bool + Send + Sync;

static CUT: OnceLock<Box<Cut>> = OnceLock::new();
/// At which part of a snapshot's bytes, in percent, the next transfer breaks off; zero: never.
static SNAPSHOT_CUT: AtomicU64 = AtomicU64::new(0);
static LEADER_RESTORE: OnceLock<()> = OnceLock::new();
static STALE_READS: OnceLock<()> = OnceLock::new();

/// Lets `cut` decide, once for the process.
pub fn cut_by(cut: impl Fn(&str, &str) -> bool + Send + Sync + 'static) {
    let _first_counts = CUT.set(Box::new(cut));
}

/// Lets the next transfer of a snapshot break off when so many percent of it were sent.
pub fn cut_snapshot_at(percent: u64) {
    SNAPSHOT_CUT.store(percent, Ordering::Relaxed);
}

/// The level that this release is taken to understand.
static LEVEL: AtomicU32 = AtomicU32::new(features::LEVEL);

/// Takes this release for one that understands another feature level.
pub fn understand(level: u32) {
    LEVEL.store(level, Ordering::Relaxed);
}

/// The highest feature level that this node understands.
pub(crate) fn level() -> u32 {
    LEVEL.load(Ordering::Relaxed)
}

/// A bug on purpose: a leader resumes its term without a vote.
pub fn restore_leaders() {
    let _first_counts = LEADER_RESTORE.set(());
}

/// A bug on purpose: a linearizable read asks nobody.
pub fn read_stale() {
    let _first_counts = STALE_READS.set(());
}

/// Asks for `way` only where something may be cut.
pub(super) fn is_cut(way: impl FnOnce(&Cut) -> bool) -> bool {
    CUT.get().is_some_and(|cut| way(cut.as_ref()))
}

pub(super) fn cuts_snapshot(sent: u64, all: u64) -> bool {
    let percent = SNAPSHOT_CUT.load(Ordering::Relaxed);
    if percent == 0 || sent * 100 < all * percent {
        return false;
    }
    SNAPSHOT_CUT.store(0, Ordering::Relaxed);
    true
}

pub(in crate::consensus) fn restores_leaders() -> bool {
    LEADER_RESTORE.get().is_some()
}

pub(in crate::consensus) fn reads_stale() -> bool {
    STALE_READS.get().is_some()
}
