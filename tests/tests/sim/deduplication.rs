//! A retry gets the reply of the first, and changes nothing; an id stands for one request of one
//! actor, for ten minutes.

use super::{Law, holds, note, refusal, request_id};
use keiko_core::limits::{DEDUP_WINDOW_MS, REQUEST_ID_AHEAD_MS};
use keiko_core::refusal::Code;
use keiko_proto::v1 as wire;
use keiko_tests::sim::{Invariant, Settings, Weather};

#[test]
fn retries_change_nothing() {
    let weather = Weather { retry: 40, step: 6, ..Weather::default() };
    let settings = Settings { weather, ..Settings::default() };
    let hunted = holds("sim::deduplication", Invariant::Deduplication, settings);
    let counts = &hunted.report.counts;
    let retried = counts.iter().filter(|((_, outcome), _)| *outcome == "retried");
    assert!(retried.map(|(_, count)| count).sum::<u64>() > 400, "{counts:?}");
}

/// A retry at the edges of the window, by the stamp clock and not by the leader's.
#[test]
fn a_reply_is_kept_as_long_as_its_id_is_good() {
    let ahead = REQUEST_ID_AHEAD_MS;
    for (made_ahead_ms, later_ms, expect) in [
        (0, 0, None),
        (0, DEDUP_WINDOW_MS, None),
        (0, DEDUP_WINDOW_MS + 1, Some(Code::RequestIdExpired)),
        (ahead, DEDUP_WINDOW_MS + ahead, None),
        (ahead, DEDUP_WINDOW_MS + ahead + 1, Some(Code::RequestIdExpired)),
    ] {
        let mut law = Law::default();
        let id = request_id(law.now_ms + made_ahead_ms, 1);
        let first = wire::Entry { request_id: id, ..law.entry(note(1)) };
        let reply = law.apply(&first);
        law.now_ms += later_ms;
        // Others come by meanwhile, and forget what is due.
        for tail in 2..20 {
            let id = request_id(law.now_ms, tail);
            let other = wire::Entry { request_id: id, ..law.entry(note(tail.into())) };
            assert_eq!(refusal(&law.apply(&other)), None);
        }
        let revision = law.head().revision;
        let again = wire::Entry { proposed_ms: law.now_ms, ..first };
        let found = law.apply(&again);
        assert_eq!(refusal(&found), expect.map(|code| code as u32), "{made_ahead_ms} {later_ms}");
        assert_eq!(found == reply, expect.is_none(), "{made_ahead_ms} {later_ms}");
        assert_eq!(law.head().revision, revision);
    }
}

/// A refusal is a reply, too: what would be accepted by now is still refused to a retry.
#[test]
fn a_retry_gets_the_same_no() {
    let mut law = Law::default();
    let id = request_id(law.now_ms, 1);
    let early = wire::Entry { request_id: id, ..law.entry(super::delete("a", "", false)) };
    let no = law.apply(&early);
    assert_eq!(refusal(&no), Some(Code::NotFound as u32));
    assert_eq!(law.ask(super::agent("a", None)), None);
    assert_eq!(law.apply(&early), no);
}
