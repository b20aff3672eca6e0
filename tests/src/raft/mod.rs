//! Consensus in a simulator: openraft itself, with the configuration of `keikod` and the law as its
//! state machine, three or five nodes in one process, on one thread and from one seed.
//!
//! ```text
//! mod.rs       what a run is told and what it says              (you are here)
//! runtime/     tasks, timers, dice: a runtime for openraft      types.rs    its other types
//! disk.rs      what was written, and what a crash leaves        log.rs      the log on it
//! machine.rs   the law on it                                    network.rs  delays, loss, cuts
//! node.rs      what a node does for others                      cluster.rs  nodes start and crash
//! clients.rs   who writes and reads                             faults.rs   what goes wrong
//! seen.rs      what was seen of it                              invariants/ one file for each
//! bugs.rs      bugs put in on purpose                           hunt.rs     many seeds
//! conformance.rs  openraft's own suites over the models
//! ```
//!
//! A run is a while of bad weather, then all is healed, and everybody has to be at the same place
//! soon. Which of the tasks that can go on does so next, how long messages and syncs take, when an
//! election is due: all of it follows from the seed, so a seed is the same run every time, to the
//! last step. That ends with the build: another release of openraft, tokio's channels or the law
//! makes other steps, and the same seed is another run then.
//!
//! What is real: openraft, its configuration, the law. What is a model, in the shape of what
//! `keikod` has: disk and log (RocksDB and its flusher), network (gRPC), a node's dealings with
//! clients and peers. What is not there: changes of members, and clocks of different speed.
//!
//! Invariants: the same seed and settings give the same report or violation; a run ends. Never:
//! looks at a clock, a file or another thread.

mod bugs;
mod clients;
mod cluster;
mod conformance;
mod disk;
mod faults;
mod hunt;
mod invariants;
mod log;
mod machine;
mod network;
mod node;
mod runtime;
mod seen;
mod types;

pub use bugs::Bug;
pub use conformance::conform;
pub use faults::{EVERY_FAULT, Fault, Weather};
pub use hunt::{find, hunt, play};
pub use runtime::Trace;

use crate::report::Dice;
use cluster::Cluster;
use keiko_core::house::Head;
use openraft::async_runtime::WatchReceiver as _;
use runtime::{now, sleep, spawn, timeout};
use seen::{Event, Seen};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a cluster may take from the moment at which all is well to the moment at which every
/// node has taken a write and all are equal: a stream is found dead after two seconds, an election
/// and its repetition take two more, a snapshot's way one.
const SETTLE_MAX: Duration = Duration::from_secs(8);

/// What holds in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// A term has one leader at most.
    Elections,
    /// One log id is one entry, and what is applied at an index is one entry.
    LogMatching,
    /// What was acknowledged stays.
    Acknowledged,
    /// At one index every node has one state.
    State,
    /// Revisions grow.
    Revisions,
    /// A read is as new as what was known before it.
    Freshness,
    /// When all is well again, everybody is soon at the same place.
    Convergence,
    /// Nothing makes a node give up.
    Totality,
}

impl Invariant {
    /// Every one.
    pub const ALL: &[Self] = &[
        Self::Elections,
        Self::LogMatching,
        Self::Acknowledged,
        Self::State,
        Self::Revisions,
        Self::Freshness,
        Self::Convergence,
        Self::Totality,
    ];
}

/// How a run goes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many nodes; without it three, and five for one seed in four.
    pub nodes: Option<u64>,
    /// For how long things go wrong.
    pub duration: Duration,
    /// What goes wrong.
    pub weather: Weather,
    /// What is looked at.
    pub invariants: Vec<Invariant>,
    /// A bug put in on purpose.
    pub bug: Option<Bug>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            nodes: None,
            duration: Duration::from_secs(20),
            weather: EVERY_FAULT,
            invariants: Invariant::ALL.to_vec(),
            bug: None,
        }
    }
}

impl Settings {
    /// Looks at one invariant only, and so proves that it can be broken.
    #[must_use]
    pub fn only(self, invariant: Invariant) -> Self {
        Self { invariants: vec![invariant], ..self }
    }

    /// Puts a bug in.
    #[must_use]
    pub fn with(self, bug: Bug) -> Self {
        Self { bug: Some(bug), ..self }
    }
}

/// What runs did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many.
    pub seeds: u64,
    /// What happened how often.
    pub counts: BTreeMap<&'static str, u64>,
    /// What the last one did, step by step.
    pub trace: Trace,
    /// How long they took, in their own time.
    pub simulated_ms: u64,
    /// The longest that one took to settle.
    pub settled_ms_max: u64,
}

