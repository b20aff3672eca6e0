//! One HTTP/JSON call: made a gRPC request, served by the same routes in this process, and its
//! answer made JSON again.

use super::fields::{self, REQUEST_ID};
use super::frames::{self, Frames};
use super::route::{Payload, Route};
use super::template::Captures;
use crate::net::fence;
use crate::net::standing::Standing;
use crate::net::status::{self, Origin};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, request};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited, StreamBody};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::json::{dynamic_to_json, from_json};
use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, Value};
use serde_json::{Value as Json, json};
use std::convert::Infallible;
use std::time::Duration;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service as _;
use uuid::Uuid;

/// A body of JSON: as large as a message may be.
pub(super) const BODY_BYTES_MAX: usize = 4 << 20;
/// Until when it must have come.
const BODY_TIME: Duration = Duration::from_secs(30);
/// Parameters of one query: the largest request has fewer than twenty fields.
const PARAMETERS_MAX: usize = 128;

/// A path that was found, with what it holds.
pub(crate) struct Found<'t> {
    pub(super) route: &'t Route,
    pub(super) captures: Captures,
}

impl Found<'_> {
    /// The gRPC path of the method.
    pub(crate) fn method_path(&self) -> &str {
        &self.route.path
    }

    /// True if the answer is a stream.
    pub(crate) fn is_stream(&self) -> bool {
        self.route.method.is_server_streaming()
    }

    /// One message in, one out.
    pub(crate) async fn unary(
        self,
        routes: Routes,
        request: Request<Body>,
    ) -> Result<Response<Body>> {
        let mut frames = self.start(routes, request).await?;
        let message = frames.next().await?.ok_or_else(|| {
            Refusal::new(Code::Internal, "the service gave neither an answer nor an error")
        })?;
        // What follows is the status: an answer counts only if it says OK.
        while frames.next().await?.is_some() {}
        let message = decode(&self.route.method.output(), &message)?;
        Ok(status::json_response(StatusCode::OK, &dynamic_to_json(&message)))
    }

    /// One message in, many out: JSON lines, or SSE if the caller accepts it.
    ///
    /// An error after the first byte is the last item: a line `{"error": …}`, or an SSE event
    /// `error`.
    pub(crate) async fn stream(
        self,
        routes: Routes,
        request: Request<Body>,
        origin: &Origin,
        standing: Standing,
    ) -> Result<Response<Body>> {
        let shape = Shape::of(request.headers());
        let frames = self.start(routes, request).await?.watched(standing);
        let (output, origin) = (self.route.method.output(), origin.clone());
        let lines = stream::unfold(Some(frames), move |frames| {
            let (output, origin) = (output.clone(), origin.clone());
            async move {
                let mut frames = frames?;
                let item = match frames.next().await {
                    Ok(None) => return None,
                    Ok(Some(bytes)) => decode(&output, &bytes),
                    Err(refusal) => Err(refusal),
                };
                let (line, next) = match item {
                    Ok(message) => (shape.item(&dynamic_to_json(&message)), Some(frames)),
                    Err(refusal) => (shape.error(&status::to_json(&refusal, &origin)), None),
                };
                Some((Ok::<_, Infallible>(Frame::data(Bytes::from(line))), next))
            }
        });
        let mut response = Response::new(Body::new(StreamBody::new(lines)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(shape.content_type()));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    async fn start(&self, mut routes: Routes, request: Request<Body>) -> Result<Frames> {
        let (parts, body) = request.into_parts();
        let message = self.message(&parts, body).await?;
        let framed = frames::frame(&message.encode_to_vec())?;
        let mut call = Request::new(Body::new(Full::new(framed)));
        *call.method_mut() = http::Method::POST;
        *call.version_mut() = http::Version::HTTP_2;
        *call.uri_mut() =
            self.route.path.parse().map_err(|_| {
                Refusal::new(Code::Internal, format!("{} is no path", self.route.path))
            })?;
        call.headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        call.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
        fence::carry_over(&parts.headers, call.headers_mut());
        // Identity, trace and deadline travel on.
        *call.extensions_mut() = parts.extensions;
        let answer = match routes.call(call).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        frames::check(answer.headers())?;
        Ok(Frames::new(answer.into_body()))
    }

    async fn message(&self, parts: &request::Parts, body: Body) -> Result<DynamicMessage> {
        let input = self.route.method.input();
        let mut message = match self.route.payload {
            Payload::Whole => from_body(&input, body).await?,
            Payload::None => from_query(&input, parts.uri.query().unwrap_or_default())?,
        };
        for (field, text) in &self.captures {
            fields::set(&mut message, field, text)?;
        }
        let id_field = input
            .get_field_by_name(REQUEST_ID)
            .filter(|field| matches!(field.kind(), Kind::Bytes) && !message.has_field(field));
        if let Some(field) = id_field
            && let Some(id) = request_id(&parts.headers)?
        {
            message.set_field(&field, Value::Bytes(id.as_bytes().to_vec().into()));
        }
        Ok(message)
    }
}

/// The id of a request by its headers. `Idempotency-Key` is a promise: what can't be kept is
/// refused. `x-request-id` is often set by proxies: it counts only if it can be one of ours.
pub(crate) fn request_id(headers: &HeaderMap) -> Result<Option<Uuid>> {
    let ours = |value: &HeaderValue| {
        let id = value.to_str().ok().and_then(|text| Uuid::parse_str(text.trim()).ok());
        id.filter(|id| id.get_version_num() == 7)
    };
    if let Some(key) = headers.get("idempotency-key") {
        return ours(key).map(Some).ok_or_else(|| {
            Refusal::new(
                Code::InvalidArgument,
                "the header idempotency-key is no UUID of version 7",
            )
            .hint("make it from the server's clock: every answer carries it as unixMs")
        });
    }
    Ok(headers.get("x-request-id").and_then(ours))
}

fn from_query(input: &MessageDescriptor, query: &str) -> Result<DynamicMessage> {
    let mut message = DynamicMessage::new(input.clone());
    for (index, (name, value)) in url::form_urlencoded::parse(query.as_bytes()).enumerate() {
        if index == PARAMETERS_MAX {
            return Err(Refusal::new(
                Code::LimitExceeded,
                format!("a query has at most {PARAMETERS_MAX} parameters"),
            ));
        }
        fields::set(&mut message, &name, &value)?;
    }
    Ok(message)
}

async fn from_body(input: &MessageDescriptor, body: Body) -> Result<DynamicMessage> {
    let reading = tokio::time::timeout(BODY_TIME, Limited::new(body, BODY_BYTES_MAX).collect());
    let bytes = match reading.await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(Refusal::new(
                Code::LimitExceeded,
                format!("a body has at most {BODY_BYTES_MAX} bytes"),
            ));
        }
        Ok(Err(error)) => {
            return Err(Refusal::new(Code::InvalidArgument, "the body broke off").cause(error));
        }
        Err(_) => {
            return Err(Refusal::new(
                Code::DeadlineExceeded,
                format!("the body did not come within {} s", BODY_TIME.as_secs()),
            ));
        }
    };
    let malformed = |error: serde_json::Error| {
        Refusal::new(Code::InvalidArgument, "the body is not the JSON that this call takes")
            .cause(error)
            .hint("/openapi.json describes it")
    };
    let mut value = match bytes.iter().all(u8::is_ascii_whitespace) {
        true => json!({}),
        false => serde_json::from_slice(&bytes).map_err(malformed)?,
    };
    uuid_to_base64(&mut value);
    from_json(input.clone(), value).map_err(malformed)
}

