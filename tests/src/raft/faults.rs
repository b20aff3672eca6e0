//! What goes wrong while clients work, one on top of the other.

use super::cluster::Cluster;
use super::runtime::{now, roll, sleep, spawn};
use std::sync::Arc;
use std::time::Duration;

/// One way to hurt a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Any node crashes, and is started after a while.
    CrashOne,
    /// The leader does.
    CrashLeader,
    /// It is started before anybody else can lead.
    CrashLeaderAndRestart,
    /// Whoever votes next crashes just then, and who asked for the vote is cut off.
    CrashVoter,
    /// Some lose sight of the leader; then it is cut off, and somebody whom it heard until then
    /// crashes and comes back at once.
    Usurp,
    /// All crash at once.
    CrashAll,
    /// A node stands still, and does not know it.
    PauseOne,
    /// The leader does.
    PauseLeader,
    /// One does not hear another.
    CutOneWay,
    /// One does not hear the leader.
    CutFromLeader,
    /// Two do not hear each other.
    CutBothWays,
    /// Nobody hears the leader.
    MuteLeader,
    /// The leader hears nobody, and nobody hears it.
    IsolateLeader,
    /// Some do not hear the others, and the others don't hear them.
    Split,
    /// Messages are lost, some or many.
    Loss,
    /// Everything goes everywhere again.
    Heal,
    /// A disk is slow for a while.
    SlowDisk,
    /// That of the leader.
    SlowLeader,
    /// The leader is told to hand over.
    Transfer,
}

/// What goes wrong, and how often, in parts of all.
pub type Weather = &'static [(Fault, u64)];

/// Everything.
pub const EVERY_FAULT: Weather = &[
    (Fault::CrashOne, 8),
    (Fault::CrashLeader, 6),
    (Fault::CrashLeaderAndRestart, 8),
    (Fault::CrashVoter, 3),
    (Fault::Usurp, 2),
    (Fault::CrashAll, 3),
    (Fault::PauseOne, 3),
    (Fault::PauseLeader, 4),
    (Fault::CutOneWay, 4),
    (Fault::CutFromLeader, 4),
    (Fault::CutBothWays, 4),
    (Fault::MuteLeader, 3),
    (Fault::IsolateLeader, 5),
    (Fault::Split, 5),
    (Fault::Loss, 4),
    (Fault::Heal, 24),
    (Fault::SlowDisk, 5),
    (Fault::SlowLeader, 6),
    (Fault::Transfer, 3),
];

/// Lets things go wrong for so long.
pub(super) async fn weather(cluster: &Arc<Cluster>, weather: Weather, duration: Duration) {
    let begun = now();
    while now() - begun < duration {
        // Mostly an election fits between two; sometimes they come together.
        let pause_ms = if roll(4) == 0 { roll(60) } else { 300 + roll(2500) };
        sleep(Duration::from_millis(pause_ms)).await;
        strike(cluster, one_of(weather));
    }
}

fn one_of(weather: Weather) -> Fault {
    let mut at = roll(weather.iter().map(|(_, weight)| weight).sum());
    for (fault, weight) in weather {
        match at.checked_sub(*weight) {
            None => return *fault,
            Some(rest) => at = rest,
        }
    }
    Fault::Heal
}

fn strike(cluster: &Arc<Cluster>, fault: Fault) {
    let nodes = *cluster.ids().end();
    let any = 1 + roll(nodes);
    let other = 1 + (any + roll(nodes - 1)) % nodes;
    let leader = cluster.leader().map_or(any, |host| host.id);
    let net = &cluster.net;
    match fault {
        Fault::CrashOne => crash(cluster, any, long_or_short()),
        Fault::CrashLeader => crash(cluster, leader, long_or_short()),
        Fault::CrashLeaderAndRestart => crash(cluster, leader, roll(120)),
        Fault::CrashVoter => crash_voter(cluster),
        Fault::Usurp => usurp(cluster, leader),
        Fault::CrashAll => cluster.ids().for_each(|id| crash(cluster, id, roll(700))),
        Fault::PauseOne => pause(cluster, any),
        Fault::PauseLeader => pause(cluster, leader),
        Fault::CutOneWay => net.cut(any, other),
        Fault::CutFromLeader => net.cut(leader, other),
        Fault::CutBothWays => {
            net.cut(any, other);
            net.cut(other, any);
        }
        Fault::MuteLeader => cluster.ids().for_each(|id| net.cut(leader, id)),
        Fault::IsolateLeader => split(cluster, |id| id == leader),
        Fault::Split => {
            let side: u64 = roll(1 << nodes);
            split(cluster, |id| side >> (id - 1) & 1 == 1);
        }
        Fault::Loss => net.lose([20, 100, 300][roll(3) as usize]),
        Fault::Heal => net.heal(),
        Fault::SlowDisk => slow_down(cluster, any),
        Fault::SlowLeader => slow_down(cluster, leader),
        Fault::Transfer => transfer(cluster, other),
    }
    cluster.seen.note(|| format!("{fault:?}, leader {leader}, any {any}, other {other}"));
}

