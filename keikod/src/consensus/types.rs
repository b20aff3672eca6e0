//! The types that openraft is filled in with.

use bytes::Bytes;
use openraft::base::OptionalSend;
use openraft::impls::{
    BoxedErrorSource, Entry as LogEntry, InlineBatch, ProgressResponder, Vote as LeaderVote,
    leader_id_std::LeaderId,
};
use openraft::vote::RaftLeaderId;
use openraft::{EntryPayload, RaftTypeConfig};
use std::fmt;

/// A command: the encoded `keiko.v1.Entry`, never re-encoded on its way.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Command(pub(super) Bytes);

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What it says may be sealed or private, so a log line shows its size only.
        write!(f, "command of {} bytes", self.0.len())
    }
}

/// What applying a command gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The encoded `keiko.v1.Reply`; empty for entries that are not commands.
    pub reply: Vec<u8>,
    /// The group's revision behind it.
    pub revision: u64,
}

/// A member of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Member {
    /// The node's name.
    pub name: String,
    /// Where the other nodes reach it; empty on a node that has no others.
    pub addr: String,
}

/// One leader in each term, small log ids, no serde.
#[derive(Debug, Clone, Copy, Default, Eq, PartialEq, Ord, PartialOrd)]
pub(super) struct Types;

impl RaftTypeConfig for Types {
    type D = Command;
    type R = Outcome;
    type NodeId = u64;
    type Node = Member;
    type Term = u64;
    type LeaderId = LeaderId<u64, u64>;
    type Vote = LeaderVote<Self::LeaderId>;
    type Payload = EntryPayload<Command, u64, Member>;
    type Entry = LogEntry<<Self::LeaderId as RaftLeaderId>::Committed, Self::Payload>;
    type AsyncRuntime = openraft::impls::TokioRuntime;
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

pub(super) type Entry = openraft::type_config::alias::EntryOf<Types>;
pub(super) type LogId = openraft::type_config::alias::LogIdOf<Types>;
pub(super) type Vote = openraft::type_config::alias::VoteOf<Types>;
pub(super) type Membership = openraft::Membership<u64, Member>;
pub(super) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<Types>;
pub(super) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<Types>;
