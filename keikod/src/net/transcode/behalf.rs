//! A call that another node passes on: one message, served by the same routes as every other.

use super::frames::{self, Frames};
use crate::net::deadline::{CALL_MAX, Deadline};
use crate::net::identity::Identity;
use crate::net::trace::{TRACEPARENT, TraceContext};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header};
use http_body_util::Full;
use keiko_core::refusal::{Code, Refusal, Result};
use std::time::Duration;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service as _;

/// The only methods that nodes pass on: a peer may ask for nothing else.
const PASSED_ON: &[&str] = &["/keiko.v1.Registry/", "/keiko.v1.Cluster/"];

/// Carries a unary call out on the account of somebody whom another node vouches for.
pub async fn on_behalf(
    mut routes: Routes,
    method: &str,
    caller: Identity,
    message: &[u8],
    timeout: Duration,
    traceparent: &str,
) -> Result<Vec<u8>> {
    if !PASSED_ON.iter().any(|service| method.starts_with(service)) {
        return Err(Refusal::new(Code::UnknownMethod, format!("{method} is not passed on")));
    }
    let mut call = Request::new(Body::new(Full::new(frames::frame(message)?)));
    *call.method_mut() = http::Method::POST;
    *call.version_mut() = http::Version::HTTP_2;
    *call.uri_mut() = method
        .parse()
        .map_err(|_| Refusal::new(Code::UnknownMethod, format!("{method} is no path")))?;
    let headers = call.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    let mut trace = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(traceparent) {
        trace.insert(TRACEPARENT, value);
    }
    let deadline = Deadline(Instant::now() + timeout.min(CALL_MAX));
    call.extensions_mut().insert(TraceContext::continue_or_begin(&trace)?);
    call.extensions_mut().insert(caller);
    call.extensions_mut().insert(deadline);
    let answered = async {
        let answer = match routes.call(call).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        frames::check(answer.headers())?;
        let mut frames = Frames::new(answer.into_body());
        let message = frames.next().await?.ok_or_else(|| {
            Refusal::new(Code::Internal, "the service gave neither an answer nor an error")
        })?;
        // What follows is the status: an answer counts only if it says OK.
        while frames.next().await?.is_some() {}
        Ok::<Bytes, Refusal>(message)
    };
    deadline.bound(answered).await?.map(|message| message.to_vec())
}
