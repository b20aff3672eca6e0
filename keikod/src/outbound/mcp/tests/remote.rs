use super::*;
use crate::outbound::http::testing::{mute, nobody, serve};
use crate::outbound::http::{parse_url, secret_headers};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What the server does, one request at a time; `None` is silence.
type Script = Arc<dyn Fn(&str, &Value) -> Option<Value> + Send + Sync>;

/// A streamable HTTP server of the older era; `lose` makes it forget its sessions.
#[derive(Clone)]
struct Remote {
    script: Script,
    sessions: Arc<AtomicUsize>,
    forget_with: StatusCode,
    seen: Arc<Mutex<Vec<HeaderMap>>>,
}

async fn remote(State(remote): State<Remote>, headers: HeaderMap, body: String) -> Response {
    remote.seen.lock().unwrap().push(headers.clone());
    let request: Value = serde_json::from_str(&body).unwrap_or_default();
    let method = request["method"].as_str().unwrap_or_default();
    let current = remote.sessions.load(Ordering::SeqCst).to_string();
    if let Some(session) = headers.get("mcp-session-id")
        && session != current.as_str()
    {
        let told = json!({"jsonrpc": "2.0", "id": null,
                "error": {"code": -32000, "message": "Bad Request: No valid session ID provided"}});
        return (remote.forget_with, axum::Json(told)).into_response();
    }
    if request.get("id").is_none() {
        return StatusCode::ACCEPTED.into_response();
    }
    if method == "server/discover"
        && (remote.script)(method, &Value::Null).unwrap().get("error").is_some()
    {
        return (StatusCode::BAD_REQUEST, "Bad Request").into_response();
    }
    let Some(mut answer) = (remote.script)(method, &request["params"]) else {
        return std::future::pending().await;
    };
    answer["id"] = request["id"].clone();
    answer["jsonrpc"] = "2.0".into();
    if method == "tools/list" {
        return ([("content-type", "text/event-stream")], format!("data: {answer}\n\n"))
            .into_response();
    }
    let session = (method == "initialize").then_some([("mcp-session-id", current)]);
    (session, axum::Json(answer)).into_response()
}

async fn serve_remote(
    script: fn(&str, &Value) -> Option<Value>,
    forget_with: StatusCode,
) -> (Target, Remote) {
    let state = Remote {
        script: Arc::new(script),
        sessions: Arc::default(),
        forget_with,
        seen: Arc::default(),
    };
    let app = Router::new().route("/mcp", post(remote)).with_state(state.clone());
    let url = parse_url(&format!("http://{}/mcp", serve(app).await)).unwrap();
    let credentials = secret_headers([("authorization", b"Bearer s".as_slice())]).unwrap();
    (Target::Http { url, credentials }, state)
}

#[tokio::test]
async fn both_eras_over_http() {
    for (script, era) in [
        (stateless as fn(&str, &Value) -> Option<Value>, Era::Stateless),
        (handshake, Era::Handshake),
    ] {
        for hint in [None, Some(Era::Stateless), Some(Era::Handshake)] {
            let (target, state) = serve_remote(script, StatusCode::NOT_FOUND).await;
            let session = connect(&http(), target, hint, soon()).await.unwrap();
            assert_eq!(session.era, era, "{hint:?}");
            assert_eq!(session.tools(&Limits::default(), soon()).await.unwrap().tools.len(), 1);
            let outcome = session.call("echo", json!({"x": 1}), None, soon()).await.unwrap();
            assert_eq!(outcome.structured, Some(json!({"a": 1})));
            let hangs = session
                .call("hangs", json!({}), None, Instant::now() + Duration::from_millis(50))
                .await;
            assert_eq!(hangs.unwrap_err().refusal.code, Code::OutcomeUnknown);
            session.close().await;
            let seen = state.seen.lock().unwrap();
            assert!(seen.iter().all(|headers| headers["authorization"] == "Bearer s"));
        }
    }
}

#[tokio::test]
async fn a_forgotten_session_surely_ran_nothing() {
    for forget_with in [StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST] {
        let (target, state) = serve_remote(handshake, forget_with).await;
        let session = connect(&http(), target, None, soon()).await.unwrap();
        assert!(session.call("echo", json!({}), None, soon()).await.is_ok());
        state.sessions.store(7, Ordering::SeqCst);
        let lost = session.call("echo", json!({}), None, soon()).await.unwrap_err();
        assert_eq!(
            (lost.refusal.code, lost.surely_not_run),
            (Code::PeerUnreachable, true),
            "{forget_with}"
        );
        assert!(session.is_closed());
        let again = session.call("echo", json!({}), None, soon()).await.unwrap_err();
        assert!(again.surely_not_run);
    }
}

/// Something in between answers the calls.
async fn gateway(remote_state: State<Remote>, headers: HeaderMap, body: String) -> Response {
    match body.contains("tools/call") {
        true => (StatusCode::BAD_GATEWAY, "<html>").into_response(),
        false => remote(remote_state, headers, body).await,
    }
}

