//! Why a call failed, and the one fact that decides about a repetition.

use keiko_core::refusal::{Code, Refusal};

/// A failed call. Only a call that surely did not run may be repeated without the tool's consent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{refusal}")]
pub struct CallError {
    /// True if the far side can't have begun: refused connection, unknown session, closed before
    /// the request was written.
    pub surely_not_run: bool,
    /// What to tell the caller.
    pub refusal: Refusal,
    /// True if the far side answered without saying whether it ran, whatever the code is.
    untold: bool,
}

/// What a call gives.
pub type CallResult<T> = std::result::Result<T, CallError>;

impl CallError {
    /// The request never reached the far side, or was turned away before anything ran.
    pub fn not_run(refusal: Refusal) -> Self {
        Self { surely_not_run: true, refusal, untold: false }
    }

    /// The request may have reached the far side.
    pub fn maybe_run(refusal: Refusal) -> Self {
        Self { surely_not_run: false, refusal, untold: false }
    }

    /// The request reached the far side, whose answer leaves open whether it ran.
    pub(crate) fn untold(refusal: Refusal) -> Self {
        Self { surely_not_run: false, refusal, untold: true }
    }

    /// For a call with effects: if the far side may have begun and never said how it ended, then
    /// that is what the caller has to know, before anything else.
    #[must_use]
    pub(crate) fn of_effect(self, what: &str) -> Self {
        let silent =
            self.untold || matches!(self.refusal.code, Code::PeerTimeout | Code::PeerUnreachable);
        if self.surely_not_run || !silent {
            return self;
        }
        let mut refusal = Refusal::new(Code::OutcomeUnknown, format!("{what} may have run or not"))
            .cause(&self.refusal.message);
        refusal.causes.extend(self.refusal.causes);
        refusal.hints.extend(self.refusal.hints);
        Self::maybe_run(refusal)
    }
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        error.refusal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_silent_end_after_sending_is_unknown() {
        let check = |error: CallError, expect: Code| {
            assert_eq!(error.of_effect("tool \"t\"").refusal.code, expect);
        };
        let refusal = |code| Refusal::new(code, "x");
        check(CallError::not_run(refusal(Code::PeerUnreachable)), Code::PeerUnreachable);
        check(CallError::maybe_run(refusal(Code::PeerUnreachable)), Code::OutcomeUnknown);
        check(CallError::maybe_run(refusal(Code::PeerTimeout)), Code::OutcomeUnknown);
        check(CallError::maybe_run(refusal(Code::PeerError)), Code::PeerError);
        check(CallError::maybe_run(refusal(Code::PeerTooLarge)), Code::PeerTooLarge);
        check(CallError::untold(refusal(Code::PeerError)), Code::OutcomeUnknown);
    }
}
