//! What goes wrong, by seed: crashes, pauses and cuts, one after the other and sometimes one on top
//! of another.
//!
//! Everything about a strike is drawn before it begins, so that the dice roll the same way whatever
//! the cluster makes of it. Never: counts a strike that killed nobody as a kill.

use super::load::Load;
use super::{NANOS_OF_MS, Settings};
use crate::DEADLINE;
use crate::cluster::{Cluster, name};
use crate::report::Dice;
use crate::wait::{expect, within};
use std::fmt;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Writes that are acknowledged before a cluster counts as recovered.
const RECOVERED_BY: u64 = 10;

/// One way to hurt a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Any node is killed, and started after a while.
    KillOne,
    /// The leader is.
    KillLeader,
    /// It is started at once: it may be back before anybody else leads.
    KillLeaderAndRestart,
    /// Two at once: all that may go of five, and one too many of three.
    KillTwo,
    /// All at once.
    KillAll,
    /// SIGSTOP: it keeps its connections, and its clock goes on.
    PauseOne,
    /// The leader, which wakes up in a term that is over.
    PauseLeader,
    /// One does not hear another.
    CutOneWay,
    /// Two do not hear each other.
    CutBothWays,
    /// The leader hears nobody, and nobody hears it.
    IsolateLeader,
    /// Any node.
    IsolateOne,
    /// A way comes and goes.
    Flap,
}

/// Everything, the way it goes for a year in a minute: more than half of it are kills.
pub const EVERY_FAULT: [Fault; 19] = [
    Fault::KillOne,
    Fault::KillOne,
    Fault::KillLeader,
    Fault::KillLeader,
    Fault::KillLeader,
    Fault::KillLeaderAndRestart,
    Fault::KillLeaderAndRestart,
    Fault::KillLeaderAndRestart,
    Fault::KillTwo,
    Fault::KillTwo,
    Fault::KillAll,
    Fault::KillAll,
    Fault::PauseOne,
    Fault::PauseLeader,
    Fault::CutOneWay,
    Fault::CutBothWays,
    Fault::IsolateLeader,
    Fault::IsolateOne,
    Fault::Flap,
];

/// Everything about one strike that is a matter of chance.
#[derive(Clone, Copy, Debug)]
struct Draw {
    fault: Fault,
    /// Before it.
    quiet: Duration,
    /// Whom, where that is open.
    one: usize,
    other: usize,
    /// A part of the time that such a fault may last.
    share: u64,
    /// The next one waits until this one is over, in one case of three until all is well.
    recovers: bool,
    whole: bool,
    /// Of a fault that consists of several.
    seed: u64,
}

impl Draw {
    fn new(dice: &mut Dice, settings: &Settings) -> Self {
        let nodes = settings.nodes as u64;
        let fault = settings.faults[dice.below(settings.faults.len() as u64) as usize];
        let quiet = Duration::from_millis(dice.below(700));
        let one = dice.below(nodes);
        let other = (one + 1 + dice.below(nodes - 1)) % nodes;
        let share = dice.below(1000);
        let (recovers, whole) = (dice.below(3) > 0, dice.below(3) == 0);
        let seed = dice.below(u64::MAX);
        let (one, other) = (one as usize, other as usize);
        Self { fault, quiet, one, other, share, recovers, whole, seed }
    }

    fn between(&self, from_ms: u64, to_ms: u64) -> Duration {
        Duration::from_millis(from_ms + (to_ms - from_ms) * self.share / 1000)
    }
}

/// A fault that was.
#[derive(Clone, Debug)]
pub(super) struct Struck {
    pub(super) fault: Fault,
    /// Since the run began, ns.
    pub(super) at: u64,
    /// Who was hit, as numbers of nodes.
    pub(super) whom: Vec<usize>,
    /// How many processes were killed.
    pub(super) killed: u32,
    /// The leader was killed, and enough were left to have another one.
    pub(super) lost_leader: bool,
}

impl fmt::Display for Struck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, at, whom, .. } = self;
        let names: Vec<String> = whom.iter().map(|node| name(*node)).collect();
        write!(f, "{} ms: {fault:?} {}", at / NANOS_OF_MS, names.join(" "))
    }
}

/// Decides what happens to a cluster, and does it.
pub(super) struct Director<'s> {
    settings: &'s Settings,
    dice: Dice,
    begun: Instant,
    kills: u32,
    /// What it did so far.
    pub(super) struck: Vec<Struck>,
}

impl<'s> Director<'s> {
    pub(super) fn new(settings: &'s Settings, begun: Instant) -> Self {
        Self { settings, dice: Dice(settings.seed), begun, kills: 0, struck: Vec::new() }
    }

    /// Strikes until enough was killed; what went wrong that no fault explains.
    pub(super) fn run(&mut self, cluster: &mut Cluster, load: &Load) -> Result<(), String> {
        let Settings { kills, time_max, .. } = *self.settings;
        while self.kills < kills {
            let in_time = self.begun.elapsed() < time_max;
            expect(in_time, || format!("only {} kills in {time_max:?}", self.kills))?;
            let draw = Draw::new(&mut self.dice, self.settings);
            sleep(draw.quiet);
            all_run(cluster)?;
            let struck = self.strike(draw, cluster);
            self.kills += u32::from(struck.killed > 0);
            self.struck.push(struck);
            if draw.recovers || draw.whole {
                self.recover(draw.whole, cluster, load)?;
            }
        }
        self.recover(true, cluster, load)
    }

