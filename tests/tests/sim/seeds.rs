//! Everything at once, for as long as there is time.

use keiko_tests::sim::{Settings, hunt, record, replay};

/// What CI must reach within its share, also on a busy machine.
const FLOOR: u64 = 1000;

#[test]
fn every_invariant_holds() {
    let hunted = hunt("sim::seeds::every_invariant_holds", &Settings::default(), FLOOR);
    // A hunt in which nothing happens finds nothing: each of these must have been there.
    for (what, outcome) in [
        ("node", "crashed"),
        ("node", "installed a snapshot"),
        ("node", "stopped"),
        ("node", "upgraded"),
        ("future", "met"),
        ("blank", "committed"),
        ("nothing", "unreadable"),
    ] {
        let count = hunted.report.counts.get(&(what, outcome));
        assert!(count.is_some_and(|count| *count > 0), "no {what} {outcome} in {hunted:?}");
    }
    // Who joins and leaves is rare among all the others: sim::admission has much of that.
    for op in [
        "cluster.found",
        "cluster.note_node",
        "cluster.set_node_state",
        "cluster.note_reach",
        "security.store_authority",
        "security.create_token",
        "security.revoke_token",
        "security.enroll_person",
        "security.note_refusals",
        "coordination.open_session",
        "coordination.keep_session",
        "coordination.acquire_lock",
        "coordination.release_lock",
        "registry.put_agent",
        "registry.put_mcp_server",
        "registry.apply",
        "registry.set_health",
        "registry.set_admin_state",
        "registry.place_server",
        "registry.delete",
        "journal.compact",
    ] {
        for outcome in ["accepted", "refused", "retried", "refused for its id"] {
            let count = hunted.report.counts.get(&(op, outcome));
            assert!(count.is_some_and(|count| *count > 0), "no {op} {outcome} in {hunted:?}");
        }
    }
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    let settings = Settings::default();
    for seed in 0..20 {
        let (script, report) = record(seed, &settings);
        assert_eq!(record(seed, &settings), (script.clone(), report.clone()), "seed {seed}");
        assert_eq!(replay(seed, &script, &settings), report, "seed {seed}");
    }
    let hash = |seed| record(seed, &settings).1.map(|report| report.hash);
    assert_ne!(hash(4), hash(8), "two seeds of one group are two runs");
}
