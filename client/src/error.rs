//! What a call may end with: the server's refusal, or one in the same form for what went wrong on
//! the way.

use crate::tls;
use keiko_proto::v1::Refusal;
use prost::Message;
use std::error::Error as _;
use tonic::{Code, Status};
use uuid::Uuid;

/// The numbers of the coded refusals that are made or read here. The law's table is the source.
pub mod code {
    /// A defect, or a fault of the machine.
    pub const INTERNAL: u32 = 1;
    /// A field of the request is malformed.
    pub const INVALID_ARGUMENT: u32 = 2;
    /// A named maximum was met.
    pub const LIMIT_EXCEEDED: u32 = 3;
    /// The deadline of the caller passed.
    pub const DEADLINE_EXCEEDED: u32 = 4;
    /// The request may have taken effect or not.
    pub const OUTCOME_UNKNOWN: u32 = 5;
    /// The server does not offer this call.
    pub const UNKNOWN_METHOD: u32 = 8;
    /// No daemon where it was looked for.
    pub const UNREACHABLE: u32 = 10;
    /// The server's certificate is not of the cluster that was expected.
    pub const WRONG_CLUSTER: u32 = 12;
    /// The daemon is up but not ready.
    pub const NOT_READY: u32 = 13;
    /// The key exchange that was offered is not taken.
    pub const KEY_EXCHANGE: u32 = 14;
    /// Another node answers at this address.
    pub const WRONG_NODE: u32 = 15;
    /// No identity was presented.
    pub const UNAUTHENTICATED: u32 = 20;
    /// The token is malformed, unknown, expired or revoked.
    pub const TOKEN_INVALID: u32 = 21;
    /// The caller lacks a permission.
    pub const PERMISSION_DENIED: u32 = 22;
    /// The one-use token was traded already.
    pub const TOKEN_USED: u32 = 27;
    /// The token expired.
    pub const TOKEN_EXPIRED: u32 = 28;
    /// The certificate is expired, not of this cluster, or not of the key that is known.
    pub const CERTIFICATE_INVALID: u32 = 29;
    /// The request id is outside the window of de-duplication.
    pub const REQUEST_ID_EXPIRED: u32 = 36;
    /// There is no leader.
    pub const NO_LEADER: u32 = 40;
    /// The node is shutting down.
    pub const DRAINING: u32 = 43;
    /// The node hears no other member.
    pub const ISOLATED: u32 = 46;
}

/// A call that did not succeed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("KEIKO-{:04}: {}", refusal.code, refusal.message)]
pub struct Error {
    /// Why, and what to do next.
    pub refusal: Box<Refusal>,
    /// The request id that was sent, if the call carried one: a retry should carry it again.
    pub request_id: Option<Uuid>,
    /// The W3C trace id that was sent, hex; empty if nothing was sent.
    pub trace_id: String,
}

/// The short way to write it.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(code: u32, message: impl Into<String>) -> Self {
        let retryable = matches!(code, code::UNREACHABLE | code::DEADLINE_EXCEEDED);
        let message = message.into();
        let refusal = Refusal { code, message, retryable, ..Refusal::default() };
        Self { refusal: Box::new(refusal), request_id: None, trace_id: String::new() }
    }

    pub(crate) fn cause(mut self, cause: impl ToString) -> Self {
        self.refusal.causes.push(cause.to_string());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.refusal.hints.push(hint.into());
        self
    }

    /// True if the request surely had no effect and may be sent again unchanged.
    pub fn retryable(&self) -> bool {
        self.refusal.retryable
    }

    /// True if the daemon could not take the call just now. What a far side of the daemon refuses
    /// is not among it: the daemon knows best how often to try there.
    pub(crate) fn is_passing(&self) -> bool {
        let passing = [
            code::UNREACHABLE,
            code::NOT_READY,
            code::WRONG_NODE,
            code::NO_LEADER,
            code::DRAINING,
            code::ISOLATED,
        ];
        self.refusal.retryable && passing.contains(&self.refusal.code)
    }

    /// True if the request may have taken effect or not.
    pub(crate) fn is_unknown(&self) -> bool {
        self.refusal.code == code::OUTCOME_UNKNOWN
    }

    /// What a status means for a call that may have an effect and carries no request id: once it
    /// was sent, a broken connection leaves its outcome unknown.
    pub(crate) fn of_effect(status: Status) -> Self {
        let sent = was_sent(&status);
        let coded = !status.details().is_empty();
        let error = Self::from(status);
        let unsure = [code::UNREACHABLE, code::DEADLINE_EXCEEDED].contains(&error.refusal.code);
        if !sent || coded || !unsure {
            return error;
        }
        let causes = error.refusal.causes.into_iter();
        let unknown = Self::new(code::OUTCOME_UNKNOWN, "the call may have run or not")
            .cause(error.refusal.message)
            .hint("look at what it was to change before you repeat it");
        causes.fold(unknown, Self::cause)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self { refusal: Box::new(refusal), request_id: None, trace_id: String::new() }
    }
}

