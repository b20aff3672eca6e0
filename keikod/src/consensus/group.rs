//! The handle of one group: started, waited for, ended, and asked for what it holds.
//!
//! ```text
//! propose.rs   entries, here or at the leader      standing.rs   who leads, and is heard
//! read.rs      reads, as fresh as asked            members.rs    who votes
//! ```

use super::clock::LeaderClock;
use super::log::Log;
use super::machine::{Machine, Shared, announce};
use super::monitor::{self, Health};
use super::peer::{Links, Network};
use super::recent::Recent;
use super::types::{Member, SnapshotMeta, Types};
use super::{Context, check_open, stopped};
use crate::store::snapshot::Snapshot;
use keiko_core::features;
use keiko_core::hash::Hash;
use keiko_core::house::Head;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::{Fatal, RaftError};
use openraft::type_config::alias::WatchReceiverOf;
use openraft::{RaftMetrics, ServerState};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::watch;

pub(super) type Raft = openraft::Raft<Types, Machine>;

/// A group of this node. A cheap clone, for any runtime.
#[derive(Clone)]
pub struct Group {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) raft: Raft,
    /// What `raft` says of itself, subscribed to once.
    metrics: WatchReceiverOf<Types, RaftMetrics<Types>>,
    pub(super) shared: Arc<Shared>,
    pub(super) health: watch::Receiver<Health>,
    pub(super) election_max: Duration,
    pub(super) links: Links,
    clock: Mutex<LeaderClock>,
    closing: Arc<AtomicBool>,
    /// That of consensus; its blocking threads are left behind at the end, not waited for.
    pub(super) runtime: Handle,
    pub(super) started: Instant,
    /// When the leader was heard last, in milliseconds after the start; zero: not yet.
    pub(super) heard_ms: AtomicU64,
    /// The highest feature level that every voter understands.
    pub(super) level: AtomicU32,
    /// Set while this node hears no other member.
    pub(super) isolated: AtomicBool,
    /// Set while the replicas disagree and nobody can tell who is right.
    pub(super) disagreed: AtomicBool,
}

impl Group {
    /// Starts a group's tasks on the runtime that this is called in.
    pub(super) async fn start(context: Arc<Context>, id: GroupId) -> Result<Self> {
        let Context { settings, config, database, counters, disk, queue, closing, .. } = &*context;
        let log = Log::open(id, database.clone(), queue.clone())?;
        let shared = Arc::new(Shared::new(id, database.clone(), counters.clone(), disk.clone()));
        let machine = Machine::open(shared.clone())?;
        let links = context.links.clone();
        let network = Network { group: id, links: links.clone() };
        let raft = Raft::new(context.node_id(), config.clone(), network, log, machine)
            .await
            .map_err(|fatal| ended(&fatal))?;
        let election_max = Duration::from_millis(settings.election_ms_max);
        let health = monitor::start(id, raft.clone());
        monitor::campaign_if_alone(&raft).await;
        let (clock, closing, runtime) = (Mutex::default(), closing.clone(), Handle::current());
        let inner = Inner {
            metrics: raft.metrics(),
            raft,
            shared,
            health,
            election_max,
            links,
            clock,
            closing,
            runtime,
            started: Instant::now(),
            heard_ms: AtomicU64::new(0),
            level: AtomicU32::new(features::FIRST),
            isolated: AtomicBool::new(false),
            disagreed: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(super) async fn initialize(&self, members: BTreeMap<u64, Member>) -> Result<()> {
        self.inner.raft.initialize(members).await.map_err(|error| match error {
            RaftError::Fatal(fatal) => ended(&fatal),
            RaftError::APIError(error) => {
                Refusal::new(Code::AlreadyFounded, "this group already has members").cause(error)
            }
        })
    }

    pub(super) async fn shutdown(self) {
        let _ = self.inner.raft.shutdown().await;
    }

    /// Waits until the group has a leader and this node has applied again all that was committed
    /// before it started.
    pub async fn ready(&self, deadline: Duration) -> Result<()> {
        self.check_open()?;
        let mut health = self.inner.health.clone();
        let ready = health.wait_for(|health| health.recovered);
        match tokio::time::timeout(deadline, ready).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(stopped()),
            Err(_) => Err(self.no_leader_now()),
        }
    }

    /// What openraft says of itself now. To ask again while this is held could wait for ever: for a
    /// writer that waits for the first one to be dropped.
    pub(super) fn metrics(&self) -> watch::Ref<'_, RaftMetrics<Types>> {
        self.inner.metrics.borrow_watched()
    }

    /// The leader's clock, which stamps are made of; refused if this node does not lead.
    pub fn now_ms(&self) -> Result<u64> {
        self.check_open()?;
        let term = {
            let metrics = self.metrics();
            (metrics.state == ServerState::Leader).then_some(metrics.current_term)
        };
        let term = term.ok_or_else(|| self.no_leader_now())?;
        let Shared { group, database, .. } = &*self.inner.shared;
        let last_stamp_ms = || Head::read(&database.view(), *group).unix_ms;
        let mut clock = self.inner.clock.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(clock.now_ms(term, last_stamp_ms))
    }

    /// By how many milliseconds the wall clock was stepped away from the leader's clock, if it was.
    pub fn clock_alarm(&self) -> Option<i64> {
        self.now_ms().ok()?;
        self.inner.clock.lock().unwrap_or_else(PoisonError::into_inner).alarm()
    }

    /// The latest applied revision.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.inner.shared.revisions.subscribe()
    }

    /// The newest events; never behind what [`revisions`](Self::revisions) tells.
    pub fn recent(&self) -> &Recent {
        &self.inner.shared.recent
    }

    /// About how many bytes the group's history and journal take on the disk.
    pub fn past_bytes(&self) -> u64 {
        self.inner.shared.database.past_bytes(self.inner.shared.group)
    }

    /// Gives back the disk space of what was deleted from the group's history and journal, which
    /// [`past_bytes`](Self::past_bytes) counts until then. Rewrites what is kept of them, so it may
    /// take a minute; the group goes on meanwhile.
    pub async fn reclaim_past(&self) -> Result<()> {
        self.check_open()?;
        let shared = self.inner.shared.clone();
        let reclaim = move || shared.database.reclaim_past(shared.group);
        self.inner.runtime.spawn_blocking(reclaim).await.map_err(|_| stopped())
    }

    /// The chained state hash at every 1,024th entry behind `after`, as far as it is kept.
    pub fn checkpoints(&self, after: u64) -> Vec<(u64, Hash)> {
        self.inner.shared.checkpoints.behind(after)
    }

    /// Under which mark openraft knows a snapshot.
    pub(super) fn announced(&self, snapshot: Snapshot) -> Result<(SnapshotMeta, Snapshot)> {
        let announced = announce(snapshot).map_err(|error| {
            Refusal::new(Code::ChecksumMismatch, "a snapshot's mark can't be read").cause(error)
        })?;
        Ok((announced.meta, announced.snapshot))
    }

    /// Refuses once the node ends.
    pub(super) fn check_open(&self) -> Result<()> {
        check_open(&self.inner.closing)
    }
}

/// Why a group takes nothing more.
pub(super) fn ended(fatal: &Fatal<Types>) -> Refusal {
    match fatal {
        Fatal::Stopped => stopped(),
        fatal => Refusal::new(Code::Internal, "the group's consensus has failed").cause(fatal),
    }
}
