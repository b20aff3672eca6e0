//! What can happen. Each action is whole: it can be played again without the director, in any
//! company; one that makes no sense where it stands does nothing.

use keiko_proto::v1 as wire;
use prost::Message as _;
use std::fmt;

/// The actions of a run, in order.
pub type Script = Vec<Action>;

/// One thing that happens.
#[derive(Clone, PartialEq, Eq)]
pub enum Action {
    /// The log commits these bytes.
    Commit(Vec<u8>),
    /// The log commits an entry that is not the law's, as a membership or a new leader's first.
    Blank,
    /// An entry that needs a newer release stands behind the log; nothing of it may be read.
    Future(Vec<u8>),
    /// A node applies up to so many entries as one round.
    Apply {
        /// Which.
        node: usize,
        /// How many.
        entries: usize,
    },
    /// A node dies, and what it had not synced is gone: its last batches.
    Crash {
        /// Which.
        node: usize,
        /// How many of them.
        batches: usize,
    },
    /// A node takes a snapshot.
    Snapshot {
        /// Which.
        node: usize,
    },
    /// A node that is behind installs the snapshot of another.
    Install {
        /// Whose.
        from: usize,
        /// Where.
        to: usize,
    },
    /// A node of an older release is started again with this one.
    Upgrade {
        /// Which.
        node: usize,
    },
    /// Somebody reads everything and remembers it.
    Look,
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(bytes) => match wire::Entry::decode(bytes.as_slice()) {
                Ok(entry) => write!(f, "commit {entry:?}"),
                Err(_) => write!(f, "commit unreadable {}", keiko_core::hash::hex(bytes)),
            },
            Self::Blank => write!(f, "blank"),
            Self::Future(bytes) => write!(f, "future {}", keiko_core::hash::hex(bytes)),
            Self::Apply { node, entries } => write!(f, "node {node} applies {entries}"),
            Self::Crash { node, batches } => write!(f, "node {node} loses {batches} batches"),
            Self::Snapshot { node } => write!(f, "node {node} takes a snapshot"),
            Self::Install { from, to } => write!(f, "node {to} installs that of node {from}"),
            Self::Upgrade { node } => write!(f, "node {node} is upgraded"),
            Self::Look => write!(f, "look"),
        }
    }
}
