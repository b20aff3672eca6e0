//! rmcp's errors, told as Keiko tells them.

use super::link::Link;
use crate::outbound::fault::CallError;
use crate::outbound::words;
use keiko_core::refusal::{Code, Refusal};
use rmcp::model::{ErrorData, ProtocolVersion};
use rmcp::service::{ClientInitializeError, ServiceError};
use rmcp::transport::DynamicTransportError;
use rmcp::transport::streamable_http_client::StreamableHttpError;

/// What is repeated of a server's words.
const TOLD_CHARS_MAX: usize = 500;

/// Why no session came about.
pub(super) fn of_start(error: ClientInitializeError, link: &Link) -> CallError {
    let unknown = |why: String| {
        let text = "the far side does not speak MCP as Keiko knows it";
        CallError::maybe_run(
            Refusal::new(Code::ProtocolUnknown, text).cause(words(&why, TOLD_CHARS_MAX)),
        )
    };
    match error {
        ClientInitializeError::TransportError { error, .. } => of_transport(&error),
        ClientInitializeError::ConnectionClosed(_) => CallError::maybe_run(closed(link)),
        ClientInitializeError::JsonRpcError(error) => {
            CallError::maybe_run(version_refused(&error).unwrap_or_else(|| told(&error)))
        }
        ClientInitializeError::NoCompatibleProtocolVersion { server_supported, .. } => {
            let versions: Vec<_> = server_supported.iter().map(ToString::to_string).collect();
            CallError::maybe_run(other_version(&versions.join(", ")))
        }
        ClientInitializeError::LegacyFallbackFailed { discover, fallback } => {
            let mut error = of_start(*fallback, link);
            if error.refusal.code == Code::PeerError {
                let why = std::mem::take(&mut error.refusal.message);
                let mut both = unknown(format!("initialize: {why}"));
                both.refusal.causes.push(format!(
                    "server/discover: {}",
                    of_start(*discover, link).refusal.message
                ));
                error = both;
            }
            error
        }
        other => unknown(other.to_string()),
    }
}

/// Why a request got no result.
pub(super) fn of_request(error: ServiceError, link: &Link) -> CallError {
    match error {
        ServiceError::McpError(error) => CallError::maybe_run(told(&error)),
        ServiceError::TransportSend(error) => of_transport(&error),
        ServiceError::TransportClosed => CallError::maybe_run(closed(link)),
        ServiceError::Timeout { .. } => CallError::maybe_run(late()),
        ServiceError::UnexpectedResponse => {
            CallError::maybe_run(Refusal::new(Code::PeerError, "the server answers something else"))
        }
        other => CallError::maybe_run(
            Refusal::new(Code::PeerUnreachable, "the server ended the request").cause(other),
        ),
    }
}

/// The deadline passed.
pub(super) fn late() -> Refusal {
    Refusal::new(Code::PeerTimeout, "the server did not answer in time")
}

/// The connection ended, for the reason that its transport found.
pub(super) fn closed(link: &Link) -> Refusal {
    link.why()
        .unwrap_or_else(|| Refusal::new(Code::PeerUnreachable, "the server closed the connection"))
}

/// No revision of MCP is spoken on both sides.
pub(super) fn other_version(offered: &str) -> Refusal {
    let ours: Vec<_> = ProtocolVersion::KNOWN_VERSIONS.iter().map(ToString::to_string).collect();
    let text = "the server speaks no revision of MCP that Keiko speaks";
    let offered = if offered.is_empty() { "none" } else { offered };
    Refusal::new(Code::PeerVersion, text)
        .cause(words(&format!("it offers {offered}"), TOLD_CHARS_MAX))
        .cause(format!("Keiko speaks {}", ours.join(", ")))
}

/// A refusal that names the versions which would have been taken.
fn version_refused(error: &ErrorData) -> Option<Refusal> {
    let supported = error.data.as_ref()?.get("supported")?.as_array()?;
    let versions: Vec<_> = supported.iter().filter_map(|version| version.as_str()).collect();
    Some(other_version(&versions.join(", ")))
}

fn told(error: &ErrorData) -> Refusal {
    Refusal::new(
        Code::PeerError,
        format!("the server refuses: {}", words(&error.message, TOLD_CHARS_MAX)),
    )
    .cause(format!("its code is {}", error.code.0))
}

/// Our transports fail with [`CallError`]; rmcp's HTTP wraps it once more.
fn of_transport(error: &DynamicTransportError) -> CallError {
    if let Some(ours) = error.error.downcast_ref::<CallError>() {
        return ours.clone();
    }
    match error.error.downcast_ref::<StreamableHttpError<CallError>>() {
        Some(StreamableHttpError::Client(ours)) => ours.clone(),
        Some(
            other @ (StreamableHttpError::Deserialize(_)
            | StreamableHttpError::UnexpectedServerResponse(_)
            | StreamableHttpError::UnexpectedContentType(_)),
        ) => CallError::untold(
            Refusal::new(Code::PeerGarbage, "the server's answer is not MCP")
                .cause(words(&other.to_string(), TOLD_CHARS_MAX)),
        ),
        Some(other) => CallError::maybe_run(
            Refusal::new(Code::PeerUnreachable, "the server's connection broke off").cause(other),
        ),
        None => CallError::maybe_run(
            Refusal::new(Code::PeerUnreachable, "the server's connection broke off").cause(error),
        ),
    }
}
