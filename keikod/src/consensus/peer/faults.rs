//! What tests put between nodes. Nothing is ever cut in a daemon that nobody told to.

use std::sync::OnceLock;

/// True if what the first node says does not reach the second one.
pub type Cut = dyn Fn(&str, &str) -> bool + Send + Sync;

static CUT: OnceLock<Box<Cut>> = OnceLock::new();
static LEADER_RESTORE: OnceLock<()> = OnceLock::new();
static STALE_READS: OnceLock<()> = OnceLock::new();

/// Lets `cut` decide, once for the process.
pub fn cut_by(cut: impl Fn(&str, &str) -> bool + Send + Sync + 'static) {
    let _first_counts = CUT.set(Box::new(cut));
}

/// A bug on purpose: a leader resumes its term without a vote.
pub fn restore_leaders() {
    let _first_counts = LEADER_RESTORE.set(());
}

/// A bug on purpose: a linearizable read asks nobody.
pub fn read_stale() {
    let _first_counts = STALE_READS.set(());
}

pub(in crate::consensus) fn is_cut(from: &str, to: &str) -> bool {
    CUT.get().is_some_and(|cut| cut(from, to))
}

pub(in crate::consensus) fn restores_leaders() -> bool {
    LEADER_RESTORE.get().is_some()
}

pub(in crate::consensus) fn reads_stale() -> bool {
    STALE_READS.get().is_some()
}
