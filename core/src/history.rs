//! Declared objects: rows that remember their past, so that `get --at` is a read and not a replay.
//!
//! ```text
//! State    row key                                  version u8 | revision u64 | message
//! History  row key | revision                       version u8 | message, or nothing: deleted
//! History  house | superseded at | key above        (what compaction may remove, and when)
//! ```

use crate::id::GroupId;
use crate::key::{Key, Parts};
use crate::store::{Space, Store};
use crate::table::RoomByte;
use crate::txn::Txn;
use prost::Message;
use std::marker::PhantomData;

const SUPERSEDED: u8 = 1;

/// A table of declared objects.
pub struct Declared<V> {
    room: RoomByte,
    table: u8,
    version: u8,
    value: PhantomData<fn() -> V>,
}

/// One version of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Version<V> {
    /// The revision that made it.
    pub revision: u64,
    /// `None`: deleted.
    pub value: Option<V>,
}

impl<V: Message + Default> Declared<V> {
    /// Names a table. `version` is that of the value's layout.
    pub const fn new(room: RoomByte, table: u8, version: u8) -> Self {
        Self { room, table, version, value: PhantomData }
    }

    /// The start of a key of this table.
    pub fn key(&self, group: GroupId) -> Key {
        Key::new(group, self.room as u8, self.table)
    }

    /// The object as it is now.
    pub fn get(&self, store: &dyn Store, key: &Key) -> Option<V> {
        store.get(Space::State, key.as_bytes()).map(|bytes| self.decode(&bytes).1)
    }

    /// The object as it was at `revision`.
    pub fn get_at(&self, store: &dyn Store, key: &Key, revision: u64) -> Option<V> {
        self.versions(store, key, revision).next()?.value
    }

    /// Versions at or before `revision`, newest first.
    pub fn versions<'a>(
        &'a self,
        store: &'a dyn Store,
        key: &Key,
        revision: u64,
    ) -> impl Iterator<Item = Version<V>> + 'a {
        let start = key.clone().number(0).into_bytes();
        let end = match revision.checked_add(1) {
            Some(next) => key.clone().number(next).into_bytes(),
            None => key.end(),
        };
        store
            .scan_back(Space::History, &start, &end)
            .map(|(key, bytes)| self.decode_version(&key, &bytes))
    }

    /// The objects whose keys start with `prefix` and are greater than `after`, in order, now.
    pub fn scan<'a>(
        &'a self,
        store: &'a dyn Store,
        prefix: &Key,
        after: Option<&Key>,
    ) -> impl Iterator<Item = V> + 'a {
        let start = after.map_or_else(|| prefix.as_bytes().to_vec(), Key::end);
        store.scan(Space::State, &start, &prefix.end()).map(|(_, bytes)| self.decode(&bytes).1)
    }

    /// The same as it was at `revision`.
    pub fn scan_at<'a>(
        &'a self,
        store: &'a dyn Store,
        prefix: &Key,
        after: Option<&Key>,
        revision: u64,
    ) -> impl Iterator<Item = V> + 'a {
        let start = after.map_or_else(|| prefix.as_bytes().to_vec(), Key::end);
        let mut versions = store
            .scan(Space::History, &start, &prefix.end())
            .map(|(key, bytes)| {
                let version = self.decode_version(&key, &bytes);
                (key, version)
            })
            .filter(move |(_, version)| version.revision <= revision)
            .peekable();
        std::iter::from_fn(move || {
            loop {
                let (key, version) = versions.next()?;
                let row = row_of(&key);
                let last = versions.peek().is_none_or(|(next, _)| row_of(next) != row);
                if let Some(value) = version.value.filter(|_| last) {
                    return Some(value);
                }
            }
        })
    }

    /// Sets the object; the version before stays readable until it is compacted.
    pub fn put(&self, txn: &mut Txn<'_>, key: &Key, revision: u64, value: &V) {
        self.supersede(txn, key, revision);
        let mut past = vec![self.version];
        value.encode(&mut past).expect("invariant: a Vec grows");
        let mut now = vec![self.version];
        now.extend(revision.to_be_bytes());
        now.extend(&past[1..]);
        txn.put(Space::History, key.clone().number(revision).into_bytes(), past);
        txn.put(Space::State, key.as_bytes().to_vec(), now);
    }

    /// Removes the object; its past stays readable until it is compacted.
    pub fn delete(&self, txn: &mut Txn<'_>, key: &Key, revision: u64) {
        self.supersede(txn, key, revision);
        let grave = key.clone().number(revision);
        txn.put(Space::History, superseded(txn.group(), revision, grave.as_bytes()), Vec::new());
        txn.put(Space::History, grave.into_bytes(), Vec::new());
        txn.delete(Space::State, key.as_bytes().to_vec());
    }

    /// Notes that the version before is history from `revision` on.
    fn supersede(&self, txn: &mut Txn<'_>, key: &Key, revision: u64) {
        let Some(bytes) = txn.get(Space::State, key.as_bytes()) else { return };
        let (before, _) = self.split(&bytes);
        if before < revision {
            let old = key.clone().number(before);
            txn.put(Space::History, superseded(txn.group(), revision, old.as_bytes()), Vec::new());
        }
    }

    fn decode(&self, bytes: &[u8]) -> (u64, V) {
        let (revision, message) = self.split(bytes);
        (revision, V::decode(message).expect("invariant: written by `put`"))
    }

    fn split<'b>(&self, bytes: &'b [u8]) -> (u64, &'b [u8]) {
        let (head, message) = bytes.split_first_chunk::<9>().expect("invariant: written by `put`");
        let [version, revision @ ..] = head;
        assert!(*version <= self.version, "a value of a newer layout than this release knows");
        (u64::from_be_bytes(*revision), message)
    }

    fn decode_version(&self, key: &[u8], bytes: &[u8]) -> Version<V> {
        let revision = key.last_chunk::<8>().expect("invariant: a past key ends in its revision");
        let value = bytes.split_first().map(|(version, message)| {
            assert!(*version <= self.version, "a value of a newer layout than this release knows");
            V::decode(message).expect("invariant: written by `put`")
        });
        Version { revision: u64::from_be_bytes(*revision), value }
    }
}

