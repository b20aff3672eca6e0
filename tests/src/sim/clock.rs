//! The leader's clock: what entries are proposed with. Within a term it only goes on; a new leader
//! brings the wall clock of its own machine, and somebody may have set that.

use crate::report::Dice;

/// 2027: request ids hold 48 bits of it.
const START_MS: u64 = 1_800_000_000_000;
const MINUTE_MS: u64 = 60_000;

/// The clock.
pub(super) struct Clock {
    now_ms: u64,
}

impl Clock {
    pub(super) const fn new() -> Self {
        Self { now_ms: START_MS }
    }

    /// Time passes between two requests.
    pub(super) fn tick(&mut self, dice: &mut Dice) -> u64 {
        self.now_ms += match dice.below(8) {
            0 => 0,
            1 => dice.below(MINUTE_MS),
            _ => dice.below(2000),
        };
        self.now_ms
    }

    /// A new leader.
    pub(super) fn step(&mut self, dice: &mut Dice) {
        let minutes = |dice: &mut Dice, most| dice.below(most) * MINUTE_MS + dice.below(MINUTE_MS);
        self.now_ms = match dice.below(8) {
            0 => self.now_ms.saturating_sub(minutes(dice, 365 * 24 * 60)),
            1 | 2 => self.now_ms.saturating_sub(minutes(dice, 20)),
            // Back to where clocks are right, or ahead of that.
            3 => self.now_ms.max(START_MS) + minutes(dice, 24 * 60),
            _ => self.now_ms.max(START_MS) + minutes(dice, 8),
        };
    }
}
