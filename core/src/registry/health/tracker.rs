//! Follows one agent or server from probe to probe, and says when its health is another.
//!
//! Invariants:
//! - **only transitions**: what is said differs from what was said in state, class or flapping.
//! - **one failure is noise, two are news**, unless the link is gone or the class is hard.
//! - **who flaps is held back**: as in RFC 2439, each way down costs 1000, halved every minute. From
//!   3000 on it is held in `recovering`, in silence, until it is below 1500 and it stayed up for
//!   half a minute, or stayed down for two minutes.
//! - **a way back**: whatever happened before, who answers for three minutes is ready.

use super::{FailureClass, State, cut};
use keiko_proto::v1 as wire;

/// Soft failures in a row that are one way down.
const FAIL_AFTER: u32 = 2;
/// Passes in a row that lead back, below and from [`PENALTY_CAREFUL`] on.
const PASSES_MIN: u32 = 1;
const PASSES_CAREFUL: u32 = 3;
const PENALTY_CAREFUL: u32 = 2000;
/// Looks in a row that find nothing missing before degraded is ready again.
const WHOLE_AFTER: u32 = 2;

/// What one way down costs, and how fast that is forgotten: 1/2 a minute is 2^(-1/60) a second.
const PENALTY_EACH: u32 = 1000;
const PENALTY_MAX: u32 = 6000;
const DECAY_NUMERATOR: u64 = 64_783;
const DECAY_SHIFT: u32 = 16;
/// After so many seconds nothing of [`PENALTY_MAX`] is left: 20 half-lives.
const DECAY_SECONDS_MAX: u64 = 1200;
/// From here on it is held back …
const HOLD_FROM: u32 = 3000;
/// … until it is below this, and stayed up or down.
const RELEASE_BELOW: u32 = 1500;
const RELEASE_UP_MS: u64 = 30_000;
const RELEASE_DOWN_MS: u64 = 120_000;

/// When it is given up.
const DEAD_FAILURES: u32 = 10;
const DEAD_SPAN_MS: u64 = 10 * 60 * 1000;

/// When it is asked again.
const WELL_MS: u64 = 15_000;
const SOON_MS: u64 = 1000;
const DEAD_MS: u64 = 5 * 60 * 1000;
const BACKOFF_MIN_MS: u64 = 250;
const BACKOFF_MAX_MS: u64 = 60_000;
/// Who was well for so long starts over.
const BACKOFF_FORGET_MS: u64 = 30_000;
/// 250 ms × 2^8 is past a minute.
const DOUBLINGS_MAX: u32 = 8;

/// What one look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It answers, and all of it can be kept.
    Well,
    /// It answers, but not all of it can be kept or trusted.
    Incomplete {
        /// What is wrong with it.
        class: FailureClass,
        /// The same for people.
        message: String,
    },
    /// It did not answer as it should.
    Failed {
        /// How.
        class: FailureClass,
        /// The same for people.
        message: String,
    },
    /// What it was reached by is gone: that is a way down, whatever the class.
    Lost {
        /// How.
        class: FailureClass,
        /// The same for people.
        message: String,
    },
}

/// One agent's or server's health over time.
#[derive(Clone, Debug)]
pub struct Tracker {
    state: State,
    class: Option<FailureClass>,
    message: String,
    since_ms: u64,
    /// Held back because it flaps.
    held: bool,
    /// Never looked at, and nothing is kept of it: nothing was said yet.
    untold: bool,
    /// How the last looks found it, apart from what is said.
    up: bool,
    up_since_ms: u64,
    down_since_ms: u64,
    passes: u32,
    failures: u32,
    failing_since_ms: u64,
    /// Another class than the one that was said, seen once.
    other_class: Option<FailureClass>,
    attempts: u32,
    penalty: u64,
    penalty_ms: u64,
}

impl Tracker {
    /// Of what is new.
    pub fn new(now_ms: u64) -> Self {
        Self {
            state: State::Recovering,
            class: None,
            message: "not probed yet".to_owned(),
            since_ms: now_ms,
            held: false,
            untold: true,
            up: false,
            up_since_ms: now_ms,
            down_since_ms: now_ms,
            passes: 0,
            failures: 0,
            failing_since_ms: now_ms,
            other_class: None,
            attempts: 0,
            penalty: 0,
            penalty_ms: now_ms,
        }
    }

