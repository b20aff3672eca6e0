mod remote;

use super::*;
use crate::outbound::CallError;
use crate::outbound::http::testing::{http, soon};
use keiko_core::refusal::{Code, Refusal};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::time::Instant;

fn result(result: Value) -> Option<Value> {
    Some(json!({"result": result}))
}

fn error(code: i32, message: &str) -> Option<Value> {
    Some(json!({"error": {"code": code, "message": message}}))
}

fn stateless(method: &str, params: &Value) -> Option<Value> {
    match method {
        "server/discover" => result(json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
            "instructions": "be kind", "ttlMs": 0, "cacheScope": "private",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "fake", "version": "1"}}
        })),
        _ => tools(method, params),
    }
}

fn handshake(method: &str, params: &Value) -> Option<Value> {
    match method {
        "initialize" => result(json!({
            "protocolVersion": "2025-11-25", "capabilities": {"tools": {"listChanged": true}},
            "serverInfo": {"name": "old", "title": "Old", "version": "2"}
        })),
        _ => tools(method, params),
    }
}

fn tools(method: &str, params: &Value) -> Option<Value> {
    match method {
        "tools/list" => result(json!({"resultType": "complete", "tools": [
            {"name": "echo", "description": "d", "inputSchema": {"type": "object"},
             "annotations": {"readOnlyHint": true}},
        ]})),
        "tools/call" => {
            let text = json!([{"type": "text", "text": params.to_string()}]);
            match params["name"].as_str() {
                Some("echo") => result(
                    json!({"resultType": "complete", "content": text, "structuredContent": {"a": 1}}),
                ),
                Some("fails") => {
                    result(json!({"resultType": "complete", "content": text, "isError": true}))
                }
                Some("asks") => {
                    result(json!({"resultType": "input_required", "inputRequests": {}}))
                }
                Some("hangs") => None,
                _ => error(-32602, "no such tool"),
            }
        }
        _ => error(-32601, "method not found"),
    }
}

/// A stdio server made of `script`; `greeting` is written before anything else.
fn stdio(
    greeting: Vec<u8>,
    script: impl Fn(&str, &Value) -> Option<Value> + Send + Sync + 'static,
) -> Target {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move {
        let (input, mut output) = tokio::io::split(theirs);
        if output.write_all(&greeting).await.is_err() {
            return;
        }
        let mut lines = BufReader::new(input).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let request: Value = serde_json::from_str(&line).unwrap();
            let method = request["method"].as_str().unwrap_or_default();
            if request.get("id").is_none() {
                continue;
            }
            if request["params"]["name"] == "dies" {
                return;
            }
            let Some(mut answer) = script(method, &request["params"]) else { continue };
            answer["jsonrpc"] = "2.0".into();
            answer["id"] = request["id"].clone();
            if output.write_all(format!("{answer}\n").as_bytes()).await.is_err() {
                return;
            }
        }
    });
    let (reader, writer) = tokio::io::split(ours);
    Target::Stdio { reader: Box::new(reader), writer: Box::new(writer) }
}

async fn pipes(script: impl Fn(&str, &Value) -> Option<Value> + Send + Sync + 'static) -> Session {
    connect(&http(), stdio(Vec::new(), script), None, soon()).await.unwrap()
}

#[tokio::test]
async fn the_era_is_found_once() {
    for (script, hint, era) in [
        (stateless as fn(&str, &Value) -> Option<Value>, None, Era::Stateless),
        (stateless, Some(Era::Stateless), Era::Stateless),
        (handshake, None, Era::Handshake),
        (handshake, Some(Era::Stateless), Era::Handshake),
        (handshake, Some(Era::Handshake), Era::Handshake),
    ] {
        let session = connect(&http(), stdio(Vec::new(), script), hint, soon()).await.unwrap();
        assert_eq!((session.era, session.protocol_version.as_str()), (era, era.as_str()));
        let tools = session.tools(&Limits::default(), soon()).await.unwrap().tools;
        assert_eq!((tools.len(), tools[0].name.as_str(), tools[0].read_only), (1, "echo", true));
        session.close().await;
    }
    let session = pipes(stateless).await;
    let server = ServerInfo { name: "fake".into(), title: None, version: "1".into() };
    assert_eq!(
        (session.server.clone(), session.instructions.as_deref()),
        (Some(server), Some("be kind"))
    );
}

