//! The law in a simulator: one log, several nodes, everything that a real cluster suffers, on one
//! thread and from one seed.
//!
//! ```text
//! mod.rs       what a run is told and what it says             (you are here)
//! director.rs  decides what happens next, from the seed        clients.rs  who asks, and asks again
//! clock.rs     the leader's clock, which steps                 work/       requests of each room
//! action.rs    what can happen; a run is a list of these       world.rs    makes it happen
//! node.rs      a node: rounds, crashes, snapshots              fault.rs    bugs put in on purpose
//! oracle.rs    the log replayed entry by entry                 check/      one file per invariant
//! shrink.rs    the shortest list that still fails              hunt.rs     as many seeds as time allows
//! ```
//!
//! The director writes down each action before it happens, so a run can be played again without it,
//! also with actions left out. Invariants: the same seed and settings give the same actions, the
//! same report and the same violation; a run ends. Never: looks at a clock, a file or a thread.

mod action;
mod check;
mod clients;
mod clock;
mod director;
mod fault;
mod hunt;
mod layout;
mod node;
mod oracle;
mod shrink;
mod work;
mod world;

pub use action::{Action, Script};
pub use fault::Fault;
pub use hunt::{Hunted, find, hunt, play};
pub use shrink::shrink;
pub use work::Room;

use crate::report::Dice;
use director::Director;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

/// What holds in every run. The tests have one file for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// A read at a revision is what a replay up to it reads.
    History,
    /// At the same index every node has the same hash, the same replies and the same rows.
    Agreement,
    /// A retry gets the reply of the first, and changes nothing.
    Deduplication,
    /// Only an entry with a lease is removed as expired, and only the life that was meant.
    Leases,
    /// What may run, and what credentials go out, is for whom it was registered.
    Grants,
    /// A lock has no more holders than its limit, tokens grow, and old ones open nothing.
    Locks,
    /// An id is one node's for ever, and a token that is traded lets one in.
    Admission,
    /// One more for each accepted command, the same for any other.
    Revisions,
    /// Stamps never go back.
    Stamps,
    /// Indexes say what the tables say.
    Indexes,
    /// The journal says what changed, and nothing else.
    Events,
    /// A snapshot that was installed is what a replay would have made.
    Snapshots,
    /// Any bytes give an answer, without a panic.
    Totality,
    /// What lies below the oldest revision is not shown, and what lies above is all there.
    Compaction,
    /// A node stops before it reads what only a newer release understands.
    Levels,
}

impl Invariant {
    /// Every one.
    pub const ALL: &[Self] = &[
        Self::History,
        Self::Agreement,
        Self::Deduplication,
        Self::Leases,
        Self::Grants,
        Self::Locks,
        Self::Admission,
        Self::Revisions,
        Self::Stamps,
        Self::Indexes,
        Self::Events,
        Self::Snapshots,
        Self::Totality,
        Self::Compaction,
        Self::Levels,
    ];
}

/// How a run goes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Actions of one run; one in sixteen is four times as long.
    pub actions: usize,
    /// Nodes that apply the log, beside the replay that they are compared with.
    pub nodes: usize,
    /// How often each room is asked for something, in parts of all.
    pub rooms: BTreeMap<Room, u64>,
    /// How often something else happens than a new request.
    pub weather: Weather,
    /// What is looked at.
    pub invariants: Vec<Invariant>,
    /// A bug put in on purpose.
    pub fault: Option<Fault>,
}

/// How often things happen, in parts of all.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// A new request.
    pub request: u64,
    /// A request that was sent before.
    pub retry: u64,
    /// A proposal reaches the log.
    pub commit: u64,
    /// A node applies a round.
    pub apply: u64,
    /// A node crashes.
    pub crash: u64,
    /// A node takes a snapshot.
    pub snapshot: u64,
    /// A node installs the snapshot of another.
    pub install: u64,
    /// The leader's clock steps.
    pub step: u64,
    /// Bytes that nobody should have proposed.
    pub garbage: u64,
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            request: 32,
            retry: 8,
            commit: 40,
            apply: 24,
            crash: 3,
            snapshot: 3,
            install: 3,
            step: 2,
            garbage: 3,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            actions: 40,
            nodes: 2,
            rooms: [
                (Room::Cluster, 4),
                (Room::Security, 9),
                (Room::Coordination, 6),
                (Room::Registry, 17),
                (Room::Journal, 1),
            ]
            .into(),
            weather: Weather::default(),
            invariants: Invariant::ALL.to_vec(),
            fault: None,
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
    pub fn with(self, fault: Fault) -> Self {
        Self { fault: Some(fault), ..self }
    }
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What happened how often: actions, and requests by their op and outcome.
    pub counts: BTreeMap<(&'static str, &'static str), u64>,
    /// The revision in the end.
    pub revision: u64,
    /// The state hash in the end.
    pub hash: keiko_core::hash::Hash,
}

impl Report {
    fn count(&mut self, what: &'static str, outcome: &'static str) {
        *self.counts.entry((what, outcome)).or_default() += 1;
    }
}

/// What did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// The log's end when it was seen.
    pub index: u64,
    /// In words.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, index, what } = self;
        write!(f, "{invariant:?} at log index {index}: {what}")
    }
}

impl std::error::Error for Violation {}

/// Runs one seed.
pub fn run(seed: u64, settings: &Settings) -> Result<Report, Violation> {
    record(seed, settings).1
}

/// Runs one seed and says what happened, action by action.
pub fn record(seed: u64, settings: &Settings) -> (Script, Result<Report, Violation>) {
    let mut dice = Dice(seed);
    let mut world = World::new(seed, settings);
    let mut director = Director::new(&mut dice, settings);
    let mut script = Vec::with_capacity(settings.actions);
    let times = if dice.below(16) == 0 { 4 } else { 1 };
    for _ in 0..settings.actions * times {
        let action = director.next(&mut dice, &world);
        let acted = guarded(&mut world, |world| world.act(&action));
        script.push(action);
        if let Err(violation) = acted {
            return (script, Err(violation));
        }
    }
    let report = guarded(&mut world, World::finish);
    (script, report)
}

/// Plays what was recorded, or a part of it.
pub fn replay(seed: u64, script: &[Action], settings: &Settings) -> Result<Report, Violation> {
    let mut world = World::new(seed, settings);
    for action in script {
        guarded(&mut world, |world| world.act(action))?;
    }
    guarded(&mut world, World::finish)
}

/// A panic of the law is a violation like any other: it must not end the hunt before its seed is
/// known.
fn guarded<T>(
    world: &mut World,
    act: impl FnOnce(&mut World) -> Result<T, Violation>,
) -> Result<T, Violation> {
    catch_unwind(AssertUnwindSafe(|| act(world))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
        let what = format!("the law panicked: {text}");
        Err(Violation { invariant: Invariant::Totality, index: world.log_end(), what })
    })
}
