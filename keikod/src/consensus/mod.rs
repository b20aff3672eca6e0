//! Consensus: openraft over the store, one group beside the other.
//!
//! [`Consensus`] owns the store, the flusher and one thread with a current-thread runtime, on which
//! every group's tasks run. [`Group`] is the cheap handle by which everybody else proposes and
//! reads, from any runtime.
//!
//! Invariants:
//! - Acknowledged means synced on a quorum: openraft hears of an append only from the flusher.
//! - A leader never resumes its term without a vote (see [`raft_config`]).
//! - A node whose log, vote or state machine fails ends; it never goes on with a guess.
//! - What `apply` does is decided by `keiko_core::house` alone.
//! - Every node answers: what only the leader can say is asked of it (see [`peer`]).
//!
//! Never: lets openraft's types out, or RocksDB's in.

mod checkpoints;
mod clock;
mod config;
mod disk;
mod export;
mod frees;
mod group;
mod log;
mod machine;
mod members;
mod monitor;
pub mod offline;
pub mod peer;
mod propose;
mod read;
mod recent;
mod standing;
mod tail;
mod thread;
mod types;
pub mod verify;
mod wire;

pub use crate::store::View;
pub use crate::store::counters::Counters;
pub use config::raft_config;
pub use disk::DiskWatermarks;
pub use export::{Export, Exported, Shown};
pub use group::Group;
pub use members::MemberView;
pub use propose::Proposal;
pub use read::{Consistency, Read};
pub use recent::{Behind, Recent};
pub use standing::Status;
pub use verify::verify;

use crate::net::peer::PeerTls;
use crate::store::flusher::{Flusher, Queue};
use crate::store::folder::Folder;
use crate::store::{Database, counters};
use disk::Disk;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use peer::{Host, Introduction, Links, Server};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use thread::{Pulse, Thread};
use tokio_util::sync::CancellationToken;
use types::Member;

/// How long a new cluster may take to elect its only voter and apply its first entries: two
/// elections at the slowest settings that are sensible, and two syncs of a slow disk.
const FOUND_DEADLINE: Duration = Duration::from_secs(10);

/// What consensus needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data folder.
    pub folder: PathBuf,
    /// This node's id: never that of another node, and never used again. Who joins learns its own
    /// later.
    pub node_id: u64,
    /// True for a node that is a member, even if its store is still empty.
    pub is_member: bool,
    /// True for a node that had the cluster's state: an empty store means that it was lost.
    pub had_state: bool,
    /// This node's name.
    pub node_name: String,
    /// Where other nodes would reach it; empty if nowhere.
    pub node_addr: String,
    /// Between two heartbeats of a leader.
    pub heartbeat_ms: u64,
    /// The shortest wait before an election.
    pub election_ms_min: u64,
    /// The longest; also the leader's lease.
    pub election_ms_max: u64,
    /// Entries between two snapshots of a group.
    pub snapshot_entries: u64,
    /// When writes are refused for want of room.
    pub full: DiskWatermarks,
}

impl Settings {
    /// The defaults: a heartbeat of 100 ms, elections after 300 to 600 ms, a snapshot each 500,000
    /// entries: at 1 KiB each, half a gigabyte of log.
    pub fn new(folder: impl Into<PathBuf>, node_id: u64, node_name: impl Into<String>) -> Self {
        Self {
            folder: folder.into(),
            node_id,
            is_member: false,
            had_state: false,
            node_name: node_name.into(),
            node_addr: String::new(),
            heartbeat_ms: 100,
            election_ms_min: 300,
            election_ms_max: 600,
            snapshot_entries: 500_000,
            full: DiskWatermarks::default(),
        }
    }
}

/// What a group is started with.
struct Context {
    settings: Settings,
    config: Arc<openraft::Config>,
    database: Arc<Database>,
    counters: Arc<Counters>,
    disk: Arc<Disk>,
    queue: Queue,
    links: Links,
    /// Of this node; set anew by a join.
    node_id: AtomicU64,
    /// True once the node ends; shared with every [`Group`].
    closing: Arc<AtomicBool>,
}

impl Context {
    fn node_id(&self) -> u64 {
        self.node_id.load(Ordering::SeqCst)
    }
}

