//! A lock has no more holders than its limit, tokens grow, and old ones open nothing.

use super::holds;
use keiko_tests::sim::{Invariant, Room, Settings};

/// What only sessions and locks see, and something to be fenced.
pub(super) fn settings() -> Settings {
    let rooms = [(Room::Coordination, 8), (Room::Cluster, 1)].into();
    Settings { rooms, nodes: 1, actions: 160, ..Settings::default() }
}

#[test]
fn a_lock_is_held_by_those_whose_turn_it_is() {
    let hunted = holds("sim::locks", Invariant::Locks, settings());
    let counts = &hunted.report.counts;
    for (op, floor) in [
        ("coordination.acquire_lock", 400),
        ("coordination.release_lock", 50),
        ("coordination.expire_sessions", 100),
        ("coordination.withdraw_waiter", 20),
    ] {
        let accepted = counts.get(&(op, "accepted"));
        assert!(accepted.is_some_and(|count| *count > floor), "{op}: {counts:?}");
    }
}