#[tokio::test]
async fn calls_and_what_they_answer() {
    let session = pipes(handshake).await;
    let outcome = session.call("echo", json!({"x": 1}), Some("00-a-b-01"), soon()).await.unwrap();
    assert_eq!((outcome.structured, outcome.is_error), (Some(json!({"a": 1})), false));
    let sent: Value = serde_json::from_str(outcome.content[0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&sent["arguments"], &sent["_meta"]["traceparent"]),
        (&json!({"x": 1}), &json!("00-a-b-01"))
    );
    assert!(session.call("fails", Value::Null, None, soon()).await.unwrap().is_error);

    let check = |error: CallError| (error.refusal.code, error.surely_not_run);
    let nope = session.call("nope", json!({}), None, soon()).await.unwrap_err();
    assert_eq!(check(nope), (Code::PeerError, false));
    let list = session.call("echo", json!([]), None, soon()).await.unwrap_err();
    assert_eq!(check(list), (Code::ArgumentsInvalid, true));
    let hangs =
        session.call("hangs", json!({}), None, Instant::now() + Duration::from_millis(50)).await;
    assert_eq!(check(hangs.unwrap_err()), (Code::OutcomeUnknown, false));
    assert!(
        session.call("echo", json!({}), None, soon()).await.is_ok(),
        "a late call does not harm the next"
    );
    let dies = session.call("dies", json!({}), None, soon()).await.unwrap_err();
    assert_eq!(check(dies), (Code::OutcomeUnknown, false));
    assert_eq!(session.closed().await.code, Code::ChildFailed);
    let after = session.call("echo", json!({}), None, soon()).await.unwrap_err();
    assert_eq!(check(after), (Code::ChildFailed, true));
}

#[tokio::test]
async fn a_tool_that_asks_for_input_is_refused() {
    let session = pipes(stateless).await;
    let asks = session.call("asks", json!({}), None, soon()).await.unwrap_err();
    assert_eq!(asks.refusal.code, Code::PeerError, "{asks:?}");
}

async fn start(target: Target, wait: Duration) -> Refusal {
    connect(&http(), target, None, Instant::now() + wait).await.err().unwrap()
}

#[tokio::test]
async fn noise_on_a_pipe() {
    let banner = b"Welcome!\n\n{\"level\":\"info\"}\n\xff\xfe\n\xEF\xBB\xBF\n".to_vec();
    assert!(connect(&http(), stdio(banner, stateless), None, soon()).await.is_ok());

    let second = Duration::from_secs(20);
    let flood = b"x\n".repeat(1 << 20);
    assert_eq!(start(stdio(flood, stateless), second).await.code, Code::PeerGarbage);
    let blank = start(stdio(b" \r\n".repeat(400_000), stateless), second).await;
    assert_eq!((blank.code, blank.causes.len()), (Code::PeerGarbage, 0));
    let line = vec![b'x'; MESSAGE_BYTES_MAX + 1];
    assert_eq!(start(stdio(line, stateless), second).await.code, Code::PeerTooLarge);

    let chatter = stdio(b"\x1b[2JHello!\n".to_vec(), |_, _| None);
    let chatter = start(chatter, Duration::from_millis(200)).await;
    assert_eq!(chatter.code, Code::PeerGarbage);
    assert_eq!(chatter.causes, ["it begins with: \\x1b[2JHello!"]);
    let silence = stdio(Vec::new(), |_, _| None);
    assert_eq!(start(silence, Duration::from_millis(50)).await.code, Code::PeerTimeout);
    let no = stdio(Vec::new(), |_, _| error(-32601, "no"));
    assert_eq!(start(no, second).await.code, Code::ProtocolUnknown);
    let (ours, _) = tokio::io::duplex(1);
    let (reader, writer) = tokio::io::split(ours);
    let gone = Target::Stdio { reader: Box::new(reader), writer: Box::new(writer) };
    assert_eq!(start(gone, second).await.code, Code::ChildFailed);
}