#[tokio::test]
async fn a_server_error_leaves_the_outcome_of_a_call_open() {
    let state = Remote {
        script: Arc::new(handshake),
        sessions: Arc::default(),
        forget_with: StatusCode::NOT_FOUND,
        seen: Arc::default(),
    };
    let app = Router::new().route("/", post(gateway)).with_state(state);
    let url = parse_url(&format!("http://{}/", serve(app).await)).unwrap();
    let target = Target::Http { url, credentials: HeaderMap::new() };
    let session = connect(&http(), target, None, soon()).await.unwrap();
    let error = session.call("echo", json!({}), None, soon()).await.unwrap_err();
    assert_eq!((error.refusal.code, error.surely_not_run), (Code::OutcomeUnknown, false));
    assert!(!session.is_closed());
}

/// Asks back without end where its tools are asked for.
async fn curious(remote_state: State<Remote>, headers: HeaderMap, body: String) -> Response {
    match body.contains("\"tools/list\"") {
        true => {
            let ping = str::from_utf8(PING).unwrap().trim();
            let pings = format!("data: {ping}\n\n").repeat(5_000);
            ([("content-type", "text/event-stream")], pings).into_response()
        }
        false if body.contains("\"method\"") => remote(remote_state, headers, body).await,
        false => StatusCode::ACCEPTED.into_response(),
    }
}

#[tokio::test]
async fn who_asks_without_end_is_left_at_once() {
    let state = Remote {
        script: Arc::new(handshake),
        sessions: Arc::default(),
        forget_with: StatusCode::NOT_FOUND,
        seen: Arc::default(),
    };
    let app = Router::new().route("/", post(curious)).with_state(state);
    let url = parse_url(&format!("http://{}/", serve(app).await)).unwrap();
    let target = Target::Http { url, credentials: HeaderMap::new() };
    let session = connect(&http(), target, None, soon()).await.unwrap();
    let begun = Instant::now();
    let listed = session.tools(&Limits::default(), soon()).await.map(|listed| listed.tools.len());
    assert_eq!(listed.map_err(|refusal| refusal.code), Err(Code::PeerTooLarge));
    session.close().await;
    assert!(begun.elapsed() < Duration::from_secs(4), "what is not taken holds up nobody");
}

/// A stream that ends at once, and is gone when it is asked for again.
async fn brief_stream(State(remote): State<Remote>) -> Response {
    match remote.sessions.fetch_add(1, Ordering::SeqCst) {
        0 => ([("content-type", "text/event-stream")], "retry: 10\n\n").into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

#[tokio::test]
async fn a_stream_that_is_gone_ends_the_session() {
    let state = Remote {
        script: Arc::new(handshake),
        sessions: Arc::default(),
        forget_with: StatusCode::NOT_FOUND,
        seen: Arc::default(),
    };
    let app = Router::new().route("/", post(remote).get(brief_stream)).with_state(state);
    let url = parse_url(&format!("http://{}/", serve(app).await)).unwrap();
    let target = Target::Http { url, credentials: HeaderMap::new() };
    let session = connect(&http(), target, None, soon()).await.unwrap();
    let closed = tokio::time::timeout_at(soon(), session.closed()).await.unwrap();
    assert_eq!(closed.code, Code::PeerUnreachable);
}

#[tokio::test]
async fn what_is_no_mcp_server_is_named() {
    let page = || async { ([("content-type", "text/html")], "<html>") };
    let app = Router::new()
        .route("/html", any(page))
        .route("/json", any(|| async { axum::Json(json!({"hello": 1})) }))
        .route("/broken", any(|| async { ([("content-type", "application/json")], "{\"a") }))
        .route("/400", any(|| async { StatusCode::BAD_REQUEST }))
        .route("/401", any(|| async { StatusCode::UNAUTHORIZED }))
        .route("/500", any(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route(
            "/away",
            any(|| async { axum::response::Redirect::temporary("http://169.254.169.254/") }),
        )
        .route(
            "/large",
            any(|| async {
                ([("content-type", "application/json")], vec![b' '; MESSAGE_BYTES_MAX + 1])
            }),
        )
        .route(
            "/event",
            any(|| async {
                ([("content-type", "text/event-stream")], vec![b'x'; MESSAGE_BYTES_MAX + 1])
            }),
        );
    let address = serve(app).await;
    let target =
        |url: String| Target::Http { url: parse_url(&url).unwrap(), credentials: HeaderMap::new() };
    for (path, code) in [
        ("html", Code::PeerGarbage),
        ("broken", Code::PeerGarbage),
        ("json", Code::ProtocolUnknown),
        ("400", Code::ProtocolUnknown),
        ("404", Code::PeerNoEndpoint),
        ("401", Code::PeerUnauthorized),
        ("500", Code::PeerError),
        ("away", Code::PeerRedirect),
        ("large", Code::PeerTooLarge),
        ("event", Code::PeerTooLarge),
    ] {
        let refusal =
            start(target(format!("http://{address}/{path}")), Duration::from_secs(20)).await;
        assert_eq!(refusal.code, code, "{path}: {refusal:?}");
    }
    let refused =
        start(target(format!("http://{}/", nobody().await)), Duration::from_secs(20)).await;
    assert_eq!(refused.code, Code::PeerUnreachable);
    let late = start(target(format!("http://{}/", mute().await)), Duration::from_millis(50)).await;
    assert_eq!(late.code, Code::PeerTimeout);
}
