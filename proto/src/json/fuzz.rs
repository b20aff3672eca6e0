//! The JSON face against hostile documents: what is read can be written, and says the same again.

#[path = "../../../tests/src/mutate.rs"]
mod mutate;

use super::{dynamic_to_json, from_json, pool, to_json};
use crate::v1::{self, object::Object as Inner};
use prost::Message;
use prost_reflect::DynamicMessage;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const WORDS: &[&str] = &[
    "\"kind\":\"Agent\"",
    "\"kind\":7",
    "\"object\":{}",
    "\"agent\":{}",
    "\"items\":[]",
    "\"spec\"",
    "\"api_version\"",
    "\"inputSchema\":",
    "null,",
    ":",
    ",",
    "}",
    "\"a\":1",
    "1e400",
    "\"AAECAw==\"",
    "\"2026-07-28T00:00:00Z\"",
    "\"NaN\"",
    "-0",
    "0.1",
    "\"KIND_AGENT\"",
    "9007199254740991",
];

/// Messages that come from outside, as JSON; the name of each is in front of it.
fn corpus() -> Vec<(&'static str, Value)> {
    let metadata = json!({"name": "time", "namespace": "default", "labels": {"team": "red"},
        "annotations": {"a/b": "c"}, "revision": 7, "createdMs": 1_800_000_000_000_u64});
    let agent = json!({"apiVersion": "keiko/v1", "kind": "Agent", "metadata": metadata,
        "spec": {"url": "http://a.test", "interfaces": [{"url": "http://a.test", "binding": "JSONRPC"}],
            "card": {"name": "a", "skills": [{"id": "x"}]}, "dependsOn": ["mcp/time"],
            "lease": {"ttlMs": 10_000}, "grant": {"node": "one", "uid": 0}}});
    let server = json!({"apiVersion": "keiko/v1", "kind": "McpServer", "metadata": metadata,
        "spec": {"transport": "stdio", "command": ["/bin/x"], "env": [{"name": "A", "credential": "b"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True", "sinceMs": 7}],
            "health": {"state": "ready"}, "live": {"routable": true, "load": {"queueLength": 3}}}});
    let tool = json!({"kind": "Tool", "metadata": metadata, "spec": {"server": "time",
        "toolName": "now", "inputSchema": {"type": "object"}, "hints": {"readOnly": true}}});
    let listed = json!({"items": [agent, server], "revision": 9});
    vec![
        ("keiko.v1.Object", agent),
        ("keiko.v1.Object", server),
        ("keiko.v1.Object", tool.clone()),
        ("keiko.v1.Tool", tool),
        ("keiko.v1.ListResponse", listed),
        ("keiko.v1.CallToolRequest", json!({"name": "time.now", "arguments": {"a": [1, null]}})),
        (
            "keiko.v1.Refusal",
            json!({"code": 7, "message": "no", "causes": ["a"], "retryable": true}),
        ),
        (
            "keiko.v1.Entry",
            json!({"format": 1, "requestId": "AAECAw==", "actor": {"node": "one"},
            "registry": {"delete": {"object": {"kind": "KIND_AGENT", "name": "a"}}}}),
        ),
    ]
}

/// The face as callers use it, in both directions.
fn check(name: &str, text: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(text) else { return };
    let descriptor = pool().get_message_by_name(name).expect("one of our messages");
    let read = match from_json(descriptor.clone(), value) {
        Ok(read) => read,
        Err(error) => {
            let words = error.to_string();
            assert!(!words.is_empty() && words.len() < 4096 + 8 * text.len(), "{words}");
            return;
        }
    };
    let bytes = read.encode_to_vec();
    let decoded = DynamicMessage::decode(descriptor.clone(), bytes.as_slice()).expect("as written");
    let shown = dynamic_to_json(&decoded);
    assert_eq!(dynamic_to_json(&read), shown, "the wire changes nothing");
    let length = shown.to_string().len();
    assert!(length <= 4096 + 32 * text.len(), "{length} bytes of {}", text.len());
    let again = from_json(descriptor, shown.clone());
    let again = again.unwrap_or_else(|error| panic!("{error}: {shown}"));
    assert_eq!(dynamic_to_json(&again), shown, "written and read again");
}

#[test]
fn any_document() {
    let corpus = corpus();
    let names: Vec<&str> = corpus.iter().map(|(name, _)| *name).collect();
    let texts: Vec<String> =
        corpus.iter().enumerate().map(|(at, (_, value))| format!("{at}{value:#}")).collect();
    for (name, value) in &corpus {
        let descriptor = pool().get_message_by_name(name).expect(name);
        from_json(descriptor, value.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    mutate::run("json face", &texts, WORDS, |input| {
        let Some((at, text)) = input.split_first() else { return };
        check(names[usize::from(*at) % names.len()], text);
    });
}

/// Text in every field that takes any, through the message and not only through JSON.
#[test]
fn any_text_in_a_message() {
    let corpus =
        ["hello", "{\"type\":\"object\"}", "[1,2]", "7", "\"x\"", "null", "{\"kind\":\"Agent\"}"];
    mutate::run("json face of texts", &corpus, WORDS, |input| {
        let text = String::from_utf8_lossy(input).into_owned();
        let metadata = v1::Metadata {
            name: text.clone(),
            labels: BTreeMap::from([(text.clone(), text.clone())]),
            ..Default::default()
        };
        let spec =
            v1::AgentSpec { card: text.clone(), depends_on: vec![text], ..Default::default() };
        let kind = "Agent".to_owned();
        let agent =
            v1::Agent { kind, metadata: Some(metadata), spec: Some(spec), ..Default::default() };
        let object = v1::Object { object: Some(Inner::Agent(agent)) };
        let shown = to_json("keiko.v1.Object", &object);
        let descriptor = pool().get_message_by_name("keiko.v1.Object").expect("one of ours");
        let read = from_json(descriptor, shown.clone());
        let read = read.unwrap_or_else(|error| panic!("{error}: {shown}"));
        let name = |object: &v1::Object| match &object.object {
            Some(Inner::Agent(agent)) => agent.metadata.clone(),
            _ => None,
        };
        let read = v1::Object::decode(read.encode_to_vec().as_slice()).expect("as written");
        assert_eq!(name(&read), name(&object), "what is not JSON comes back as it was");
    });
}
