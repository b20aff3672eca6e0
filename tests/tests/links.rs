//! What keeps a server linked, and what that costs.

use crate::objects::wait_ready;
use keiko_core::refusal::Code;
use keiko_tests::fake::mcp::Flavour;
use keiko_tests::shared::unique;
use keiko_tests::wait::expect;
use keiko_tests::web::{Reply, Web};
use keiko_tests::{Node, Plan, eventually, fake, http, programs, shared};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How seldom a server or an agent is probed that is well, 15 s and a fifth, and a little more.
const PROBED: Duration = Duration::from_secs(19);

#[test]
fn a_server_that_says_what_it_said_costs_no_entry() {
    let node = Node::start(Plan::default());
    let agent = fake::agent::start("Quiet");
    node.ctl.ok(&format!("mcp register quiet -- {}", programs::path("fake-mcp").display()));
    node.ctl.ok(&format!("agent register hush {}", agent.url()));
    wait_ready(&node.ctl, "quiet", "True");
    let revision = || node.ctl.json("status")["revision"].clone();
    let before = revision();
    // What registration found is known to the first look too.
    std::thread::sleep(PROBED);
    assert_eq!(revision(), before);
}

#[test]
fn a_registration_again_links_who_was_asked_seldom() {
    let (node, name) = (shared(), unique("patience"));
    let is_down = Arc::new(AtomicBool::new(false));
    let down = Arc::clone(&is_down);
    let server = Web::start(move |asked, _| match down.load(Ordering::SeqCst) {
        true => Reply::hang_up(),
        false => fake::mcp::http(asked, Flavour::Plain),
    });
    let register = format!("mcp register {name} {}", server.url());
    node.ctl.ok(&register);
    wait_ready(&node.ctl, &name, "True");
    is_down.store(true, Ordering::SeqCst);
    // Each look that fails doubles the time until the next.
    eventually("it is left alone for a while", || {
        let body = json!({"kind": "KIND_MCP_SERVER", "name": name}).to_string();
        let headers = [("content-type", "application/json")];
        http::ask(&node.socket(), "POST", "/v1/probe", &headers, &body).expect("it answers");
        let live = node.ctl.json(&format!("mcp get {name}"))["status"]["live"].clone();
        let [last, next] = ["lastProbeMs", "nextProbeMs"].map(|field| live[field].as_u64());
        let pause_ms = next.unwrap_or_default().saturating_sub(last.unwrap_or_default());
        expect(pause_ms > 8_000, || live.to_string())
    });
    is_down.store(false, Ordering::SeqCst);
    node.ctl.ok(&register);
    let answer = node.ctl.ok(&format!(r#"tool call {name}.echo '{{"text":"back"}}' --timeout 4s"#));
    assert_eq!(answer.stdout.trim(), "back");
}

#[test]
fn a_call_that_takes_too_long_leaves_the_server_alone() {
    let node = shared();
    let name = unique("patient");
    node.ctl.ok(&format!("mcp register {name} -- {}", programs::path("fake-mcp").display()));
    let slow = format!(r#"tool call {name}.slow '{{"seconds":2}}' --timeout 1s"#);
    assert_ne!(node.ctl.run(&slow).status, 0);
    let answer = node.ctl.ok(&format!(r#"tool call {name}.echo '{{"text":"still here"}}'"#));
    assert_eq!(answer.stdout.trim(), "still here");
    let log = node.ctl.ok(&format!("mcp logs {name}")).stdout;
    assert_eq!(log.matches("started with").count(), 1, "{log}");
}

#[test]
fn a_registration_again_changes_what_goes_along() {
    let node = shared();
    let (name, agent) = (unique("again"), fake::agent::start("Again"));
    node.ctl.ok(&format!("agent register {name} {} --label tier=low", agent.url()));
    node.ctl.ok(&format!("agent register {name} {} --label tier=high", agent.url()));
    let object = node.ctl.json(&format!("agent get {name}"));
    assert_eq!(object["metadata"]["labels"]["tier"], "high", "{object}");
}

#[test]
fn a_watch_by_name_shows_one_namespace() {
    let node = shared();
    let (name, agent) = (unique("twin"), fake::agent::start("Twin"));
    node.ctl.ok(&format!("agent register {name} {}", agent.url()));
    node.ctl.ok(&format!("agent register {name} {} -n elsewhere", agent.url()));
    let made = node.ctl.json(&format!("agent token {name}"));
    let bearer = format!("Bearer {}", made["token"].as_str().expect("a text"));
    let path = format!("/v1/watch/agent?name={name}");
    let headers = [("authorization", bearer.as_str())];
    let mut watch = http::open(&node.socket(), "GET", &path, &headers, "").expect("it answers");
    assert_eq!(watch.head.status, 200);
    let mut seen = String::new();
    while !seen.contains("BOOKMARK") {
        let chunk = watch.chunk().expect("it goes on").expect("it goes on");
        seen.push_str(&String::from_utf8_lossy(&chunk));
    }
    let first: Value = serde_json::from_str(seen.lines().next().unwrap_or_default()).expect("JSON");
    assert_eq!(first["object"]["metadata"]["namespace"], "default", "{seen}");
    assert!(!seen.contains("elsewhere"), "{seen}");
}

#[test]
fn a_request_id_stands_for_one_request() {
    let node = shared();
    let agent = fake::agent::start("Once");
    let (one, other) = (unique("once"), unique("twice"));
    let made = node.ctl.json(&format!("agent register {one} {}", agent.url()));
    let id = request_id(&made);
    node.ctl.ok(&format!("agent register {other} {} --request-id {id}", agent.url()));
    let line = format!("agent register {one} {} --request-id {id}", agent.url());
    node.ctl.refused(&line, 2, Code::InvalidArgument).says("another request");
}

/// A UUIDv7 of now, on the server's clock.
fn request_id(made: &Value) -> String {
    let updated_ms = made["object"]["metadata"]["updatedMs"].as_u64().expect("a time");
    let hex = format!("{updated_ms:012x}");
    format!("{}-{}-7abc-8def-0123456789ab", &hex[..8], &hex[8..])
}
