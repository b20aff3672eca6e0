//! The nodes: their disks, which stay, and their lives, which don't.

use super::bugs::Bug;
use super::disk::Disk;
use super::log::Log;
use super::machine::Machine;
use super::network::{Net, Network};
use super::node::Host;
use super::runtime::{Life, now, roll, sleep, timeout};
use super::seen::{Event, Seen};
use super::types::Raft;
use keikod::consensus::raft_config;
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::Fatal;
use openraft::impls::EmptyNode;
use openraft::{Config, ServerState};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// By how much clocks are off at most.
const AHEAD_MS_MAX: u64 = 400;
/// How long a founding may take where nothing goes wrong.
const FOUNDED_MAX: Duration = Duration::from_secs(8);

pub(super) struct Cluster {
    pub(super) net: Net,
    pub(super) seen: Seen,
    pub(super) config: Arc<Config>,
    pub(super) bug: Option<Bug>,
    nodes: u64,
    lease: Duration,
    disks: BTreeMap<u64, Disk>,
    ahead_ms: BTreeMap<u64, u64>,
    lives: Mutex<BTreeMap<u64, Life>>,
    healed: AtomicBool,
}

impl Cluster {
    /// Of so many nodes, which take a snapshot after so many entries.
    pub(super) fn new(
        nodes: u64,
        snapshot_entries: u64,
        bug: Option<Bug>,
        seen: Seen,
    ) -> Arc<Self> {
        // What a daemon's nodes have, but for the snapshots: their defaults are for disks.
        let mut settings = keikod::consensus::Settings::new("unused", 1, "unused");
        settings.snapshot_entries = snapshot_entries;
        let mut config = raft_config(&settings).expect("the defaults fit together");
        if bug == Some(Bug::LeaderRestore) {
            config = Arc::new(Config { enable_leader_restore: Some(true), ..(*config).clone() });
        }
        Arc::new(Self {
            net: Net::new(seen.clone(), bug),
            seen,
            config,
            bug,
            nodes,
            lease: Duration::from_millis(settings.election_ms_max),
            disks: (1..=nodes).map(|id| (id, Disk::new(bug))).collect(),
            ahead_ms: (1..=nodes).map(|id| (id, roll(AHEAD_MS_MAX))).collect(),
            lives: Mutex::default(),
            healed: AtomicBool::new(false),
        })
    }

    pub(super) const fn ids(&self) -> RangeInclusive<u64> {
        1..=self.nodes
    }

    fn lives(&self) -> MutexGuard<'_, BTreeMap<u64, Life>> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes them a cluster.
    pub(super) async fn found(&self) {
        for id in self.ids() {
            self.start(id).await;
        }
        let members: BTreeMap<_, _> = self.ids().map(|id| (id, EmptyNode::new())).collect();
        let Some(founder) = self.net.host(1) else { return };
        let raft = founder.raft.clone();
        let founded = founder.life.spawn(async move { raft.initialize(members).await }).await;
        founded.expect("nothing ends it").expect("the first node founds the cluster");
        // openraft answers before it has synced that; a daemon that is cut there founds anew.
        let applied = async {
            while founder.applied() == 0 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let _a_bug_may_forbid_it = timeout(FOUNDED_MAX, applied).await;
    }

    /// Starts a node that does not run.
    pub(super) async fn start(&self, id: u64) {
        let life = Life::begin();
        {
            let mut lives = self.lives();
            if lives.contains_key(&id) {
                return;
            }
            lives.insert(id, life.clone());
        }
        self.seen.tell(Event::Started { node: id });
        let (disk, config) = (self.disks[&id].clone(), self.config.clone());
        let log = Log::new(id, disk.clone(), self.seen.clone());
        let machine = Machine::open(id, disk.clone(), self.seen.clone());
        let network = Network { node: id, net: self.net.clone() };
        let started = life.spawn({
            let disk = disk.clone();
            async move {
                disk.start_flusher();
                Raft::new(id, config, network, log, machine).await
            }
        });
        let raft = match started.await {
            Ok(Ok(raft)) => raft,
            Ok(Err(fatal)) => {
                return self.seen.tell(Event::Failed { node: id, why: fatal.to_string() });
            }
            // It crashed already.
            Err(_) => return,
        };
        let (lease, ahead_ms, bug) = (self.lease, self.ahead_ms[&id], self.bug);
        let host = Host { id, life, raft, disk, started: now(), lease, ahead_ms, bug };
        drop(host.life.spawn(host.clone().campaign_later()));
        drop(host.life.spawn(monitor(host.clone(), self.seen.clone())));
        self.net.open(host);
    }

    /// Ends a node where it stands. False if it does not run.
    pub(super) fn crash(&self, id: u64) -> bool {
        let life = self.lives().remove(&id);
        let Some(life) = life else { return false };
        life.kill();
        self.net.close(id);
        self.disks[&id].crash();
        true
    }

    pub(super) fn disk(&self, id: u64) -> &Disk {
        &self.disks[&id]
    }

    /// Whoever leads the highest term.
    pub(super) fn leader(&self) -> Option<Host> {
        let leaders = self.net.hosts().into_iter().filter(Host::leads);
        leaders.max_by_key(|host| host.raft.metrics().borrow_watched().current_term)
    }

    /// Nothing may go wrong any more.
    pub(super) fn is_healed(&self) -> bool {
        self.healed.load(Ordering::Relaxed)
    }

    /// Everything is well from now on.
    pub(super) async fn heal(&self) {
        self.healed.store(true, Ordering::Relaxed);
        self.net.heal();
        for id in self.ids() {
            self.disk(id).slow_down(Duration::ZERO);
            let life = self.lives().get(&id).cloned();
            match life {
                Some(life) => life.resume(),
                None => self.start(id).await,
            }
        }
    }
}

/// Watches a node from beside.
async fn monitor(host: Host, seen: Seen) {
    let mut metrics = host.raft.metrics();
    let mut led = None;
    loop {
        {
            let now = metrics.borrow_watched();
            match &now.running_state {
                Ok(()) => {}
                Err(Fatal::Stopped) => return,
                Err(fatal) => {
                    return seen.tell(Event::Failed { node: host.id, why: fatal.to_string() });
                }
            }
            if now.state == ServerState::Leader && led != Some(now.current_term) {
                led = Some(now.current_term);
                let (node, term) = (host.id, now.current_term);
                seen.tell(Event::Leads { node, term });
                seen.count("elections");
                seen.note(|| format!("node {node} leads term {term}"));
            }
        }
        if metrics.changed().await.is_err() {
            return;
        }
    }
}
