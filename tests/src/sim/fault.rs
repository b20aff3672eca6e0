//! Bugs put in on purpose, around the law and never in it: what a harness does not find when it is
//! there, it would not find in earnest either.
//!
//! A bug of the law is put into every node and into the replay alike, because the law is the same
//! everywhere; only what is true of the state itself finds it. A bug of a node is put into one.

use super::layout::{
    self, BEGINNING, HEAD, LAST_ID, LAST_TOKEN, NEEDED_BY, REPLIES, TOKENS, TOOLS_BY_NAME,
};
use keiko_core::hash;
use keiko_core::store::{Space, Store, Write};
use keiko_proto::v1::{self as wire, actor::Who, coordination_op, entry::Room, registry_op};
use prost::Message as _;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The law forgets some rows of its indexes.
    DropsIndexRow,
    /// The law leaves some rows in its indexes.
    KeepsIndexRow,
    /// The law forgets some past versions.
    LosesHistoryRow,
    /// The law forgets some events.
    LosesEvent,
    /// The law counts refused commands.
    CountsRefusals,
    /// The law takes the leader's clock as it is.
    ClockGoesBack,
    /// The law does not know a request again.
    AppliesRetryTwice,
    /// The law removes as expired what has no lease, or lives again.
    ExpiresAnyone,
    /// The law takes a token for the node's administrator.
    TrustsTokens,
    /// The law lets one more hold a lock than asked for.
    GrantsOneMore,
    /// The law gives one token again and again.
    RepeatsTokens,
    /// The law does not look at fences.
    IgnoresFences,
    /// The law does not remember which ids nodes had.
    ForgetsIds,
    /// The law does not remember which tokens were traded.
    ForgetsTrades,
    /// The law leaves what it compacted.
    KeepsCompacted,
    /// The law panics at bytes that it can't read.
    Panics,
    /// One node hashes its batches and not its entries.
    HashesBatches,
    /// One node asks its own clock.
    AsksWallClock,
    /// One node's batches are not whole after a crash.
    TearsBatch,
    /// One node's snapshots leave the replies out.
    SnapshotForgetsReplies,
    /// One node's snapshots leave the journal's last row out.
    SnapshotEndsEarly,
    /// One node installs a snapshot over what it had.
    InstallKeepsOld,
    /// One node of an older release reads what it does not understand.
    ReadsNewer,
}

impl Fault {
    /// Every one.
    pub const ALL: &[Self] = &[
        Self::DropsIndexRow,
        Self::KeepsIndexRow,
        Self::LosesHistoryRow,
        Self::LosesEvent,
        Self::CountsRefusals,
        Self::ClockGoesBack,
        Self::AppliesRetryTwice,
        Self::ExpiresAnyone,
        Self::TrustsTokens,
        Self::GrantsOneMore,
        Self::RepeatsTokens,
        Self::IgnoresFences,
        Self::ForgetsIds,
        Self::ForgetsTrades,
        Self::KeepsCompacted,
        Self::Panics,
        Self::HashesBatches,
        Self::AsksWallClock,
        Self::TearsBatch,
        Self::SnapshotForgetsReplies,
        Self::SnapshotEndsEarly,
        Self::InstallKeepsOld,
        Self::ReadsNewer,
    ];

    /// True for a bug of the law, which is the same on all nodes.
    pub(super) const fn is_everywhere(self) -> bool {
        match self {
            Self::DropsIndexRow
            | Self::KeepsIndexRow
            | Self::LosesHistoryRow
            | Self::LosesEvent
            | Self::CountsRefusals
            | Self::ClockGoesBack
            | Self::AppliesRetryTwice
            | Self::ExpiresAnyone
            | Self::TrustsTokens
            | Self::GrantsOneMore
            | Self::RepeatsTokens
            | Self::IgnoresFences
            | Self::ForgetsIds
            | Self::ForgetsTrades
            | Self::KeepsCompacted
            | Self::Panics => true,
            Self::HashesBatches
            | Self::AsksWallClock
            | Self::TearsBatch
            | Self::SnapshotForgetsReplies
            | Self::SnapshotEndsEarly
            | Self::InstallKeepsOld
            | Self::ReadsNewer => false,
        }
    }
}

/// The bug of one node, with what it remembers.
#[derive(Clone, Debug, Default)]
pub(super) struct Faulty {
    pub(super) fault: Option<Fault>,
    seen: BTreeSet<Vec<u8>>,
    refused: u64,
}

impl Faulty {
    pub(super) fn new(fault: Option<Fault>) -> Self {
        Self { fault, ..Self::default() }
    }

