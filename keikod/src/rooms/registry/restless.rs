//! Who says something else at every look, be it a server or an agent, is looked at once a minute,
//! so that it fills neither the log nor the journal.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Changes within [`WINDOW`] that are too many: four looks in a row are 54 s apart at most, five
/// may be 72 s.
const CHANGES_MAX: usize = 4;
const WINDOW: Duration = Duration::from_secs(60);

/// Remembers when something changed.
#[derive(Debug, Default)]
pub(super) struct Restless {
    changes: VecDeque<Instant>,
    calmed: bool,
}

impl Restless {
    /// One look: what it found is another thing than at the one before, or the same.
    pub(super) fn saw(&mut self, changed: bool, now: Instant) {
        if !changed {
            if std::mem::take(&mut self.calmed) {
                self.changes.clear();
            }
            return;
        }
        self.changes.retain(|at| now.duration_since(*at) < WINDOW);
        self.changes.push_back(now);
        self.calmed |= self.changes.len() >= CHANGES_MAX;
    }

    /// True until one look finds what the look before found.
    pub(super) fn is_calmed(&self) -> bool {
        self.calmed
    }

    /// How long to leave it alone.
    pub(super) fn pause(&self) -> Duration {
        if self.calmed { WINDOW } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_changes_in_a_minute_are_too_many_and_one_quiet_look_is_enough() {
        let (mut restless, begun) = (Restless::default(), Instant::now());
        for second in 0..3 {
            restless.saw(true, begun + Duration::from_secs(second));
        }
        restless.saw(false, begun + Duration::from_secs(5));
        assert!(!restless.is_calmed(), "three are not too many");
        restless.saw(true, begun + Duration::from_secs(59));
        assert!(restless.is_calmed());
        restless.saw(true, begun + Duration::from_secs(119));
        assert_eq!(restless.pause(), WINDOW);
        restless.saw(false, begun + Duration::from_secs(179));
        assert_eq!(restless.pause(), Duration::ZERO);
        restless.saw(true, begun + Duration::from_secs(180));
        assert!(!restless.is_calmed(), "it begins anew");
    }

    #[test]
    fn who_changes_at_every_look_is_calmed_however_the_looks_fall() {
        for apart in [12, 15, 18] {
            let (mut restless, begun) = (Restless::default(), Instant::now());
            for look in 0..4 {
                assert!(!restless.is_calmed(), "look {look}, {apart} s apart");
                restless.saw(true, begun + Duration::from_secs(apart * look));
            }
            assert!(restless.is_calmed(), "{apart} s apart");
        }
    }

    #[test]
    fn a_change_every_twenty_seconds_is_life() {
        let (mut restless, begun) = (Restless::default(), Instant::now());
        for step in 0..100 {
            restless.saw(true, begun + Duration::from_secs(20 * step));
        }
        assert!(!restless.is_calmed());
    }
}
