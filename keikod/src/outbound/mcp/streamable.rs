//! MCP over streamable HTTP, through the daemon's one way out.
//!
//! rmcp keeps the session; this answers its requests. A session that the server does not know any
//! more is reported as lost instead of being begun anew here.

use super::MESSAGE_BYTES_MAX;
use super::link::Link;
use super::sse;
use crate::outbound::fault::{CallError, CallResult};
use crate::outbound::http::{Http, Request, of_status, read, shown};
use crate::outbound::words;
use futures::stream::BoxStream;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use keiko_core::refusal::{Code, Refusal};
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, ErrorData, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream::Sse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// A call ends with its caller's deadline; this only bounds a caller that has none.
const CALL_MAX: Duration = Duration::from_secs(24 * 3600);
/// The head of the server's own stream.
const STREAM_HEAD_MAX: Duration = Duration::from_secs(30);
/// Ending a session is a courtesy.
const DELETE_MAX: Duration = Duration::from_secs(5);
/// The body of an answer that is an error.
const ERROR_BYTES_MAX: usize = 64 << 10;

/// What is repeated of an answer that is not MCP.
const ANSWER_CHARS_MAX: usize = 100;

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const EVENTS: &str = "text/event-stream";
const JSON: &str = "application/json";

type Failure = StreamableHttpError<CallError>;
type Events = BoxStream<'static, Result<Sse, SseError>>;

/// One server's endpoint.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub http: Http,
    pub url: Url,
    pub credentials: HeaderMap,
    pub link: Link,
}

