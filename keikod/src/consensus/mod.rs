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
//!
//! Never: lets openraft's types out, or RocksDB's in.

mod clock;
mod config;
mod disk;
mod group;
mod log;
mod machine;
mod monitor;
mod network;
mod read;
mod tail;
mod types;
pub mod verify;
mod wire;

pub use crate::store::View;
pub use crate::store::counters::Counters;
pub use config::raft_config;
pub use disk::DiskWatermarks;
pub use group::{Group, Status};
pub use read::{Consistency, Read};
pub use verify::verify;

use crate::store::flusher::{Flusher, Queue};
use crate::store::folder::Folder;
use crate::store::{Database, counters};
use disk::Disk;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use types::Member;

/// How long a new cluster may take to elect its only voter and apply its first entries: two
/// elections at the slowest settings that are sensible, and two syncs of a slow disk.
const FOUND_DEADLINE: Duration = Duration::from_secs(10);

/// What consensus needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data folder.
    pub folder: PathBuf,
    /// This node's id: never that of another node, and never used again.
    pub node_id: u64,
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
    /// When writes are refused for want of room.
    pub full: DiskWatermarks,
}

impl Settings {
    /// The defaults: a heartbeat of 100 ms, elections after 300 to 600 ms.
    pub fn new(folder: impl Into<PathBuf>, node_id: u64, node_name: impl Into<String>) -> Self {
        Self {
            folder: folder.into(),
            node_id,
            node_name: node_name.into(),
            node_addr: String::new(),
            heartbeat_ms: 100,
            election_ms_min: 300,
            election_ms_max: 600,
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
}

/// The store, the flusher and the groups of this node.
pub struct Consensus {
    // Dropped first, so that no group queues a write when the flusher has ended.
    thread: Thread,
    flusher: Flusher,
    context: Arc<Context>,
    groups: RwLock<BTreeMap<GroupId, Group>>,
    founding: tokio::sync::Mutex<()>,
}

impl Consensus {
    /// Opens and checks the store and starts the groups that it holds. Blocks while it does.
    pub fn open(settings: Settings) -> Result<Self> {
        let config = raft_config(&settings)?;
        let database = Arc::new(Database::open(Folder::open(&settings.folder)?)?);
        let note = database.checked_note()?;
        let counters = Arc::new(counters::Counters::default());
        let flusher = Flusher::start(database.clone(), note, counters.clone())?;
        let disk = Arc::new(Disk::new(settings.folder.clone(), settings.full));
        let queue = flusher.queue();
        let context = Arc::new(Context { settings, config, database, counters, disk, queue });
        let thread = Thread::start()?;
        let mut groups = BTreeMap::new();
        for id in context.database.groups()? {
            let group = thread.block_on(Group::start(context.clone(), id))??;
            groups.insert(id, group);
        }
        let (groups, founding) = (RwLock::new(groups), tokio::sync::Mutex::new(()));
        Ok(Self { context, flusher, groups, founding, thread })
    }

    /// True if this node holds a cluster.
    pub fn is_founded(&self) -> bool {
        self.group(GroupId::CONTROL).is_some()
    }

    /// Founds a cluster with this node as the only voter of the control group.
    pub async fn found(&self) -> Result<()> {
        let _one_at_a_time = self.founding.lock().await;
        if self.is_founded() {
            let message = "this node already belongs to a cluster";
            return Err(Refusal::new(Code::AlreadyFounded, message)
                .hint("leave out --init; the cluster starts by itself"));
        }
        let context = self.context.clone();
        let Settings { node_id, node_name, node_addr, .. } = context.settings.clone();
        let founded = self.thread.spawn(async move {
            let group = Group::start(context, GroupId::CONTROL).await?;
            let member = Member { name: node_name, addr: node_addr };
            group.initialize(BTreeMap::from([(node_id, member)])).await?;
            Ok::<_, Refusal>(group)
        });
        let group = founded.await.map_err(|_| stopped())??;
        group.ready(FOUND_DEADLINE).await?;
        self.groups.write().unwrap_or_else(PoisonError::into_inner).insert(GroupId::CONTROL, group);
        Ok(())
    }

    /// The handle of a group that this node holds.
    pub fn group(&self, id: GroupId) -> Option<Group> {
        self.groups.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// What was counted since the start.
    pub fn counters(&self) -> Arc<Counters> {
        self.context.counters.clone()
    }

    /// Ends the groups, syncs what they wrote, and closes the store once the last [`Group`] handle
    /// is gone.
    pub async fn shutdown(self) {
        let groups = self.groups.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (_, group) in groups {
            let ended = self.thread.spawn(async move { group.shutdown().await });
            let _ = ended.await;
        }
        let (thread, flusher) = (self.thread, self.flusher);
        // Both join a thread, which no runtime's worker may wait for.
        let _ = tokio::task::spawn_blocking(move || {
            thread.stop();
            flusher.stop();
        })
        .await;
    }
}

/// The thread that runs every group's tasks.
struct Thread {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Thread {
    fn start() -> Result<Self> {
        let failed = |error: std::io::Error| {
            Refusal::new(Code::Internal, "can't start the thread of consensus").cause(error)
        };
        let runtime = Builder::new_current_thread()
            .thread_name("consensus-blocking")
            .max_blocking_threads(4)
            .enable_all()
            .build()
            .map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopping) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("consensus".to_owned())
            .spawn(move || {
                let _ = runtime.block_on(stopping);
                // Snapshots under way are left; the next start finds what is complete.
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.handle.spawn(future)
    }

    /// Waits on the calling thread, which may be another runtime's.
    fn block_on<F>(&self, future: F) -> Result<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let (done, result) = std::sync::mpsc::channel();
        self.handle.spawn(async move {
            let _ = done.send(future.await);
        });
        result.recv().map_err(|_| stopped())
    }

    fn stop(mut self) {
        self.stop_thread();
    }

    fn stop_thread(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop_thread();
    }
}

/// The refusal of everything while the node ends.
fn stopped() -> Refusal {
    Refusal::new(Code::Draining, "this node is shutting down").hint("try again at another node")
}

#[cfg(test)]
mod tests;