/// The groups that this node holds.
#[derive(Default)]
struct Groups(RwLock<BTreeMap<GroupId, Group>>);

impl Groups {
    fn get(&self, id: GroupId) -> Option<Group> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// By its number on the wire.
    fn numbered(&self, number: u32) -> Result<Group> {
        let found = u16::try_from(number).ok().and_then(|id| self.get(GroupId(id)));
        found.ok_or_else(|| {
            Refusal::new(Code::NotReady, format!("this node does not hold group {number} yet"))
        })
    }

    fn all(&self) -> Vec<Group> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// What runs until [`Consensus::shutdown`].
struct Running {
    // Dropped first, so that no group queues a write when the flusher has ended.
    thread: Thread,
    flusher: Flusher,
}

/// The store, the flusher and the groups of this node.
pub struct Consensus {
    running: Mutex<Option<Running>>,
    pulse: Arc<Pulse>,
    context: Arc<Context>,
    groups: Arc<Groups>,
    founding: tokio::sync::Mutex<()>,
    /// True while the files of a backup are written or read.
    exporting: Arc<AtomicBool>,
}

impl Consensus {
    /// Opens and checks the store and starts the groups that it holds. Blocks while it does.
    pub fn open(settings: Settings) -> Result<Self> {
        let config = raft_config(&settings)?;
        let database = Arc::new(Database::open(Folder::open(&settings.folder)?)?);
        let note = database.checked_note()?;
        if settings.had_state && database.groups()?.is_empty() {
            return Err(forgotten(&settings));
        }
        let counters = Arc::new(counters::Counters::default());
        let flusher = Flusher::start(database.clone(), note, counters.clone())?;
        let disk = Arc::new(Disk::new(settings.folder.clone(), settings.full));
        let queue = flusher.queue();
        let closing = Arc::default();
        let pulse = Arc::new(Pulse::new());
        let thread = Thread::start(pulse.clone())?;
        let links = Links::new(thread.handle());
        let node_id = AtomicU64::new(settings.node_id);
        let context =
            Context { settings, config, database, counters, disk, queue, links, node_id, closing };
        let context = Arc::new(context);
        let mut ids: BTreeSet<GroupId> = context.database.groups()?.into_iter().collect();
        if context.settings.is_member {
            ids.insert(GroupId::CONTROL);
        }
        let mut groups = BTreeMap::new();
        for id in ids {
            let group = thread.block_on(Group::start(context.clone(), id))??;
            groups.insert(id, group);
        }
        let groups = Arc::new(Groups(RwLock::new(groups)));
        let founding = tokio::sync::Mutex::new(());
        let running = Mutex::new(Some(Running { thread, flusher }));
        let exporting = Arc::default();
        Ok(Self { running, pulse, context, groups, founding, exporting })
    }

    /// True if this node holds a cluster.
    pub fn is_founded(&self) -> bool {
        self.group(GroupId::CONTROL).is_some()
    }

    /// Founds a cluster with this node as the only voter of the control group.
    pub async fn found(&self) -> Result<()> {
        let _one_at_a_time = self.founding.lock().await;
        self.check_open()?;
        if self.is_founded() {
            let message = "this node already belongs to a cluster";
            return Err(Refusal::new(Code::AlreadyFounded, message)
                .hint("leave out --init; the cluster starts by itself"));
        }
        let context = self.context.clone();
        let Settings { node_name, node_addr, .. } = context.settings.clone();
        let node_id = context.node_id();
        let founded = self.spawn(async move {
            let group = Group::start(context, GroupId::CONTROL).await?;
            let member = Member { name: node_name, addr: node_addr };
            group.initialize(BTreeMap::from([(node_id, member)])).await?;
            Ok::<_, Refusal>(group)
        });
        let group = founded?.await.map_err(|_| stopped())??;
        group.ready(FOUND_DEADLINE).await?;
        self.adopt(group)
    }

