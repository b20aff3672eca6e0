//! RocksDB against a BTreeMap: the store of the daemon and the store of the law's simulations answer
//! every read alike, whatever was written, held, compacted, replaced or reopened before.

use super::folder::Folder;
use super::record::{Applied, LogId};
use super::{Database, Family, View};
use crate::fuzz::mutate::{Dice, seeds};
use keiko_core::id::GroupId;
use keiko_core::store::{MemoryStore, Pair, Space, Store, Write};
use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// Neighbours, and those at the edges of what two bytes can say.
const GROUPS: [GroupId; 6] =
    [GroupId(0), GroupId(1), GroupId(255), GroupId(256), GroupId(u16::MAX - 1), GroupId(u16::MAX)];
/// What sorts before and behind everything, and two that differ little.
const BYTES: [u8; 5] = [0, 1, 2, 0xFE, 0xFF];

const REOPENS: usize = 3;
const STEPS: usize = 60;
const VIEWS_MAX: usize = 4;

/// What RocksDB must say.
#[derive(Clone, Default)]
struct Model {
    store: MemoryStore,
    applied: BTreeMap<GroupId, Applied>,
}

impl Model {
    /// Everything of one group.
    fn pairs(&self, space: Space, group: GroupId) -> Vec<Pair> {
        let (start, end) = group.range();
        self.store.scan(space, &start, &end).collect()
    }

    /// The group as it was in `past`, and nothing else.
    fn restore(&mut self, group: GroupId, past: &Self) {
        for space in Space::ALL {
            let write = |key, value| Write { space, key, value };
            let gone: Vec<_> = self.pairs(space, group);
            self.store.commit(gone.into_iter().map(|(key, _)| write(key, None)));
            let kept = past.pairs(space, group);
            self.store.commit(kept.into_iter().map(|(key, value)| write(key, Some(value))));
        }
        match past.applied.get(&group) {
            Some(applied) => self.applied.insert(group, applied.clone()),
            None => self.applied.remove(&group),
        };
    }
}

/// A snapshot on disk, with what it must hold.
struct Built {
    group: GroupId,
    folder: PathBuf,
    model: Model,
}

/// A store, its model, and what was held back of both.
struct Session<'d> {
    database: &'d Database,
    dice: Dice,
    model: Model,
    views: Vec<(View<'d>, Model)>,
    built: Vec<Built>,
    /// Of all groups, and never the same again: an index stands for one state.
    index: u64,
}

impl<'d> Session<'d> {
    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.dice.below(items.len())]
    }

    /// A key of the group: its room is small, as rooms are, and the rest is anything.
    fn key(&mut self, group: GroupId) -> Vec<u8> {
        let mut key = group.prefix().to_vec();
        key.push(self.of(&[0, 1, 2, 4]));
        for _ in 0..self.dice.below(4) {
            key.push(self.of(&BYTES));
        }
        key
    }

    /// A key, a part of one, or what no key is.
    fn bound(&mut self) -> Vec<u8> {
        let group = self.of(&GROUPS);
        let mut key = self.key(group);
        match self.dice.below(6) {
            0 => key.truncate(self.dice.below(3)),
            1 => key = group.range().1,
            2 => key = vec![0xFF; 1 + self.dice.below(4)],
            3 => key.push(0),
            _ => {}
        }
        key
    }

    fn apply(&mut self) {
        let group = self.of(&GROUPS);
        let mut writes = Vec::new();
        for _ in 0..self.dice.below(9) {
            let (space, key) = (self.of(&Space::ALL), self.key(group));
            let length = self.of(&[0, 1, 40, 300, 5000]);
            let value = vec![self.index as u8; length];
            let value = (self.dice.below(3) > 0).then_some(value);
            writes.push(Write { space, key, value });
        }
        self.index += 1;
        let last = LogId { term: 1 + self.index / 50, index: self.index };
        let applied = Applied { last, membership: vec![7; self.dice.below(3)] };
        self.database.apply(group, &writes, &applied).expect("the store takes writes");
        self.model.store.commit(writes);
        self.model.applied.insert(group, applied);
    }

    fn build(&mut self) {
        let group = self.of(&GROUPS);
        let folder = self.database.build_snapshot(group).expect("a snapshot").folder;
        self.built.retain(|built| built.group != group);
        self.built.push(Built { group, folder, model: self.model.clone() });
    }

    fn install(&mut self) {
        if self.built.is_empty() {
            return;
        }
        let at = self.dice.below(self.built.len());
        let Built { group, folder, model } = &self.built[at];
        self.database.install_snapshot(*group, folder).expect("our own snapshot");
        self.model.restore(*group, model);
    }

    fn step(&mut self) {
        match self.dice.below(16) {
            0..9 => self.apply(),
            9 | 10 if self.views.len() < VIEWS_MAX => {
                self.views.push((self.database.view(), self.model.clone()));
            }
            9..12 if !self.views.is_empty() => {
                let at = self.dice.below(self.views.len());
                drop(self.views.swap_remove(at));
            }
            12 => {
                let (database, family) = (self.database, self.of(&Family::ALL));
                let flushed = database.rocks.flush_cf(database.family(family));
                flushed.expect("memory becomes files");
            }
            13 => self.database.reclaim_past(self.of(&GROUPS)),
            14 => self.build(),
            15 => self.install(),
            _ => {}
        }
        self.compare_some();
    }

    /// One look at now, and one at a view that was held, of whatever age.
    fn compare_some(&mut self) {
        let (space, start, end) = (self.of(&Space::ALL), self.bound(), self.bound());
        let (some, group) = (self.dice.below(4), self.of(&GROUPS));
        let key = self.key(group);
        let now = (self.database.view(), self.model.clone());
        let held = self.dice.below(self.views.len());
        for (view, model) in self.views.get(held).into_iter().chain([&now]) {
            assert_eq!(view.get(space, &key), model.store.get(space, &key), "{space:?} {key:?}");
            assert_eq!(view.applied(group).as_ref(), model.applied.get(&group), "{group}");
            compare_scan(view, &model.store, space, (&start, &end));
            // A scan that stops early, and one that begins where there is nothing.
            let (few, expect) =
                (view.scan(space, &start, &end), model.store.scan(space, &start, &end));
            assert!(few.take(some).eq(expect.take(some)), "{space:?} {start:?}..{end:?}");
        }
        let applied = self.database.applied(group).expect("a mark can be read");
        assert_eq!(applied.as_ref(), self.model.applied.get(&group), "{group}");
    }

    /// Everything, in every view.
    fn compare_all(&self) {
        let now = (self.database.view(), self.model.clone());
        for (view, model) in self.views.iter().chain([&now]) {
            for space in Space::ALL {
                compare_scan(view, &model.store, space, (&[], &[0xFF; 8]));
                for group in GROUPS {
                    let (start, end) = group.range();
                    compare_scan(view, &model.store, space, (&start, &end));
                    assert_eq!(view.applied(group).as_ref(), model.applied.get(&group), "{group}");
                }
            }
        }
        let groups = self.database.groups().expect("groups can be read");
        assert_eq!(groups, self.model.applied.keys().copied().collect::<Vec<_>>());
    }
}

