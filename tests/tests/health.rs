//! Health: one failure is noise, who flaps is held back, and only transitions are entries.
//!
//! The cases do not wait for probes: they ask for each look, as `mcp probe` does.

use crate::objects::condition;
use keiko_tests::fake::{
    self,
    mcp::{self, Flavour},
};
use keiko_tests::shared::unique;
use keiko_tests::wait::expect;
use keiko_tests::web::{Reply, Web};
use keiko_tests::{Node, Plan, eventually, http, processes, programs, shared};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// Just above the time within which a look is not repeated.
const FRESH: Duration = Duration::from_millis(1100);

/// How a server behaves from now on.
#[derive(Clone, Copy)]
enum Mode {
    Well = 0,
    Gone = 1,
    /// `echo` is another one.
    Odd = 2,
    /// One tool has a name that can't be kept.
    Unsafe = 3,
}

/// An MCP server whose mode can be changed.
struct Moody {
    web: Web,
    mode: Arc<AtomicU8>,
}

impl Moody {
    fn start(mode: Mode) -> Self {
        let mode = Arc::new(AtomicU8::new(mode as u8));
        let now = Arc::clone(&mode);
        let web = Web::start(move |asked, _| match now.load(Ordering::SeqCst) {
            1 => Reply::hang_up(),
            2 => mcp::http(asked, Flavour::Odd),
            3 if asked.body.contains("tools/list") => {
                let request: Value = serde_json::from_str(&asked.body).unwrap_or_default();
                let schema = json!({"type": "object"});
                let tool = |name: &str| json!({"name": name, "inputSchema": schema});
                let tools = json!({"tools": [tool("echo"), tool("two words")]});
                Reply::json(&json!({"jsonrpc": "2.0", "id": request["id"], "result": tools}))
            }
            _ => mcp::http(asked, Flavour::Plain),
        });
        Self { web, mode }
    }

    fn be(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::SeqCst);
    }
}

