//! Soft state: what this node knows of agents and servers at this moment, and never keeps.
//!
//! Probes, leases, heartbeats, load, calls under way. Invariants: an answer never needs the disk;
//! nothing here outlives the process; a row is small, and there is one for each agent and server.
//!
//! **Pressure** is how loaded somebody looks, in thousandths of what they can take: the larger of
//! *tasks* (what they say waits and runs, or the calls that this node has with them, if that is
//! more) for each one that they can run at a time, and *context* (tokens used of those there are).
//! **Cost** is what one more call is thought to suffer: (1 + pressure) × the peak-EWMA of how long
//! calls take here, with a half-life of 10 s, at least 50 ms and at most 10 s.
//!
//! Heartbeats that come to this node go on to the others, and theirs come here: load, readiness and
//! leases are the same everywhere, a moment later.

mod outbox;
mod row;

use super::super::clock::unix_ms;
use super::super::{NoPeers, Peers};
use super::home::Home;
use keiko_core::registry::directory::Standing;
use keiko_core::registry::{self, Kind, ObjectKey};
use keiko_proto::peer::AgentBeat;
use keiko_proto::v1::{Lease, Live, Load, Object};
use outbox::Outbox;
use row::{Beat, Row, State};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(super) use row::{Block, Pulse, Readiness};

/// What the prober knows after each look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ProbeReport {
    /// When it looked.
    pub(super) at_ms: u64,
    /// How long that took.
    pub(super) took: Duration,
    /// When it looks again.
    pub(super) next_ms: u64,
    /// Failures in a row.
    pub(super) failures: u32,
    /// Route-flap penalty.
    pub(super) penalty: u32,
}

/// What the declared state says of an owner, as far as soft state needs it.
#[derive(Clone, Debug)]
pub(super) struct Met {
    pub(super) uid: Arc<str>,
    pub(super) generation: u64,
    pub(super) lease: Option<Lease>,
    pub(super) suspended: bool,
    pub(super) home: Home,
}

/// The soft state of this node; a cheap clone.
#[derive(Clone)]
pub struct Soft {
    inner: Arc<Inner>,
}

struct Inner {
    /// This node.
    node: Box<str>,
    peers: Arc<dyn Peers>,
    outbox: Outbox,
    rows: RwLock<BTreeMap<ObjectKey, Arc<Row>>>,
    /// When each lease is to be looked at: at its end as it was when it was put here, which may
    /// have moved on since. One place for each; a heartbeat in time touches its row only.
    wheel: Mutex<BTreeSet<(Instant, ObjectKey)>>,
    /// Whose declared health no longer fits what is known here.
    marked: Mutex<BTreeSet<ObjectKey>>,
    wake: Notify,
}

/// A call that is under way.
pub(super) struct InFlight {
    row: Arc<Row>,
    begun: Instant,
    stop: CancellationToken,
}

impl InFlight {
    /// Cancelled when its owner is suspended.
    pub(super) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// It was answered: how long it took is learnt.
    pub(super) fn answered(self) {
        let now = Instant::now();
        self.row.lock().latency.observe(now, now - self.begun);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.row.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
    }
}

impl Default for Soft {
    fn default() -> Self {
        Self::new("", Arc::new(NoPeers))
    }
}

