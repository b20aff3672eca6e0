//! Indexes say what the tables say.

use super::holds;
use keiko_tests::sim::{Invariant, Room, Settings, Weather};

#[test]
fn indexes_agree_with_a_full_scan() {
    let rooms = [(Room::Registry, 30), (Room::Cluster, 3), (Room::Security, 2)].into();
    // The replay is what is scanned: the nodes would only cost time.
    let weather = Weather { apply: 1, ..Weather::default() };
    let settings = Settings { rooms, weather, nodes: 1, actions: 80, ..Settings::default() };
    let hunted = holds("sim::indexes", Invariant::Indexes, settings);
    let counts = &hunted.report.counts;
    let deleted = counts.get(&("registry.delete", "accepted"));
    assert!(deleted.is_some_and(|count| *count > 40), "{counts:?}");
}
