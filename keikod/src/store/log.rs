//! The consensus logs inside the store.
//!
//! Indexes of a group have no hole. Nothing here is synced: the caller queues at the
//! [flusher](super::flusher) what must become durable.

use super::record::{LogId, Record, log_key};
use super::{Database, Family, Meta};
use keiko_core::id::GroupId;
use keiko_core::refusal::Result;
use rocksdb::{Direction, IteratorMode, ReadOptions, WriteBatch};
use std::ops::Range;

impl Database {
    /// Appends records, unsynced. They are readable when this returns.
    pub fn append(&self, group: GroupId, records: &[Record]) -> Result<()> {
        let bytes = records.iter().map(|record| record.payload.len() + 64).sum();
        let mut batch = WriteBatch::with_capacity_bytes(bytes);
        let family = self.family(Family::RaftLog);
        for record in records {
            let key = log_key(group, record.id.index);
            batch.put_cf(family, key, record.encode(&key));
        }
        self.write(batch)
    }

    /// The records of `range` that exist, ascending, until they hold `bytes_max`; at least one if
    /// there is one. A damaged record or a hole is an error.
    pub fn records(
        &self,
        group: GroupId,
        range: Range<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Record>> {
        let mut records: Vec<Record> = Vec::new();
        let mut bytes = 0;
        for record in self.scan_log(group, range) {
            let record = record?;
            if let Some(before) = records.last()
                && record.id.index != before.id.index + 1
            {
                let index = before.id.index + 1;
                return Err(self.damage(format!("entry {index} of group {group}'s log is missing")));
            }
            bytes += record.payload.len();
            records.push(record);
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(records)
    }

    /// The records of `range`, ascending, each checked.
    pub fn scan_log(
        &self,
        group: GroupId,
        range: Range<u64>,
    ) -> impl Iterator<Item = Result<Record>> {
        let start = log_key(group, range.start);
        let mut read = ReadOptions::default();
        read.set_iterate_lower_bound(start);
        read.set_iterate_upper_bound(log_key(group, range.end.max(range.start)));
        let mode = IteratorMode::From(&start, Direction::Forward);
        let pairs = self.rocks.iterator_cf_opt(self.family(Family::RaftLog), read, mode);
        pairs.map(|pair| {
            let (key, value) = pair.map_err(|error| self.fault("read", &error))?;
            Record::decode(&key, &value)
        })
    }

    /// The record at one place, checked. Where what is on disk can't be read, that is said, and never
    /// an older record of that place given.
    pub fn record(&self, group: GroupId, index: u64) -> Result<Option<Record>> {
        let key = log_key(group, index);
        let value = self.rocks.get_cf(self.family(Family::RaftLog), key);
        match value.map_err(|error| self.fault("read", &error))? {
            Some(value) => Record::decode(&key, &value).map(Some),
            None => Ok(None),
        }
    }

    /// The first record of the log.
    pub fn first_record(&self, group: GroupId) -> Result<Option<Record>> {
        self.scan_log(group, 0..u64::MAX).next().transpose()
    }

    /// The last record of the log.
    pub fn last_record(&self, group: GroupId) -> Result<Option<Record>> {
        let mut read = ReadOptions::default();
        read.set_iterate_lower_bound(log_key(group, 0));
        let last = log_key(group, u64::MAX);
        let mode = IteratorMode::From(&last, Direction::Reverse);
        let mut pairs = self.rocks.iterator_cf_opt(self.family(Family::RaftLog), read, mode);
        match pairs.next().transpose().map_err(|error| self.fault("read", &error))? {
            Some((key, value)) => Record::decode(&key, &value).map(Some),
            None => Ok(None),
        }
    }

    /// Where the log ends: its last entry or, if it has none, what was purged or applied last.
    pub fn log_end(&self, group: GroupId) -> Result<Option<LogId>> {
        match self.last_record(group)? {
            Some(record) => Ok(Some(record.id)),
            None => {
                let applied = self.applied(group)?.map(|applied| applied.last);
                Ok(self.purged(group)?.max(applied))
            }
        }
    }

    /// Removes the entries from `from` on, unsynced.
    pub fn truncate(&self, group: GroupId, from: u64) -> Result<()> {
        let mut batch = WriteBatch::default();
        self.delete_log(&mut batch, group, from, u64::MAX);
        self.write(batch)
    }

    /// Removes the entries up to and including `upto`, unsynced, and remembers it.
    pub fn purge(&self, group: GroupId, upto: LogId) -> Result<()> {
        let mut batch = WriteBatch::default();
        self.delete_log(&mut batch, group, 0, upto.index.saturating_add(1));
        self.put_meta(&mut batch, group, Meta::Purged, &upto.encode());
        self.write(batch)
    }

    /// Keys of a family, and the bytes of its keys and values; reads all of it, so that every block
    /// is checked against its checksum.
    pub fn count(&self, family: Family) -> Result<(u64, u64)> {
        let mut read = ReadOptions::default();
        read.fill_cache(false);
        let (mut keys, mut bytes) = (0, 0);
        for pair in self.rocks.iterator_cf_opt(self.family(family), read, IteratorMode::Start) {
            let (key, value) = pair.map_err(|error| self.fault("read", &error))?;
            keys += 1;
            bytes += (key.len() + value.len()) as u64;
        }
        Ok((keys, bytes))
    }

    fn delete_log(&self, batch: &mut WriteBatch, group: GroupId, from: u64, to: u64) {
        let family = self.family(Family::RaftLog);
        batch.delete_range_cf(family, log_key(group, from), log_key(group, to));
    }
}