#[track_caller]
fn post(node: &Node, path: &str, body: &Value) -> Value {
    let headers = [("content-type", "application/json")];
    let answer = http::ask(&node.socket(), "POST", path, &headers, &body.to_string());
    let answer = answer.expect("it answers");
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

/// Looks now.
#[track_caller]
fn probe(node: &Node, name: &str) -> Value {
    post(node, "/v1/probe", &json!({"kind": "KIND_MCP_SERVER", "name": name}))
}

fn get(node: &Node, name: &str) -> Value {
    node.ctl.json(&format!("mcp get {name}"))
}

fn state(object: &Value) -> (&str, &str, bool) {
    let health = &object["status"]["health"];
    let text = |field: &str| health[field].as_str().unwrap_or_default();
    (text("state"), text("failureClass"), health["flapping"] == true)
}

/// Looks again and again until the health is so.
#[track_caller]
fn wait(node: &Node, name: &str, fits: impl Fn((&str, &str, bool)) -> bool) -> Value {
    eventually(&format!("the health of {name}"), || {
        std::thread::sleep(FRESH);
        probe(node, name);
        let object = get(node, name);
        expect(fits(state(&object)), || object["status"].to_string()).map(|()| object)
    })
}

fn health_events(node: &Node, name: &str) -> usize {
    let events = node.ctl.ok("event tail --from 0 -o jsonl").jsonl();
    let fits = |event: &&Value| {
        event["type"] == "keiko.registry.mcp.health-changed"
            && event["subject"].as_str().is_some_and(|subject| subject.ends_with(name))
    };
    events.iter().filter(fits).count()
}

#[test]
fn who_flaps_is_held_back_and_told_a_few_times() {
    let (node, name, server) = (shared(), unique("flap"), Moody::start(Mode::Well));
    node.ctl.ok(&format!("mcp register {name} {}", server.web.url()));
    for _ in 0..10 {
        server.be(Mode::Gone);
        let down = wait(node, &name, |(state, _, flaps)| state == "cooling-down" || flaps);
        assert_eq!(condition(&down, "Ready"), "False");
        server.be(Mode::Well);
        if wait(node, &name, |(state, _, flaps)| state == "ready" || flaps)["status"]["health"]["flapping"]
            == true
        {
            break;
        }
    }
    let held = get(node, &name);
    assert_eq!(state(&held), ("recovering", "unreachable", true), "{held}");
    let told = health_events(node, &name);
    for step in 0..6 {
        server.be(if step % 2 == 0 { Mode::Gone } else { Mode::Well });
        std::thread::sleep(FRESH);
        probe(node, &name);
    }
    assert_eq!(health_events(node, &name), told, "it is held back in silence");
    assert_eq!(get(node, &name)["metadata"]["revision"], held["metadata"]["revision"]);
}

#[test]
fn a_command_that_ends_again_and_again_is_held_back() {
    let (node, name) = (shared(), unique("crash"));
    let fake = programs::path("fake-mcp");
    node.ctl.ok(&format!("mcp register {name} -- timeout 3 {}", fake.display()));
    let held = eventually("it is held back", || {
        let object = get(node, &name);
        expect(state(&object).2, || object["status"].to_string()).map(|()| object)
    });
    assert_eq!(state(&held), ("recovering", "command-ended", true), "{held}");
    let told = health_events(node, &name);
    assert!((6..=9).contains(&told), "{told}");
    node.ctl.ok(&format!("mcp delete {name} --yes"));
}

#[test]
fn a_suspended_server_has_no_process_until_it_is_resumed() {
    let node = Node::start(Plan::default());
    let fake = programs::path("fake-mcp");
    node.ctl.ok(&format!("mcp register idle -- {}", fake.display()));
    let runs = || {
        let all = processes::children(node.pid());
        let mine = |pid: i32| u32::try_from(pid).map(processes::children).unwrap_or_default();
        let grown = all.iter().flat_map(|child| mine(child.pid));
        let mut found = all.iter().cloned().chain(grown);
        found
            .any(|process| process.command.contains("fake-mcp") && processes::is_alive(process.pid))
    };
    eventually("it runs", || expect(runs(), String::new));
    let path = "/v1/objects/mcp-server/default/idle:setAdminState";
    post(&node, path, &json!({"state": "suspended", "reason": "too loud"}));
    eventually("its process is gone", || expect(!runs(), String::new));
    let starts = || {
        let log = node.ctl.ok("mcp logs idle").stdout;
        log.matches("started with").count()
    };
    assert_eq!(starts(), 1);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(starts(), 1, "it stays away");
    post(&node, path, &json!({"state": ""}));
    eventually("it runs again", || expect(runs(), String::new));
    eventually("it is called", || {
        let called = node.ctl.run(r#"tool call idle.echo '{"text":"back"}'"#);
        expect(called.status == 0 && called.stdout.trim() == "back", || called.to_string())
    });
}

#[test]
fn what_is_declared_before_it_runs_is_found_when_it_does() {
    let (node, name, server) = (shared(), unique("early"), Moody::start(Mode::Gone));
    let spec = json!({"transport": "http", "url": format!("{}/", server.web.url())});
    let object = json!({
        "apiVersion": "keiko/v1", "kind": "McpServer", "metadata": {"name": name}, "spec": spec,
    });
    let applied = post(node, "/v1/apply", &json!({ "object": object }));
    assert_eq!(state(&applied["object"]), ("recovering", "", false), "{applied}");
    let cold = wait(node, &name, |(state, _, _)| state == "cooling-down");
    assert_eq!(state(&cold).1, "unreachable", "{cold}");
    server.be(Mode::Well);
    let ready = wait(node, &name, |(state, _, _)| state == "ready");
    assert_eq!(ready["spec"]["protocolVersion"], "2025-11-25", "{ready}");
    assert_eq!(ready["metadata"]["generation"], cold["metadata"]["generation"], "{ready}");
    let answer = node.ctl.ok(&format!(r#"tool call {name}.echo '{{"text":"found"}}'"#));
    assert_eq!(answer.stdout.trim(), "found");
}

#[test]
fn another_tool_is_an_event_with_its_difference() {
    let (node, name, server) = (shared(), unique("shift"), Moody::start(Mode::Well));
    node.ctl.ok(&format!("mcp register {name} {}", server.web.url()));
    server.be(Mode::Unsafe);
    let degraded = wait(node, &name, |(state, _, _)| state == "degraded");
    assert_eq!(state(&degraded), ("degraded", "schema", false), "{degraded}");
    assert_eq!(condition(&degraded, "Ready"), "True");
    let message = degraded["status"]["health"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("two words"), "{message}");
    server.be(Mode::Odd);
    wait(node, &name, |(state, _, _)| state == "ready");
    let events = node.ctl.ok("event tail --from 0 -o jsonl").jsonl();
    let fits = |event: &&Value| {
        event["type"] == "keiko.registry.mcp.offer-changed"
            && event["subject"].as_str().is_some_and(|subject| subject.ends_with(&name))
    };
    let found: Vec<_> = events.iter().filter(fits).collect();
    assert_eq!(found.len(), 2, "{events:?}");
    let (lost, back) = (found[0].to_string(), found[1].to_string());
    for word in ["removed", "die_once", "changed", "echo", "spec.inputSchema"] {
        assert!(lost.contains(word), "no {word}: {lost}");
    }
    for word in ["added", "die_once", "seconds"] {
        assert!(back.contains(word), "no {word}: {back}");
    }
}

#[test]
fn looks_that_find_nothing_new_make_no_revision() {
    let node = Node::start(Plan::default());
    let server = Moody::start(Mode::Well);
    node.ctl.ok(&format!("mcp register calm {}", server.web.url()));
    std::thread::sleep(FRESH);
    probe(&node, "calm");
    let before = node.ctl.json("status")["revision"].clone();
    for _ in 0..5 {
        std::thread::sleep(FRESH);
        let looked = probe(&node, "calm");
        assert_eq!(looked["ok"], true, "{looked}");
    }
    assert_eq!(node.ctl.json("status")["revision"], before);
}

#[test]
fn an_endpoint_is_probed_without_being_kept() {
    let (node, server) = (shared(), Moody::start(Mode::Well));
    let ask = |url: &str| post(node, "/v1/probe", &json!({"kind": "KIND_MCP_SERVER", "url": url}));
    let well = ask(&server.web.url());
    assert_eq!((&well["ok"], &well["protocolVersion"]), (&json!(true), &json!("2025-11-25")));
    assert!(well["provides"].as_array().is_some_and(|tools| tools.len() == 6), "{well}");
    server.be(Mode::Gone);
    let gone = ask(&server.web.url());
    assert_eq!(gone["failureClass"], "unreachable", "{gone}");
    assert_ne!(gone["ok"], json!(true), "{gone}");
    let listed = node.ctl.ok("mcp list -A -o json").stdout;
    assert!(!listed.contains(&server.web.url()), "{listed}");
}

#[test]
fn tools_that_are_others_at_every_look_are_looked_at_seldom() {
    let (node, name) = (shared(), unique("restless"));
    let server = fake::hostile::changes();
    node.ctl.ok(&format!("mcp register {name} {}", server.url()));
    let object = wait(node, &name, |(state, _, _)| state == "degraded");
    let live = &object["status"]["live"];
    assert_eq!(live["routable"], true, "it answers: {object}");
    let [last, next] = ["lastProbeMs", "nextProbeMs"].map(|field| live[field].as_u64());
    let pause_ms = next.expect("it is looked at again") - last.expect("it was looked at");
    assert!(pause_ms >= 60_000, "the next look is in {pause_ms} ms");
    let tools = node.ctl.json(&format!("tool list --field spec.server={name}"));
    assert_eq!(tools["items"].as_array().map(Vec::len), Some(1), "the others went: {tools}");
}
