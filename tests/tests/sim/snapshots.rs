//! A snapshot that was installed is what a replay would have made, and nothing of another group.

use super::plays;
use keiko_tests::sim::{Settings, Weather};

#[test]
fn an_installed_snapshot_is_a_replay() {
    let weather = Weather { snapshot: 12, install: 16, crash: 8, apply: 16, ..Weather::default() };
    let settings = Settings { weather, nodes: 3, ..Settings::default() };
    // All invariants: what a snapshot lost shows in replies and hashes of later entries, too.
    let hunted = plays("sim::snapshots", settings);
    let counts = &hunted.report.counts;
    let installed = counts.get(&("node", "installed a snapshot"));
    assert!(installed.is_some_and(|count| *count > 40), "{counts:?}");
}
