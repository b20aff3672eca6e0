//! The harness finds what is there: each bug that is put in on purpose, by the invariant that it
//! breaks, alone, within a few seeds.

use super::{admission, locks};
use keiko_tests::sim::{Action, Fault, Invariant, Settings, find, record, shrink};

/// Seeds within which each bug is found; most are found by the first, all by the first hundred.
const SEEDS: u64 = 300;

/// The invariant that each bug breaks.
const fn broken_by(fault: Fault) -> Invariant {
    match fault {
        Fault::DropsIndexRow | Fault::KeepsIndexRow => Invariant::Indexes,
        Fault::LosesHistoryRow => Invariant::History,
        Fault::LosesEvent => Invariant::Events,
        Fault::CountsRefusals => Invariant::Revisions,
        Fault::ClockGoesBack => Invariant::Stamps,
        Fault::AppliesRetryTwice => Invariant::Deduplication,
        Fault::ExpiresAnyone => Invariant::Leases,
        Fault::KeepsCompacted => Invariant::Compaction,
        Fault::HashesBatches | Fault::AsksWallClock | Fault::TearsBatch => Invariant::Agreement,
        Fault::SnapshotForgetsReplies | Fault::SnapshotEndsEarly | Fault::InstallKeepsOld => {
            Invariant::Snapshots
        }
        Fault::ReadsNewer => Invariant::Levels,
        Fault::TrustsTokens => Invariant::Grants,
        Fault::GrantsOneMore | Fault::RepeatsTokens | Fault::IgnoresFences => Invariant::Locks,
        Fault::ForgetsIds | Fault::ForgetsTrades => Invariant::Admission,
        Fault::Panics => Invariant::Totality,
    }
}

/// Members, tokens and locks are a small part of what is asked for otherwise.
fn settings(fault: Fault) -> Settings {
    match broken_by(fault) {
        Invariant::Admission => admission::settings(),
        Invariant::Locks => locks::settings(),
        _ => Settings::default(),
    }
}

#[test]
fn every_bug_is_found() {
    for fault in Fault::ALL {
        let invariant = broken_by(*fault);
        let settings = settings(*fault).with(*fault).only(invariant);
        let found = find(&settings, SEEDS);
        let (seed, violation) = found.unwrap_or_else(|| panic!("{fault:?} is not found"));
        eprintln!("{fault:?}: seed {seed}, {violation}");
        assert_eq!(violation.invariant, invariant, "{fault:?}: {violation}");
    }
}

#[test]
fn every_invariant_can_be_broken() {
    for invariant in Invariant::ALL {
        let breaks = |fault: &&Fault| broken_by(**fault) == *invariant;
        assert!(Fault::ALL.iter().any(|fault| breaks(&fault)), "nothing breaks {invariant:?}");
    }
}

#[test]
fn what_is_found_is_made_short() {
    let settings =
        Settings::default().with(Fault::AppliesRetryTwice).only(Invariant::Deduplication);
    let (seed, violation) = find(&settings, SEEDS).expect("this bug is found");
    let (script, _) = record(seed, &settings);
    let (shortest, broken) = shrink(seed, &script, &settings, &violation);
    let commits = shortest.iter().filter(|action| matches!(action, Action::Commit(_))).count();
    assert_eq!(broken.invariant, Invariant::Deduplication, "{shortest:?}");
    // A retry is all it takes, and a command between if both were refused at one revision.
    assert!((2..=3).contains(&commits), "a request and its retry: {shortest:?}");
}
