//! A node as `keikod` runs one: rounds of entries in one batch, unsynced; a crash takes the last
//! batches and the log gives them again; a snapshot is the group's range of every space.

use super::fault::{Fault, Faulty};
use super::layout;
use super::oracle::Logged;
use keiko_core::features;
use keiko_core::house::{Applied, Head, Round};
use keiko_core::id::GroupId;
use keiko_core::store::{MemoryStore, Space, Store, Write};
use keiko_proto::v1 as wire;
use prost::Message as _;
use std::borrow::Cow;
use std::collections::VecDeque;

/// Batches that a crash may take: as many as lie between two syncs here.
const UNSYNCED_MAX: usize = 4;

/// One node.
pub(super) struct Node {
    group: GroupId,
    pub(super) store: MemoryStore,
    /// The log index of the last applied entry.
    pub(super) applied: u64,
    /// The feature level that its release understands.
    pub(super) level: u32,
    /// It met an entry above its level, at this index.
    pub(super) stopped: Option<u64>,
    /// True once its state came from a snapshot.
    pub(super) installed: bool,
    snapshot: Option<Snapshot>,
    unsynced: VecDeque<Undo>,
    faulty: Faulty,
}

/// What takes a batch back.
struct Undo {
    applied: u64,
    writes: Vec<Write>,
}

/// The group's rows at an index.
#[derive(Clone)]
pub(super) struct Snapshot {
    pub(super) applied: u64,
    pairs: Vec<(Space, Vec<u8>, Vec<u8>)>,
}

/// How a round ended.
pub(super) enum Rounded {
    /// What each entry answered, by its index.
    Applied(Vec<(u64, Applied)>),
    /// Nothing of the round was written: the node stopped at this index.
    Stopped(u64),
}

impl Node {
    pub(super) fn new(number: u8, group: GroupId, level: u32, fault: Option<Fault>) -> Self {
        let mut store = MemoryStore::default();
        store.commit(neighbours(group, number));
        Self {
            group,
            store,
            applied: 0,
            level,
            stopped: None,
            installed: false,
            snapshot: None,
            unsynced: VecDeque::new(),
            faulty: Faulty::new(fault),
        }
    }

    pub(super) fn head(&self) -> Head {
        Head::read(&self.store, self.group)
    }

    /// Applies the next entries as one round.
    pub(super) fn apply(&mut self, log: &[Logged], entries: usize) -> Rounded {
        let from = self.applied as usize;
        let until = (from + entries).min(log.len());
        if self.stopped.is_some() || from == until {
            return Rounded::Applied(Vec::new());
        }
        let mut answers = Vec::with_capacity(until - from);
        let mut round = Round::new(&self.store, self.group);
        let mut proposed_ms = 0;
        for (logged, index) in log[from..until].iter().zip(self.applied + 1..) {
            let Logged::Entry(bytes) = logged else { continue };
            let read = self.faulty.read(bytes);
            let is_newer = level_of(&read) > self.level;
            if is_newer && !self.faulty.is(Fault::ReadsNewer) {
                self.stopped = Some(index);
                return Rounded::Stopped(index);
            }
            let read = if is_newer { Cow::Owned(as_older(&read)) } else { read };
            let Ok(applied) = round.apply(index, &read) else {
                self.stopped = Some(index);
                return Rounded::Stopped(index);
            };
            if let Some(ms) = self.faulty.answered(&read, &applied.reply) {
                proposed_ms = ms;
            }
            answers.push((index, applied));
        }
        let writes = round.into_writes();
        let writes = self.faulty.write(&self.store, writes, proposed_ms);
        self.commit(writes, until as u64);
        Rounded::Applied(answers)
    }

    fn commit(&mut self, writes: Vec<Write>, applied: u64) {
        let undo = |write: &Write| Write {
            value: self.store.get(write.space, &write.key),
            ..write.clone()
        };
        let undo = Undo { applied: self.applied, writes: writes.iter().map(undo).collect() };
        self.unsynced.push_back(undo);
        if self.unsynced.len() > UNSYNCED_MAX {
            self.unsynced.pop_front();
        }
        self.store.commit(writes);
        self.applied = applied;
    }

    /// Dies and starts again without its last batches. Soft state is gone, a stop is met again.
    pub(super) fn crash(&mut self, batches: usize) {
        for _ in 0..batches {
            let Some(mut undo) = self.unsynced.pop_back() else { break };
            if self.faulty.is(Fault::TearsBatch) {
                let mut at = 0;
                undo.writes.retain(|write| {
                    at += 1;
                    layout::place(&write.key) == layout::HEAD || at % 2 == 0
                });
            }
            self.store.commit(undo.writes);
            self.applied = undo.applied;
        }
        self.stopped = None;
    }

    /// Starts again with this release.
    pub(super) fn upgrade(&mut self) {
        self.level = features::LEVEL;
        self.stopped = None;
    }

    pub(super) fn take_snapshot(&mut self) {
        let mut pairs = Vec::new();
        for space in Space::ALL {
            let mut rows = layout::all(&self.store, self.group, space).into_iter().peekable();
            while let Some((key, value)) = rows.next() {
                if !self.faulty.leaves_out(space, &key, rows.peek().is_none()) {
                    pairs.push((space, key, value));
                }
            }
        }
        self.snapshot = Some(Snapshot { applied: self.applied, pairs });
    }

    pub(super) fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// Replaces the group's range. True if the snapshot is ahead of what the node has.
    pub(super) fn install(&mut self, snapshot: Snapshot) -> bool {
        if snapshot.applied <= self.applied || self.stopped.is_some() {
            return false;
        }
        if !self.faulty.is(Fault::InstallKeepsOld) {
            for space in Space::ALL {
                let gone = layout::all(&self.store, self.group, space);
                let delete = |(key, _)| Write { space, key, value: None };
                self.store.commit(gone.into_iter().map(delete));
            }
        }
        let Snapshot { applied, pairs } = snapshot.clone();
        let put = |(space, key, value)| Write { space, key, value: Some(value) };
        self.store.commit(pairs.into_iter().map(put));
        self.applied = applied;
        self.installed = true;
        // An install is synced: no crash takes it back.
        self.unsynced.clear();
        self.snapshot = Some(snapshot);
        true
    }

    /// True if the rows of the groups before and behind are as they were.
    pub(super) fn neighbours_untouched(&self, number: u8) -> bool {
        neighbours(self.group, number)
            .into_iter()
            .all(|write| self.store.get(write.space, &write.key) == write.value)
    }
}

/// Rows that lie directly before and behind the group's range, different on every node.
fn neighbours(group: GroupId, number: u8) -> Vec<Write> {
    let before = group.0.checked_sub(1).map(|group| {
        let mut key = group.to_be_bytes().to_vec();
        key.extend([0xFF, 0xFF, 0xFF]);
        key
    });
    let behind = group.0.checked_add(1).map(|group| group.to_be_bytes().to_vec());
    let keys = before.into_iter().chain(behind);
    keys.flat_map(|key| {
        Space::ALL.map(|space| Write { space, key: key.clone(), value: Some(vec![number]) })
    })
    .collect()
}

/// What a node reads first of an entry.
pub(super) fn level_of(bytes: &[u8]) -> u32 {
    wire::EntryHeader::decode(bytes).unwrap_or_default().feature_level
}

/// The entry as a release reads it that does not know the op.
fn as_older(bytes: &[u8]) -> Vec<u8> {
    let entry = wire::Entry::decode(bytes).unwrap_or_default();
    wire::Entry { room: None, feature_level: 0, ..entry }.encode_to_vec()
}