impl Report {
    fn add(&mut self, other: Self) {
        self.seeds += other.seeds;
        for (what, count) in other.counts {
            *self.counts.entry(what).or_default() += count;
        }
        self.trace = other.trace;
        self.simulated_ms += other.simulated_ms;
        self.settled_ms_max = self.settled_ms_max.max(other.settled_ms_max);
    }
}

/// What did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// When, in the run's own time.
    pub at_ms: u64,
    /// In words.
    pub what: String,
    /// What happened before.
    pub story: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, at_ms, what, .. } = self;
        write!(f, "{invariant:?} at {at_ms} ms: {what}")
    }
}

impl std::error::Error for Violation {}

/// Runs one seed.
pub fn run(seed: u64, settings: &Settings) -> Result<Report, Violation> {
    let seen = Seen::new(&settings.invariants);
    let story = AssertUnwindSafe(|| runtime::run(seed, story(seed, settings, seen.clone())));
    let ran = catch_unwind(story);
    let ((simulated_ms, settled_ms_max), trace) = ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
        seen.panicked(text);
        ((0, 0), Trace::default())
    });
    let counts = seen.conclude()?;
    Ok(Report { seeds: 1, counts, trace, simulated_ms, settled_ms_max })
}

/// A run from its beginning to its end; how long it took, and how long it settled.
async fn story(seed: u64, settings: &Settings, seen: Seen) -> (u64, u64) {
    let mut dice = Dice(!seed);
    let by_seed = if dice.below(4) == 0 { 5 } else { 3 };
    let snapshot_entries = 20 + 10 * dice.below(20);
    let nodes = settings.nodes.unwrap_or(by_seed);
    let cluster = Cluster::new(nodes, snapshot_entries, settings.bug, seen.clone());
    let story = async {
        cluster.found().await;
        let stop = Arc::new(AtomicBool::new(false));
        // One of each kind at every node, and one that goes where it likes.
        let places = cluster.ids().map(Some).chain([None]);
        let clients = places.flat_map(|at| {
            let (writing, reading) =
                ((cluster.clone(), stop.clone()), (cluster.clone(), stop.clone()));
            let writer = spawn(clients::writer(writing.0, at, writing.1));
            [writer, spawn(clients::reader(reading.0, at, reading.1))]
        });
        let clients: Vec<_> = clients.collect();
        faults::weather(&cluster, settings.weather, settings.duration).await;
        cluster.heal().await;
        cluster.seen.note(|| "all is well".to_owned());
        let healed = now();
        stop.store(true, Ordering::Relaxed);
        settle(&cluster).await;
        let settled = now() - healed;
        for client in clients {
            let _always_ends = client.await;
        }
        u64::try_from(settled.as_millis()).unwrap_or(u64::MAX)
    };
    let settled_ms = tokio::select! {
        biased;
        () = seen.violated() => 0,
        settled_ms = story => settled_ms,
    };
    (now().ms(), settled_ms)
}

/// Waits until all are together, but not for ever.
async fn settle(cluster: &Cluster) {
    if timeout(SETTLE_MAX, together(cluster)).await.is_err() {
        let what = format!("not together after {SETTLE_MAX:?}: {}", whereabouts(cluster));
        return cluster.seen.tell(Event::Unsettled { what });
    }
    for host in cluster.net.hosts() {
        let Head { revision, hash, .. } = host.head();
        let (node, index) = (host.id, host.applied());
        cluster.seen.tell(Event::Settled { node, index, revision, hash });
    }
}

/// Every node takes a write, and all come to the same place.
async fn together(cluster: &Cluster) {
    for id in cluster.ids() {
        while !clients::write(cluster, clients::request(u64::MAX >> 8 | id), Some(id)).await {}
    }
    loop {
        let places: BTreeSet<_> =
            cluster.net.hosts().iter().map(|host| (host.applied(), host.head().hash)).collect();
        if places.len() == 1 {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

fn whereabouts(cluster: &Cluster) -> String {
    let hosts = cluster.net.hosts();
    let places = hosts.iter().map(|host| {
        let metrics = host.raft.metrics();
        let metrics = metrics.borrow_watched();
        let (id, state, term) = (host.id, metrics.state, metrics.current_term);
        format!("node {id} {state:?} of term {term} at {}", host.applied())
    });
    places.collect::<Vec<_>>().join(", ")
}
