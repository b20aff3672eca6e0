//! At the same index every node has the same hash, whatever the batches, the crashes and the
//! clocks.

use super::{Law, agent, holds, note, server};
use keiko_core::house::{Head, Round};
use keiko_core::store::MemoryStore;
use keiko_tests::sim::{Invariant, Settings, Weather};
use prost::Message as _;

#[test]
fn nodes_agree_at_each_index() {
    let weather = Weather { crash: 12, step: 6, ..Weather::default() };
    let settings = Settings { weather, nodes: 4, ..Settings::default() };
    let hunted = holds("sim::agreement", Invariant::Agreement, settings);
    let counts = &hunted.report.counts;
    assert!(counts.get(&("node", "crashed")).is_some_and(|count| *count > 40), "{counts:?}");
}

/// The same log in every way to cut it into two rounds, and entry by entry.
#[test]
fn no_border_of_a_batch_shows() {
    let law = Law::default();
    let rooms = [note(1), server("a", 3, 1), agent("b", None), server("a", 2, 2), note(1), note(2)];
    let log: Vec<_> = rooms.into_iter().map(|room| law.entry(room).encode_to_vec()).collect();
    let apply = |borders: &[usize]| {
        let (mut store, mut from) = (MemoryStore::default(), 0);
        for until in borders {
            let mut round = Round::new(&store, Law::GROUP);
            for (bytes, index) in log[from..*until].iter().zip(from as u64 + 1..) {
                round.apply(index, bytes).expect("an entry of this release stops no node");
            }
            let writes = round.into_writes();
            store.commit(writes);
            from = *until;
        }
        store
    };
    let whole = apply(&[log.len()]);
    for border in 1..log.len() {
        assert_eq!(apply(&[border, log.len()]), whole, "a border behind entry {border}");
    }
    let each: Vec<_> = (1..=log.len()).collect();
    assert_eq!(apply(&each), whole);
    assert_eq!(Head::read(&whole, Law::GROUP).revision, 6);
}
