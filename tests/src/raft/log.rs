//! The log on the simulated disk, as openraft wants it; the shape of `keikod`'s.

use super::bugs::Bug;
use super::disk::{Change, Disk};
use super::runtime::roll;
use super::seen::{Event, Seen};
use super::types::{Entry, LogId, Types, Vote, digest};
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};

/// What one message to a follower carries: few, so that a lag takes several.
const MESSAGE_ENTRIES_MAX: usize = 8;

/// Reads the log; a cheap clone.
#[derive(Clone)]
pub(super) struct Reader(Disk);

/// Reads and writes the log.
pub(super) struct Log {
    node: u64,
    disk: Disk,
    seen: Seen,
}

impl Log {
    pub(super) fn new(node: u64, disk: Disk, seen: Seen) -> Self {
        Self { node, disk, seen }
    }
}

impl Reader {
    fn read(&self, range: impl RangeBounds<u64>, entries_max: usize) -> Vec<Entry> {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        let is_empty = match range {
            (Bound::Included(start), Bound::Excluded(end)) => start >= end,
            _ => false,
        };
        if is_empty {
            return Vec::new();
        }
        self.0.read(|image| {
            image.log.range(range).take(entries_max).map(|(_, entry)| entry.clone()).collect()
        })
    }
}

impl RaftLogReader<Types> for Reader {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        Ok(self.read(range, usize::MAX))
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.0.read(|image| image.vote))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        Ok(self.read(start..end, MESSAGE_ENTRIES_MAX))
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Reader;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let (last_purged_log_id, last_log_id) =
            self.disk.read(|image| (image.purged, image.last()));
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Reader {
        Reader(self.disk.clone())
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.disk.write(vec![Change::Vote(*vote)]);
        if self.disk.bug != Some(Bug::VoteUnsynced) {
            self.disk.sync().await;
        }
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let mut before = self.disk.read(|image| image.last());
        for entry in &entries {
            let (node, id) = (self.node, entry.log_id);
            self.seen.tell(Event::Appended { node, id, digest: digest(entry), before });
            before = Some(id);
        }
        self.disk.write(vec![Change::Append(entries)]);
        match self.disk.bug {
            Some(Bug::AckBeforeSync) => callback.io_completed(Ok(())),
            Some(Bug::ForgetsCallback) if roll(8) == 0 => {}
            _ => self.disk.when_synced(move || callback.io_completed(Ok(()))),
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let from = last.map_or(0, |last| last.index + 1);
        if self.disk.read(|image| image.last()).is_none_or(|end| end.index < from) {
            return Ok(());
        }
        self.disk.write(vec![Change::Truncate(from)]);
        self.disk.sync().await;
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.disk.write(vec![Change::Purge(upto)]);
        Ok(())
    }
}
