//! From a target to a session: which era, and how long to wait for it.

use super::MESSAGE_BYTES_MAX;
use super::bounded::Bounded;
use super::era::Era;
use super::failure;
use super::lines::{Lines, Reader, Writer};
use super::link::Link;
use super::listen::Listener;
use super::session::Session;
use super::streamable::Endpoint;
use crate::outbound::fault::{CallError, CallResult};
use crate::outbound::http::Http;
use http::HeaderMap;
use keiko_core::refusal::{Code, Result};
use rmcp::RoleClient;
use rmcp::model::ProtocolVersion;
use rmcp::service::{ClientLifecycleMode, serve_client_with_lifecycle_and_ct};
use rmcp::transport::IntoTransport;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClientTransport, StreamableHttpClientTransportConfig,
};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Calls in flight on one HTTP session; more wait. Twice what one machine's agents do at once.
const POSTS_MAX: usize = 256;

/// Where the server is.
pub enum Target {
    /// Streamable HTTP at exactly this URL; `credentials` go to its origin only.
    Http {
        /// The endpoint.
        url: Url,
        /// From [`crate::outbound::http::secret_headers`].
        credentials: HeaderMap,
    },
    /// The pipes of a child: `reader` is its output, `writer` its input.
    Stdio {
        /// The child's standard output.
        reader: Reader,
        /// The child's standard input; dropped when the session ends.
        writer: Writer,
    },
}

/// Connects. Without a hint, or with [`Era::Stateless`], `server/discover` comes first and
/// `initialize` after it if the server knows the first one not (or is silent for 10 s).
///
/// A hint that proves wrong is corrected over HTTP. A child's pipes can be used only once: there
/// the connection fails, and the next child should be greeted without a hint.
pub async fn connect(
    http: &Http,
    target: Target,
    hint: Option<Era>,
    deadline: Instant,
) -> Result<Session> {
    match target {
        Target::Stdio { reader, writer } => {
            let link = Link::default();
            let lines = Lines::new(reader, writer, link.clone());
            Ok(start(lines, link, lifecycle(hint), deadline).await?)
        }
        Target::Http { url, credentials } => {
            let attempt = |hint| {
                let link = Link::default();
                let endpoint = Endpoint {
                    http: http.clone(),
                    url: url.clone(),
                    credentials: credentials.clone(),
                    link: link.clone(),
                };
                let transport = StreamableHttpClientTransport::with_client(endpoint, config(&url));
                start(transport, link, lifecycle(hint), deadline)
            };
            let mut attempted = attempt(hint).await;
            if let Err(error) = &attempted
                && hint == Some(Era::Handshake)
                && matches!(
                    error.refusal.code,
                    Code::ProtocolUnknown | Code::PeerError | Code::PeerVersion
                )
            {
                attempted = attempt(None).await;
            }
            match attempted {
                Ok(session) => Ok(session),
                Err(error) => Err(http.explained(&url, error, deadline).await.refusal),
            }
        }
    }
}

fn config(url: &Url) -> StreamableHttpClientTransportConfig {
    let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
    config.max_sse_event_size = MESSAGE_BYTES_MAX;
    config.max_concurrent_requests = POSTS_MAX;
    config.channel_buffer_capacity = POSTS_MAX;
    // Only the caller knows whether a call may be sent again.
    config.reinit_on_expired_session = false;
    config
}

fn lifecycle(hint: Option<Era>) -> ClientLifecycleMode {
    match hint {
        Some(Era::Handshake) => ClientLifecycleMode::Initialize,
        Some(Era::Stateless) | None => ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            legacy_version: Some(ProtocolVersion::V_2025_11_25),
        },
    }
}

async fn start<T, E, A>(
    transport: T,
    link: Link,
    lifecycle: ClientLifecycleMode,
    deadline: Instant,
) -> CallResult<Session>
where
    T: IntoTransport<RoleClient, E, A>,
    E: std::error::Error + Send + Sync + 'static,
{
    let stop = CancellationToken::new();
    let guard = stop.clone().drop_guard();
    let (listener, changes) = Listener::new();
    let transport = Bounded::new(transport.into_transport(), link.clone());
    let starting = serve_client_with_lifecycle_and_ct(listener, transport, lifecycle, stop.clone());
    match timeout_at(deadline, Box::pin(starting)).await {
        Ok(Ok(running)) => {
            Session::new(running, link, guard.disarm(), changes).map_err(CallError::maybe_run)
        }
        Ok(Err(error)) => Err(failure::of_start(error, &link)),
        Err(_) => Err(CallError::maybe_run(
            link.why().or_else(|| link.noise()).unwrap_or_else(failure::late),
        )),
    }
}