fn row_of(key: &[u8]) -> &[u8] {
    &key[..key.len() - 8]
}

fn superseded(group: GroupId, revision: u64, key: &[u8]) -> Vec<u8> {
    Key::new(group, RoomByte::House as u8, SUPERSEDED).number(revision).bytes(key).into_bytes()
}

/// Forgets versions that nobody can read once `before` is the oldest revision; at most `limit` of
/// them. True if more remain.
pub fn compact(txn: &mut Txn<'_>, before: u64, limit: usize) -> bool {
    let table = Key::new(txn.group(), RoomByte::House as u8, SUPERSEDED);
    let end = table.clone().number(before.saturating_add(1)).into_bytes();
    let mut due: Vec<_> = txn
        .scan(Space::History, table.as_bytes(), &end)
        .take(limit.saturating_add(1))
        .map(|(key, _)| key)
        .collect();
    let more = due.len() > limit;
    due.truncate(limit);
    for key in due {
        let mut parts = Parts::of(&key);
        let old = parts.number().and_then(|_| parts.bytes());
        txn.delete(Space::History, old.expect("invariant: written by `superseded`"));
        txn.delete(Space::History, key);
    }
    more
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use keiko_proto::v1 as wire;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const TABLE: Declared<wire::Node> = Declared::new(RoomByte::Cluster, 9, 1);

    fn row(id: u64) -> Key {
        TABLE.key(GroupId::CONTROL).number(id)
    }

    proptest! {
        /// Every revision reads as the state was then, before and after compaction.
        #[test]
        fn past_reads_as_it_was(
            changes in prop::collection::vec((0u64..4, any::<bool>()), 1..40),
            before in 0u64..40,
        ) {
            let mut store = MemoryStore::default();
            let mut now = BTreeMap::new();
            let mut past = vec![now.clone()];
            for (at, (id, delete)) in changes.iter().enumerate() {
                let revision = at as u64 + 1;
                let mut txn = Txn::new(&store, GroupId::CONTROL);
                if *delete {
                    TABLE.delete(&mut txn, &row(*id), revision);
                    now.remove(id);
                } else {
                    let node = wire::Node { id: revision, ..Default::default() };
                    TABLE.put(&mut txn, &row(*id), revision, &node);
                    now.insert(*id, revision);
                }
                let writes = txn.into_writes();
                store.commit(writes);
                past.push(now.clone());
            }
            let check = |store: &MemoryStore, from: u64| {
                for (revision, state) in past.iter().enumerate().skip(from as usize) {
                    let revision = revision as u64;
                    let seen: Vec<_> = TABLE
                        .scan_at(store, &TABLE.key(GroupId::CONTROL), None, revision)
                        .map(|node| node.id)
                        .collect();
                    assert_eq!(seen, state.values().copied().collect::<Vec<_>>());
                    for id in 0..4 {
                        let one = TABLE.get_at(store, &row(id), revision).map(|node| node.id);
                        assert_eq!(one, state.get(&id).copied());
                    }
                }
            };
            check(&store, 0);
            let before = before.min(changes.len() as u64);
            loop {
                let mut txn = Txn::new(&store, GroupId::CONTROL);
                let more = compact(&mut txn, before, 3);
                let writes = txn.into_writes();
                store.commit(writes);
                if !more { break }
            }
            check(&store, before);
        }
    }
}
