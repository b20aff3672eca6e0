//! Typed rows over sorted bytes.
//!
//! A value starts with the version of its layout, so that a later release can read what an earlier
//! one wrote. Declared objects lie in a [`crate::history::Declared`] table, which also keeps their
//! past versions.

use crate::id::GroupId;
use crate::key::Key;
use crate::store::{Space, Store};
use crate::txn::Txn;
use prost::Message;
use std::marker::PhantomData;

/// The byte of each room in keys. For ever: never changed, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RoomByte {
    /// The house's own: the group's head and the replies for retries.
    House = 0,
    /// See [`crate::cluster`].
    Cluster = 1,
    /// See [`crate::security`].
    Security = 2,
    /// See [`crate::registry`].
    Registry = 3,
    /// See [`crate::journal`].
    Journal = 4,
    /// See [`crate::coordination`].
    Coordination = 5,
}

/// A table of messages.
pub struct Table<V> {
    room: RoomByte,
    table: u8,
    version: u8,
    value: PhantomData<fn() -> V>,
}

impl<V: Message + Default> Table<V> {
    /// Names a table. `version` is that of the value's layout.
    pub const fn new(room: RoomByte, table: u8, version: u8) -> Self {
        Self { room, table, version, value: PhantomData }
    }

    /// The start of a key of this table.
    pub fn key(&self, group: GroupId) -> Key {
        Key::new(group, self.room as u8, self.table)
    }

    /// The row at `key`.
    pub fn get(&self, store: &dyn Store, key: &Key) -> Option<V> {
        store.get(Space::State, key.as_bytes()).map(|bytes| self.decode(&bytes))
    }

    /// Sets the row at `key`.
    pub fn put(&self, txn: &mut Txn<'_>, key: Key, value: &V) {
        let bytes = self.encode(value);
        txn.put(Space::State, key.into_bytes(), bytes);
    }

    /// Removes the row at `key`.
    pub fn delete(&self, txn: &mut Txn<'_>, key: Key) {
        txn.delete(Space::State, key.into_bytes());
    }

    /// The rows whose keys start with `prefix`, in order.
    pub fn scan<'a>(
        &'a self,
        store: &'a dyn Store,
        prefix: &Key,
    ) -> impl Iterator<Item = (Vec<u8>, V)> + use<'a, V> {
        store
            .scan(Space::State, prefix.as_bytes(), &prefix.end())
            .map(|(key, bytes)| (key, self.decode(&bytes)))
    }

    fn encode(&self, value: &V) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + value.encoded_len());
        bytes.push(self.version);
        value.encode(&mut bytes).expect("invariant: a Vec grows");
        bytes
    }

    fn decode(&self, bytes: &[u8]) -> V {
        let (version, rest) = bytes.split_first().expect("invariant: a value has its version");
        assert!(*version <= self.version, "a value of a newer layout than this release knows");
        V::decode(rest).expect("invariant: written by `encode`")
    }
}

/// A table that only says which keys there are.
pub struct Index {
    room: RoomByte,
    table: u8,
}

impl Index {
    /// Names an index.
    pub const fn new(room: RoomByte, table: u8) -> Self {
        Self { room, table }
    }

    /// The start of a key of this index.
    pub fn key(&self, group: GroupId) -> Key {
        Key::new(group, self.room as u8, self.table)
    }

    /// Adds `key`.
    pub fn add(&self, txn: &mut Txn<'_>, key: Key) {
        txn.put(Space::State, key.into_bytes(), Vec::new());
    }

    /// Removes `key`.
    pub fn remove(&self, txn: &mut Txn<'_>, key: Key) {
        txn.delete(Space::State, key.into_bytes());
    }

    /// The keys that start with `prefix`, in order.
    pub fn scan<'a>(
        &self,
        store: &'a dyn Store,
        prefix: &Key,
    ) -> impl Iterator<Item = Vec<u8>> + use<'a> {
        store.scan(Space::State, prefix.as_bytes(), &prefix.end()).map(|(key, _)| key)
    }
}
