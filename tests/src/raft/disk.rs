//! What a node has written, and what of it a crash leaves.
//!
//! As in `keikod`, everything goes through one write-ahead log: votes, entries, and what apply
//! rounds wrote, each write whole. It is read at once and synced later, for everybody who waits, by
//! a flusher that does nothing else. A crash leaves what was synced, and of the rest nothing or some
//! first part, as it lay in the machine's cache.

use super::bugs::Bug;
use super::runtime::{roll, sleep, spawn};
use super::types::{Entry, LogId, StoredMembership, Vote};
use keiko_core::store::{MemoryStore, Write};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// A state at an index.
#[derive(Clone, Default)]
pub(super) struct Snapshot {
    pub(super) applied: Option<LogId>,
    pub(super) members: StoredMembership,
    pub(super) store: MemoryStore,
}

/// One change. What belongs together is written together.
pub(super) enum Change {
    Vote(Vote),
    Append(Vec<Entry>),
    /// The entries from here on go.
    Truncate(u64),
    /// The entries up to here go.
    Purge(LogId),
    State(Vec<Write>),
    Applied(LogId, StoredMembership),
    /// A snapshot is kept.
    Kept(Arc<Snapshot>),
    /// A snapshot takes the place of the state.
    Installed(Arc<Snapshot>),
}

/// All that is written, one way or the other.
#[derive(Clone, Default)]
pub(super) struct Image {
    pub(super) vote: Option<Vote>,
    pub(super) log: BTreeMap<u64, Entry>,
    pub(super) purged: Option<LogId>,
    pub(super) state: Snapshot,
    pub(super) snapshot: Option<Arc<Snapshot>>,
}

impl Image {
    /// The id of the last entry that there was.
    pub(super) fn last(&self) -> Option<LogId> {
        self.log.last_key_value().map(|(_, entry)| entry.log_id).max(self.purged)
    }

    fn take(&mut self, change: &Change) {
        match change {
            Change::Vote(vote) => self.vote = Some(*vote),
            Change::Append(entries) => {
                let entries = entries.iter().map(|entry| (entry.log_id.index, entry.clone()));
                self.log.extend(entries);
            }
            Change::Truncate(from) => drop(self.log.split_off(from)),
            Change::Purge(upto) => {
                self.log = self.log.split_off(&(upto.index + 1));
                self.purged = Some(*upto);
            }
            Change::State(writes) => self.state.store.commit(writes.iter().cloned()),
            Change::Applied(last, members) => {
                (self.state.applied, self.state.members) = (Some(*last), members.clone());
            }
            Change::Kept(snapshot) => self.keep(snapshot),
            Change::Installed(snapshot) => {
                self.state = Snapshot::clone(snapshot);
                self.keep(snapshot);
            }
        }
    }

    /// A newer one stays.
    fn keep(&mut self, snapshot: &Arc<Snapshot>) {
        let is_newer = |kept: &Arc<Snapshot>| kept.applied > snapshot.applied;
        if !self.snapshot.as_ref().is_some_and(is_newer) {
            self.snapshot = Some(snapshot.clone());
        }
    }
}

type Done = Box<dyn FnOnce() + Send>;

/// The disk of one node; a cheap clone.
#[derive(Clone)]
pub(super) struct Disk {
    state: Arc<Mutex<State>>,
    pub(super) bug: Option<Bug>,
}

#[derive(Default)]
struct State {
    /// What a read gives.
    live: Image,
    /// What a crash leaves for sure.
    durable: Image,
    /// Between the two.
    pending: VecDeque<Vec<Change>>,
    written: u64,
    /// Who waits for which number of writes.
    waiting: Vec<(u64, Done)>,
    asked: Arc<Notify>,
    /// What a sync takes beside the usual.
    sync_delay: Duration,
}

/// A part of syncs, of which some take much longer than the others.
fn sync_time() -> Duration {
    match roll(16) {
        0 => Duration::from_millis(3 + roll(30)),
        _ => Duration::from_micros(100 + roll(2000)),
    }
}

impl Disk {
    pub(super) fn new(bug: Option<Bug>) -> Self {
        Self { state: Arc::default(), bug }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads.
    pub(super) fn read<R>(&self, read: impl FnOnce(&Image) -> R) -> R {
        read(&self.state().live)
    }

    /// Writes: at once for readers, and for ever after the next sync.
    pub(super) fn write(&self, changes: Vec<Change>) {
        let mut state = self.state();
        changes.iter().for_each(|change| state.live.take(change));
        state.pending.push_back(changes);
        state.written += 1;
    }

    /// Calls back when all that was written until now is synced.
    pub(super) fn when_synced(&self, done: impl FnOnce() + Send + 'static) {
        let mut state = self.state();
        let until = state.written;
        state.waiting.push((until, Box::new(done)));
        state.asked.notify_one();
    }

    /// Waits until all that was written until now is synced.
    pub(super) async fn sync(&self) {
        let (done, synced) = oneshot::channel();
        self.when_synced(move || {
            let _crashed = done.send(());
        });
        let _crashed = synced.await;
    }

    /// Starts the flusher, which ends with the life that this is called in.
    pub(super) fn start_flusher(&self) {
        let disk = self.clone();
        let flusher = async move {
            loop {
                let asked = disk.state().asked.clone();
                asked.notified().await;
                let (until, delay) = {
                    let state = disk.state();
                    (state.written, state.sync_delay)
                };
                sleep(delay + sync_time()).await;
                disk.flushed(until);
            }
        };
        drop(spawn(flusher));
    }

    fn flushed(&self, until: u64) {
        let done: Vec<Done> = {
            let mut state = self.state();
            let State { durable, pending, written, waiting, .. } = &mut *state;
            let first = *written - pending.len() as u64;
            for changes in pending.drain(..until.saturating_sub(first) as usize) {
                changes.iter().for_each(|change| durable.take(change));
            }
            let done = waiting.extract_if(.., |(number, _)| *number <= until);
            let done = done.map(|(_, done)| done).collect();
            if !waiting.is_empty() {
                state.asked.notify_one();
            }
            done
        };
        done.into_iter().for_each(|done| done());
    }

    /// Makes each sync take so much longer.
    pub(super) fn slow_down(&self, sync_delay: Duration) {
        self.state().sync_delay = sync_delay;
    }

    /// Loses what was not synced, or what of it was not on its way yet.
    pub(super) fn crash(&self) {
        let mut state = self.state();
        let State { live, durable, pending, waiting, .. } = &mut *state;
        let survive = match roll(2) {
            0 => 0,
            _ => roll(pending.len() as u64 + 1) as usize,
        };
        for changes in pending.drain(..survive) {
            changes.iter().for_each(|change| durable.take(change));
        }
        pending.clear();
        waiting.clear();
        *live = durable.clone();
    }
}
