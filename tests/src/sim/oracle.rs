//! The log replayed entry by entry: what every node is compared with, and where each entry is
//! looked at closely.

use super::fault::{Fault, Faulty};
use keiko_core::house::{Applied, Head, Round};
use keiko_core::id::GroupId;
use keiko_core::store::{MemoryStore, Space, Store as _};
use keiko_proto::v1 as wire;
use prost::Message as _;

/// What stands in the log.
pub(super) enum Logged {
    /// Not the law's.
    Blank,
    /// An encoded entry.
    Entry(Vec<u8>),
}

/// One row that an entry changed.
pub(super) struct Change {
    pub(super) space: Space,
    pub(super) key: Vec<u8>,
    pub(super) old: Option<Vec<u8>>,
    pub(super) new: Option<Vec<u8>>,
}

/// What one entry did.
pub(super) struct Step<'s> {
    pub(super) group: GroupId,
    pub(super) index: u64,
    pub(super) bytes: &'s [u8],
    /// `None`: unreadable.
    pub(super) entry: Option<wire::Entry>,
    pub(super) before: Head,
    pub(super) after: Head,
    pub(super) applied: &'s Applied,
    pub(super) reply: &'s wire::Reply,
    /// Every row that was written, also with what was there before.
    pub(super) changes: Vec<Change>,
    /// The state behind it.
    pub(super) store: &'s MemoryStore,
}

impl Step<'_> {
    /// True unless the entry was refused.
    pub(super) fn is_accepted(&self) -> bool {
        !matches!(self.reply.result, None | Some(wire::reply::Result::Refusal(_)))
    }

    /// The number of the refusal, if it is one.
    pub(super) fn refusal(&self) -> Option<u32> {
        match &self.reply.result {
            Some(wire::reply::Result::Refusal(refusal)) => Some(refusal.code),
            _ => None,
        }
    }
}

/// The replay.
pub(super) struct Oracle {
    group: GroupId,
    pub(super) store: MemoryStore,
    /// The head behind each index of the log, from zero.
    pub(super) heads: Vec<Head>,
    /// What each index of the log answered, from zero.
    pub(super) replies: Vec<Vec<u8>>,
    faulty: Faulty,
}

impl Oracle {
    pub(super) fn new(group: GroupId, fault: Option<Fault>) -> Self {
        let store = MemoryStore::default();
        let heads = vec![Head::read(&store, group)];
        let faulty = Faulty::new(fault);
        Self { group, store, heads, replies: vec![Vec::new()], faulty }
    }

    pub(super) fn head(&self) -> Head {
        self.heads[self.heads.len() - 1]
    }

    /// An entry that is not the law's moves nothing.
    pub(super) fn skip(&mut self) {
        self.heads.push(self.head());
        self.replies.push(Vec::new());
    }

    /// Applies the next entry and has it looked at. `None`: it needs a newer release.
    pub(super) fn apply<T>(
        &mut self,
        bytes: &[u8],
        look: impl FnOnce(&Step<'_>) -> T,
    ) -> Option<T> {
        let (index, before) = (self.heads.len() as u64, self.head());
        let read = self.faulty.read(bytes);
        let mut round = Round::new(&self.store, self.group);
        let applied = round.apply(index, &read).ok()?;
        let entry = wire::Entry::decode(bytes).ok();
        let reply = wire::Reply::decode(applied.reply.as_slice()).unwrap_or_default();
        let proposed_ms = self.faulty.answered(&read, &applied.reply).unwrap_or(0);
        let writes = self.faulty.write(&self.store, round.into_writes(), proposed_ms);
        let change = |write: &keiko_core::store::Write| Change {
            space: write.space,
            key: write.key.clone(),
            old: self.store.get(write.space, &write.key),
            new: write.value.clone(),
        };
        let changes = writes.iter().map(change).collect();
        self.store.commit(writes);
        let after = Head::read(&self.store, self.group);
        self.heads.push(after);
        let group = self.group;
        let store = &self.store;
        let step = Step {
            group,
            index,
            bytes,
            entry,
            before,
            after,
            applied: &applied,
            reply: &reply,
            changes,
            store,
        };
        let looked = look(&step);
        self.replies.push(applied.reply);
        Some(looked)
    }
}