/// A status as tonic gives it: with our details if it came from keikod, without if it was made on
/// the way.
impl From<Status> for Error {
    fn from(status: Status) -> Self {
        if let Some(known) = connection_error(&status) {
            return known.clone();
        }
        if !status.details().is_empty()
            && let Ok(refusal) = Refusal::decode(status.details())
            && refusal.code != 0
        {
            return refusal.into();
        }
        if let Some(alert) = alert(&status) {
            return alert;
        }
        let text = status.message();
        match status.code() {
            Code::Unavailable => Self::new(code::UNREACHABLE, "the connection to keikod broke")
                .cause(innermost(&status).unwrap_or_else(|| text.to_owned())),
            Code::DeadlineExceeded => {
                Self::new(code::DEADLINE_EXCEEDED, "keikod did not answer in time").cause(text)
            }
            // What tonic makes of its own timer.
            Code::Cancelled if text.contains("Timeout") => {
                Self::new(code::DEADLINE_EXCEEDED, "keikod did not answer in time")
            }
            Code::Unauthenticated => Self::new(code::UNAUTHENTICATED, text),
            Code::PermissionDenied => Self::new(code::PERMISSION_DENIED, text),
            Code::Unimplemented => Self::new(code::UNKNOWN_METHOD, "keikod does not offer this")
                .cause(text)
                .hint("keikoctl version and keikoctl status show both releases"),
            Code::InvalidArgument => Self::new(code::INVALID_ARGUMENT, text),
            Code::OutOfRange | Code::ResourceExhausted => Self::new(code::LIMIT_EXCEEDED, text),
            Code::Unknown | Code::Cancelled if is_transport(&status) => {
                Self::new(code::UNREACHABLE, "the connection to keikod broke")
                    .cause(innermost(&status).unwrap_or_else(|| text.to_owned()))
            }
            other => Self::new(code::INTERNAL, format!("keikod answered {other:?}")).cause(text),
        }
    }
}

/// The error of our own connector, wherever tonic wrapped it.
fn connection_error(status: &Status) -> Option<&Error> {
    let mut next = status.source();
    while let Some(error) = next {
        if let Some(ours) = error.downcast_ref::<Error>() {
            return Some(ours);
        }
        next = error.source();
    }
    None
}

/// False if there was no connection on which the call could have gone out.
pub(crate) fn was_sent(status: &Status) -> bool {
    connection_error(status).is_none()
}

/// What the server's TLS said of our certificate, wherever tonic and hyper wrapped it.
fn alert(status: &Status) -> Option<Error> {
    let mut next = status.source();
    while let Some(error) = next {
        if let Some(alert) = tls::alert_of(&error.to_string()) {
            return Some(alert);
        }
        next = error.source();
    }
    None
}

fn is_transport(status: &Status) -> bool {
    status.source().is_some()
}

fn innermost(status: &Status) -> Option<String> {
    let mut last = status.source()?;
    while let Some(inner) = last.source() {
        last = inner;
    }
    Some(last.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_becomes_a_coded_refusal() {
        let refusal = Refusal { code: 31, message: "taken".into(), ..Refusal::default() };
        let coded =
            Status::with_details(Code::AlreadyExists, "taken", refusal.encode_to_vec().into());
        for (status, expect) in [
            (coded, 31),
            (Status::unavailable("x"), code::UNREACHABLE),
            (Status::deadline_exceeded("x"), code::DEADLINE_EXCEEDED),
            (Status::cancelled("Timeout expired"), code::DEADLINE_EXCEEDED),
            (Status::unauthenticated("x"), code::UNAUTHENTICATED),
            (Status::permission_denied("x"), code::PERMISSION_DENIED),
            (Status::unimplemented("x"), code::UNKNOWN_METHOD),
            (Status::resource_exhausted("x"), code::LIMIT_EXCEEDED),
            (Status::internal("x"), code::INTERNAL),
            (Status::with_details(Code::Internal, "x", vec![7u8].into()), code::INTERNAL),
        ] {
            let shown = status.to_string();
            assert_eq!(Error::from(status).refusal.code, expect, "{shown}");
        }
    }

    #[test]
    fn a_broken_connection_leaves_the_outcome_of_an_effect_unknown() {
        let coded = Refusal { code: 4, ..Refusal::default() }.encode_to_vec();
        let unsent = Status::from_error(Box::new(Error::new(code::UNREACHABLE, "refused")));
        for (status, expect) in [
            (Status::unavailable("broken"), code::OUTCOME_UNKNOWN),
            (Status::deadline_exceeded("late"), code::OUTCOME_UNKNOWN),
            (Status::with_details(Code::DeadlineExceeded, "late", coded.into()), 4),
            (Status::permission_denied("no"), code::PERMISSION_DENIED),
            (unsent, code::UNREACHABLE),
        ] {
            let shown = status.to_string();
            assert_eq!(Error::of_effect(status).refusal.code, expect, "{shown}");
        }
    }
}
