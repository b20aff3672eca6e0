//! An id is one node's for ever, and a token that is traded lets one in.

use super::holds;
use keiko_tests::sim::{Invariant, Room, Settings};

/// What only members and tokens see, and much of it.
pub(super) fn settings() -> Settings {
    let rooms = [(Room::Cluster, 2), (Room::Security, 4)].into();
    Settings { rooms, nodes: 1, actions: 160, ..Settings::default() }
}

#[test]
fn nobody_comes_in_twice() {
    let hunted = holds("sim::admission", Invariant::Admission, settings());
    let counts = &hunted.report.counts;
    for (op, floor) in
        [("security.admit_node", 10), ("security.enroll_person", 60), ("cluster.remove_node", 10)]
    {
        let accepted = counts.get(&(op, "accepted"));
        assert!(accepted.is_some_and(|count| *count > floor), "{op}: {counts:?}");
    }
}
