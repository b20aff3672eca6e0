//! A real cluster under load, from outside, while everything goes wrong that can.
//!
//! ```text
//! mod.rs      one round: load, faults, the end, the verdict   (you are here)
//! history.rs  what was asked and answered, and when           load.rs    clients that note it down
//! faults.rs   what goes wrong, by seed                        watch.rs   watchers that note it down
//! check/      what must be so                                 end.rs     what must be so at the end
//! score.rs    what a round reached
//! ```
//!
//! A round starts a cluster, hurts it until so many processes were killed, lets it come together,
//! and judges: every key linearizable, revisions in the order of time, nothing acknowledged missing,
//! no watcher with a gap, all nodes alike, every record of every store right. Invariants: the same
//! seed chooses the same faults in the same order (what they meet is another matter: real processes
//! have a time of their own); the history of a round that fails stays in a file that is named.

pub mod check;
mod end;
mod faults;
pub mod history;
mod load;
mod score;
mod watch;

pub use faults::{EVERY_FAULT, Fault};
pub use score::Score;

use crate::cluster::{Cluster, inside};
use crate::programs;
use crate::report::Dice;
use faults::{Director, Struck};
use history::Op;
use load::Load;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use watch::Watching;

/// Where the load is.
const NAMESPACE: &str = "torture";
/// Few, so that clients meet.
const KEYS: u32 = 10;
const NANOS_OF_MS: u64 = 1_000_000;

/// How a round goes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Processes.
    pub nodes: usize,
    /// It goes on until something was killed so often.
    pub kills: u32,
    /// Or until then.
    pub time_max: Duration,
    /// Of every choice.
    pub seed: u64,
    /// What goes wrong; one that stands there twice comes twice as often.
    pub faults: Vec<Fault>,
    /// A bug on purpose in every daemon.
    pub bug: Option<&'static str>,
    /// Who asks.
    pub clients: u32,
}

impl Settings {
    /// Everything goes wrong, with three or five nodes.
    pub fn new(nodes: usize, kills: u32, seed: u64) -> Self {
        let time_max = Duration::from_secs(60 + 15 * u64::from(kills));
        let faults = EVERY_FAULT.to_vec();
        Self { nodes, kills, time_max, seed, faults, bug: None, clients: 12 }
    }
}

/// A round in which something was not as it must be.
#[derive(Debug)]
pub struct Failure {
    /// What.
    pub findings: Vec<String>,
    /// How to try again.
    pub seed: u64,
    /// What was asked and answered.
    pub history: PathBuf,
    /// What was done to whom.
    pub faults: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "KEIKO_SEED={}, history in {}", self.seed, self.history.display())?;
        for finding in &self.findings {
            writeln!(f, "  {finding}")?;
        }
        writeln!(f, "the last faults:")?;
        let from = self.faults.len().saturating_sub(12);
        self.faults[from..].iter().try_for_each(|fault| writeln!(f, "  {fault}"))
    }
}

/// One round. It blocks, so the runtime needs threads besides the one that this is called on.
///
/// # Errors
/// With everything that was not as it must be.
pub async fn round(settings: &Settings) -> Result<Score, Failure> {
    let begun = Instant::now();
    let bug: Vec<_> = settings.bug.iter().map(|bug| (inside::BUG, *bug)).collect();
    let mut cluster = Cluster::with(settings.nodes, &bug);
    let path = kept(settings);
    let load = Load::start(&cluster, settings, begun).await;
    let watching = Watching::start(&cluster, load.first_revision());
    let mut director = Director::new(settings, begun);
    let mut findings: Vec<String> = director.run(&mut cluster, &load).err().into_iter().collect();

    cluster.undo();
    if let Err(last) = cluster.whole_within(crate::DEADLINE) {
        findings.push(format!("it does not come together again: {last}"));
    }
    let struck = director.struck;
    let noted = load.end().await;
    history::save(&path, &noted.ops).expect("the history is written");
    // Whatever panics from here on, the file is there.
    let mut ended = end::settle(cluster, &noted.ops, watching).await;
    findings.append(&mut ended.findings);
    findings.extend(check::check(&noted.ops, &ended.watched));
    findings.extend(load::unexplained(&noted.codes));
    let faults: Vec<String> = struck.iter().map(Struck::to_string).collect();
    if !findings.is_empty() {
        return Err(Failure { findings, seed: settings.seed, history: path, faults });
    }
    let _gone = std::fs::remove_file(&path);
    Ok(Score::of(settings, &struck, &noted, &ended, begun.elapsed()))
}

/// Rounds of three and five nodes in turn until so much was killed. Panics with what is wrong.
pub async fn torture(kills: u32, kills_of_round: u32, only: Option<usize>, seed: u64) -> Score {
    let (mut dice, mut score) = (Dice(seed), Score::default());
    let mut round_number = 0;
    while score.kills < kills {
        let nodes = only.unwrap_or([3, 5][round_number % 2]);
        let left = (kills - score.kills).min(kills_of_round);
        // The first round has the seed that is printed, so that one alone can be played again.
        let seed = if round_number == 0 { seed } else { dice.below(u64::MAX) };
        let settings = Settings::new(nodes, left, seed);
        match round(&settings).await {
            Ok(one) => {
                one.say(&format!("round {}, {nodes} nodes, seed {seed}", round_number + 1));
                assert!(one.kills > 0, "a round without a kill");
                score.add(one);
            }
            Err(failure) => panic!("round {}, {nodes} nodes: {failure}", round_number + 1),
        }
        round_number += 1;
    }
    score
}

/// Where the history of a round stays if it fails.
fn kept(settings: &Settings) -> PathBuf {
    let Settings { nodes, seed, .. } = settings;
    let name = format!("torture/{}-{nodes}-nodes-seed-{seed}.jsonl", std::process::id());
    Path::new(&programs::target()).join(name)
}

/// Operations that were answered.
fn answered(ops: &[Op]) -> impl Iterator<Item = &Op> {
    ops.iter().filter(|op| op.outcome != history::Outcome::Unknown)
}
