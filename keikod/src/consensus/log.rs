//! A group's log, as openraft wants it.
//!
//! Invariants:
//! - Appended entries are readable when `append` returns, and durable when its callback runs.
//! - Votes and entries reach the write-ahead log in the order of the calls; openraft awaits each.
//! - The durable note is lowered before a truncation touches the log, so that it is never ahead.

use super::tail::Tail;
use super::types::{Entry, LogId, Types, Vote};
use super::wire;
use crate::store::flusher::{Change, Queue};
use crate::store::{Database, or_abort, record};
use keiko_core::id::GroupId;
use keiko_core::refusal::Result;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What one message to a follower may carry; small enough that a heartbeat is not held up.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

struct State {
    vote: Option<record::Vote>,
    purged: Option<record::LogId>,
    last: Option<record::LogId>,
    tail: Tail,
}

/// Reads the log; a cheap clone.
#[derive(Clone)]
pub(super) struct Reader {
    group: GroupId,
    database: Arc<Database>,
    state: Arc<Mutex<State>>,
}

/// Reads and writes the log.
pub(super) struct Log {
    reader: Reader,
    queue: Queue,
}

impl Log {
    /// The log of `group` as the store has it.
    pub(super) fn open(group: GroupId, database: Arc<Database>, queue: Queue) -> Result<Self> {
        let purged = database.purged(group)?;
        let last = database.last_record(group)?.map(|record| record.id).or(purged);
        let vote = database.vote(group)?;
        let state = State { vote, purged, last, tail: Tail::default() };
        let reader = Reader { group, database, state: Arc::new(Mutex::new(state)) };
        Ok(Self { reader, queue })
    }
}

impl Reader {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done by a panic in here: each change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, range: Range<u64>, bytes_max: usize) -> Vec<Entry> {
        if let Some(entries) = self.state().tail.read(&range, bytes_max) {
            return entries;
        }
        let records = or_abort(self.database.records(self.group, range, bytes_max));
        let entries = records.into_iter().map(wire::entry_from_store).collect();
        or_abort(entries)
    }
}

fn to_range(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

impl RaftLogReader<Types> for Reader {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        Ok(self.read(to_range(&range), usize::MAX))
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.state().vote.map(wire::vote_from_store))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        Ok(self.read(start..end, MESSAGE_BYTES_MAX))
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Reader;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let state = self.reader.state();
        Ok(LogState {
            last_purged_log_id: state.purged.map(wire::log_id_from_store),
            last_log_id: state.last.map(wire::log_id_from_store),
        })
    }

    async fn get_log_reader(&mut self) -> Reader {
        self.reader.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let vote = wire::vote_to_store(vote);
        or_abort(self.reader.database.save_vote(self.reader.group, vote));
        self.queue.wait(self.reader.group, Change::Vote(vote)).await;
        self.reader.state().vote = Some(vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let group = self.reader.group;
        let entries: Vec<Entry> = entries.into_iter().collect();
        let records: Vec<_> = entries.iter().map(wire::entry_to_store).collect();
        or_abort(self.reader.database.append(group, &records));
        let change = match records.last() {
            Some(last) => Change::Appended { last: last.id, entries: records.len() as u64 },
            None => Change::Other,
        };
        {
            let mut state = self.reader.state();
            state.last = records.last().map(|last| last.id).or(state.last);
            entries.into_iter().for_each(|entry| state.tail.push(entry));
        }
        self.queue.push(group, change, move || callback.io_completed(Ok(())));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let group = self.reader.group;
        let last = last.as_ref().map(wire::log_id_to_store);
        let from = last.map_or(0, |last| last.index + 1);
        if self.reader.state().last.is_none_or(|end| end.index < from) {
            return Ok(());
        }
        self.queue.wait(group, Change::Lowering(last)).await;
        or_abort(self.reader.database.truncate(group, from));
        self.queue.wait(group, Change::Other).await;
        let mut state = self.reader.state();
        state.last = last.max(state.purged);
        state.tail.truncate(from);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let upto = wire::log_id_to_store(&upto);
        or_abort(self.reader.database.purge(self.reader.group, upto));
        let mut state = self.reader.state();
        state.purged = Some(upto);
        state.last = state.last.max(Some(upto));
        state.tail.purge(upto.index);
        Ok(())
    }
}