fn compare_scan(view: &View<'_>, model: &MemoryStore, space: Space, (start, end): (&[u8], &[u8])) {
    let ahead: Vec<Pair> = view.scan(space, start, end).collect();
    let expect: Vec<Pair> = model.scan(space, start, end).collect();
    assert_eq!(ahead, expect, "{space:?} {start:?}..{end:?}");
    let mut back: Vec<Pair> = view.scan_back(space, start, end).collect();
    back.reverse();
    assert_eq!(back, expect, "{space:?} {start:?}..{end:?}, descending");
}

/// One folder from its first write to its last.
fn live(root: &Path, seed: u64) {
    let (mut model, mut built, mut index) = (Model::default(), Vec::new(), 0);
    for reopened in 0..REOPENS as u64 {
        let folder = Folder::open(root).expect("a folder");
        let database = Database::open(folder).expect("the store opens");
        let dice = Dice(seed ^ reopened << 32);
        let database = &database;
        let mut session = Session { database, dice, model, views: Vec::new(), built, index };
        session.compare_all();
        for _ in 0..STEPS {
            session.step();
        }
        session.compare_all();
        database.sync().expect("the store syncs");
        Session { model, built, index, .. } = session;
    }
}

#[test]
fn both_stores_agree_under_random_operations() {
    for seed in seeds("stores agree") {
        let folder = tempfile::tempdir().expect("a folder");
        let lived = catch_unwind(|| live(folder.path(), seed));
        assert!(lived.is_ok(), "KEIKO_SEED={seed} fails");
    }
}

/// What compares is compared first: a write that only one of them got is seen.
#[test]
fn a_difference_of_one_key_is_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(Folder::open(folder.path()).expect("a folder")).expect("a store");
    let group = GroupId(255);
    let key = [&group.prefix()[..], &[1, 0xFF]].concat();
    let write = Write { space: Space::History, key, value: Some(Vec::new()) };
    let applied = Applied { last: LogId { term: 1, index: 1 }, membership: Vec::new() };
    database.apply(group, std::slice::from_ref(&write), &applied).expect("the store takes writes");
    let session = |writes: Vec<Write>| {
        let mut model = Model::default();
        model.store.commit(writes);
        model.applied.insert(group, applied.clone());
        let (views, built) = (Vec::new(), Vec::new());
        Session { database: &database, dice: Dice(1), model, views, built, index: 1 }.compare_all();
    };
    session(vec![write.clone()]);
    let missing = std::panic::AssertUnwindSafe(|| session(Vec::new()));
    assert!(catch_unwind(missing).is_err(), "a pair that should not be there");
    let other = Write { value: Some(vec![1]), ..write };
    let other = std::panic::AssertUnwindSafe(|| session(vec![other.clone()]));
    assert!(catch_unwind(other).is_err(), "another value");
}