    /// Of what an entry knows. What was soft is forgotten, but who was held back still is.
    pub fn resumed(health: &wire::Health, now_ms: u64) -> Self {
        let fresh = Self::new(now_ms);
        let Some(state) = State::parse(&health.state) else { return fresh };
        let held = health.flapping && state == State::Recovering;
        Self {
            state,
            class: FailureClass::parse(&health.failure_class),
            message: cut(&health.message),
            since_ms: health.since_ms,
            held,
            untold: false,
            up: state.is_callable(),
            penalty: if held { scaled(HOLD_FROM) } else { 0 },
            ..fresh
        }
    }

    /// Takes one look into account. Some if the health is another than was said.
    pub fn see(&mut self, now_ms: u64, seen: Seen) -> Option<wire::Health> {
        let before = self.said();
        match seen {
            Seen::Well => self.pass(now_ms, None),
            Seen::Incomplete { class, message } => self.pass(now_ms, Some((class, message))),
            Seen::Failed { class, message } => self.fail(now_ms, class, &message, class.is_hard()),
            Seen::Lost { class, message } => self.fail(now_ms, class, &message, true),
        }
        if before == self.said() {
            return None;
        }
        if before.is_none_or(|(state, ..)| state != self.state) {
            self.since_ms = now_ms;
        }
        Some(self.health())
    }

    /// The health as it is now said.
    pub fn health(&self) -> wire::Health {
        wire::Health {
            state: self.state.as_str().to_owned(),
            failure_class: self.class.map(FailureClass::as_str).unwrap_or_default().to_owned(),
            message: self.message.clone(),
            since_ms: self.since_ms,
            flapping: self.held,
        }
    }

    /// When to look again.
    pub fn due(&self, now_ms: u64, dice: u64) -> u64 {
        let after = if self.up {
            let settled = self.failures == 0 && self.state == State::Ready;
            let steady = self.state == State::Degraded && self.failures + self.passes == 0;
            if settled || steady { spread(WELL_MS, dice) } else { SOON_MS }
        } else if self.failures == 0 {
            0
        } else if self.state == State::Dead {
            spread(DEAD_MS, dice)
        } else {
            let doublings = self.attempts.saturating_sub(1).min(DOUBLINGS_MAX);
            spread((BACKOFF_MIN_MS << doublings).min(BACKOFF_MAX_MS), dice).min(BACKOFF_MAX_MS)
        };
        now_ms.saturating_add(after)
    }

    /// How it is called.
    pub fn state(&self) -> State {
        self.state
    }

    /// True if the last looks found it answering, whether it is called or held back.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Looks that failed in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// What its ways down cost it, as far as they are not forgotten.
    pub fn penalty(&self, now_ms: u64) -> u32 {
        let penalty = decayed(self.penalty, now_ms.saturating_sub(self.penalty_ms) / 1000);
        u32::try_from(penalty >> DECAY_SHIFT).unwrap_or(PENALTY_MAX)
    }

    fn said(&self) -> Option<(State, Option<FailureClass>, bool)> {
        (!self.untold).then_some((self.state, self.class, self.held))
    }

    fn pass(&mut self, now_ms: u64, fault: Option<(FailureClass, String)>) {
        let new = std::mem::take(&mut self.untold);
        if !self.up {
            (self.up, self.up_since_ms, self.passes) = (true, now_ms, 0);
        }
        (self.failures, self.other_class) = (0, None);
        self.passes = self.passes.saturating_add(1);
        if self.is_held(now_ms) {
            self.state = State::Recovering;
            return;
        }
        let (state, class, message) = match fault {
            None => (State::Ready, None, String::new()),
            Some((class, message)) => (State::Degraded, Some(class), cut(&message)),
        };
        let needed = match self.state {
            State::Ready => 0,
            State::Degraded if state == State::Degraded => 0,
            State::Degraded => WHOLE_AFTER,
            State::CoolingDown | State::Recovering | State::Dead if new => 0,
            State::CoolingDown | State::Recovering | State::Dead => {
                if self.penalty(now_ms) < PENALTY_CAREFUL { PASSES_MIN } else { PASSES_CAREFUL }
            }
        };
        if self.passes >= needed {
            (self.state, self.class, self.message) = (state, class, message);
            self.passes = 0;
        } else if !self.state.is_callable() {
            self.state = State::Recovering;
        }
    }

