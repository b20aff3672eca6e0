//! How fast a child's output is read. What is not read waits in its pipe, and so does the child:
//! one that floods slows down itself and nobody else.

use std::time::{Duration, Instant};

/// Read at once: what a verbose start writes.
const BURST_BYTES: u64 = 1 << 20;

/// Read in a second for long: as much as a ring keeps, so that nothing is lost to a faster reader.
const BYTES_PER_SECOND: u64 = super::log::RING_BYTES_MAX as u64;

/// Bytes that may be read now.
pub(super) struct Pace {
    left: u64,
    counted: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: BURST_BYTES, counted: now }
    }

    /// Counts what was read, and says how long to wait before the next.
    pub(super) fn pause(&mut self, now: Instant, read: usize) -> Duration {
        let since = now.saturating_duration_since(self.counted);
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        if millis > 0 {
            let more = millis.saturating_mul(BYTES_PER_SECOND) / 1000;
            self.left = self.left.saturating_add(more).min(BURST_BYTES);
            self.counted = now;
        }
        let read = read as u64;
        let lacking = read.saturating_sub(self.left);
        self.left = self.left.saturating_sub(read);
        let pause = Duration::from_millis(lacking * 1000 / BYTES_PER_SECOND);
        // What comes in while it waits is what was lacking.
        self.counted = self.counted.max(now + pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_read_slowly_and_a_burst_at_once() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        let took = |pace: &mut Pace, now: &mut Instant, bytes: u64| {
            let begun = *now;
            for _ in 0..bytes / 8192 {
                *now += pace.pause(*now, 8192);
            }
            now.duration_since(begun).as_secs()
        };
        assert_eq!(took(&mut pace, &mut now, BURST_BYTES), 0);
        let seconds = took(&mut pace, &mut now, BYTES_PER_SECOND * 60);
        assert!((58..=62).contains(&seconds), "{seconds}");
        now += Duration::from_secs(600);
        assert_eq!(took(&mut pace, &mut now, BURST_BYTES), 0);
        assert!(
            took(&mut pace, &mut now, BYTES_PER_SECOND * 2) > 0,
            "no more than a burst is saved"
        );
    }
}
