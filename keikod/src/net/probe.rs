//! `/livez` and `/readyz`: what anybody may know. Text for people, JSON by `Accept`.

use super::gate::{Phase, State};
use super::status::{body_response, json_response};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use serde_json::json;
use std::fmt::Write as _;
use tonic::body::Body;

const TEXT: &str = "text/plain; charset=utf-8";

/// The answer, if the path is one of the two.
pub(super) fn answer(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    state: &dyn State,
) -> Option<Response<Body>> {
    if !matches!(path, "/livez" | "/readyz") {
        return None;
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut refused = body_response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n");
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(refused);
    }
    let wants_json = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("application/json"));
    Some(match path {
        "/livez" if wants_json => json_response(StatusCode::OK, &json!({"live": true})),
        "/livez" => body_response(StatusCode::OK, TEXT, "live\n"),
        _ => ready(state, wants_json),
    })
}

fn ready(state: &dyn State, wants_json: bool) -> Response<Body> {
    let (phase, missing) = (state.phase(), state.missing());
    let is_ready = is_ready(phase, missing.is_empty());
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if wants_json {
        let missing: Vec<_> = missing
            .iter()
            .map(|missing| json!({"what": missing.what, "remedy": missing.remedy}))
            .collect();
        return json_response(
            status,
            &json!({"ready": is_ready, "phase": word(phase), "missing": missing}),
        );
    }
    let mut text = if is_ready { "ready\n".to_owned() } else { format!("{}\n", word(phase)) };
    for missing in missing {
        let _ = writeln!(text, "missing {}: {}", missing.what, missing.remedy);
    }
    body_response(status, TEXT, text)
}

/// Ready is who serves and lacks nothing.
pub(super) fn is_ready(phase: Phase, lacks_nothing: bool) -> bool {
    phase == Phase::Serving && lacks_nothing
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Waiting => "waiting",
        Phase::Starting => "starting",
        Phase::Serving => "serving",
        Phase::Draining => "draining",
    }
}
