use super::*;
use crate::outbound::detect;
use crate::outbound::http::testing::{http, nobody, serve, soon};
use crate::outbound::http::{parse_url, secret_headers};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use keiko_core::refusal::{Code, Refusal};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

fn read(raw: Value) -> Result<Card, Refusal> {
    Card::read(&parse_url("http://127.0.0.1:9/.well-known/agent-card.json").unwrap(), raw)
}

fn card_1() -> Value {
    json!({"name": "hello", "version": "1.2", "description": "d", "capabilities": {},
        "supportedInterfaces": [
            {"url": "127.0.0.1:10", "protocolBinding": "GRPC", "protocolVersion": "1.0"},
            {"url": "http://127.0.0.1:9/03", "protocolBinding": "JSONRPC", "protocolVersion": "0.3"},
            {"url": "http://localhost:9/rest", "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"},
            {"url": "http://127.0.0.1:9/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0", "tenant": "t"},
            {"url": "http://evil.example/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
        ],
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "skills": [{"id": "s", "name": "S", "description": "x", "tags": ["a", "b"], "examples": ["hi"]}]})
}

fn card_03() -> Value {
    json!({"name": "old", "version": "1", "url": "http://127.0.0.1:9/", "preferredTransport": "JSONRPC",
        "protocolVersion": "0.3.0", "skills": [], "additionalInterfaces": [
            {"url": "http://127.0.0.1:9/", "transport": "JSONRPC"},
            {"url": "http://127.0.0.1:9/rest", "transport": "HTTP+JSON"}]})
}

#[test]
fn cards_of_both_versions() {
    let card = read(card_1()).unwrap();
    assert_eq!(
        (card.name.as_str(), card.version.as_str(), card.interfaces.len()),
        ("hello", "1.2", 4)
    );
    assert_eq!(card.foreign_interfaces[0].url, "http://evil.example/rpc");
    assert_eq!(card.skills[0].tags, ["a", "b"]);
    let preferred = card.preferred().unwrap();
    assert_eq!(
        (preferred.url.as_str(), preferred.tenant.as_deref()),
        ("http://127.0.0.1:9/rpc", Some("t"))
    );

    let card = read(card_03()).unwrap();
    assert_eq!(card.interfaces.len(), 2);
    assert_eq!(card.preferred().unwrap().version, Version::V03);
}

#[test]
fn a_mistake_is_named() {
    for (pointer, value, expect) in [
        ("/name", json!(""), "the field name is missing"),
        ("/version", Value::Null, "the field version is missing"),
        ("/supportedInterfaces", json!([]), "the field supportedInterfaces is empty"),
        (
            "/supportedInterfaces",
            json!("x"),
            "the field supportedInterfaces is not a list of objects",
        ),
        (
            "/supportedInterfaces/1/url",
            Value::Null,
            "the field supportedInterfaces[1].url is missing",
        ),
        ("/skills/0/id", json!(1), "the field skills[0].id is missing"),
        ("/skills/0/name", Value::Null, "the field skills[0].name is missing"),
        ("/skills", json!([1]), "the field skills is not a list of objects"),
    ] {
        let mut card = card_1();
        *card.pointer_mut(pointer).unwrap() = value;
        let refusal = read(card).unwrap_err();
        assert_eq!(
            (refusal.code, refusal.causes[0].as_str()),
            (Code::CardInvalid, expect),
            "{pointer}"
        );
    }
    for card in [json!([]), json!({}), json!({"name": "a", "version": "1"})] {
        assert_eq!(read(card).unwrap_err().code, Code::CardInvalid);
    }
    let many: Vec<_> = (0..1025).map(|n| json!({"id": n.to_string(), "name": "n"})).collect();
    let mut card = card_1();
    card["skills"] = json!(many);
    assert_eq!(read(card).unwrap_err().code, Code::PeerTooLarge);
}

#[test]
fn only_foreign_interfaces_are_no_way_in() {
    let mut card = card_03();
    card["url"] = "http://0.0.0.0:9/".into();
    card["additionalInterfaces"] = json!([]);
    let refusal = read(card).unwrap().preferred().unwrap_err();
    assert_eq!(refusal.code, Code::CardInvalid);
    assert_eq!(refusal.causes, ["JSONRPC 0.3 at http://0.0.0.0:9/ is not on http://127.0.0.1:9"]);
}

/// An agent that answers as the text asks.
#[derive(Clone)]
struct Agent {
    card: Arc<Value>,
    looks: Arc<AtomicUsize>,
}

async fn card(State(agent): State<Agent>, headers: HeaderMap) -> Response {
    if headers.get("if-none-match").is_some_and(|etag| etag == "\"1\"") {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    ([("etag", "\"1\"")], axum::Json((*agent.card).clone())).into_response()
}

fn task(state: &str, looks: usize) -> Value {
    let state = if looks >= 2 { "TASK_STATE_COMPLETED" } else { state };
    json!({"id": "t1", "contextId": "c", "status": {"state": state},
        "artifacts": [{"artifactId": "a", "parts": [{"text": "done"}]}]})
}

fn respond(
    agent: &Agent,
    method: &str,
    params: &Value,
    headers: &HeaderMap,
) -> Result<Value, (i32, &'static str)> {
    let text = params.pointer("/message/parts/0/text").and_then(Value::as_str).unwrap_or_default();
    match method {
        "SendMessage" | "message:send" if headers.get("a2a-version").is_none() => {
            Err((-32009, "version"))
        }
        "message/send" if params["message"]["kind"] == "message" => Ok(
            json!({"kind": "message", "role": "agent", "messageId": "x", "parts": [{"kind": "text", "text": text}]}),
        ),
        "GetTask" | "tasks/t1" => {
            Ok(task("TASK_STATE_WORKING", agent.looks.fetch_add(1, Ordering::SeqCst) + 1))
        }
        "SendMessage" | "message:send" => match text {
            "work" => Ok(json!({"task": task("TASK_STATE_SUBMITTED", 0)})),
            "ask" => Ok(json!({"task": task("TASK_STATE_INPUT_REQUIRED", 0)})),
            "fail" => Ok(json!({"task": task("TASK_STATE_FAILED", 0)})),
            "odd" => Ok(json!({"x": 1})),
            text => Ok(
                json!({"message": {"role": "ROLE_AGENT", "messageId": "x", "parts": [{"text": text}]}}),
            ),
        },
        _ => Err((-32601, "no such method")),
    }
}

async fn rpc(State(agent): State<Agent>, headers: HeaderMap, body: String) -> Response {
    let request: Value = serde_json::from_str(&body).unwrap();
    if request.pointer("/params/message/parts/0/text").is_some_and(|text| text == "hang") {
        return std::future::pending().await;
    }
    let method = request["method"].as_str().unwrap();
    axum::Json(match respond(&agent, method, &request["params"], &headers) {
        Ok(result) => json!({"jsonrpc": "2.0", "id": request["id"], "result": result}),
        Err((code, message)) => json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": message}}),
    })
    .into_response()
}

async fn rest(
    State(agent): State<Agent>,
    uri: axum::http::Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let params = serde_json::from_str(&body).unwrap_or_default();
    let path = uri.path().strip_prefix("/rest/").unwrap();
    match respond(&agent, path, &params, &headers) {
        Ok(result) => axum::Json(result).into_response(),
        Err((_, message)) => (
            StatusCode::BAD_REQUEST,
            axum::Json(json!({"error": {"code": 400, "message": message}})),
        )
            .into_response(),
    }
}

async fn agent() -> Url {
    let listener = nobody().await;
    let base = format!("http://{listener}");
    let mut raw = card_1();
    for (at, path) in [(1, "/rpc"), (2, "/rest"), (3, "/rpc")] {
        raw["supportedInterfaces"][at]["url"] = format!("{base}{path}").into();
    }
    let state = Agent { card: Arc::new(raw), looks: Arc::default() };
    let app = Router::new()
        .route("/.well-known/agent-card.json", get(card))
        .route("/sub/.well-known/agent.json", get(card))
        .route("/login", get(|| async { StatusCode::UNAUTHORIZED }))
        .route("/login/.well-known/agent-card.json", get(|| async { StatusCode::UNAUTHORIZED }))
        .route("/large.json", get(|| async { vec![b' '; CARD_BYTES_MAX + 1] }))
        .route("/html.json", get(|| async { "<html>" }))
        .route("/rpc", post(rpc))
        .route("/rest/{*path}", get(rest).post(rest))
        .with_state(state);
    let listener = tokio::net::TcpListener::bind(listener).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    Url::parse(&base).unwrap()
}

#[tokio::test]
async fn a_card_is_found_and_kept() {
    let (http, base) = (http(), agent().await);
    let none = HeaderMap::new();
    for path in ["/", "/rpc", "/sub/", "/.well-known/agent-card.json"] {
        let found = find(&http, &base.join(path).unwrap(), &none, &[], soon()).await;
        assert_eq!(found.unwrap().name, "hello", "{path}");
    }
    let card = find(&http, &base, &none, &[], soon()).await.unwrap();
    assert_eq!((card.etag.as_deref(), card.signature), (Some("\"1\""), SignatureState::None));
    let again = fetch(&http, &card.url, card.etag.as_deref(), &none, &[], soon()).await;
    assert_eq!(again, Ok(Fetched::Unchanged));
    for (path, code) in [
        ("/login", Code::PeerUnauthorized),
        ("/large.json", Code::PeerTooLarge),
        ("/html.json", Code::PeerGarbage),
        ("/nothing.json", Code::PeerNoEndpoint),
    ] {
        let refused = find(&http, &base.join(path).unwrap(), &none, &[], soon()).await.unwrap_err();
        assert_eq!(refused.code, code, "{path}");
    }
}

fn text(text: &str) -> Call {
    Call { input: Input::Text(text.to_owned()), message_id: "m1".to_owned(), trace: None }
}

#[tokio::test]
async fn messages_over_every_binding() {
    let (http, base) = (http(), agent().await);
    let none = secret_headers([("x-key", b"k".as_slice())]).unwrap();
    let card = find(&http, &base, &none, &[], soon()).await.unwrap();
    for interface in card.interfaces.iter().filter(|i| i.binding != Binding::Grpc) {
        let said = call(&http, interface, text("hi"), &none, soon()).await.unwrap();
        assert_eq!(
            (said.text.as_str(), said.task_state, said.failed),
            ("hi", None, false),
            "{interface:?}"
        );
        if interface.version == Version::V03 {
            continue;
        }
        for (word, state, failed) in [
            ("work", "completed", false),
            ("ask", "input-required", false),
            ("fail", "failed", true),
        ] {
            let outcome = call(&http, interface, text(word), &none, soon()).await.unwrap();
            assert_eq!(
                (outcome.task_state.as_deref(), outcome.failed),
                (Some(state), failed),
                "{word}"
            );
            assert_eq!(outcome.text, "done");
        }
        let odd = call(&http, interface, text("odd"), &none, soon()).await.unwrap_err();
        assert_eq!((odd.refusal.code, odd.surely_not_run), (Code::PeerGarbage, false));
    }
}

#[tokio::test]
async fn a_message_without_answer_is_unknown() {
    let (http, base) = (http(), agent().await);
    let none = HeaderMap::new();
    let card = find(&http, &base, &none, &[], soon()).await.unwrap();
    let interface = card.preferred().unwrap();
    let short = || Instant::now() + Duration::from_millis(60);
    for word in ["hang", "work"] {
        let error = call(&http, interface, text(word), &none, short()).await.unwrap_err();
        assert_eq!(
            (error.refusal.code, error.surely_not_run),
            (Code::OutcomeUnknown, false),
            "{word}"
        );
    }
    let gone = Interface { url: format!("http://{}/", nobody().await), ..interface.clone() };
    let error = call(&http, &gone, text("hi"), &none, soon()).await.unwrap_err();
    assert_eq!((error.refusal.code, error.surely_not_run), (Code::PeerUnreachable, true));
    let grpc = call(&http, &card.interfaces[0], text("hi"), &none, soon()).await.unwrap_err();
    assert_eq!((grpc.refusal.code, grpc.surely_not_run), (Code::CardInvalid, true));
}

#[tokio::test]
async fn a_server_error_leaves_the_outcome_open() {
    let answer =
        |status: StatusCode, body: Value| post(move || async move { (status, axum::Json(body)) });
    let told = json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "no"}});
    let app = Router::new()
        .route("/page", post(|| async { (StatusCode::BAD_GATEWAY, "<html>") }))
        .route("/late", answer(StatusCode::GATEWAY_TIMEOUT, json!({"error": {"message": "late"}})))
        .route("/told", answer(StatusCode::INTERNAL_SERVER_ERROR, told))
        .route("/busy", answer(StatusCode::TOO_MANY_REQUESTS, json!({})))
        .route("/rest/{*path}", answer(StatusCode::BAD_GATEWAY, json!({"message": "bad"})))
        .route("/wrong/{*path}", answer(StatusCode::BAD_REQUEST, json!({"message": "bad"})));
    let (http, address) = (http(), serve(app).await);
    for (path, binding, code) in [
        ("/page", Binding::JsonRpc, Code::OutcomeUnknown),
        ("/late", Binding::JsonRpc, Code::OutcomeUnknown),
        ("/told", Binding::JsonRpc, Code::PeerError),
        ("/busy", Binding::JsonRpc, Code::PeerError),
        ("/rest", Binding::HttpJson, Code::OutcomeUnknown),
        ("/wrong", Binding::HttpJson, Code::PeerError),
    ] {
        let url = format!("http://{address}{path}");
        let interface = Interface { url, binding, version: Version::V1, tenant: None };
        let sent = call(&http, &interface, text("hi"), &HeaderMap::new(), soon()).await;
        let error = sent.unwrap_err();
        assert_eq!((error.refusal.code, error.surely_not_run), (code, false), "{path}");
    }
}

#[tokio::test]
async fn a_wrong_word_for_the_right_url_is_explained() {
    let (http, base) = (http(), agent().await);
    let none = HeaderMap::new();
    let found = detect::detect(&http, &base, &none, &[], soon()).await;
    assert!(matches!(found, Ok(detect::Detected::A2a { .. })));
    let refused = detect::mcp_server(&http, &base, &none, soon()).await.err().unwrap();
    assert_eq!(refused.hints, [format!("keikoctl agent register {base}")]);
    let page = Url::parse(&format!("http://{}", serve(Router::new()).await)).unwrap();
    let refused = detect::detect(&http, &page, &none, &[], soon()).await.err().unwrap();
    assert_eq!(refused.code, Code::PeerNoEndpoint);
    assert!(refused.message.ends_with("speaks neither A2A nor MCP"));
}
