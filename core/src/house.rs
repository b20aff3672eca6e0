//! The house: takes an entry, asks its room, and turns the answer into writes.
//!
//! Invariants:
//! - **total**: any bytes in the log give a reply; the same bytes after the same log give the same
//!   reply, the same writes and the same state hash on every node.
//! - **one entry, one overlay**: a refused entry leaves nothing but its reply.
//! - **one revision for each accepted entry**, without gaps; refused ones make none. Only behind a
//!   restore, or a quorum that was given up, they go on higher: see [`REOPEN_REVISIONS`].
//! - only [`Round::apply`] makes writes.
//! - a fenced entry whose lock is not held any more is refused before its room sees it.
//! - the highest feature level of all entries so far is in the head: it never falls, and a release
//!   below it applies nothing.
//!
//! Rooms in the order of dependency: cluster, security, coordination, registry, journal. A room may
//! read and call those above it only.

use crate::features;
use crate::hash::{self, Hash};
use crate::id::GroupId;
use crate::key::Key;
use crate::limits::REOPEN_REVISIONS;
use crate::refusal::{Code, Refusal, Result as Outcome};
use crate::stamp::{DEFAULT, Stamp};
use crate::store::{Space, Store, Write};
use crate::table::RoomByte;
use crate::txn::Txn;
use crate::{cluster, coordination, dedup, journal, registry, security};
use keiko_proto::v1 as wire;
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::event::Body;
use keiko_proto::v1::reply::Result as WireResult;
use prost::Message;

/// What a room tells of a change; the house adds who, when and where, and keeps it in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Emitted {
    /// As in `keiko.registry.agent.registered`.
    pub kind: String,
    /// As in `agent/default/hello`.
    pub subject: String,
    /// The room's own words.
    pub body: Body,
}

/// How a room emits.
pub type Emit<'e> = &'e mut dyn FnMut(Emitted);

/// Why this node must stop: it can't know what the entry means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// The entry needs a newer release.
    FeatureLevel {
        /// The entry's log index.
        index: u64,
        /// What it needs.
        level: u32,
        /// What this release understands.
        known: u32,
    },
}

impl From<Halt> for Refusal {
    fn from(halt: Halt) -> Self {
        let Halt::FeatureLevel { index, level, known } = halt;
        Self::new(
            Code::FeatureLevel,
            format!("log entry {index} needs feature level {level}, this release knows {known}"),
        )
        .hint(NEWER)
    }
}

const NEWER: &str = "start the release that the other nodes run; the data stays as it is";

/// What a room answers to an entry, and the events, each with its encoded length.
type Decided = (WireResult, Vec<(wire::Event, usize)>);

/// What an entry did.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The encoded `keiko.v1.Reply`.
    pub reply: Vec<u8>,
    /// The group's revision behind this entry.
    pub revision: u64,
    /// The events that it made, each with its encoded length.
    pub events: Vec<(wire::Event, usize)>,
}

/// The group's head: how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Accepted entries so far.
    pub revision: u64,
    /// The stamp clock.
    pub unix_ms: u64,
    /// The log index of the last entry.
    pub index: u64,
    /// The chained state hash at `index`.
    pub hash: Hash,
    /// The highest feature level of all entries so far: what a release must understand to read this
    /// state.
    pub level: u32,
}

const HEAD: u8 = 0;
const HEAD_VERSION: u8 = 1;
/// A version, three numbers and a hash; the level stands behind it once it is not the first one.
const HEAD_BYTES: usize = 57;

impl Head {
    const GENESIS: Self =
        Self { revision: 0, unix_ms: 0, index: 0, hash: hash::GENESIS, level: features::FIRST };

    fn key(group: GroupId) -> Vec<u8> {
        Key::new(group, RoomByte::House as u8, HEAD).into_bytes()
    }

    /// Reads the head of a group.
    pub fn read(store: &dyn Store, group: GroupId) -> Self {
        let Some(bytes) = store.get(Space::State, &Self::key(group)) else { return Self::GENESIS };
        assert_eq!(bytes[0], HEAD_VERSION, "a head of a newer layout than this release knows");
        let level = match &bytes[HEAD_BYTES..] {
            [] => features::FIRST,
            level => u32::from_be_bytes(level.try_into().expect("invariant: a level is 4 bytes")),
        };
        let number = |at: usize| {
            let bytes = bytes[at..at + 8].try_into().expect("invariant: 8 bytes");
            u64::from_be_bytes(bytes)
        };
        let hash = bytes[25..HEAD_BYTES].try_into().expect("invariant: 32 bytes");
        Self { revision: number(1), unix_ms: number(9), index: number(17), hash, level }
    }

