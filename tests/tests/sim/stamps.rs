//! Stamps never go back, whatever the leader's clock does.

use super::{Law, holds, note};
use keiko_core::journal;
use keiko_proto::v1::{At, at::Point};
use keiko_tests::sim::{Invariant, Settings, Weather};

#[test]
fn stamps_never_go_back() {
    let weather = Weather { step: 24, ..Weather::default() };
    let settings = Settings { weather, ..Settings::default() };
    holds("sim::stamps", Invariant::Stamps, settings);
}

/// A clock that went back does not take revisions out of the order of time.
#[test]
fn time_finds_revisions_in_order() {
    let mut law = Law::default();
    let start = law.now_ms;
    for (version, passed_ms) in [10, 20, 5, 0, 30].into_iter().enumerate() {
        law.now_ms = start + passed_ms;
        assert_eq!(law.ask(note(version as u64)), None);
    }
    for (passed_ms, expect) in [(0, 0), (10, 1), (19, 1), (20, 4), (29, 4), (30, 5), (99, 5)] {
        let at = At { point: Some(Point::UnixMs(start + passed_ms)) };
        let found = journal::resolve(&law.store, Law::GROUP, Some(&at)).expect("nothing is gone");
        assert_eq!(found, Some(expect), "{passed_ms} ms later");
    }
}