const PING: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";

#[tokio::test]
async fn who_asks_without_end_is_not_answered() {
    let at_once = stdio(PING.repeat(1000), stateless);
    assert_eq!(start(at_once, Duration::from_secs(20)).await.code, Code::PeerTooLarge);

    let (ours, theirs) = tokio::io::duplex(4096);
    tokio::spawn(async move {
        let (input, mut output) = tokio::io::split(theirs);
        let mut lines = BufReader::new(input).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        let mut answer = handshake("initialize", &Value::Null).unwrap();
        answer["id"] = serde_json::from_str::<Value>(&line).unwrap()["id"].clone();
        answer["jsonrpc"] = "2.0".into();
        output.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
        // From here on it reads nothing.
        while output.write_all(PING).await.is_ok() {}
    });
    let (reader, writer) = tokio::io::split(ours);
    let target = Target::Stdio { reader: Box::new(reader), writer: Box::new(writer) };
    let session = connect(&http(), target, Some(Era::Handshake), soon()).await.unwrap();
    let listed = session.tools(&Limits::default(), soon()).await.map(|listed| listed.tools.len());
    assert_eq!(listed.map_err(|refusal| refusal.code), Err(Code::PeerTooLarge));
    assert_eq!(session.closed().await.code, Code::PeerTooLarge);
    let ended = tokio::time::timeout(Duration::from_secs(4), session.close()).await;
    assert!(ended.is_ok(), "answers that nobody reads are given up");
}

#[tokio::test]
async fn lists_have_limits() {
    fn paged(next: fn(&Value) -> Value) -> impl Fn(&str, &Value) -> Option<Value> {
        move |method, params| match method {
            "tools/list" => {
                let name = format!("t{}", params["cursor"].as_str().unwrap_or("0"));
                let tool = json!({"name": name, "inputSchema": {"type": "object", "title": "x".repeat(100)}});
                result(json!({"tools": [tool], "nextCursor": next(&params["cursor"])}))
            }
            _ => handshake(method, params),
        }
    }
    let up = |cursor: &Value| {
        json!((cursor.as_str().unwrap_or("0").parse::<usize>().unwrap() + 1).to_string())
    };
    let until_3 = |cursor: &Value| match cursor.as_str() {
        None => json!("1"),
        Some("1") => json!("2"),
        _ => Value::Null,
    };
    let circle = |cursor: &Value| json!(if cursor == "a" { "b" } else { "a" });
    let long = |_: &Value| json!("x".repeat(4097));
    let few = Limits { tools_max: 10, ..Limits::default() };
    let tools = async |script: fn(&Value) -> Value, limits: Limits| {
        let listed = pipes(paged(script)).await.tools(&limits, soon()).await;
        listed.map(|listed| (listed.tools.len(), listed.left_out.count)).map_err(|r| r.code)
    };
    assert_eq!(tools(until_3, few).await, Ok((3, 0)));
    assert_eq!(tools(up, few).await, Err(Code::PeerTooLarge));
    assert_eq!(tools(circle, few).await, Err(Code::PeerTooLarge));
    assert_eq!(tools(long, few).await, Err(Code::PeerTooLarge));
    assert_eq!(tools(until_3, Limits { tool_bytes_max: 50, ..few }).await, Ok((0, 3)));
    assert_eq!(tools(until_3, Limits { bytes_max: 1500, ..few }).await, Ok((2, 1)));
}

