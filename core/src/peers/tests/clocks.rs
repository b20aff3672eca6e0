//! What exchanges say of the clocks, and which of them is the odd one.

use super::super::{Clock, Offsets, Sample};
use super::set;
use crate::limits::NODES_MAX;

fn sample(offset_ms: i64, round_trip_ms: u64) -> Sample {
    Sample { offset_ms, round_trip_ms }
}

#[test]
fn an_exchange_tells_the_offset() {
    let check = |sent, remote, received, expect: Option<(i64, u64)>| {
        let got = Sample::of(sent, remote, received);
        assert_eq!(
            got,
            expect.map(|(offset, trip)| sample(offset, trip)),
            "{sent} {remote} {received}"
        );
    };
    check(1000, 1005, 1010, Some((0, 10)));
    check(1000, 1505, 1010, Some((500, 10)));
    check(1000, 505, 1010, Some((-500, 10)));
    check(1000, 1000, 999, None);
    check(0, u64::MAX, 0, Some((i64::MAX, 0)));
    check(u64::MAX, 0, u64::MAX, Some((-i64::MAX, 0)));
    check(0, 0, u64::MAX, Some((-i64::MAX, u64::MAX)));
}

#[test]
fn of_the_last_exchanges_the_fastest_counts() {
    let mut offsets = Offsets::new(1);
    offsets.note(2, sample(7, 3), 1000);
    offsets.note(2, sample(90, 200), 1250);
    assert_eq!(offsets.offset_ms(2, 1250), Some(7));
    // Another one as fast counts more, as it is later.
    offsets.note(2, sample(8, 3), 1500);
    assert_eq!(offsets.offset_ms(2, 1500), Some(8));
    // One that is too slow does not count at all.
    offsets.note(2, sample(9000, 501), 1500);
    (0..8).for_each(|_| offsets.note(2, sample(-4000, 60), 2000));
    assert_eq!(offsets.offset_ms(2, 2000), Some(-4000), "the clock was set");
    assert_eq!(offsets.offset_ms(2, 12_000), Some(-4000));
    assert_eq!(offsets.offset_ms(2, 12_001), None, "too old");
    assert_eq!((offsets.offset_ms(1, 0), offsets.offset_ms(3, 0)), (Some(0), None));
    offsets.retain(&set(&[3]));
    assert_eq!(offsets.offset_ms(2, 2000), None);
    (2..1000).for_each(|id| offsets.note(id, sample(0, 1), 2000));
    assert_eq!((2..1000).filter(|id| offsets.offset_ms(*id, 2000).is_some()).count(), NODES_MAX);
}

/// Each line: the offsets of the voters 2, 3, …; this one is 1.
#[test]
fn a_clock_is_off_by_the_word_of_a_majority() {
    let check = |offsets_ms: &[Option<i64>], expect: Clock| {
        let mut offsets = Offsets::new(1);
        let mut voters = set(&[1]);
        for (id, offset_ms) in (2..).zip(offsets_ms) {
            voters.insert(id);
            if let Some(offset_ms) = offset_ms {
                offsets.note(id, sample(*offset_ms, 2), 0);
            }
        }
        assert_eq!(offsets.clock(&voters, 0), expect, "{offsets_ms:?}");
        assert_eq!(offsets.is_off(&voters, 0), matches!(expect, Clock::Off { .. }));
    };
    let (off, apart) = (|ahead_ms| Clock::Off { ahead_ms }, |ahead_ms| Clock::Apart { ahead_ms });
    const HOUR_MS: i64 = 3600 * 1000;
    // Alone, or of nobody else anything is known.
    check(&[], Clock::Fine);
    check(&[None, None], Clock::Fine);
    check(&[Some(20), Some(-30)], Clock::Fine);
    // The limit.
    check(&[Some(500), Some(510)], Clock::Fine);
    check(&[Some(501), Some(510)], off(-501));
    check(&[Some(-HOUR_MS), Some(5 - HOUR_MS)], off(HOUR_MS - 5));
    // Another one is wrong.
    check(&[Some(HOUR_MS), Some(5)], Clock::Fine);
    // Of two neither is right, also of two that are left of three.
    check(&[Some(500)], Clock::Fine);
    check(&[Some(501)], apart(-250));
    check(&[Some(HOUR_MS)], apart(-HOUR_MS / 2));
    check(&[Some(HOUR_MS), None], apart(-HOUR_MS / 2));
    // Two camps of the same size, and everybody for himself.
    check(&[Some(0), Some(2000), Some(2000)], apart(-1000));
    check(&[Some(1000), Some(2000), Some(3000), Some(4000)], apart(-2000));
    check(&[Some(1000), Some(1001), Some(999), None], off(-999));
    // Two of five are no majority, also if nobody else is heard.
    check(&[Some(2000), Some(2000), None, None], apart(-2000));
    // A learner is measured by the voters, and is none of them.
    let learner = |offsets_ms: &[i64], expect| {
        let mut offsets = Offsets::new(9);
        let ids = (1..).zip(offsets_ms);
        ids.for_each(|(id, offset_ms)| offsets.note(id, sample(*offset_ms, 2), 0));
        assert_eq!(offsets.clock(&(1..=offsets_ms.len() as u64).collect(), 0), expect);
    };
    learner(&[501], off(-501));
    learner(&[600, 700, 0], off(-600));
    learner(&[600, 3000], apart(-1800));
    learner(&[0, 10, HOUR_MS], Clock::Fine);
}
