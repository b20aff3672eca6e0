//! What the law reads: sorted bytes in three spaces, and the in-memory store of tests.
//!
//! Keeps nothing itself. A `Store` never fails: a shell whose disk fails ends the process, because
//! a law that saw half of its state could only decide wrongly.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Where a key lives. Each space is a column family of the shell's store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    /// What is true now.
    State,
    /// Past versions of declared objects, by revision.
    History,
    /// Domain events, by revision.
    Journal,
}

impl Space {
    /// Every space, in the order in which writes are hashed.
    pub const ALL: [Self; 3] = [Self::State, Self::History, Self::Journal];
}

/// A key with its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// One change of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Where.
    pub space: Space,
    /// The whole key; it starts with the group id.
    pub key: Vec<u8>,
    /// The new value, or `None` to delete.
    pub value: Option<Vec<u8>>,
}

/// A consistent view of sorted bytes.
pub trait Store {
    /// The value at `key`.
    fn get(&self, space: Space, key: &[u8]) -> Option<Vec<u8>>;

    /// Pairs with `start <= key < end`, ascending.
    fn scan<'a>(
        &'a self,
        space: Space,
        start: &[u8],
        end: &[u8],
    ) -> Box<dyn Iterator<Item = Pair> + 'a>;

    /// Pairs with `start <= key < end`, descending.
    fn scan_back<'a>(
        &'a self,
        space: Space,
        start: &[u8],
        end: &[u8],
    ) -> Box<dyn Iterator<Item = Pair> + 'a>;
}

/// The store of tests and simulations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStore {
    pairs: BTreeMap<(Space, Vec<u8>), Vec<u8>>,
}

impl MemoryStore {
    /// Makes the writes of one apply round take effect.
    pub fn commit(&mut self, writes: impl IntoIterator<Item = Write>) {
        for Write { space, key, value } in writes {
            match value {
                Some(value) => self.pairs.insert((space, key), value),
                None => self.pairs.remove(&(space, key)),
            };
        }
    }

    fn range(
        &self,
        space: Space,
        start: &[u8],
        end: &[u8],
    ) -> impl DoubleEndedIterator<Item = Pair> + '_ {
        let start = (space, start.to_vec());
        let end = (space, end.to_vec()).max(start.clone());
        self.pairs
            .range((Bound::Included(start), Bound::Excluded(end)))
            .map(|((_, key), value)| (key.clone(), value.clone()))
    }
}

impl Store for MemoryStore {
    fn get(&self, space: Space, key: &[u8]) -> Option<Vec<u8>> {
        self.pairs.get(&(space, key.to_vec())).cloned()
    }

    fn scan<'a>(
        &'a self,
        space: Space,
        start: &[u8],
        end: &[u8],
    ) -> Box<dyn Iterator<Item = Pair> + 'a> {
        Box::new(self.range(space, start, end))
    }

    fn scan_back<'a>(
        &'a self,
        space: Space,
        start: &[u8],
        end: &[u8],
    ) -> Box<dyn Iterator<Item = Pair> + 'a> {
        Box::new(self.range(space, start, end).rev())
    }
}