    /// Refuses a state that a release of this level can't read.
    pub fn check_level(&self, known: u32) -> Outcome<()> {
        if self.level <= known {
            return Ok(());
        }
        let level = self.level;
        Err(Refusal::new(
            Code::FeatureLevel,
            format!("the state needs feature level {level}, this release knows {known}"),
        )
        .hint(NEWER))
    }

    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + 4);
        bytes.push(HEAD_VERSION);
        for number in [self.revision, self.unix_ms, self.index] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(self.hash);
        if self.level > features::FIRST {
            bytes.extend(self.level.to_be_bytes());
        }
        bytes
    }
}

/// The revision of a group.
pub fn revision(store: &dyn Store, group: GroupId) -> u64 {
    Head::read(store, group).revision
}

/// The stamp clock of a group.
pub fn last_stamp_ms(store: &dyn Store, group: GroupId) -> u64 {
    Head::read(store, group).unix_ms
}

/// Entries that are applied together and committed as one batch.
pub struct Round<'s> {
    txn: Txn<'s>,
    head: Head,
    known: u32,
}

impl<'s> Round<'s> {
    /// Starts where the store's head is.
    pub fn new(store: &'s dyn Store, group: GroupId) -> Self {
        let (txn, head) = (Txn::new(store, group), Head::read(store, group));
        Self { txn, head, known: features::LEVEL }
    }

    /// Takes this release for one that understands another level.
    #[must_use]
    pub fn understanding(self, level: u32) -> Self {
        Self { known: level, ..self }
    }

    /// The revision behind the last entry.
    pub const fn revision(&self) -> u64 {
        self.head.revision
    }

    /// The chained state hash behind the entries so far.
    pub const fn hash(&self) -> Hash {
        self.head.hash
    }

    /// The state behind the last entry.
    pub fn store(&self) -> &dyn Store {
        &self.txn
    }

    /// The writes of all entries so far.
    pub fn into_writes(self) -> Vec<Write> {
        self.txn.into_writes()
    }

    /// Applies one entry. `bytes` is the encoded `keiko.v1.Entry` as logged.
    pub fn apply(&mut self, index: u64, bytes: &[u8]) -> Result<Applied, Halt> {
        // Unreadable bytes have no header either; they are refused below, on every node alike.
        let header = wire::EntryHeader::decode(bytes).unwrap_or_default();
        // Whatever the entry needs, it changes a state that may need more.
        let (level, known) = (header.feature_level.max(self.head.level), self.known);
        if level > known {
            return Err(Halt::FeatureLevel { index, level, known });
        }
        self.head.level = level;
        let Ok(entry) = wire::Entry::decode(bytes) else {
            let refusal = Refusal::new(Code::MalformedEntry, "the entry is not readable");
            return Ok(self.conclude(index, self.head.unix_ms, None, Vec::new(), Err(refusal)));
        };
        let unix_ms = entry.proposed_ms.max(self.head.unix_ms);
        let request = match dedup::RequestId::parse(&entry.request_id, unix_ms) {
            Ok(request) => request,
            Err(refusal) => {
                return Ok(self.conclude(index, unix_ms, None, Vec::new(), Err(refusal)));
            }
        };
        let group = self.txn.group();
        let asked = request_hash(&entry);
        let known = request.map_or(Ok(None), |id| dedup::find(&self.txn, group, id, &asked));
        match known {
            Ok(None) => {}
            Ok(Some(reply)) => {
                self.advance(index, unix_ms, self.head.revision, Vec::new());
                return Ok(Applied { reply, revision: self.head.revision, events: Vec::new() });
            }
            Err(refusal) => {
                return Ok(self.conclude(index, unix_ms, None, Vec::new(), Err(refusal)));
            }
        }
        let request = request.map(|id| (id, asked));
        let entry_hash = *blake3::hash(bytes).as_bytes();
        let next = self.head.revision + step(entry.room.as_ref());
        let (writes, outcome) = self.enter(index, unix_ms, next, entry, entry_hash);
        Ok(self.conclude(index, unix_ms, request, writes, outcome.map(|decided| (next, decided))))
    }