/// The JSON mapping knows bytes as base64 only; people write request ids as UUIDs.
fn uuid_to_base64(value: &mut Json) {
    let Json::Object(fields) = value else { return };
    for name in [REQUEST_ID, "requestId"] {
        if let Some(Json::String(text)) = fields.get_mut(name)
            && let Ok(id) = Uuid::parse_str(text)
        {
            *text = BASE64.encode(id.as_bytes());
        }
    }
}

fn decode(output: &MessageDescriptor, bytes: &[u8]) -> Result<DynamicMessage> {
    DynamicMessage::decode(output.clone(), bytes).map_err(|error| {
        Refusal::new(Code::Internal, "the service's answer can't be read").cause(error)
    })
}

/// How items of a stream are told apart.
#[derive(Clone, Copy)]
enum Shape {
    Lines,
    Events,
}

impl Shape {
    fn of(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        match accept {
            Some(accept) if accept.contains("text/event-stream") => Self::Events,
            _ => Self::Lines,
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Lines => "application/jsonl",
            Self::Events => "text/event-stream",
        }
    }

    fn item(self, value: &Json) -> String {
        match self {
            Self::Lines => format!("{value}\n"),
            Self::Events => format!("data: {value}\n\n"),
        }
    }

    fn error(self, value: &Json) -> String {
        match self {
            Self::Lines => format!("{}\n", json!({"error": value})),
            Self::Events => format!("event: error\ndata: {value}\n\n"),
        }
    }
}

#[cfg(test)]
mod fuzz;
