//! The leader's clock: what `proposed_ms` is made of.
//!
//! It is the wall clock when the term began, or the last stamp if that is later, moved on by the
//! monotonic clock. Where the wall clock drifts away, it follows by at most a tenth of the time that
//! passes, so it never jumps and never goes back. A difference of more than 500 ms is a step of the
//! wall clock: that moves nothing and raises the alarm. A wall clock that was ahead and was put
//! right is such a step too: time goes on from the last stamp, and does not stand still until the
//! wall clock has caught up.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A difference beyond this is a step, not drift.
const STEP_US: i64 = 500_000;
/// The part of the time passed by which drift is made good.
const SLEW_PART: i64 = 10;

/// The clock of one group.
#[derive(Debug, Default)]
pub(super) struct LeaderClock {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    term: u64,
    moved_at: Instant,
    now_us: i64,
    offset_us: i64,
}

impl LeaderClock {
    /// The time in milliseconds since 1970, in the term that this node leads. The last stamp is
    /// asked for once a term.
    pub(super) fn now_ms(&mut self, term: u64, last_stamp_ms: impl FnOnce() -> u64) -> u64 {
        let wall_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, to_us);
        let last_us = || to_us(Duration::from_millis(last_stamp_ms()));
        self.at(term, wall_us, last_us, Instant::now())
    }

    /// By how much the wall clock is away, in milliseconds, if that is a step.
    pub(super) fn alarm(&self) -> Option<i64> {
        let offset_us = self.running.as_ref()?.offset_us;
        (offset_us.abs() > STEP_US).then_some(offset_us / 1000)
    }

    fn at(
        &mut self,
        term: u64,
        wall_us: i64,
        last_us: impl FnOnce() -> i64,
        moment: Instant,
    ) -> u64 {
        let running = match &mut self.running {
            Some(running) if running.term == term => running,
            _ => self.running.insert(Running {
                term,
                moved_at: moment,
                now_us: wall_us.max(last_us()),
                offset_us: 0,
            }),
        };
        let passed = to_us(moment.saturating_duration_since(running.moved_at));
        running.moved_at = moment;
        running.now_us += passed;
        running.offset_us = wall_us - running.now_us;
        if running.offset_us.abs() <= STEP_US {
            let most = passed / SLEW_PART;
            running.now_us += running.offset_us.clamp(-most, most);
        }
        u64::try_from(running.now_us / 1000).unwrap_or(0)
    }
}

fn to_us(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of (monotonic ms, wall ms) from a clock that starts at 1,000,000 ms, and what it says.
    fn check(steps: &[(u64, i64, u64)], alarm: Option<i64>) {
        let start = Instant::now();
        let mut clock = LeaderClock::default();
        assert_eq!(clock.at(1, 1_000_000_000, || 0, start), 1_000_000);
        for (passed_ms, wall_ms, expect) in steps {
            let moment = start + Duration::from_millis(*passed_ms);
            assert_eq!(clock.at(1, wall_ms * 1000, || 0, moment), *expect, "{steps:?}");
        }
        assert_eq!(clock.alarm(), alarm, "{steps:?}");
    }

    #[test]
    fn it_follows_drift_slowly_and_steps_never() {
        check(&[(1000, 1_001_000, 1_001_000)], None);
        // 200 ms ahead: a tenth of the second that passed is made good.
        check(&[(1000, 1_001_200, 1_001_100), (2000, 1_002_200, 1_002_200)], None);
        // 50 ms behind: within the tenth.
        check(&[(1000, 1_000_950, 1_000_950)], None);
        // Never back, even where no time passes.
        check(&[(1000, 1_000_600, 1_000_900), (1000, 1_000_600, 1_000_900)], None);
        // A step of an hour in either direction moves nothing.
        check(&[(1000, 4_601_000, 1_001_000), (2000, 4_602_000, 1_002_000)], Some(3_600_000));
        check(&[(1000, 1_001_000 - 3_600_000, 1_001_000)], Some(-3_600_000));
        // The alarm ends when the wall clock comes back.
        check(&[(1000, 4_601_000, 1_001_000), (2000, 1_002_000, 1_002_000)], None);
    }

    #[test]
    fn a_new_term_takes_the_wall_clock_again() {
        let start = Instant::now();
        let mut clock = LeaderClock::default();
        clock.at(1, 1_000_000_000, || 0, start);
        clock.at(1, 9_000_000_000, || 0, start);
        assert!(clock.alarm().is_some());
        assert_eq!(clock.at(2, 9_000_000_000, || 0, start), 9_000_000);
        assert_eq!(clock.alarm(), None);
    }

    #[test]
    fn a_wall_clock_behind_the_last_stamp_does_not_hold_time_up() {
        let start = Instant::now();
        let mut clock = LeaderClock::default();
        assert_eq!(clock.at(1, 1_000_000_000, || 5_000_000_000, start), 5_000_000);
        assert_eq!(clock.alarm(), Some(-4_000_000));
        let later = start + Duration::from_secs(2);
        assert_eq!(clock.at(1, 1_002_000_000, || 0, later), 5_002_000);
        // A little behind is drift.
        assert_eq!(clock.at(2, 1_002_000_000, || 1_002_100_000, later), 1_002_100);
        assert_eq!(clock.alarm(), None);
    }
}
