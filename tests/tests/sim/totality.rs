//! Any bytes give an answer, without a panic, and the same everywhere.

use super::{Law, note, plays};
use keiko_core::house::Round;
use keiko_core::refusal::Code;
use keiko_proto::v1 as wire;
use keiko_tests::report::{Dice, seed};
use keiko_tests::sim::{Settings, Weather};
use prost::Message as _;

#[test]
fn bytes_of_any_kind_are_answered_alike() {
    let weather = Weather { garbage: 60, ..Weather::default() };
    let settings = Settings { weather, ..Settings::default() };
    let hunted = plays("sim::totality", settings);
    let counts = &hunted.report.counts;
    let unreadable = counts.get(&("nothing", "unreadable"));
    assert!(unreadable.is_some_and(|count| *count > 100), "{counts:?}");
}

/// Numbers at their ends: nothing overflows, nothing waits for ever.
#[test]
fn the_largest_numbers_are_numbers() {
    let mut law = Law::default();
    let node = |id, name: &str| {
        let node = wire::Node { id, name: name.to_owned(), ..Default::default() };
        let op = wire::cluster_op::Op::NoteNode(wire::NoteNode { node: Some(node) });
        wire::entry::Room::Cluster(wire::ClusterOp { op: Some(op) })
    };
    assert_eq!(law.ask(node(u64::MAX, "last")), None);
    assert_eq!(law.ask(node(0, "none")), Some(Code::InvalidArgument as u32));
    law.now_ms = u64::MAX;
    assert_eq!(law.ask(note(1)), None);
    assert_eq!(law.head().unix_ms, u64::MAX);
    // No id can be in the window any more; without one the law goes on.
    let id = super::request_id(1_800_000_000_000, 1);
    let late = wire::Entry { request_id: id, ..law.entry(note(2)) };
    assert_eq!(super::refusal(&law.apply(&late)), Some(Code::RequestIdExpired as u32));
    assert_eq!(law.ask(note(2)), None);
    let mut round = Round::new(&law.store, Law::GROUP);
    assert!(round.apply(u64::MAX, &law.entry(note(3)).encode_to_vec()).is_ok());
}

/// Every single bit of an entry of each kind, flipped; and every length of it.
#[test]
fn every_bit_of_an_entry_may_flip() {
    let law = Law::default();
    let rooms = [
        note(1),
        super::compact(1),
        super::server("a", 2, 1),
        super::agent("a", Some(wire::Lease { ttl_ms: 5000, grace_ms: 1 })),
        super::delete("a", "b", true),
    ];
    for room in rooms {
        let bytes = law.entry(room).encode_to_vec();
        let flipped = (0..bytes.len() * 8).map(|bit| {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        });
        for bytes in flipped.chain((0..bytes.len()).map(|length| bytes[..length].to_vec())) {
            let apply = || Round::new(&law.store, Law::GROUP).apply(1, &bytes);
            assert_eq!(apply(), apply(), "{bytes:x?}");
        }
    }
}

#[test]
fn noise_is_answered() {
    let mut dice = seed("sim::totality::noise_is_answered");
    let noise = |dice: &mut Dice| {
        let length = dice.below(200);
        (0..length).map(|_| dice.below(256) as u8).collect::<Vec<_>>()
    };
    let law = Law::default();
    for _ in 0..5000 {
        let bytes = noise(&mut dice);
        let apply = || Round::new(&law.store, Law::GROUP).apply(1, &bytes);
        assert_eq!(apply(), apply(), "{bytes:x?}");
    }
}
