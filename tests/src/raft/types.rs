//! The types that openraft is filled in with: those of `keikod`, but for the runtime and what a
//! member says of itself.

use super::machine::Machine;
use super::runtime::Simulated;
use openraft::base::OptionalSend;
use openraft::impls::{
    BoxedErrorSource, EmptyNode, Entry as LogEntry, InlineBatch, ProgressResponder,
    Vote as LeaderVote, leader_id_std::LeaderId,
};
use openraft::vote::RaftLeaderId;
use openraft::{EntryPayload, RaftTypeConfig};
use std::fmt;
use std::sync::Arc;

/// A command: the encoded `keiko.v1.Entry`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Command(pub(super) Arc<[u8]>);

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command of {} bytes", self.0.len())
    }
}

/// What applying a command gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The encoded `keiko.v1.Reply`; empty for entries that are not commands.
    pub(super) reply: Vec<u8>,
}

#[derive(Debug, Clone, Copy, Default, Eq, PartialEq, Ord, PartialOrd)]
pub(super) struct Types;

impl RaftTypeConfig for Types {
    type D = Command;
    type R = Outcome;
    type NodeId = u64;
    type Node = EmptyNode;
    type Term = u64;
    type LeaderId = LeaderId<u64, u64>;
    type Vote = LeaderVote<Self::LeaderId>;
    type Payload = EntryPayload<Command, u64, EmptyNode>;
    type Entry = LogEntry<<Self::LeaderId as RaftLeaderId>::Committed, Self::Payload>;
    type AsyncRuntime = Simulated;
    type Responder<T>
        = ProgressResponder<Self, T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = BoxedErrorSource;
}

pub(super) type Raft = openraft::Raft<Types, Machine>;
pub(super) type Entry = openraft::type_config::alias::EntryOf<Types>;
pub(super) type LogId = openraft::type_config::alias::LogIdOf<Types>;
pub(super) type Vote = openraft::type_config::alias::VoteOf<Types>;
pub(super) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<Types>;
pub(super) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<Types>;
pub(super) type SnapshotWith<D> = openraft::type_config::alias::SnapshotOf<Types, D>;

/// What an entry says, in short.
pub(super) fn digest(entry: &Entry) -> Digest {
    match &entry.payload {
        EntryPayload::Blank => blake3::hash(b"blank"),
        EntryPayload::Normal(Command(bytes)) => blake3::hash(bytes),
        EntryPayload::Membership(members) => blake3::hash(format!("{members:?}").as_bytes()),
    }
}

pub(super) type Digest = blake3::Hash;
