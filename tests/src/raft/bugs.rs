//! Bugs put in on purpose: what is not found when it is there would not be found in earnest either.

use super::Invariant;

/// A bug, in every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A leader that comes back goes on in its term: openraft's default.
    LeaderRestore,
    /// A vote is given before it is synced.
    VoteUnsynced,
    /// Entries count as synced when they are written.
    AckBeforeSync,
    /// A leader answers a linearizable read by itself.
    StaleRead,
    /// What an apply round wrote and how far it came are two writes.
    TornApply,
    /// A snapshot says that it is as new as the state when it was done.
    SnapshotMislabelled,
    /// The flusher forgets whom it was to call back, once in eight times.
    ForgetsCallback,
    /// Nobody finds out that a stream of entries is dead.
    NoKeepalive,
}

impl Bug {
    /// Every one.
    pub const ALL: &[Self] = &[
        Self::LeaderRestore,
        Self::VoteUnsynced,
        Self::AckBeforeSync,
        Self::StaleRead,
        Self::TornApply,
        Self::SnapshotMislabelled,
        Self::ForgetsCallback,
        Self::NoKeepalive,
    ];

    /// What it breaks; each alone finds it.
    #[must_use]
    pub const fn breaks(self) -> &'static [Invariant] {
        match self {
            Self::LeaderRestore => &[Invariant::LogMatching],
            Self::VoteUnsynced => &[Invariant::Elections],
            Self::AckBeforeSync => &[Invariant::Acknowledged, Invariant::Revisions],
            Self::StaleRead => &[Invariant::Freshness],
            Self::TornApply => &[Invariant::Totality],
            Self::SnapshotMislabelled => &[Invariant::State],
            Self::ForgetsCallback | Self::NoKeepalive => &[Invariant::Convergence],
        }
    }
}
