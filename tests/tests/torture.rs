//! A real cluster under load while everything goes wrong (see [`keiko_tests::torture`]).

use keiko_tests::cluster::inside::{LEADER_RESTORE, STALE_READ};
use keiko_tests::report::{Dice, say};
use keiko_tests::torture::{Failure, Fault, Score, Settings, round, torture};
use keiko_tests::{full, measure, seed};
use std::time::{Duration, Instant};

const KILLS_CI: u32 = 15;
const KILLS_FULL: u32 = 300;
/// A cluster is made anew after so many: its history has to be checked as one.
const KILLS_OF_ROUND: u32 = 8;
const KILLS_OF_ROUND_FULL: u32 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_no_read_is_stale() {
    let Dice(seed) = seed("torture::nothing_acknowledged_is_lost_and_no_read_is_stale");
    let (kills, of_round) =
        if full() { (KILLS_FULL, KILLS_OF_ROUND_FULL) } else { (KILLS_CI, KILLS_OF_ROUND) };
    judge(&torture(kills, of_round, None, seed).await, kills);
}

/// What `./x torture` starts: as many kills and nodes as it was told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_told() {
    let told = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    let Some(kills) = told("KEIKO_TORTURE_KILLS") else {
        return say("torture::as_told: ./x torture says how many kills");
    };
    let Dice(seed) = seed("torture::as_told");
    let only = told("KEIKO_TORTURE_NODES").map(|nodes| nodes as usize);
    judge(&torture(kills, KILLS_OF_ROUND_FULL, only, seed).await, kills);
}

fn judge(score: &Score, kills: u32) {
    score.say("torture, all rounds");
    score.measure(kills);
    let least = Score::acknowledged_min(kills);
    assert!(score.acknowledged as f64 > least, "too little load: {score}");
    assert!(score.reads.0 > score.acknowledged / 10, "too few reads: {score}");
}

/// A round with this bug in every node, which is to be found.
async fn found(bug: &'static str, faults: &[Fault], kills: u32, seed: u64) -> Option<Failure> {
    let faults = faults.to_vec();
    let settings = Settings { bug: Some(bug), faults, ..Settings::new(3, kills, seed) };
    let failure = round(&settings).await.err()?;
    let _gone = std::fs::remove_file(&failure.history);
    Some(failure)
}

/// A harness that finds nothing proves nothing. That a read is stale its revision tells in any round;
/// the search finds it only where the very key that was read had changed meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_that_ask_nobody_are_found() {
    const TIME_MAX: Duration = Duration::from_secs(90);
    const ROUNDS_MIN: u32 = 2;
    let mut dice = seed("torture::reads_that_ask_nobody_are_found");
    let (begun, mut rounds) = (Instant::now(), 0);
    let (mut by_revision, mut by_search) = (false, false);
    while !(by_revision && by_search) {
        let may_try = rounds < ROUNDS_MIN || begun.elapsed() < TIME_MAX;
        let found_by = format!("by revision: {by_revision}, by the search: {by_search}");
        assert!(may_try, "stale reads are not found in {rounds} rounds; {found_by}");
        rounds += 1;
        let faults = [Fault::KillOne, Fault::KillLeader];
        let found = found(STALE_READ, &faults, 2, dice.below(u64::MAX)).await;
        let Some(failure) = found else { continue };
        let has = |words: &str| failure.findings.iter().any(|finding| finding.contains(words));
        let (is_stale, is_unordered) = (has("a stale "), has("is not linearizable"));
        assert!(is_stale || is_unordered, "something else was found: {failure}");
        by_revision |= is_stale;
        by_search |= is_unordered;
    }
    measure("torture: rounds until stale reads are found both ways", rounds.into(), 1.0, "rounds");
}

/// With openraft's default a leader that is back at once goes on in its term, and uses log ids again
/// that its followers acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_restored_is_found() {
    // It takes luck, so it takes time.
    if !full() {
        return;
    }
    const TIME_MAX: Duration = Duration::from_secs(900);
    let mut dice = seed("torture::a_leader_that_is_restored_is_found");
    let begun = Instant::now();
    while begun.elapsed() < TIME_MAX {
        let faults = [Fault::KillLeaderAndRestart];
        if let Some(failure) = found(LEADER_RESTORE, &faults, 30, dice.below(u64::MAX)).await {
            assert!(!failure.findings.is_empty());
            return;
        }
    }
    panic!("a restored leader is not found in {TIME_MAX:?}");
}
