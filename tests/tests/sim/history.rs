//! A read at a revision is what a replay up to it reads.

use super::{Law, agent, compact, delete, holds, server};
use keiko_core::id::Name;
use keiko_core::registry::{self, Filter, Kind, ObjectKey};
use keiko_core::selector::Selector;
use keiko_tests::sim::{Invariant, Room, Settings};

#[test]
fn the_past_reads_as_it_was() {
    let mut settings = Settings { actions: 80, ..Settings::default() };
    settings.rooms = [(Room::Registry, 12), (Room::Journal, 1)].into();
    let hunted = holds("sim::history", Invariant::History, settings);
    let counts = &hunted.report.counts;
    assert!(counts.get(&("look", "taken")).is_some_and(|count| *count > 100), "{counts:?}");
}

/// Made, deleted and made again: each revision knows its own, also the oldest one.
#[test]
fn every_life_has_its_revisions() {
    let mut law = Law::default();
    let lives = [agent("a", None), delete("a", "", false), agent("a", None), server("a", 2, 1)];
    for room in lives {
        assert_eq!(law.ask(room), None);
    }
    let namespace = Name::parse_namespace("").expect("the default is a name");
    let key = ObjectKey { kind: Kind::Agent, namespace, name: "a".to_owned() };
    let is_there = |law: &Law, at| registry::get(&law.store, Law::GROUP, &key, Some(at)).is_ok();
    let tools = |law: &Law, at| {
        let filter = Filter { kind: Kind::Tool, namespace: None, selector: Selector::default() };
        let page = registry::list(&law.store, Law::GROUP, &filter, Some(at), 0, "");
        page.map_or(0, |page| page.items.len())
    };
    let table = [(0, false, 0), (1, true, 0), (2, false, 0), (3, true, 0), (4, true, 2)];
    for oldest in 0..=4 {
        if oldest > 0 {
            assert_eq!(law.ask(compact(oldest)), None);
        }
        for (at, agent, expect) in table.into_iter().filter(|(at, ..)| *at >= oldest) {
            assert_eq!(is_there(&law, at), agent, "at {at}, from {oldest} on");
            assert_eq!(tools(&law, at), expect, "at {at}, from {oldest} on");
        }
    }
}