    fn strike(&self, draw: Draw, cluster: &mut Cluster) -> Struck {
        let leader = cluster.leader();
        let at = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let led = leader.unwrap_or(draw.one);
        let (whom, killed) = match draw.fault {
            Fault::KillOne => kill(cluster, &[draw.one], draw.between(50, 1500)),
            Fault::KillLeader => kill(cluster, &[led], draw.between(50, 2500)),
            Fault::KillLeaderAndRestart => kill(cluster, &[led], Duration::ZERO),
            Fault::KillTwo => kill(cluster, &[draw.one, draw.other], draw.between(50, 1500)),
            Fault::KillAll => {
                let all: Vec<usize> = cluster.all().collect();
                kill(cluster, &all, draw.between(0, 300))
            }
            Fault::PauseOne => pause(cluster, draw.one, draw.between(1000, 4000)),
            Fault::PauseLeader => pause(cluster, led, draw.between(1000, 4000)),
            Fault::CutOneWay => {
                cluster.cuts.one_way(draw.one, draw.other);
                heal(cluster, &[draw.one, draw.other], draw.between(300, 4000))
            }
            Fault::CutBothWays => {
                cluster.cuts.both_ways(draw.one, draw.other);
                heal(cluster, &[draw.one, draw.other], draw.between(300, 4000))
            }
            Fault::IsolateLeader => isolate(cluster, led, draw.between(300, 4000)),
            Fault::IsolateOne => isolate(cluster, draw.one, draw.between(300, 4000)),
            Fault::Flap => flap(cluster, draw),
        };
        let left = cluster.count() - killed as usize;
        let lost_leader = killed > 0
            && left > cluster.count() / 2
            && leader.is_some_and(|leader| whom.contains(&leader));
        Struck { fault: draw.fault, at, whom, killed, lost_leader }
    }

    /// Waits until writes are acknowledged again, and perhaps until everybody is well.
    fn recover(&self, whole: bool, cluster: &mut Cluster, load: &Load) -> Result<(), String> {
        let before = load.acknowledged();
        within(DEADLINE, || {
            let new = load.acknowledged() - before;
            expect(new >= RECOVERED_BY, || {
                format!("{new} writes were acknowledged in {DEADLINE:?}, with all faults over")
            })
        })
        .map_err(|what| format!("{what}\n{}", cluster.logs()))?;
        if whole {
            cluster.whole_within(DEADLINE)?;
        }
        Ok(())
    }
}

/// Nobody ended who was not killed.
fn all_run(cluster: &mut Cluster) -> Result<(), String> {
    for number in cluster.all() {
        let runs = cluster.is_running(number);
        expect(runs, || format!("{} ended by itself\n{}", name(number), cluster.logs()))?;
    }
    Ok(())
}

fn kill(cluster: &mut Cluster, whom: &[usize], away: Duration) -> (Vec<usize>, u32) {
    for number in whom {
        cluster.kill(*number);
    }
    sleep(away);
    for number in whom {
        cluster.launch(*number);
    }
    (whom.to_vec(), u32::try_from(whom.len()).unwrap_or(u32::MAX))
}

fn pause(cluster: &mut Cluster, whom: usize, away: Duration) -> (Vec<usize>, u32) {
    cluster.pause(whom);
    sleep(away);
    cluster.resume(whom);
    (vec![whom], 0)
}

fn isolate(cluster: &mut Cluster, whom: usize, away: Duration) -> (Vec<usize>, u32) {
    let others = cluster.others(whom);
    cluster.cuts.isolate(whom, &others);
    heal(cluster, &[whom], away)
}

/// The end of a cut.
fn heal(cluster: &mut Cluster, whom: &[usize], away: Duration) -> (Vec<usize>, u32) {
    sleep(away);
    cluster.cuts.heal();
    (whom.to_vec(), 0)
}

fn flap(cluster: &mut Cluster, draw: Draw) -> (Vec<usize>, u32) {
    let mut dice = Dice(draw.seed);
    for _ in 0..4 + dice.below(5) {
        match dice.below(2) {
            0 => cluster.cuts.one_way(draw.one, draw.other),
            _ => cluster.cuts.both_ways(draw.one, draw.other),
        }
        sleep(Duration::from_millis(dice.below(400)));
        cluster.cuts.heal();
        sleep(Duration::from_millis(dice.below(250)));
    }
    (vec![draw.one, draw.other], 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_chooses_the_same_faults() {
        let settings = Settings::new(5, 10, 7);
        let draws = |seed| {
            let mut dice = Dice(seed);
            let draw = |_| format!("{:?}", Draw::new(&mut dice, &settings));
            (0..50).map(draw).collect::<Vec<_>>()
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
    }

    #[test]
    fn a_fault_between_two_has_two() {
        let mut dice = Dice(1);
        for nodes in [3, 5] {
            let settings = Settings::new(nodes, 10, 1);
            for _ in 0..1000 {
                let Draw { one, other, .. } = Draw::new(&mut dice, &settings);
                assert!(one != other && one < nodes && other < nodes, "{one} {other}");
            }
        }
    }
}
