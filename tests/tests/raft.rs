//! Consensus in a simulator (see [`keiko_tests::raft`]): all invariants for as long as there is
//! time, each one in weather that is hard on it, and bugs put in on purpose.
//!
//! `./x test --seed 17 raft::` plays one seed again.

use keiko_tests::raft::{
    Bug, Fault, Invariant, Report, Settings, Weather, conform, find, hunt, play, run,
};

/// What CI must reach within its share, also on a busy machine.
const FLOOR: u64 = 40;

/// Seeds that one invariant plays beside the long hunt.
const SEEDS: u64 = 10;

/// Seeds within which each bug is found.
const SEEDS_OF_BUG: u64 = 100;

/// Leaders come and go.
const ELECTIONS: Weather = &[
    (Fault::CrashOne, 10),
    (Fault::CrashLeader, 10),
    (Fault::IsolateLeader, 8),
    (Fault::MuteLeader, 4),
    (Fault::CutOneWay, 6),
    (Fault::Split, 6),
    (Fault::CrashVoter, 16),
    (Fault::Transfer, 4),
    (Fault::SlowDisk, 6),
    (Fault::Heal, 16),
];

/// Leaders die before their disk is done, and are back at once.
const RESTARTS: Weather = &[
    (Fault::CrashLeaderAndRestart, 12),
    (Fault::SlowLeader, 8),
    (Fault::CrashOne, 3),
    (Fault::CutOneWay, 1),
    (Fault::Heal, 2),
];

/// The power goes, and comes back.
const POWER: Weather = &[
    (Fault::CrashAll, 6),
    (Fault::CrashOne, 6),
    (Fault::CrashLeader, 6),
    (Fault::SlowDisk, 6),
    (Fault::IsolateLeader, 3),
    (Fault::Heal, 8),
];

/// Leaders that do not know that another one leads.
const DEPOSED: Weather = &[
    (Fault::IsolateLeader, 10),
    (Fault::PauseLeader, 6),
    (Fault::MuteLeader, 6),
    (Fault::Usurp, 16),
    (Fault::CrashOne, 6),
    (Fault::Heal, 6),
];

/// Followers fall behind, by more than the log that is kept.
const LAGS: Weather = &[
    (Fault::CutBothWays, 6),
    (Fault::CutOneWay, 6),
    (Fault::Split, 6),
    (Fault::CrashOne, 8),
    (Fault::PauseOne, 4),
    (Fault::SlowDisk, 4),
    (Fault::Heal, 8),
];

/// What is hard on an invariant.
pub(crate) fn hard_on(invariant: Invariant) -> Settings {
    let weather = match invariant {
        Invariant::Elections => ELECTIONS,
        Invariant::LogMatching => RESTARTS,
        Invariant::Acknowledged | Invariant::Revisions => POWER,
        Invariant::Freshness => DEPOSED,
        Invariant::State | Invariant::Convergence | Invariant::Totality => LAGS,
    };
    Settings { weather, ..Settings::default() }
}

/// What this weather brings must have been there: a run in which nothing happens finds nothing.
fn plays(test: &str, invariant: Invariant, least: &[(&str, u64)]) -> Report {
    let played = play(test, &hard_on(invariant), SEEDS);
    happened(&played, least);
    played
}

fn happened(report: &Report, least: &[(&str, u64)]) {
    for (what, least) in least {
        let count = report.counts.get(what).copied().unwrap_or(0);
        assert!(count >= *least, "{count} {what} in {report:?}");
    }
}

#[test]
fn a_term_has_one_leader() {
    let least = [("elections", 3 * SEEDS), ("crashes", SEEDS)];
    plays("raft::a_term_has_one_leader", Invariant::Elections, &least);
}

#[test]
fn logs_match() {
    let least = [("elections", 2 * SEEDS), ("crashes", 3 * SEEDS)];
    plays("raft::logs_match", Invariant::LogMatching, &least);
}

#[test]
fn what_was_acknowledged_stays() {
    let least = [("writes", 20 * SEEDS), ("crashes", 3 * SEEDS)];
    plays("raft::what_was_acknowledged_stays", Invariant::Acknowledged, &least);
}

#[test]
fn revisions_grow() {
    let least = [("writes", 20 * SEEDS), ("writes refused", SEEDS)];
    plays("raft::revisions_grow", Invariant::Revisions, &least);
}

#[test]
fn no_read_is_stale() {
    let least = [("reads by quorum", 5 * SEEDS), ("reads by lease", 5 * SEEDS)];
    plays("raft::no_read_is_stale", Invariant::Freshness, &least);
}

#[test]
fn at_one_index_there_is_one_state() {
    let least = [("snapshots sent", SEEDS / 2), ("writes", 20 * SEEDS)];
    plays("raft::at_one_index_there_is_one_state", Invariant::State, &least);
}

#[test]
fn every_invariant_holds() {
    let test = "raft::every_invariant_holds";
    let hunted = hunt(test, &Settings::default(), FLOOR);
    let least = [
        ("writes", 20),
        ("writes refused", 1),
        ("reads by quorum", 5),
        ("reads by lease", 5),
        ("elections", 3),
        ("crashes", 1),
    ];
    let least = least.map(|(what, each)| (what, each * hunted.seeds));
    happened(&hunted, &least);
    happened(&hunted, &[("snapshots sent", 1), ("pauses", 1), ("transfers", 1)]);
}

/// A harness that finds nothing proves nothing.
#[test]
fn every_bug_is_found() {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        for invariant in bug.breaks() {
            let settings = hard_on(*invariant).with(*bug).only(*invariant);
            match find(&settings, SEEDS_OF_BUG) {
                Some((seed, violation)) => eprintln!("{bug:?}: seed {seed}, {violation}"),
                None => missed.push((bug, invariant)),
            }
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn every_invariant_can_be_broken() {
    for invariant in Invariant::ALL {
        let breaks = |bug: &&Bug| bug.breaks().contains(invariant);
        let is_broken = Bug::ALL.iter().any(|bug| breaks(&bug));
        assert!(is_broken || *invariant == Invariant::Totality, "nothing breaks {invariant:?}");
    }
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    let settings = Settings::default();
    for seed in 0..3 {
        assert_eq!(run(seed, &settings), run(seed, &settings), "seed {seed}");
    }
    let trace = |seed| run(seed, &settings).map(|report| report.trace);
    assert_ne!(trace(1), trace(2), "two seeds are two runs");
}

#[test]
fn the_models_pass_openrafts_suites() {
    conform();
}
