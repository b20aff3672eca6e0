//! One more for each accepted command, the same for any other.

use super::{Law, agent, compact, delete, holds, note, request_id};
use keiko_proto::v1 as wire;
use keiko_tests::sim::{Invariant, Settings, Weather};
use prost::Message as _;

#[test]
fn revisions_have_no_gap() {
    let weather = Weather { retry: 16, garbage: 12, ..Weather::default() };
    let settings = Settings { weather, nodes: 1, ..Settings::default() };
    holds("sim::revisions", Invariant::Revisions, settings);
}

#[test]
fn what_counts_is_what_is_accepted() {
    let mut law = Law::default();
    let id = request_id(law.now_ms, 1);
    let asked = |law: &Law, room| wire::Entry { request_id: id.clone(), ..law.entry(room) };
    let table = [
        (asked(&law, note(1)), 1, "accepted"),
        (asked(&law, note(1)), 1, "a retry"),
        (law.entry(note(1)), 2, "accepted, though nothing changed"),
        (law.entry(delete("a", "", false)), 2, "refused: not there"),
        (law.entry(agent("a", None)), 3, "accepted"),
        (law.entry(compact(99)), 3, "refused: not there yet"),
        (wire::Entry { room: None, ..law.entry(note(1)) }, 3, "refused: no room"),
        (wire::Entry { request_id: vec![1], ..law.entry(note(1)) }, 3, "refused: no id"),
    ];
    for (entry, expect, why) in table {
        law.apply(&entry);
        assert_eq!(law.head().revision, expect, "{why}: {}", entry.encode_to_vec().len());
        assert_eq!(law.head().index, law.index, "{why}");
    }
}
