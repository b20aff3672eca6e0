//! The overlay: what an entry, or a round of entries, would write if it were committed now.
//!
//! An entry's overlay lies over the round's, which lies over the store. A refused entry's overlay
//! is dropped whole; nothing reaches the store but the writes of a finished round.

use crate::id::GroupId;
use crate::store::{Pair, Space, Store, Write};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Bound;

/// One map for each of [`Space::ALL`]: a look needs no copy of its key.
type Changes = [BTreeMap<Vec<u8>, Option<Vec<u8>>>; Space::ALL.len()];

/// Uncommitted writes over a store.
pub struct Txn<'s> {
    base: &'s dyn Store,
    group: GroupId,
    changes: Changes,
}

impl<'s> Txn<'s> {
    /// An empty overlay for one group.
    pub fn new(base: &'s dyn Store, group: GroupId) -> Self {
        Self { base, group, changes: Changes::default() }
    }

    /// Whose keys may be written.
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// Sets the value at `key`.
    pub fn put(&mut self, space: Space, key: Vec<u8>, value: Vec<u8>) {
        self.change(space, key, Some(value));
    }

    /// Removes the value at `key`.
    pub fn delete(&mut self, space: Space, key: Vec<u8>) {
        self.change(space, key, None);
    }

    fn change(&mut self, space: Space, key: Vec<u8>, value: Option<Vec<u8>>) {
        assert!(key.starts_with(&self.group.prefix()), "a group writes its own keys only");
        self.changes[space as usize].insert(key, value);
    }

    /// Takes over the writes of an overlay that lay over this one.
    pub fn absorb(&mut self, writes: Vec<Write>) {
        for Write { space, key, value } in writes {
            self.change(space, key, value);
        }
    }

    /// The writes, in the order of their keys.
    pub fn into_writes(self) -> Vec<Write> {
        let spaces = Space::ALL.into_iter().zip(self.changes);
        let writes = |(space, changes): (Space, BTreeMap<_, _>)| {
            changes.into_iter().map(move |(key, value)| Write { space, key, value })
        };
        spaces.flat_map(writes).collect()
    }

    fn changed<'a>(
        &'a self,
        space: Space,
        start: &[u8],
        end: &[u8],
    ) -> impl DoubleEndedIterator<Item = (Vec<u8>, Option<Vec<u8>>)> + use<'a, 's> {
        let end = end.max(start);
        self.changes[space as usize]
            .range::<[u8], _>((Bound::Included(start), Bound::Excluded(end)))
            .map(|(key, value)| (key.clone(), value.clone()))
    }
}

impl Store for Txn<'_> {
    fn get(&self, space: Space, key: &[u8]) -> Option<Vec<u8>> {
        match self.changes[space as usize].get(key) {
            Some(value) => value.clone(),
            None => self.base.get(space, key),
        }
    }

    fn scan<'a>(
        &'a self,
        space: Space,
        start: &[u8],
        end: &[u8],
    ) -> Box<dyn Iterator<Item = Pair> + 'a> {
        Box::new(Merge {
            changed: self.changed(space, start, end).peekable(),
            base: self.base.scan(space, start, end).peekable(),
            backwards: false,
        })
    }

    fn scan_back<'a>(
        &'a self,
        space: Space,
        start: &[u8],
        end: &[u8],
    ) -> Box<dyn Iterator<Item = Pair> + 'a> {
        Box::new(Merge {
            changed: self.changed(space, start, end).rev().peekable(),
            base: self.base.scan_back(space, start, end).peekable(),
            backwards: true,
        })
    }
}

/// Two sorted runs as one; a change hides what the base has at the same key.
struct Merge<C: Iterator, B: Iterator> {
    changed: Peekable<C>,
    base: Peekable<B>,
    backwards: bool,
}

impl<C, B> Iterator for Merge<C, B>
where
    C: Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
    B: Iterator<Item = Pair>,
{
    type Item = Pair;

    fn next(&mut self) -> Option<Pair> {
        loop {
            let order = match (self.changed.peek(), self.base.peek()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((changed, _)), Some((base, _))) if self.backwards => base.cmp(changed),
                (Some((changed, _)), Some((base, _))) => changed.cmp(base),
            };
            if order == Ordering::Greater {
                return self.base.next();
            }
            if order == Ordering::Equal {
                self.base.next();
            }
            if let Some((key, Some(value))) = self.changed.next() {
                return Some((key, value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use proptest::prelude::*;

    fn key(number: u8) -> Vec<u8> {
        vec![0, 0, number]
    }

    proptest! {
        /// Reading through an overlay is reading the store after its commit.
        #[test]
        fn overlay_reads_as_if_committed(
            base in prop::collection::vec((0u8..12, any::<u8>()), 0..12),
            changes in prop::collection::vec((0u8..12, any::<Option<u8>>()), 0..12),
            start in 0u8..12,
            end in 0u8..14,
        ) {
            let mut store = MemoryStore::default();
            let write = |at, value: Option<u8>| Write {
                space: Space::State, key: key(at), value: value.map(|value| vec![value]),
            };
            store.commit(base.into_iter().map(|(at, value)| write(at, Some(value))));
            let before = store.clone();
            let mut txn = Txn::new(&before, GroupId::CONTROL);
            txn.absorb(changes.into_iter().map(|(at, value)| write(at, value)).collect());
            let forth: Vec<_> = txn.scan(Space::State, &key(start), &key(end)).collect();
            let back: Vec<_> = txn.scan_back(Space::State, &key(start), &key(end)).collect();
            let one = txn.get(Space::State, &key(start));
            store.commit(txn.into_writes());
            let expect: Vec<_> = store.scan(Space::State, &key(start), &key(end)).collect();
            prop_assert_eq!(&forth, &expect);
            prop_assert!(back.iter().eq(expect.iter().rev()));
            prop_assert_eq!(one, store.get(Space::State, &key(start)));
        }
    }
}
