//! The end of a log, in memory: apply and followers read it without touching RocksDB.
//!
//! Entries lie without a hole and end where the log ends. Payloads are refcounted, so an entry that
//! is read here is not copied.

use super::types::{Command, Entry};
use openraft::EntryPayload;
use std::collections::VecDeque;
use std::ops::Range;

/// What one group may hold: at 1 KiB an entry the last 16,000.
const BYTES_MAX: usize = 16 << 20;
/// What an entry takes beside its payload.
const ENTRY_BYTES: usize = size_of::<Entry>();

#[derive(Debug, Default)]
pub(super) struct Tail {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Tail {
    /// Adds the log's new last entry.
    pub(super) fn push(&mut self, entry: Entry) {
        if self.entries.back().is_some_and(|last| last.log_id.index + 1 != entry.log_id.index) {
            self.clear();
        }
        self.bytes += size(&entry);
        self.entries.push_back(entry);
        while self.bytes > BYTES_MAX && self.entries.len() > 1 {
            self.drop_first();
        }
    }

    /// Forgets the entries from `from` on.
    pub(super) fn truncate(&mut self, from: u64) {
        while let Some(last) = self.entries.pop_back_if(|last| last.log_id.index >= from) {
            self.bytes -= size(&last);
        }
    }

    /// Forgets the entries up to and including `upto`.
    pub(super) fn purge(&mut self, upto: u64) {
        while self.entries.front().is_some_and(|first| first.log_id.index <= upto) {
            self.drop_first();
        }
    }

    /// The entries of `range` until they hold `bytes_max`, at least one; `None` if the range starts
    /// before the tail does.
    pub(super) fn read(&self, range: &Range<u64>, bytes_max: usize) -> Option<Vec<Entry>> {
        let first = self.entries.front()?.log_id.index;
        let skip = usize::try_from(range.start.checked_sub(first)?).ok()?;
        let mut found = Vec::new();
        let mut bytes = 0;
        for entry in self.entries.iter().skip(skip) {
            if entry.log_id.index >= range.end || bytes >= bytes_max {
                break;
            }
            bytes += payload_bytes(entry);
            found.push(entry.clone());
        }
        Some(found)
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    fn drop_first(&mut self) {
        if let Some(first) = self.entries.pop_front() {
            self.bytes -= size(&first);
        }
    }
}

fn payload_bytes(entry: &Entry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(Command(bytes)) => bytes.len(),
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    }
}

fn size(entry: &Entry) -> usize {
    ENTRY_BYTES + payload_bytes(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::types::LogId;
    use openraft::vote::leader_id_std::CommittedLeaderId;

    fn entry(index: u64, bytes: usize) -> Entry {
        let log_id = LogId::new(CommittedLeaderId::new(1), index);
        Entry { log_id, payload: EntryPayload::Normal(Command(vec![0; bytes].into())) }
    }

    fn check(tail: &Tail, range: Range<u64>, bytes_max: usize, expect: Option<Range<u64>>) {
        let found = tail.read(&range, bytes_max);
        let found = found.map(|found| found.iter().map(|entry| entry.log_id.index).collect());
        assert_eq!(found, expect.map(Iterator::collect::<Vec<_>>), "{range:?} of {bytes_max}");
    }

    #[test]
    fn reads() {
        let mut tail = Tail::default();
        check(&tail, 0..5, usize::MAX, None);
        (3..10).for_each(|index| tail.push(entry(index, 10)));
        check(&tail, 2..5, usize::MAX, None);
        check(&tail, 3..5, usize::MAX, Some(3..5));
        check(&tail, 8..100, usize::MAX, Some(8..10));
        check(&tail, 10..20, usize::MAX, Some(0..0));
        check(&tail, 3..10, 15, Some(3..5));
        check(&tail, 3..10, 0, Some(0..0));
        check(&tail, 3..10, 1, Some(3..4));
        tail.truncate(8);
        check(&tail, 3..10, usize::MAX, Some(3..8));
        tail.purge(4);
        check(&tail, 4..10, usize::MAX, None);
        check(&tail, 5..10, usize::MAX, Some(5..8));
        tail.push(entry(20, 1));
        check(&tail, 5..30, usize::MAX, None);
        check(&tail, 20..30, usize::MAX, Some(20..21));
    }

    #[test]
    fn memory_is_bounded_but_the_last_entry_stays() {
        let mut tail = Tail::default();
        for index in 0..100 {
            tail.push(entry(index, 1 << 20));
            assert!(tail.bytes <= BYTES_MAX);
        }
        check(&tail, 99..100, usize::MAX, Some(99..100));
        tail.push(entry(100, BYTES_MAX + 1));
        check(&tail, 100..101, usize::MAX, Some(100..101));
        tail.purge(100);
        assert_eq!(tail.bytes, 0);
    }
}