fn long_or_short() -> u64 {
    match roll(2) {
        0 => roll(150),
        _ => 300 + roll(3000),
    }
}

fn crash(cluster: &Arc<Cluster>, id: u64, away_ms: u64) {
    if !cluster.crash(id) {
        return;
    }
    cluster.seen.count("crashes");
    let cluster = cluster.clone();
    drop(spawn(async move {
        sleep(Duration::from_millis(away_ms)).await;
        cluster.seen.note(|| format!("node {id} starts"));
        cluster.start(id).await;
    }));
}

/// What was written of the vote is not synced then, unless the voter waited for that.
fn crash_voter(cluster: &Arc<Cluster>) {
    let voted = cluster.net.next_vote();
    let cluster = cluster.clone();
    drop(spawn(async move {
        cluster.ids().for_each(|id| slow_down(&cluster, id));
        let Ok((candidate, voter)) = voted.await else { return };
        cluster.seen.note(|| format!("node {voter} voted for node {candidate}, and crashes"));
        crash(&cluster, voter, roll(150));
        split(&cluster, |id| id == candidate);
    }));
}

/// Its lease was vouched for by somebody who does not remember that, and may lead next; or, if it
/// lost what it had ahead of those who lost sight, elect one of them.
fn usurp(cluster: &Arc<Cluster>, leader: u64) {
    let mut others = cluster.ids().filter(|id| *id != leader);
    let Some(voucher) = others.next() else { return };
    let disk = cluster.disk(voucher).clone();
    if roll(2) == 0 {
        disk.slow_down(Duration::from_secs(3));
    }
    for away in others.step_by(2) {
        cluster.net.cut(leader, away);
        cluster.net.cut(away, leader);
    }
    let cluster = cluster.clone();
    drop(spawn(async move {
        sleep(Duration::from_millis(700 + roll(700))).await;
        disk.slow_down(Duration::ZERO);
        if cluster.is_healed() {
            return;
        }
        cluster.seen.note(|| format!("node {leader} is cut off, node {voucher} starts anew"));
        split(&cluster, |id| id == leader);
        crash(&cluster, voucher, roll(100));
    }));
}

fn pause(cluster: &Cluster, id: u64) {
    let Some(host) = cluster.net.host(id) else { return };
    cluster.seen.count("pauses");
    host.life.pause();
    drop(spawn(async move {
        sleep(Duration::from_millis(50 + roll(2000))).await;
        host.life.resume();
    }));
}

fn split(cluster: &Cluster, is_inside: impl Fn(u64) -> bool) {
    for from in cluster.ids() {
        for to in cluster.ids().filter(|to| is_inside(*to) != is_inside(from)) {
            cluster.net.cut(from, to);
        }
    }
}

fn slow_down(cluster: &Cluster, id: u64) {
    let disk = cluster.disk(id).clone();
    disk.slow_down(Duration::from_millis(20 + roll(400)));
    drop(spawn(async move {
        sleep(Duration::from_millis(200 + roll(2000))).await;
        disk.slow_down(Duration::ZERO);
    }));
}

fn transfer(cluster: &Cluster, to: u64) {
    let Some(leader) = cluster.leader().filter(|leader| leader.id != to) else { return };
    cluster.seen.count("transfers");
    let raft = leader.raft.clone();
    drop(leader.life.spawn(async move {
        // Who ends does not hand over.
        let _ended = raft.trigger().transfer_leader(to).await;
    }));
}