    pub(super) fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// The entry as the faulty node reads it.
    pub(super) fn read<'b>(&mut self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let Some(fault) = self.fault else { return Cow::Borrowed(bytes) };
        let Ok(mut entry) = wire::Entry::decode(bytes) else {
            assert!(fault != Fault::Panics, "a bug put in on purpose");
            return Cow::Borrowed(bytes);
        };
        match fault {
            Fault::AppliesRetryTwice if !entry.request_id.is_empty() => {
                if self.seen.insert(entry.request_id.clone()) {
                    return Cow::Borrowed(bytes);
                }
                entry.request_id.clear();
            }
            Fault::ExpiresAnyone => {
                let Some(Room::Registry(wire::RegistryOp {
                    op: Some(registry_op::Op::Delete(delete)),
                })) = &mut entry.room
                else {
                    return Cow::Borrowed(bytes);
                };
                (delete.expired, delete.uid) = (false, String::new());
            }
            Fault::TrustsTokens => {
                let actor = entry.actor.get_or_insert_default();
                if matches!(actor.who, Some(Who::Token(_))) {
                    let peer = wire::SocketPeer { node: "one".to_owned(), uid: Some(0) };
                    actor.who = Some(Who::Socket(peer));
                }
            }
            Fault::GrantsOneMore => {
                let Some(Room::Coordination(wire::CoordinationOp {
                    op: Some(coordination_op::Op::AcquireLock(acquire)),
                })) = &mut entry.room
                else {
                    return Cow::Borrowed(bytes);
                };
                (acquire.kind, acquire.limit) =
                    ("semaphore".to_owned(), acquire.limit.saturating_add(1));
            }
            Fault::IgnoresFences => entry.fence = None,
            Fault::AsksWallClock => entry.proposed_ms = entry.proposed_ms.saturating_add(7),
            _ => return Cow::Borrowed(bytes),
        }
        Cow::Owned(entry.encode_to_vec())
    }

    /// Hears what an entry answered; the leader's clock in it.
    pub(super) fn answered(&mut self, entry: &[u8], reply: &[u8]) -> Option<u64> {
        self.fault?;
        let reply = wire::Reply::decode(reply).unwrap_or_default();
        if matches!(reply.result, Some(wire::reply::Result::Refusal(_))) {
            self.refused += 1;
        }
        wire::Entry::decode(entry).ok().map(|entry| entry.proposed_ms)
    }

    /// The writes of a round as the faulty node makes them.
    pub(super) fn write(
        &self,
        store: &dyn Store,
        mut writes: Vec<Write>,
        proposed_ms: u64,
    ) -> Vec<Write> {
        let Some(fault) = self.fault else { return writes };
        let is_index = |write: &Write| {
            let place = layout::place(&write.key);
            write.space == Space::State && (place == NEEDED_BY || place == TOOLS_BY_NAME)
        };
        match fault {
            Fault::DropsIndexRow => {
                writes.retain(|write| {
                    !(is_index(write) && write.value.is_some() && chosen(&write.key))
                });
            }
            Fault::KeepsIndexRow => {
                writes.retain(|write| !(is_index(write) && write.value.is_none()));
            }
            Fault::LosesHistoryRow => writes.retain(|write| {
                let row = layout::is_object(layout::place(&write.key));
                !(write.space == Space::History && row && chosen(&write.key))
            }),
            Fault::LosesEvent => writes.retain(|write| {
                !(write.space == Space::Journal && write.value.is_some() && chosen(&write.key))
            }),
            Fault::KeepsCompacted => {
                writes.retain(|write| !(write.space == Space::Journal && write.value.is_none()));
            }
            Fault::ForgetsIds => {
                writes.retain(|write| layout::place(&write.key) != LAST_ID);
            }
            Fault::ForgetsTrades => forget_trades(&mut writes),
            Fault::RepeatsTokens => repeat_tokens(&mut writes),
            Fault::CountsRefusals => edit_head(&mut writes, |head| {
                let revision = number(head, 1) + self.refused;
                head[1..9].copy_from_slice(&revision.to_be_bytes());
            }),
            Fault::ClockGoesBack => edit_head(&mut writes, |head| {
                head[9..17].copy_from_slice(&proposed_ms.to_be_bytes());
            }),
            Fault::HashesBatches => {
                let before = writes.iter().find(|write| is_head(write));
                let before = before.and_then(|write| store.get(Space::State, &write.key));
                let before = before.and_then(|head| head[25..].try_into().ok());
                let whole = writes.clone();
                edit_head(&mut writes, |head| {
                    let numbers = [number(head, 17), number(head, 1), number(head, 9)];
                    let hash = hash::chain(&before.unwrap_or(hash::GENESIS), numbers, &whole);
                    head[25..].copy_from_slice(&hash);
                });
            }
            _ => {}
        }
        writes
    }

    /// True for a pair that the faulty node leaves out of its snapshots.
    pub(super) fn leaves_out(&self, space: Space, key: &[u8], is_last: bool) -> bool {
        let place = layout::place(key);
        match self.fault {
            Some(Fault::SnapshotForgetsReplies) => {
                space == Space::State && [REPLIES, BEGINNING].contains(&place)
            }
            Some(Fault::SnapshotEndsEarly) => space == Space::Journal && is_last,
            _ => false,
        }
    }
}

fn forget_trades(writes: &mut [Write]) {
    let is_token = |write: &&mut Write| layout::place(&write.key) == TOKENS;
    for row in writes.iter_mut().filter(is_token).filter_map(|write| write.value.as_mut()) {
        let token = wire::Token::decode(&row[1..]).unwrap_or_default();
        let token = wire::Token { used_ms: 0, used_for: String::new(), ..token };
        row.truncate(1);
        row.extend(token.encode_to_vec());
    }
}

/// It is past the last one that can be counted, so there is no higher one.
fn repeat_tokens(writes: &mut [Write]) {
    let is_count = |write: &&mut Write| layout::place(&write.key) == LAST_TOKEN;
    for row in writes.iter_mut().filter(is_count).filter_map(|write| write.value.as_mut()) {
        let record = wire::CoordinationRecord::decode(&row[1..]).unwrap_or_default();
        row.truncate(1);
        row.extend(wire::CoordinationRecord { last_token: u64::MAX, ..record }.encode_to_vec());
    }
}

fn is_head(write: &Write) -> bool {
    write.space == Space::State && layout::place(&write.key) == HEAD
}

fn edit_head(writes: &mut [Write], edit: impl FnOnce(&mut [u8])) {
    let head = writes.iter_mut().find(|write| is_head(write));
    if let Some(value) = head.and_then(|write| write.value.as_mut()) {
        edit(value);
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("invariant: 8 bytes"))
}

/// One key in four, the same on every node and in every batch.
fn chosen(key: &[u8]) -> bool {
    key.iter().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte)).is_multiple_of(4)
}