    /// Lets the room decide, in an overlay of its own.
    fn enter(
        &self,
        index: u64,
        unix_ms: u64,
        revision: u64,
        entry: wire::Entry,
        entry_hash: Hash,
    ) -> (Vec<Write>, Outcome<Decided>) {
        let or_default = |text: &str| match text {
            "" => DEFAULT.to_owned(),
            text => text.to_owned(),
        };
        let stamp = Stamp {
            group: self.txn.group(),
            index,
            revision,
            unix_ms,
            actor: entry.actor.clone().unwrap_or_default(),
            tenant: or_default(&entry.tenant),
            region: or_default(&entry.region),
        };
        let mut txn = Txn::new(&self.txn, stamp.group);
        let mut emitted = Vec::new();
        let mut emit = |event| emitted.push(event);
        let outcome = check_fence(&txn, &stamp, entry.fence.as_ref())
            .and_then(|()| dispatch(&mut txn, &stamp, entry.room, &mut emit));
        match outcome {
            Ok(result) => {
                let origin = journal::Origin {
                    trace_id: hash::hex(&entry.trace_id),
                    request_id: journal::uuid_text(&entry.request_id),
                    entry_hash: hash::hex(&entry_hash),
                    peer: entry.peer,
                };
                let events = journal::record(&mut txn, &stamp, &origin, emitted);
                (txn.into_writes(), Ok((result, events)))
            }
            Err(refusal) => (Vec::new(), Err(refusal)),
        }
    }

    /// Keeps the reply and moves the head; to the revision of what was decided, if anything was.
    fn conclude(
        &mut self,
        index: u64,
        unix_ms: u64,
        request: Option<(dedup::RequestId, dedup::RequestHash)>,
        writes: Vec<Write>,
        outcome: Outcome<(u64, Decided)>,
    ) -> Applied {
        let (revision, (result, events)) = match outcome {
            Ok(decided) => decided,
            Err(refusal) => {
                (self.head.revision, (WireResult::Refusal(refusal.to_wire()), Vec::new()))
            }
        };
        let reply = wire::Reply { revision, unix_ms, result: Some(result) }.encode_to_vec();
        let mut txn = Txn::new(&self.txn, self.txn.group());
        txn.absorb(writes);
        if let Some((id, asked)) = request {
            dedup::keep(&mut txn, id, &asked, unix_ms, &reply);
        }
        let writes = txn.into_writes();
        self.advance(index, unix_ms, revision, writes);
        Applied { reply, revision, events }
    }

    fn advance(&mut self, index: u64, unix_ms: u64, revision: u64, writes: Vec<Write>) {
        assert!(index > self.head.index, "entries come once and in order");
        let hash = hash::chain(&self.head.hash, [index, revision, unix_ms], &writes);
        self.txn.absorb(writes);
        self.head = Head { revision, unix_ms, index, hash, level: self.head.level };
        let group = self.txn.group();
        self.txn.put(Space::State, Head::key(group), self.head.to_bytes());
    }
}

/// Who asked for what: the actor, the request as the proposer hashed it, and what guards it.
fn request_hash(entry: &wire::Entry) -> dedup::RequestHash {
    let actor = entry.actor.clone().unwrap_or_default().encode_to_vec();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(actor.len() as u64).to_be_bytes()).update(&actor).update(&entry.request_hash);
    if let Some(fence) = &entry.fence {
        hasher.update(&fence.encode_to_vec());
    }
    *hasher.finalize().as_bytes()
}

/// Refuses an entry whose proposer lost the lock that was to guard it.
fn check_fence(txn: &Txn<'_>, stamp: &Stamp, fence: Option<&wire::Fence>) -> Outcome<()> {
    fence.map_or(Ok(()), |fence| coordination::check_fence(txn, stamp.group, fence, stamp.unix_ms))
}

/// How far the revision moves for an entry that is accepted.
const fn step(room: Option<&Room>) -> u64 {
    match room {
        Some(Room::Security(wire::SecurityOp { op: Some(wire::security_op::Op::Reopen(_)) })) => {
            REOPEN_REVISIONS
        }
        _ => 1,
    }
}

/// The outer of the two levels; each room matches its own ops.
fn dispatch(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    room: Option<Room>,
    emit: Emit<'_>,
) -> Outcome<WireResult> {
    match room {
        Some(Room::Cluster(op)) => cluster::apply(txn, stamp, op, emit).map(WireResult::Cluster),
        Some(Room::Security(op)) => security::apply(txn, stamp, op, emit).map(WireResult::Security),
        Some(Room::Coordination(op)) => {
            coordination::apply(txn, stamp, op, emit).map(WireResult::Coordination)
        }
        Some(Room::Registry(op)) => registry::apply(txn, stamp, op, emit).map(WireResult::Registry),
        Some(Room::Journal(op)) => journal::apply(txn, stamp, op, emit).map(WireResult::Journal),
        None => Err(Refusal::new(Code::MalformedEntry, "the entry names no room")),
    }
}

#[cfg(test)]
pub(crate) mod tests;

#[cfg(test)]
mod fuzz;