impl Endpoint {
    fn request(
        &self,
        method: Method,
        session: Option<&str>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> CallResult<Request> {
        let mut request = Request::new(method, self.url.clone()).credentials(&self.credentials);
        request.headers.extend(headers);
        if let Some(session) = session {
            let mut value = HeaderValue::from_str(session).map_err(|_| {
                let message = "the server's session id does not fit a header";
                CallError::not_run(Refusal::new(Code::PeerError, message))
            })?;
            value.set_sensitive(true);
            // Whoever holds a session id is the client, so it stays with its origin.
            request.credentials.insert(SESSION, value);
        }
        Ok(request)
    }

    fn session_lost(&self) -> Failure {
        let refusal = Refusal::new(
            Code::PeerUnreachable,
            format!("{} does not know the session any more", shown(&self.url)),
        );
        self.link.lose(refusal.clone());
        StreamableHttpError::Client(CallError::not_run(refusal))
    }

    async fn post(
        &self,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        headers: HashMap<HeaderName, HeaderValue>,
        event_bytes_max: usize,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let body = serde_json::to_vec(&message)?;
        if body.len() > MESSAGE_BYTES_MAX {
            let text = format!("the message is larger than {MESSAGE_BYTES_MAX} bytes");
            return Err(failed(CallError::not_run(Refusal::new(Code::LimitExceeded, text))));
        }
        let mut request =
            self.request(Method::POST, session.as_deref(), headers).map_err(failed)?.json(body);
        request.headers.insert(ACCEPT, BOTH);
        let deadline = Instant::now() + CALL_MAX;
        let (response, url) = self.http.open(request, deadline).await.map_err(failed)?;
        let status = response.status();
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if !status.is_success() {
            let body = read(response, &url, ERROR_BYTES_MAX, deadline).await.unwrap_or_default();
            return self.refused(&message, session.is_some(), status, &body);
        }
        let new_session =
            response.headers().get(SESSION).and_then(|id| id.to_str().ok()).map(str::to_owned);
        let content = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let content = content.unwrap_or_default().to_ascii_lowercase();
        if content.starts_with(EVENTS) {
            let events = sse::events(response.bytes_stream(), event_bytes_max, self.link.clone());
            return Ok(StreamableHttpPostResponse::Sse(events, new_session));
        }
        let expects_answer = matches!(message, ClientJsonRpcMessage::Request(_));
        if content.starts_with(JSON) {
            let body = read(response, &url, MESSAGE_BYTES_MAX, deadline).await.map_err(failed)?;
            return match super::message::read(&body) {
                Ok(answer) => Ok(StreamableHttpPostResponse::Json(answer, new_session)),
                Err(_) if !expects_answer => Ok(StreamableHttpPostResponse::Accepted),
                Err(error) if error.is_data() => Err(failed(CallError::untold(
                    self.not_mcp(Code::ProtocolUnknown, "JSON that is no MCP").cause(error),
                ))),
                Err(error) => Err(failed(CallError::untold(
                    self.not_mcp(Code::PeerGarbage, "what is no JSON").cause(error),
                ))),
            };
        }
        if !expects_answer {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        let kind = if content.is_empty() { "no content type".to_owned() } else { content };
        Err(failed(CallError::untold(self.not_mcp(Code::PeerGarbage, &kind))))
    }

    /// An answer with a status that says no.
    fn refused(
        &self,
        message: &ClientJsonRpcMessage,
        in_session: bool,
        status: StatusCode,
        body: &[u8],
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let told = told(body);
        if in_session
            && (status == StatusCode::NOT_FOUND || is_session_unknown(status, told.as_ref()))
        {
            return Err(self.session_lost());
        }
        let plain = of_status(status, &self.url);
        if let Some(refusal) = &plain
            && refusal.code == Code::PeerUnauthorized
        {
            return Err(failed(CallError::maybe_run(refusal.clone())));
        }
        let (id, is_discover) = match message {
            ClientJsonRpcMessage::Request(request) => {
                let is_discover = matches!(request.request, ClientRequest::DiscoverRequest(_));
                (Some(request.id.clone()), is_discover)
            }
            _ => (None, false),
        };
        // A server of the older era may turn `server/discover` away in any way; as an error of the
        // protocol it makes rmcp try `initialize`.
        let told = match told {
            None if is_discover && status.is_client_error() => {
                Some(ErrorData::invalid_request(format!("HTTP {status}"), None))
            }
            told => told,
        };
        if let Some(error) = told {
            let answer = ServerJsonRpcMessage::error(error, id);
            return Ok(StreamableHttpPostResponse::Json(answer, None));
        }
        let refusal = match plain {
            Some(refusal) if refusal.code == Code::PeerError => refusal,
            Some(refusal) => self.not_mcp(refusal.code, &format!("HTTP {status}")),
            None => self.not_mcp(Code::ProtocolUnknown, &format!("HTTP {status}")),
        };
        // Whoever answers so, a proxy too, does not know what became of the message.
        Err(failed(match status.is_server_error() {
            true => CallError::untold(refusal),
            false => CallError::maybe_run(refusal),
        }))
    }

    fn not_mcp(&self, code: Code, answer: &str) -> Refusal {
        let message = format!("{} does not speak MCP at this path", shown(&self.url));
        Refusal::new(code, message).cause(words(&format!("it answers {answer}"), ANSWER_CHARS_MAX))
    }
}

/// The error of the protocol in the body of an answer that is an error of HTTP.
fn told(body: &[u8]) -> Option<ErrorData> {
    match serde_json::from_slice(body) {
        Ok(ServerJsonRpcMessage::Error(told)) => Some(told.error),
        _ => None,
    }
}

/// Servers say it with 404, as the standard has it, or with 400 and a code of their own.
fn is_session_unknown(status: StatusCode, told: Option<&ErrorData>) -> bool {
    status == StatusCode::BAD_REQUEST
        && told.is_some_and(|error| {
            matches!(error.code.0, -32000 | -32001)
                && error.message.to_ascii_lowercase().contains("session")
        })
}

fn failed(error: CallError) -> Failure {
    StreamableHttpError::Client(error)
}

impl StreamableHttpClient for Endpoint {
    type Error = CallError;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        self.post_message_with_max_sse_event_size(
            uri,
            message,
            session_id,
            auth_header,
            custom_headers,
            MESSAGE_BYTES_MAX,
        )
        .await
    }

    async fn post_message_with_max_sse_event_size(
        &self,
        _uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
        max_sse_event_size: usize,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        self.post(message, session_id, custom_headers, max_sse_event_size).await
    }

    async fn delete_session(
        &self,
        _uri: Arc<str>,
        session_id: Arc<str>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failure> {
        if self.link.lost().is_cancelled() {
            return Ok(());
        }
        let request =
            self.request(Method::DELETE, Some(&session_id), custom_headers).map_err(failed)?;
        self.http.open(request, Instant::now() + DELETE_MAX).await.map_err(failed)?;
        Ok(())
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<Events, Failure> {
        self.get_stream_with_max_sse_event_size(
            uri,
            session_id,
            last_event_id,
            auth_header,
            custom_headers,
            MESSAGE_BYTES_MAX,
        )
        .await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        _uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
        max_sse_event_size: usize,
    ) -> Result<Events, Failure> {
        self.link.stream_turn().await;
        let mut request =
            self.request(Method::GET, session_id.as_deref(), custom_headers).map_err(failed)?;
        request.headers.insert(ACCEPT, HeaderValue::from_static(EVENTS));
        if let Some(id) = last_event_id.and_then(|id| HeaderValue::from_str(&id).ok()) {
            request.headers.insert(LAST_EVENT, id);
        }
        let deadline = Instant::now() + STREAM_HEAD_MAX;
        let (response, url) = self.http.open(request, deadline).await.map_err(failed)?;
        let status = response.status();
        let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        if status.is_success() && kind.unwrap_or_default().starts_with(EVENTS.as_bytes()) {
            self.link.streamed();
            let link = self.link.clone();
            return Ok(sse::events(response.bytes_stream(), max_sse_event_size, link));
        }
        // Who never had a stream may answer anything; who had one has forgotten us.
        if self.link.has_streamed() && status.is_client_error() {
            let body = read(response, &url, ERROR_BYTES_MAX, deadline).await.unwrap_or_default();
            let told = told(&body);
            if status == StatusCode::NOT_FOUND || is_session_unknown(status, told.as_ref()) {
                return Err(self.session_lost());
            }
        }
        Err(StreamableHttpError::ServerDoesNotSupportSse)
    }
}
