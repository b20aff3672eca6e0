//! HTTP/JSON against a real registry service behind it.

use super::clients::get;
use super::harness::start;
use http::Request;
use serde_json::json;
use uuid::Uuid;

const HELLO: &str = "/v1/objects/agents/default/hello";

#[tokio::test]
async fn unary_with_query_and_path() {
    let world = start();
    let answer = world.local(get(&format!("{HELLO}?at.revision=5&consistency=stale"))).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/json");
    let json = answer.json();
    assert_eq!(json["object"]["kind"], "Agent", "an object is shown without its wrapping");
    assert_eq!(json["object"]["metadata"]["name"], "hello");
    assert_eq!(json["read"]["revision"], 5);
    let answer = world.local(get("/v1/objects/agent/default/a%20b")).await;
    assert_eq!(answer.json()["object"]["metadata"]["name"], "a b");
}

#[tokio::test]
async fn a_body_with_a_document_in_it() {
    let world = start();
    let body = json!({"arguments": {"zone": "UTC"}}).to_string();
    let call = Request::post("/v1/tools/default/time.now:call").body(body).unwrap();
    let answer = world.local(call).await.json();
    assert_eq!(answer, json!({"tool": "time.now", "content": {"zone": "UTC"}}));
    let call = Request::post("/v1/tools/default/t:call").body(String::new()).unwrap();
    assert_eq!(world.local(call).await.json(), json!({"tool": "t"}));
}

#[tokio::test]
async fn request_ids_by_header_and_query() {
    let world = start();
    let id = Uuid::now_v7();
    let delete = |query: &str, header: Option<(&'static str, String)>| {
        let mut request = Request::delete(format!("{HELLO}{query}")).body(String::new()).unwrap();
        if let Some((name, value)) = header {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request
    };
    for request in [
        delete("", Some(("idempotency-key", id.to_string()))),
        delete("", Some(("x-request-id", id.to_string()))),
        delete(&format!("?requestId={id}"), None),
        delete(&format!("?requestId={id}"), Some(("x-request-id", Uuid::now_v7().to_string()))),
    ] {
        assert_eq!(world.local(request).await.status, 200);
        assert_eq!(world.seen.take().unwrap().request_id, id.as_bytes());
    }
    // What a proxy makes up is no id of ours; what a caller promises must be one.
    let answer = world.local(delete("", Some(("x-request-id", "abc".into())))).await;
    assert_eq!(answer.status, 200);
    assert!(world.seen.take().unwrap().request_id.is_empty());
    let answer = world.local(delete("", Some(("idempotency-key", "abc".into())))).await;
    assert_eq!(answer.status, 400);
    assert!(world.seen.take().is_none());
}

#[tokio::test]
async fn what_is_refused() {
    let world = start();
    let check = async |request: Request<String>, status: u16, code: &str| {
        let path = request.uri().to_string();
        let answer = world.local(request).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        let json = answer.json();
        assert_eq!(json["code"], code, "{path}");
        assert_eq!(json["trace_id"].as_str().unwrap().len(), 32);
        assert!(!json["message"].as_str().unwrap().is_empty());
    };
    let post = |path: &str, body: &str| Request::post(path).body(body.to_owned()).unwrap();
    check(get("/v1/nothing"), 404, "KEIKO-0008").await;
    check(post(HELLO, ""), 405, "KEIKO-0008").await;
    check(get("/v1/objects/agents"), 404, "KEIKO-0008").await;
    check(get("/v1/objects/plants/default/x"), 400, "KEIKO-0002").await;
    check(get(&format!("{HELLO}?at.revision=x")), 400, "KEIKO-0002").await;
    check(get(&format!("{HELLO}?nmae=x")), 400, "KEIKO-0002").await;
    let call = "/v1/tools/default/t:call";
    check(post(call, "{"), 400, "KEIKO-0002").await;
    check(post(call, "[]"), 400, "KEIKO-0002").await;
    check(post(call, r#"{"nothing": 1}"#), 400, "KEIKO-0002").await;
    let large = format!(r#"{{"arguments": "{}"}}"#, "x".repeat(4 << 20));
    check(post(call, &large), 429, "KEIKO-0003").await;
    let many = "types=a&".repeat(200);
    check(get(&format!("/v1/events?{many}")), 429, "KEIKO-0003").await;
    check(get("/v1/watch/agent?name=refused"), 412, "KEIKO-0034").await;
}

#[tokio::test]
async fn streams_as_lines_and_as_events() {
    let world = start();
    let answer = world.local(get("/v1/watch/agent")).await;
    assert_eq!(answer.headers["content-type"], "application/jsonl");
    let lines: Vec<serde_json::Value> =
        answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["revision"], 2);
    assert_eq!(lines[1]["object"]["kind"], "Agent");

    let broken = world.local(get("/v1/watch/agent?name=broken")).await;
    let last: serde_json::Value =
        serde_json::from_str(broken.text.lines().last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "KEIKO-0040");

    let mut request = get("/v1/watch/agent?name=broken");
    request.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
    let answer = world.local(request).await;
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    let events: Vec<_> = answer.text.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 3);
    assert!(events[0].starts_with("data: {"));
    assert!(events[2].starts_with("event: error\ndata: {"));
}

#[tokio::test]
async fn a_trace_is_continued() {
    let world = start();
    let mut request = get(HELLO);
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.headers_mut().insert("traceparent", parent.parse().unwrap());
    let answer = world.local(request).await;
    let echoed = answer.headers["traceparent"].to_str().unwrap();
    assert!(echoed.starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    assert!(echoed.ends_with("-01"));
    assert_ne!(echoed, parent, "the span is the server's own");
    let answer = world.network(get("/nothing")).await;
    let trace = answer.json()["trace_id"].as_str().unwrap().to_owned();
    assert!(answer.headers["traceparent"].to_str().unwrap().contains(&trace));
}