impl Soft {
    /// Of the node with this name.
    pub(super) fn new(node: &str, peers: Arc<dyn Peers>) -> Self {
        let inner = Inner {
            node: node.into(),
            peers,
            outbox: Outbox::default(),
            rows: RwLock::default(),
            wheel: Mutex::default(),
            marked: Mutex::default(),
            wake: Notify::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The prober looked.
    pub(super) fn probed(&self, key: &ObjectKey, report: ProbeReport) {
        self.row(key).lock().probe = Some(report);
    }

    /// Another node looks from now on.
    pub(super) fn unprobed(&self, key: &ObjectKey) {
        if let Some(row) = self.known(key) {
            row.lock().probe = None;
        }
    }

    /// The declared state of an owner. `kept`: it was there before this process looked, so that
    /// its lease begins anew, and longer.
    pub(super) fn meet(&self, key: &ObjectKey, met: &Met, kept: bool) {
        let due = self.row(key).lock().meet(Instant::now(), met, kept);
        if let Some(due) = due {
            self.plan(due, key.clone());
        }
    }

    /// It was deleted.
    pub(super) fn forget(&self, key: &ObjectKey) {
        self.write().remove(key);
    }

    /// Forgets all others.
    pub(super) fn keep_only(&self, present: &BTreeSet<ObjectKey>) {
        self.write().retain(|key, _| present.contains(key));
    }

    /// Forgets what a late probe brought back for an entry that is gone.
    pub(super) fn sweep(&self) {
        self.write().retain(|_, row| row.lock().is_wanted());
    }

    /// Begins a call.
    pub(super) fn begin(&self, key: &ObjectKey) -> InFlight {
        let row = self.row(key);
        let stop = row.lock().begin();
        InFlight { row, begun: Instant::now(), stop }
    }

    /// A heartbeat: renews the lease. How long it lasts from now on; zero without a lease.
    pub(super) fn beat(
        &self,
        key: &ObjectKey,
        readiness: Readiness,
        reason: &str,
        load: Option<Load>,
    ) -> u64 {
        let beat = Beat { at: Instant::now(), readiness, reason: reason.into(), load };
        self.inner.outbox.put(key, &beat);
        let (lease_ms, due) = self.row(key).lock().beat(beat);
        if let Some(due) = due {
            self.plan(due, key.clone());
        }
        lease_ms
    }

    /// A heartbeat that came to another node, `age` ago.
    pub(super) fn late_beat(
        &self,
        key: &ObjectKey,
        readiness: Readiness,
        reason: &str,
        load: Option<Load>,
        age: Duration,
    ) {
        let now = Instant::now();
        let Some(at) = now.checked_sub(age) else { return };
        let beat = Beat { at, readiness, reason: reason.into(), load };
        let (_, due) = self.row(key).lock().late_beat(now, beat);
        if let Some(due) = due {
            self.plan(due, key.clone());
        }
    }

    /// At most `max` of the heartbeats that came to this node and were not drained yet: the newest
    /// of each agent. Nothing waits here before this was called once: a node that is alone tells
    /// nobody.
    pub fn drain_beats(&self, max: usize) -> Vec<AgentBeat> {
        self.inner.outbox.drain(Instant::now(), max)
    }

    /// Why it gets no calls now, whatever its declared state says.
    pub(super) fn block(&self, key: &ObjectKey) -> Option<Block> {
        let row = self.known(key)?;
        let (block, home) = {
            let state = row.lock();
            (state.block(Instant::now()), state.home.clone())
        };
        block.or_else(|| self.away(&home))
    }

    /// Why nobody can be sent to the node that runs it.
    fn away(&self, home: &Home) -> Option<Block> {
        let node = home.hosted_elsewhere(&self.inner.node)?;
        if self.inner.peers.is_isolated() {
            return Some(Block::Isolated);
        }
        self.inner.peers.is_down(node).then(|| Block::NodeDown(Arc::clone(node)))
    }

    /// How many commands each node runs.
    pub fn hosted(&self) -> BTreeMap<Arc<str>, u32> {
        let mut hosted = BTreeMap::new();
        for row in self.read().values() {
            if let Home::Hosted(node) = &row.lock().home {
                *hosted.entry(Arc::clone(node)).or_insert(0) += 1;
            }
        }
        hosted
    }

    /// Where it is at home.
    pub(super) fn home(&self, key: &ObjectKey) -> Home {
        self.known(key).map(|row| row.lock().home.clone()).unwrap_or_default()
    }

    /// What it says of itself by its heartbeats, and whether they still come.
    pub(super) fn pulse(&self, key: &ObjectKey) -> Option<Pulse> {
        Some(self.known(key)?.lock().pulse())
    }

    /// How loaded it looks from here, in thousandths.
    pub(super) fn pressure(&self, key: &ObjectKey) -> u64 {
        self.known(key).map_or(0, |row| row.lock().pressure(Instant::now()))
    }

    /// What one more call would suffer: to compare, in no unit.
    pub(super) fn cost(&self, key: &ObjectKey) -> u64 {
        self.known(key).map_or(0, |row| row.lock().cost(Instant::now()))
    }

    /// Calls under way, and how long they take.
    pub(super) fn calls(&self, key: &ObjectKey) -> (u32, u64) {
        let Some(row) = self.known(key) else { return (0, 0) };
        let state = row.lock();
        (state.in_flight, state.latency.micros())
    }

    /// Lays what is known now over an agent or a server.
    pub(super) fn overlay(&self, object: &mut Object) {
        let Some(key) = owner_key(object) else { return };
        let standing = Standing::of(registry::status(object));
        let mut live = Live::default();
        let block = self.block(&key);
        if let Some(row) = self.known(&key) {
            row.lock().show(&mut live, Instant::now(), unix_ms());
        }
        live.routable = standing.is_callable() && block.is_none();
        live.why_not = match block.filter(|block| block.explains(standing)) {
            Some(block) => block.to_string(),
            None if standing.is_callable() => String::new(),
            None => format!("it is {}", standing.as_str()),
        };
        registry::status_mut(object).live = Some(live);
    }

    /// A new leader grants every lease anew: it did not hear the heartbeats of the one before.
    pub(super) fn grant_all(&self) {
        let now = Instant::now();
        for row in self.read().values() {
            row.lock().grant_again(now);
        }
    }

    /// Its declared health is to be looked at.
    pub(super) fn mark(&self, key: ObjectKey) {
        lock(&self.inner.marked).insert(key);
        self.inner.wake.notify_one();
    }

    /// At most `limit` of those that are marked.
    pub(super) fn take_marked(&self, limit: usize) -> Vec<ObjectKey> {
        let mut marked = lock(&self.inner.marked);
        std::iter::from_fn(|| marked.pop_first()).take(limit).collect()
    }

    /// At most `limit` leases whose time to be looked at has come.
    pub(super) fn take_due(&self, now: Instant, limit: usize) -> Vec<ObjectKey> {
        let mut wheel = lock(&self.inner.wheel);
        let is_due = |first: &(Instant, ObjectKey)| first.0 <= now;
        let next = || wheel.first().is_some_and(is_due).then(|| wheel.pop_first()).flatten();
        // The place of an entry that was deleted may be left behind.
        let is_its_own = |(at, key): &(Instant, ObjectKey)| {
            let Some(row) = self.known(key) else { return false };
            row.lock().due.take_if(|due| due == at).is_some()
        };
        let due = std::iter::from_fn(next).filter(is_its_own).take(limit);
        due.map(|(_, key)| key).collect()
    }

    /// Looks at a lease at `due`, or earlier if that was planned.
    pub(super) fn plan(&self, due: Instant, key: ObjectKey) {
        let Some(row) = self.known(&key) else { return };
        let mut wheel = lock(&self.inner.wheel);
        let mut state = row.lock();
        match state.due {
            Some(before) if before <= due => return,
            Some(before) => {
                wheel.remove(&(before, key.clone()));
            }
            None => {}
        }
        state.due = Some(due);
        wheel.insert((due, key));
        drop(state);
        drop(wheel);
        self.inner.wake.notify_one();
    }

    /// Waits until a lease is to be looked at or somebody is marked.
    pub(super) async fn wait(&self) {
        let due = lock(&self.inner.wheel).first().map(|(due, _)| *due);
        let due = async move {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = self.inner.wake.notified() => {}
        }
    }

    fn known(&self, key: &ObjectKey) -> Option<Arc<Row>> {
        self.read().get(key).map(Arc::clone)
    }

    fn row(&self, key: &ObjectKey) -> Arc<Row> {
        if let Some(row) = self.known(key) {
            return row;
        }
        Arc::clone(self.write().entry(key.clone()).or_default())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<ObjectKey, Arc<Row>>> {
        self.inner.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<ObjectKey, Arc<Row>>> {
        self.inner.rows.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Row {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The key of an agent or a server; `None` for their parts.
pub(super) fn owner_key(object: &Object) -> Option<ObjectKey> {
    use keiko_proto::v1::object::Object as Inner;
    let kind = match object.object.as_ref()? {
        Inner::Agent(_) => Kind::Agent,
        Inner::McpServer(_) => Kind::McpServer,
        Inner::Tool(_) | Inner::Skill(_) => return None,
    };
    let metadata = registry::metadata(object)?;
    ObjectKey::parse(kind, &metadata.namespace, &metadata.name).ok()
}

#[cfg(test)]
mod tests;