    fn fail(&mut self, now_ms: u64, class: FailureClass, message: &str, hard: bool) {
        let new = std::mem::take(&mut self.untold);
        if self.failures == 0 {
            self.failing_since_ms = now_ms;
        }
        self.failures = self.failures.saturating_add(1);
        self.passes = 0;
        if self.up && !hard && self.failures < FAIL_AFTER {
            return;
        }
        if self.up && now_ms.saturating_sub(self.up_since_ms) >= BACKOFF_FORGET_MS {
            self.attempts = 0;
        }
        self.attempts = self.attempts.saturating_add(1);
        if self.up {
            (self.up, self.down_since_ms) = (false, now_ms);
            self.punish(now_ms);
        }
        if class == FailureClass::ExecRefused {
            return self.say(State::Dead, class, message);
        }
        let was_held = self.held;
        if self.is_held(now_ms) {
            if !was_held {
                self.message = cut(&format!("it comes and goes: {message}"));
            }
            self.class.get_or_insert(class);
            self.state = State::Recovering;
            return;
        }
        let lasting = now_ms.saturating_sub(self.failing_since_ms) >= DEAD_SPAN_MS;
        let given_up = self.state == State::Dead && self.class != Some(FailureClass::ExecRefused);
        if given_up || (self.failures >= DEAD_FAILURES && lasting) {
            return self.say(State::Dead, class, message);
        }
        if new || self.state != State::CoolingDown {
            self.other_class = None;
            (self.class, self.state) = (None, State::CoolingDown);
        }
        self.say(State::CoolingDown, class, message);
    }

    /// Says that it is down. Another class is believed when it is seen twice in a row.
    fn say(&mut self, state: State, class: FailureClass, message: &str) {
        let other = self.class.is_some_and(|said| said != class);
        if state == self.state && other && self.other_class != Some(class) {
            self.other_class = Some(class);
            return;
        }
        if state != self.state || self.class != Some(class) {
            self.message = cut(message);
        }
        (self.state, self.class, self.held, self.other_class) = (state, Some(class), false, None);
    }

    fn punish(&mut self, now_ms: u64) {
        let seconds = now_ms.saturating_sub(self.penalty_ms) / 1000;
        let most = scaled(PENALTY_MAX);
        self.penalty = (decayed(self.penalty, seconds) + scaled(PENALTY_EACH)).min(most);
        // The rest of a second is not lost: it counts in the next step.
        self.penalty_ms = self.penalty_ms.saturating_add(seconds.saturating_mul(1000));
    }

    /// Holds who flaps and releases who does not any more; true while it is held.
    fn is_held(&mut self, now_ms: u64) -> bool {
        let penalty = self.penalty(now_ms);
        if !self.held {
            self.held = penalty >= HOLD_FROM;
        } else if penalty < RELEASE_BELOW {
            let (since_ms, enough_ms) = match self.up {
                true => (self.up_since_ms, RELEASE_UP_MS),
                false => (self.down_since_ms, RELEASE_DOWN_MS),
            };
            self.held = now_ms.saturating_sub(since_ms) < enough_ms;
        }
        self.held
    }
}

const fn scaled(penalty: u32) -> u64 {
    (penalty as u64) << DECAY_SHIFT
}

/// A penalty after so many seconds.
fn decayed(penalty: u64, seconds: u64) -> u64 {
    if seconds > DECAY_SECONDS_MAX {
        return 0;
    }
    (0..seconds).fold(penalty, |penalty, _| (penalty * DECAY_NUMERATOR) >> DECAY_SHIFT)
}

/// A time, 20 % more or less.
fn spread(time_ms: u64, dice: u64) -> u64 {
    let fifth = time_ms / 5;
    time_ms - fifth + dice % (2 * fifth + 1)
}
