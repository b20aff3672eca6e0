//! Whether an agent or a server works: the states, why it does not, and who says when that changes.
//!
//! ```text
//!            pass                     passes, once it is quiet
//!   (new) ─────────▶ ready ◀──────────────────────── recovering
//!                    ▲   │ failures                  ▲   │ failure
//!    it can all be   │   ▼                      pass │   ▼
//!    kept again      degraded ─── failures ──▶ cooling-down ──── 10 failures, 10 min ──▶ dead
//! ```
//!
//! The law keeps transitions only and derives the condition `Ready` from each. The [`Tracker`]
//! decides what is one; it has no clock and no dice of its own.

mod class;
#[cfg(test)]
mod tests;
mod tracker;

pub use class::FailureClass;
pub use tracker::{Seen, Tracker};

use super::model::{Kind, READY};
use crate::limits::HEALTH_MESSAGE_CHARS_MAX;
use crate::refusal::{Code, Refusal, Result, refuse};
use keiko_proto::v1 as wire;

/// How well an agent or a server works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It answers as it should.
    Ready,
    /// It answers, but something of it can't be kept or trusted: called when nobody better is.
    Degraded,
    /// It failed, and is asked again ever more seldom.
    CoolingDown,
    /// It answers again, or was never asked: not called until it passed often enough.
    Recovering,
    /// It failed for so long that it is hardly asked any more.
    Dead,
}

impl State {
    /// Every state.
    pub const ALL: &[Self] =
        &[Self::Ready, Self::Degraded, Self::CoolingDown, Self::Recovering, Self::Dead];

    /// As in the status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::CoolingDown => "cooling-down",
            Self::Recovering => "recovering",
            Self::Dead => "dead",
        }
    }

    /// From the status.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == text)
    }

    /// True if calls may be sent to it.
    pub const fn is_callable(self) -> bool {
        match self {
            Self::Ready | Self::Degraded => true,
            Self::CoolingDown | Self::Recovering | Self::Dead => false,
        }
    }
}

/// Checks what an entry says of health, and returns its state.
pub fn check(health: &wire::Health) -> Result<State> {
    let Some(state) = State::parse(&health.state) else {
        let states: Vec<_> = State::ALL.iter().map(|state| state.as_str()).collect();
        return Err(Refusal::new(
            Code::InvalidArgument,
            format!("no state of health is called {:?}", health.state),
        )
        .hint(format!("one of {}", states.join(", "))));
    };
    if !health.failure_class.is_empty() && FailureClass::parse(&health.failure_class).is_none() {
        return refuse(
            Code::InvalidArgument,
            format!("no class of failures is called {:?}", health.failure_class),
        );
    }
    if health.message.chars().count() > HEALTH_MESSAGE_CHARS_MAX {
        return refuse(
            Code::LimitExceeded,
            format!("a message of health has at most {HEALTH_MESSAGE_CHARS_MAX} characters"),
        );
    }
    Ok(state)
}

/// The condition `Ready` that follows from the health of an agent or a server. `since_ms` is left
/// to the law.
pub fn ready_condition(kind: Kind, health: &wire::Health) -> wire::Condition {
    let state = State::parse(&health.state);
    let class = FailureClass::parse(&health.failure_class);
    let well = match kind {
        Kind::McpServer | Kind::Tool => "Linked",
        Kind::Agent | Kind::Skill => "CardFetched",
    };
    let (status, reason) = match state {
        Some(State::Ready | State::Degraded) => ("True", well),
        Some(State::Recovering) if health.flapping => ("False", "Flapping"),
        Some(State::Recovering) if class.is_none() => ("False", "NotProbed"),
        Some(State::Recovering) => ("False", "Recovering"),
        Some(State::CoolingDown | State::Dead) => {
            ("False", class.map_or("Failed", FailureClass::condition_reason))
        }
        None => ("Unknown", "NotProbed"),
    };
    wire::Condition {
        r#type: READY.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: health.message.clone(),
        since_ms: 0,
    }
}

/// The beginning of a text, as long as a message of health may be.
pub fn cut(text: &str) -> String {
    text.chars().take(HEALTH_MESSAGE_CHARS_MAX).collect()
}
