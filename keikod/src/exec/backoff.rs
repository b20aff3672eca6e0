//! How long to wait before a child is started again.
//!
//! Exponential with full jitter: the n-th failure in a row waits a time drawn evenly between the
//! least delay and `DELAY_MIN × 2^n`, at most [`DELAY_MAX`]. Whoever lived for [`LIFE_MIN`] starts
//! over. Pure: the random number comes from the caller.

use std::time::Duration;

/// The shortest wait, so that a command that ends at once is never a busy loop.
pub const DELAY_MIN: Duration = Duration::from_millis(250);
/// The longest wait: one start a minute costs nothing.
pub const DELAY_MAX: Duration = Duration::from_secs(60);
/// A child that lived this long was healthy: its failures before don't count any more.
pub const LIFE_MIN: Duration = Duration::from_secs(30);

/// 250 ms × 2^8 = 64 s: the first power past [`DELAY_MAX`].
const DOUBLINGS_MAX: u32 = 8;

/// The failures in a row of one child.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after a child ended that had lived for `lived`; `random` is any evenly drawn number.
    pub fn after(&mut self, lived: Duration, random: u64) -> Duration {
        if lived >= LIFE_MIN {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let doublings = self.failures.min(DOUBLINGS_MAX);
        let ceiling = DELAY_MIN.saturating_mul(1 << doublings).min(DELAY_MAX);
        let span_ms = (ceiling - DELAY_MIN).as_millis() as u64;
        DELAY_MIN + Duration::from_millis(random % (span_ms + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest delay after `failures` failures in a row.
    fn ceiling(failures: u32) -> Duration {
        (0..60_000)
            .step_by(250)
            .map(|random| {
                let mut backoff = Backoff { failures: failures - 1 };
                backoff.after(Duration::ZERO, random)
            })
            .max()
            .unwrap()
    }

    #[test]
    fn doubles_up_to_a_minute() {
        let check = |failures, expect_ms: u64| {
            assert_eq!(ceiling(failures), Duration::from_millis(expect_ms), "{failures}");
        };
        check(1, 500);
        check(2, 1_000);
        check(3, 2_000);
        check(7, 32_000);
        check(8, 60_000);
        check(u32::MAX, 60_000);
    }

    #[test]
    fn stays_within_its_bounds_for_any_random_number() {
        for random in [0, 1, 249, 250, 251, 59_749, u64::MAX] {
            let mut backoff = Backoff::default();
            for _ in 0..40 {
                let delay = backoff.after(Duration::ZERO, random);
                assert!((DELAY_MIN..=DELAY_MAX).contains(&delay), "{random}: {delay:?}");
            }
        }
    }

    #[test]
    fn a_long_life_starts_over() {
        let mut backoff = Backoff { failures: 9 };
        let delay = backoff.after(LIFE_MIN, u64::MAX);
        assert!(delay <= Duration::from_millis(500), "{delay:?}");
        assert_eq!(backoff.failures, 1);
    }
}
