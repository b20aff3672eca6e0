//! How a command stops early, and how that looks.
//!
//! A refusal goes to stderr: for people in three kinds of lines, with `-o json` as one object. It
//! never touches stdout.

use crate::exit::Exit;
use crate::print::{Style, escape};
use keiko_core::refusal::{Code, Refusal};
use serde_json::json;
use std::fmt::Write as _;

/// Why a command stops early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Somebody said no.
    Refused(Box<Fault>),
    /// Who reads our output went away: nothing to say, and nobody to say it to.
    PipeClosed,
    /// Ctrl-C.
    Interrupted,
}

/// What every verb gives back.
pub(crate) type Outcome<T = Exit> = Result<T, Stop>;

/// A refusal with the ids under which the server knows the call.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// What, why, and what next.
    pub refusal: Refusal,
    /// UUID; empty if the call carried none.
    pub request_id: String,
    /// Hex; empty if nothing was sent.
    pub trace_id: String,
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, request_id: String::new(), trace_id: String::new() }
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal.into()))
    }
}

impl From<keiko_client::Error> for Stop {
    fn from(error: keiko_client::Error) -> Self {
        let keiko_client::Error { refusal, request_id, trace_id } = error;
        let request_id = request_id.map(|id| id.to_string()).unwrap_or_default();
        let mut refusal = Refusal::from_wire(*refusal);
        let unsure = [Code::DeadlineExceeded, Code::Unreachable, Code::NoLeader];
        if !request_id.is_empty() && unsure.contains(&refusal.code) {
            refusal = refusal.hint(format!("to try again safely, add --request-id {request_id}"));
        }
        Self::Refused(Box::new(Fault { refusal, request_id, trace_id }))
    }
}

/// A malformed word of the command line.
pub(crate) fn usage(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidArgument, message)
}

impl Fault {
    /// The lines for people.
    pub(crate) fn human(&self, style: &Style) -> String {
        let Refusal { code, message, causes, hints } = &self.refusal;
        let head = style.bad(&format!("error[{code}]"));
        // Text of others: what breaks a line is not worth keeping, wherever it goes.
        let mut text = format!("{head}: {}\n", escape::line(message));
        for cause in causes {
            let _ = writeln!(text, "  cause: {}", escape::line(cause));
        }
        for hint in next(*code, hints) {
            let _ = writeln!(text, "  hint:  {}", escape::line(&hint));
        }
        text
    }

    /// The one object for programs.
    pub(crate) fn json(&self) -> String {
        let Refusal { code, message, causes, hints } = &self.refusal;
        let object = json!({
            "code": code.to_string(),
            "message": message,
            "causes": causes,
            "hints": next(*code, hints),
            "retryable": code.retryable(),
            "request_id": self.request_id,
            "trace_id": self.trace_id,
        });
        escape::json(&format!("{object}\n"))
    }
}

/// What to do next. Where nobody says, the page of the code does.
fn next(code: Code, hints: &[String]) -> Vec<String> {
    match hints {
        [] => vec![format!("keikoctl explain {code}")],
        hints => hints.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_the_same_everywhere() {
        let refusal = Refusal::new(Code::NameTaken, "agent \"a\u{1b}[31m\" is there")
            .cause("at https://a\u{9b}\u{202e}")
            .hint("keikoctl agent delete a");
        let fault = Fault::from(refusal);
        assert_eq!(
            fault.human(&Style::plain()),
            "error[KEIKO-0031]: agent \"a\\x1b[31m\" is there\n  cause: at https://a\\x9b\\u{202e}\n  hint:  keikoctl agent delete a\n"
        );
        let json = fault.json();
        assert!(!json.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{json:?}");
        let object: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(object["causes"][0], "at https://a\u{9b}\u{202e}");
        assert_eq!(object["code"], "KEIKO-0031");
        assert_eq!(object["retryable"], false);
        assert_eq!(object["hints"][0], "keikoctl agent delete a");
    }

    #[test]
    fn nobody_is_left_without_a_next_step() {
        let fault = Fault::from(Refusal::new(Code::FutureRevision, "not there yet"));
        assert_eq!(
            fault.human(&Style::plain()),
            "error[KEIKO-0035]: not there yet\n  hint:  keikoctl explain KEIKO-0035\n"
        );
        let object: serde_json::Value = serde_json::from_str(&fault.json()).unwrap();
        assert_eq!(object["hints"][0], "keikoctl explain KEIKO-0035");
    }

    #[test]
    fn the_clients_numbers_are_the_laws() {
        use keiko_client::code;
        for (number, expect) in [
            (code::INTERNAL, Code::Internal),
            (code::INVALID_ARGUMENT, Code::InvalidArgument),
            (code::LIMIT_EXCEEDED, Code::LimitExceeded),
            (code::DEADLINE_EXCEEDED, Code::DeadlineExceeded),
            (code::OUTCOME_UNKNOWN, Code::OutcomeUnknown),
            (code::UNKNOWN_METHOD, Code::UnknownMethod),
            (code::UNREACHABLE, Code::Unreachable),
            (code::WRONG_CLUSTER, Code::WrongCluster),
            (code::NOT_READY, Code::NotReady),
            (code::UNAUTHENTICATED, Code::Unauthenticated),
            (code::TOKEN_INVALID, Code::TokenInvalid),
            (code::PERMISSION_DENIED, Code::PermissionDenied),
            (code::REQUEST_ID_EXPIRED, Code::RequestIdExpired),
            (code::NO_LEADER, Code::NoLeader),
            (code::DRAINING, Code::Draining),
        ] {
            assert_eq!(number, expect as u32);
        }
    }
}
