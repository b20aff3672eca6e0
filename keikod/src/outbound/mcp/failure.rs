//! rmcp's errors, told as Keiko tells them.

use super::link::Link;
use crate::outbound::fault::CallError;
use keiko_core::refusal::{Code, Refusal};
use rmcp::model::ErrorData;
use rmcp::service::{ClientInitializeError, ServiceError};
use rmcp::transport::DynamicTransportError;
use rmcp::transport::streamable_http_client::StreamableHttpError;

/// Why no session came about.
pub(super) fn of_start(error: ClientInitializeError, link: &Link) -> CallError {
    let unknown = |why: String| {
        let refusal = Refusal::new(
            Code::ProtocolUnknown,
            "the far side does not speak MCP as Keiko knows it",
        );
        CallError::maybe_run(refusal.cause(why))
    };
    match error {
        ClientInitializeError::TransportError { error, .. } => of_transport(&error),
        ClientInitializeError::ConnectionClosed(_) => CallError::maybe_run(closed(link)),
        ClientInitializeError::JsonRpcError(error) => CallError::maybe_run(told(&error)),
        ClientInitializeError::NoCompatibleProtocolVersion { server_supported, .. } => {
            let versions: Vec<_> = server_supported.iter().map(ToString::to_string).collect();
            unknown(format!("it offers the revisions {}", versions.join(", ")))
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

fn told(error: &ErrorData) -> Refusal {
    // What a server says can be as long as it likes.
    let text: String = error.message.chars().take(500).collect();
    Refusal::new(Code::PeerError, format!("the server refuses: {text}"))
        .cause(format!("its code is {}", error.code.0))
}

/// Our transports fail with [`CallError`]; rmcp's HTTP wraps it once more.
fn of_transport(error: &DynamicTransportError) -> CallError {
    if let Some(ours) = error.error.downcast_ref::<CallError>() {
        return ours.clone();
    }
    match error.error.downcast_ref::<StreamableHttpError<CallError>>() {
        Some(StreamableHttpError::Client(ours)) => ours.clone(),
        Some(other) => CallError::maybe_run(
            Refusal::new(Code::PeerUnreachable, "the server's connection broke off").cause(other),
        ),
        None => CallError::maybe_run(
            Refusal::new(Code::PeerUnreachable, "the server's connection broke off").cause(error),
        ),
    }
}
