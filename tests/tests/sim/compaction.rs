//! What lies below the oldest revision is not shown, and what lies above is all there.

use super::{Law, compact, holds, note, server};
use keiko_core::journal;
use keiko_core::limits::COMPACT_KEYS_MAX;
use keiko_core::refusal::Code;
use keiko_tests::sim::{Invariant, Room, Settings};

#[test]
fn nothing_below_the_oldest_revision_is_shown() {
    let mut settings = Settings::default();
    settings.rooms.insert(Room::Journal, 8);
    let hunted = holds("sim::compaction", Invariant::Compaction, settings);
    let counts = &hunted.report.counts;
    let compacted = counts.get(&("journal.compact", "accepted"));
    assert!(compacted.is_some_and(|count| *count > 40), "{counts:?}");
}

#[test]
fn only_what_is_there_is_compacted() {
    let mut law = Law::default();
    for version in 1..=5 {
        assert_eq!(law.ask(note(version)), None);
    }
    // Compactions make revisions themselves: 6 and 7 are not there yet when they are asked for.
    for (before, expect) in [
        (6, Some(Code::FutureRevision)),
        (u64::MAX, Some(Code::FutureRevision)),
        (5, None),
        (7, Some(Code::FutureRevision)),
        (0, None),
    ] {
        let found = law.ask(compact(before));
        assert_eq!(found, expect.map(|code| code as u32), "below {before}");
    }
    assert_eq!(journal::oldest_revision(&law.store, Law::GROUP), 5, "it never goes back");
}

/// More than one compaction removes: what is left of it below the oldest revision is not shown.
#[test]
fn a_compaction_that_takes_several_entries_is_whole_at_once() {
    let mut law = Law::default();
    // Each entry changes every tool, so each makes as many events and past versions.
    let (tools, entries) = (500, 12);
    for version in 0..entries {
        assert_eq!(law.ask(server("a", tools, version)), None);
    }
    let oldest = entries - 1;
    assert!(tools * (oldest - 1) > COMPACT_KEYS_MAX as u64, "one compaction is not enough");
    assert_eq!(law.ask(compact(oldest)), None);
    let shown = journal::after(&law.store, Law::GROUP, oldest - 1).next();
    assert_eq!(shown.map(|event| event.revision), Some(oldest));
    let mut compactions = 1;
    while journal::after(&law.store, Law::GROUP, 0).next().map(|event| event.revision)
        < Some(oldest)
    {
        assert_eq!(law.ask(compact(oldest)), None);
        compactions += 1;
    }
    assert!((2..5).contains(&compactions), "{compactions} compactions");
    assert_eq!(journal::oldest_revision(&law.store, Law::GROUP), oldest);
}
