//! A consistent view of the store, for the law and for reads.

use super::record::{Applied, open};
use super::{Database, Family, Meta, abort, or_abort};
use keiko_core::id::GroupId;
use keiko_core::store::{Pair, Space, Store};
use rocksdb::{Direction, IteratorMode, ReadOptions, Snapshot};

/// The store as it was when the view was made; writes after that are not seen.
///
/// A view never fails: if the disk does, the process ends, because a law that saw half of its state
/// could only decide wrongly. Hold it shortly: while it lives, nothing that was overwritten is
/// freed.
pub struct View<'d> {
    database: &'d Database,
    snapshot: Snapshot<'d>,
}

impl<'d> View<'d> {
    pub(super) fn new(database: &'d Database) -> Self {
        Self { database, snapshot: database.rocks.snapshot() }
    }

    /// How far `group` is applied in this view.
    pub fn applied(&self, group: GroupId) -> Option<Applied> {
        let key = Meta::Applied.key(group);
        let mark = self.get_family(Family::RaftMeta, &key)?;
        match open(&key, &mark).and_then(Applied::decode) {
            Some(applied) => Some(applied),
            None => {
                let cause = format!("the apply mark of group {group} fails its checksum");
                abort(&self.database.damage(cause))
            }
        }
    }

    fn get_family(&self, family: Family, key: &[u8]) -> Option<Vec<u8>> {
        let value = self.snapshot.get_cf(self.database.family(family), key);
        or_abort(value.map_err(|error| self.database.fault("read", &error)))
    }

    /// Pairs of any family with `start <= key < end`.
    pub(super) fn scan_family(
        &self,
        family: Family,
        start: &[u8],
        end: &[u8],
        direction: Direction,
    ) -> impl Iterator<Item = Pair> + '_ {
        let mut read = ReadOptions::default();
        read.set_iterate_lower_bound(start);
        read.set_iterate_upper_bound(end.max(start));
        let mode = match direction {
            Direction::Forward => IteratorMode::Start,
            Direction::Reverse => IteratorMode::End,
        };
        let family = self.database.family(family);
        self.snapshot.iterator_cf_opt(family, read, mode).map(|pair| {
            let (key, value) = or_abort(pair.map_err(|error| self.database.fault("read", &error)));
            (key.into_vec(), value.into_vec())
        })
    }
}

impl Store for View<'_> {
    fn get(&self, space: Space, key: &[u8]) -> Option<Vec<u8>> {
        self.get_family(space.into(), key)
    }

    fn scan<'a>(
        &'a self,
        space: Space,
        start: &[u8],
        end: &[u8],
    ) -> Box<dyn Iterator<Item = Pair> + 'a> {
        Box::new(self.scan_family(space.into(), start, end, Direction::Forward))
    }

    fn scan_back<'a>(
        &'a self,
        space: Space,
        start: &[u8],
        end: &[u8],
    ) -> Box<dyn Iterator<Item = Pair> + 'a> {
        Box::new(self.scan_family(space.into(), start, end, Direction::Reverse))
    }
}
