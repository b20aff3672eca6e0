//! The room's ops, checked as far as they can be without state.

/// Where an event came from, beside its stamp. All hex or UUID text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// W3C trace id.
    pub trace_id: String,
    /// The request that made it.
    pub request_id: String,
    /// BLAKE3 of the entry as logged.
    pub entry_hash: String,
    /// Where the actor called from.
    pub peer: String,
}

/// What can be asked of the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Forgets what lies below a revision.
    Compact { before: u64 },
}
