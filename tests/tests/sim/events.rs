//! The journal says what changed, and nothing else.

use super::{Law, agent, delete, holds, note, server};
use keiko_core::journal;
use keiko_tests::sim::{Invariant, Room, Settings};

#[test]
fn every_change_has_its_event() {
    let mut settings = Settings::default();
    for room in [Room::Cluster, Room::Security, Room::Journal] {
        settings.rooms.insert(room, 8);
    }
    holds("sim::events", Invariant::Events, settings);
}

#[test]
fn what_is_already_so_is_no_event() {
    let mut law = Law::default();
    for (room, expect) in [
        (note(1), 1),
        (note(1), 0),
        (server("a", 2, 1), 3),
        (server("a", 2, 1), 0),
        // Two tools changed; that the offer did is news only of a server that was seen.
        (server("a", 2, 2), 2),
        (server("a", 1, 2), 1),
        (agent("a", None), 1),
        (delete("a", "", false), 1),
    ] {
        let what = format!("{room:?}");
        assert_eq!(law.ask(room), None, "{what}");
        let revision = law.head().revision;
        assert_eq!(journal::events_of(&law.store, Law::GROUP, revision).len(), expect, "{what}");
    }
}
