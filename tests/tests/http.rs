//! HTTP/JSON over the socket: what a program without gRPC sees.

use keiko_tests::http::{ask, get, open};
use keiko_tests::shared::unique;
use keiko_tests::{fake, shared};
use serde_json::{Value, json};

#[test]
fn lists_and_objects() {
    let node = shared();
    let agent = fake::agent::start("listed");
    let name = unique("listed");
    let namespace = unique("ns");
    let body = json!({"namespace": namespace, "name": name, "url": agent.url()}).to_string();
    let json = [("content-type", "application/json")];
    let made = ask(&node.socket(), "POST", "/v1/agents", &json, &body).expect("it answers");
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(made.json()["object"]["metadata"]["name"], name.as_str(), "{made:?}");
    assert!(made.json()["write"]["revision"].as_u64().is_some(), "{made:?}");
    for kind in ["agent", "agents", "KIND_AGENT"] {
        let path = format!("/v1/objects/{kind}?namespace={namespace}");
        let list = get(&node.socket(), &path).expect("it answers").json();
        assert_eq!(list["items"][0]["metadata"]["name"], name.as_str(), "{list}");
        assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
    }
    let path = format!("/v1/objects/agent/{namespace}/{name}");
    let got = get(&node.socket(), &path).expect("it answers").json();
    assert_eq!(got["object"]["kind"], "Agent", "{got}");
    assert_eq!(got["object"]["spec"]["card"]["name"], "listed", "a document, not a text: {got}");
    let revision = got["object"]["metadata"]["revision"].as_u64().expect("a revision");
    let then = get(&node.socket(), &format!("{path}?at.revision={revision}")).expect("it answers");
    assert_eq!(then.json()["object"], crate::objects::kept(got["object"].clone()));
    let history = get(&node.socket(), &format!("{path}:history")).expect("it answers").json();
    assert_eq!(history["items"][0]["revision"], revision, "{history}");
    let call = format!("/v1/agents/{namespace}/{name}:call");
    let answer = ask(&node.socket(), "POST", &call, &json, r#"{"text":"hi"}"#).expect("it answers");
    assert_eq!(answer.json()["text"], "Hello! You said: hi", "{answer:?}");
}

#[test]
fn the_openapi_document_names_every_call() {
    let document = get(&shared().socket(), "/openapi.json").expect("it answers").json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")));
    let text = document["paths"].to_string();
    for service in keiko_proto::json::pool().services() {
        // What flows both ways has a twin that does not.
        for method in service.methods().filter(|method| !method.is_client_streaming()) {
            assert!(text.contains(method.name()), "{} is missing", method.full_name());
        }
    }
    let schemas = &document["components"]["schemas"];
    let agent = schemas.as_object().expect("schemas").keys().find(|name| name.ends_with("Agent"));
    assert!(agent.is_some(), "{schemas}");
}

#[test]
fn streams_are_lines_or_events() {
    let node = shared();
    let path = "/v1/events?limit=3";
    let lines = get(&node.socket(), path).expect("it answers");
    assert_eq!(lines.header("content-type"), Some("application/jsonl"));
    let items: Vec<Value> =
        lines.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let events: Vec<&Value> = items.iter().filter(|item| item["event"].is_object()).collect();
    assert_eq!(events.len(), 3, "{items:?}");

    let sse = [("accept", "text/event-stream")];
    let stream = ask(&node.socket(), "GET", path, &sse, "").expect("it answers");
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    let data: Vec<&str> =
        stream.text.split("\n\n").filter_map(|item| item.strip_prefix("data: ")).collect();
    assert_eq!(data.len(), items.len(), "{}", stream.text);
    assert_eq!(serde_json::from_str::<Value>(data[0]).expect("JSON"), items[0]);
}

#[test]
fn a_watch_goes_on() {
    let node = shared();
    let (namespace, name) = (unique("watched"), unique("watched"));
    let path = format!("/v1/watch/agent?namespace={namespace}");
    let mut watch = open(&node.socket(), "GET", &path, &[], "").expect("it answers");
    assert_eq!(watch.head.status, 200);
    let agent = fake::agent::start("watched");
    node.ctl.ok(&format!("agent register {name} {} -n {namespace}", agent.url()));
    let mut seen = String::new();
    while !seen.contains(&name) {
        let chunk = watch.chunk().expect("it goes on").expect("it does not end");
        seen.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(seen.contains("\"ADDED\""), "{seen}");
}

#[test]
fn every_no_is_coded() {
    let node = shared();
    let json = [("content-type", "application/json")];
    let check = |verb: &str, path: &str, body: &str, status: u16, code: &str| {
        let answer = ask(&node.socket(), verb, path, &json, body).expect("it answers");
        assert_eq!(answer.status, status, "{verb} {path}: {answer:?}");
        let refusal = answer.json();
        assert_eq!(refusal["code"], code, "{verb} {path}: {refusal}");
        for key in ["message", "causes", "hints", "retryable", "request_id", "trace_id"] {
            assert!(!refusal[key].is_null(), "{key} is missing: {refusal}");
        }
        answer
    };
    check("GET", "/v1/nothing", "", 404, "KEIKO-0008");
    let wrong = check("PUT", "/v1/status", "{}", 405, "KEIKO-0008");
    assert_eq!(wrong.header("allow"), Some("GET"));
    check("POST", "/v1/agents", "{not json", 400, "KEIKO-0002");
    check("POST", "/v1/agents", r#"{"nmae":"x"}"#, 400, "KEIKO-0002");
    check("POST", "/v1/agents", r#"{"name":"A B","url":"http://127.0.0.1:1"}"#, 400, "KEIKO-0002");
    check("GET", "/v1/objects/agent?limti=1", "", 400, "KEIKO-0002");
    check("GET", "/v1/objects/elephant", "", 400, "KEIKO-0002");
    check("GET", "/v1/objects/agent/default/nobody", "", 404, "KEIKO-0030");
    check("GET", "/v1/objects/agent/default/nobody?at.revision=99999999", "", 400, "KEIKO-0035");
    check("POST", "/v1/cluster:init", "{}", 409, "KEIKO-0042");
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(5 << 20));
    check("POST", "/v1/agents", &large, 429, "KEIKO-0003");
}

#[test]
fn an_idempotency_key_is_a_promise() {
    let node = shared();
    let id = uuid::Uuid::now_v7().to_string();
    let path = format!("/v1/agents/default/{}:token", unique("idempotent"));
    let make = |key: &str| {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        ask(&node.socket(), "POST", &path, &headers, "{}").expect("it answers")
    };
    let first = make(&id);
    assert_eq!(first.status, 200, "{first:?}");
    let token = first.json()["id"].as_str().expect("an id").to_owned();
    // Its text was shown once; the second time it only says which it was.
    let second = make(&id);
    assert_eq!((second.status, &second.json()["code"]), (409, &"KEIKO-0032".into()), "{second:?}");
    assert!(second.text.contains(&token), "{second:?}");
    assert_eq!(second.json()["request_id"], id.as_str(), "{second:?}");

    let revoke = |key: &str| {
        let path = format!("/v1/tokens/{token}");
        ask(&node.socket(), "DELETE", &path, &[("idempotency-key", key)], "").expect("it answers")
    };
    let id = uuid::Uuid::now_v7().to_string();
    let (first, second) = (revoke(&id), revoke(&id));
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(first.json(), second.json());
    assert_eq!(make("not-a-uuid").json()["code"], "KEIKO-0002");
    let old = "01890000-0000-7000-8000-000000000000";
    assert_eq!(make(old).json()["code"], "KEIKO-0036");
}

#[tokio::test]
async fn traces_and_metrics() {
    let node = shared();
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let header = format!("00-{trace}-b7ad6b7169203331-01");
    let answer = ask(&node.socket(), "GET", "/v1/status", &[("traceparent", &header)], "");
    let answer = answer.expect("it answers");
    assert!(answer.header("traceparent").is_some_and(|echo| echo.contains(trace)), "{answer:?}");

    let base = format!("http://{}", node.metrics());
    let metrics = reqwest::get(format!("{base}/metrics")).await.expect("it answers");
    assert_eq!(metrics.status(), 200);
    let text = metrics.text().await.expect("a text");
    assert!(text.contains("keiko_") && text.ends_with("# EOF\n"), "{text}");
    for path in ["/", "/v1/status", "/openapi.json", "/livez"] {
        let other = reqwest::get(format!("{base}{path}")).await.expect("it answers");
        assert_eq!(other.status(), 404, "{path} on the metrics port");
    }
}
