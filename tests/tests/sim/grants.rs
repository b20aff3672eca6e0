//! What may run, and what credentials go out, is for whom it was registered.

use super::holds;
use keiko_tests::sim::{Invariant, Room, Settings};

#[test]
fn a_grant_is_never_anybody_elses() {
    let rooms = [(Room::Registry, 1)].into();
    let settings = Settings { rooms, nodes: 1, actions: 80, ..Settings::default() };
    let hunted = holds("sim::grants", Invariant::Grants, settings);
    let counts = &hunted.report.counts;
    let put = counts.get(&("registry.put_mcp_server", "accepted"));
    assert!(put.is_some_and(|count| *count > 100), "{counts:?}");
}