#[tokio::test]
async fn an_odd_tool_is_left_out_and_no_other() {
    fn list(method: &str, params: &Value) -> Option<Value> {
        let tool = |name: &str, schema: Value| json!({"name": name, "inputSchema": schema});
        let none = || json!({"type": "object"});
        let recursive = json!({"type": "object", "$ref": "#"});
        let mut blind = tool("blind", none());
        blind["outputSchema"] = json!({"type": "object", "$ref": "http://example.com/a"});
        match method {
            "tools/list" => result(json!({"tools": [
                tool("good", none()), tool("good", json!({"type": "string"})),
                tool("\u{1b}[2Jevil", none()), tool("g\u{43e}\u{43e}d", none()),
                tool("", none()), tool(&"x".repeat(129), none()),
                tool("recursive", recursive), tool("remote", json!({"$ref": "http://a/b"})),
                tool("list", json!([])), json!({"inputSchema": {}}), json!(7), blind,
                tool("last", json!({"properties": {"tree": {"$ref": "#"}}})),
            ]})),
            _ => handshake(method, params),
        }
    }
    let session = pipes(list).await;
    for _ in 0..2 {
        let listed = session.tools(&Limits::default(), soon()).await.unwrap();
        let names: Vec<_> = listed.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["good", "blind", "last"], "{:?}", listed.left_out);
        assert_eq!(listed.tools[0].input_schema, json!({"type": "object"}));
        assert_eq!(listed.tools[1].output_schema, None);
        let lines = listed.left_out.lines();
        assert_eq!((listed.left_out.count, lines.len(), lines[8].as_str()), (10, 9, "and 2 more"));
        assert!(lines.iter().any(|line| line.starts_with("\\x1b[2Jevil: its name")));
        assert!(lines.iter().all(|line| !line.contains('\u{1b}')));
    }
}

#[tokio::test]
async fn another_version_is_named() {
    fn discovers(method: &str, _: &Value) -> Option<Value> {
        match method {
            "server/discover" => result(json!({
                "resultType": "complete", "supportedVersions": ["2031-01-01"], "capabilities": {},
                "ttlMs": 0, "cacheScope": "private"
            })),
            _ => error(-32601, "no"),
        }
    }
    fn initializes(method: &str, _: &Value) -> Option<Value> {
        match method {
            "initialize" => result(json!({"protocolVersion": "1999-01-01", "capabilities": {},
                "serverInfo": {"name": "old", "version": "1"}})),
            _ => error(-32601, "no"),
        }
    }
    fn refuses(method: &str, _: &Value) -> Option<Value> {
        let data = json!({"supported": ["1.0"], "requested": "2025-11-25"});
        match method {
            "initialize" => Some(json!({"error": {"code": -32602, "message": "no", "data": data}})),
            _ => error(-32601, "no"),
        }
    }
    for script in [discovers as fn(&str, &Value) -> Option<Value>, initializes, refuses] {
        let refusal = start(stdio(Vec::new(), script), Duration::from_secs(20)).await;
        assert_eq!(refusal.code, Code::PeerVersion, "{refusal:?}");
        assert!(refusal.causes[1].starts_with("Keiko speaks 2024-11-05"), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_change_of_the_list_is_seen() {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (input, mut output) = tokio::io::split(theirs);
    tokio::spawn(async move {
        let mut lines = BufReader::new(input).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        let id = serde_json::from_str::<Value>(&line).unwrap()["id"].clone();
        let mut answer = handshake("initialize", &Value::Null).unwrap();
        answer["id"] = id;
        answer["jsonrpc"] = "2.0".into();
        let change = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
        output.write_all(format!("{answer}\n{change}\n").as_bytes()).await.unwrap();
        while lines.next_line().await.is_ok_and(|line| line.is_some()) {}
    });
    let (reader, writer) = tokio::io::split(ours);
    let target = Target::Stdio { reader: Box::new(reader), writer: Box::new(writer) };
    let session = connect(&http(), target, Some(Era::Handshake), soon()).await.unwrap();
    let mut changes = session.tools_changed();
    let seen = tokio::time::timeout_at(soon(), changes.wait_for(|count| *count > 0)).await;
    assert!(seen.is_ok());
}