    /// Lets an empty node follow the control group of the cluster that gave it this id: the leader
    /// sends it what there is.
    pub async fn join(&self, node_id: u64) -> Result<()> {
        let _one_at_a_time = self.founding.lock().await;
        self.check_open()?;
        if self.is_founded() {
            let message = "this node already belongs to a cluster";
            return Err(Refusal::new(Code::AlreadyFounded, message));
        }
        self.context.node_id.store(node_id, Ordering::SeqCst);
        let context = self.context.clone();
        let started = self.spawn(Group::start(context, GroupId::CONTROL));
        self.adopt(started?.await.map_err(|_| stopped())??)
    }

    fn adopt(&self, group: Group) -> Result<()> {
        let mut groups = self.groups.0.write().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that a shutdown either ends this group or is seen here.
        self.check_open()?;
        groups.insert(GroupId::CONTROL, group);
        Ok(())
    }

    /// This node's id.
    pub fn node_id(&self) -> u64 {
        self.context.node_id()
    }

    /// The ways to the other nodes.
    pub fn links(&self) -> &Links {
        &self.context.links
    }

    /// Opens the way to the other nodes, in both directions, until shutdown.
    pub fn meet(
        &self,
        own: Introduction,
        tls: &PeerTls,
        listener: std::net::TcpListener,
        host: Arc<dyn Host>,
        shutdown: CancellationToken,
    ) -> Result<()> {
        let server = Server::new(self.groups.clone(), host, own.cluster_id.clone(), own.id);
        self.context.links.introduce(own);
        let tls = tls.clone();
        let serving = self.spawn(async move {
            let listener = listener
                .set_nonblocking(true)
                .and_then(|()| tokio::net::TcpListener::from_std(listener));
            match listener {
                Ok(listener) => {
                    let incoming = tls.accept(listener, shutdown.clone());
                    server.run(incoming, shutdown).await;
                }
                Err(error) => tracing::error!(%error, "the listener for peers can't be served"),
            }
        });
        serving.map(drop)
    }

    /// The handle of a group that this node holds.
    pub fn group(&self, id: GroupId) -> Option<Group> {
        self.groups.get(id)
    }

    /// What was counted since the start.
    pub fn counters(&self) -> Arc<Counters> {
        self.context.counters.clone()
    }

    /// False if the thread of consensus has run nothing for ten seconds: it hangs, or has ended.
    pub fn alive(&self) -> bool {
        self.pulse.is_alive()
    }

    /// Ends the groups and syncs what they wrote. After this every call answers
    /// [`Code::Draining`], and another shutdown does nothing. The store closes when this and the
    /// last [`Group`] handle are dropped.
    pub async fn shutdown(&self) {
        self.context.closing.store(true, Ordering::SeqCst);
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { thread, flusher }) = running else {
            return;
        };
        // The handles stay, so that whoever asks for one hears that the node ends, not that it
        // holds no cluster.
        for group in self.groups.all() {
            let ended = thread.spawn(async move { group.shutdown().await });
            let _ = ended.await;
        }
        // Both join a thread, which no runtime's worker may wait for.
        let _ = tokio::task::spawn_blocking(move || {
            thread.stop();
            flusher.stop();
        })
        .await;
    }

    fn spawn<F>(&self, future: F) -> Result<tokio::task::JoinHandle<F::Output>>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(running.as_ref().ok_or_else(stopped)?.thread.spawn(future))
    }

    fn check_open(&self) -> Result<()> {
        check_open(&self.context.closing)
    }
}

/// Its vote and its log are gone: whoever believes it now could hear the opposite of before.
fn forgotten(settings: &Settings) -> Refusal {
    let message = format!("{} has nothing of what this node held", settings.folder.display());
    Refusal::new(Code::StoreDamaged, message)
        .cause("it was a member with a state: it may have voted, and confirmed entries")
        .hint(format!("on a member that serves: keikoctl node repair {}", settings.node_name))
}

/// Refuses once the node ends.
fn check_open(closing: &AtomicBool) -> Result<()> {
    match closing.load(Ordering::SeqCst) {
        true => Err(stopped()),
        false => Ok(()),
    }
}

/// The refusal of everything while the node ends.
fn stopped() -> Refusal {
    Refusal::new(Code::Draining, "this node is shutting down").hint("try again at another node")
}

#[cfg(test)]
mod tests;
