//! A node stops before it reads what only a newer release understands.
//!
//! The law of this release can't be made an older one: an older node is one whose wrapper stops at
//! entries of today's level, as its law would. That the law itself stops is tried with entries of a
//! level that is not there yet, whose ops nobody could read.

use super::{Law, holds, note};
use keiko_core::features::LEVEL;
use keiko_core::house::{Halt, Round};
use keiko_proto::v1 as wire;
use keiko_tests::sim::{Invariant, Settings, Weather};
use prost::Message as _;

#[test]
fn an_older_node_stops_and_goes_on_once_it_is_upgraded() {
    let weather = Weather { garbage: 12, ..Weather::default() };
    let settings = Settings { weather, nodes: 3, ..Settings::default() };
    let hunted = holds("sim::levels", Invariant::Levels, settings);
    let counts = &hunted.report.counts;
    for what in [("node", "stopped"), ("node", "upgraded"), ("future", "met")] {
        assert!(counts.get(&what).is_some_and(|count| *count > 10), "{what:?}: {counts:?}");
    }
}

/// Whatever stands behind the level, and where in the bytes the level stands.
#[test]
fn the_level_is_all_that_is_read() {
    let law = Law::default();
    let known = law.entry(note(1)).encode_to_vec();
    let newer = wire::Entry { feature_level: LEVEL + 1, ..law.entry(note(1)) }.encode_to_vec();
    let level = [0x10, LEVEL as u8 + 1];
    let unreadable_op = [0x92, 0x01, 0x03, 0xFF, 0xFF, 0xFF];
    let halt = Err(Halt::FeatureLevel { index: 1, level: LEVEL + 1, known: LEVEL });
    for (bytes, stops) in [
        (known.clone(), false),
        (newer.clone(), true),
        ([&newer[..], &unreadable_op].concat(), true),
        ([&unreadable_op[..], &level].concat(), true),
        ([&known[..], &level].concat(), true),
        ([&newer[..], &[0x10, LEVEL as u8]].concat(), false),
        (unreadable_op.to_vec(), false),
    ] {
        let mut round = Round::new(&law.store, Law::GROUP);
        let found = round.apply(1, &bytes).map(drop);
        assert_eq!(found == halt, stops, "{bytes:x?}: {found:?}");
        assert_eq!(round.into_writes().is_empty(), stops, "{bytes:x?}");
    }
}
