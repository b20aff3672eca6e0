//! Real servers and agents that break, and what Keiko makes of it.

use crate::objects::{condition, wait_ready};
use keiko_core::refusal::Code;
use keiko_tests::peers::{self, Peer};
use keiko_tests::processes::{self, Process};
use keiko_tests::wait::expect;
use keiko_tests::{Node, Plan, eventually, shared};
use keiko_tests::{measure, shared::unique};
use std::time::Instant;

const UTC: &str = r#"'{"timezone":"UTC"}'"#;

/// The child of the daemon that runs this.
fn child(node: &Node, words: &str) -> Option<Process> {
    processes::children(node.pid()).into_iter().find(|child| child.command.contains(words))
}

#[test]
fn a_killed_server_heals() {
    let test = "peers::a_killed_server_heals";
    if peers::command(test, "mcp-server-time").is_none() {
        return;
    }
    let node = Node::start(Plan::default());
    node.ctl.ok("mcp register time -- mcp-server-time --local-timezone UTC");
    let before = child(&node, "mcp-server-time").expect("it is a child of the daemon");
    processes::kill_9(before.pid);
    let start = Instant::now();
    let after = eventually("a new process", || {
        let now = child(&node, "mcp-server-time").filter(|child| child.pid != before.pid);
        now.ok_or_else(|| format!("{:?}", processes::children(node.pid())))
    });
    wait_ready(&node.ctl, "time", "True");
    node.ctl.ok(&format!("tool call time.get_current_time {UTC}"));
    measure("a killed stdio server answers again after", start.elapsed().as_secs_f64(), 0.0, "s");
    assert!(processes::is_alive(after.pid));
    // Both transitions are in its past.
    let history = node.ctl.json("mcp history time");
    let versions = history["items"].as_array().expect("a list");
    let unready = versions.iter().any(|item| condition(&item["object"], "Ready") == "False");
    assert!(unready, "{history}");
}

#[test]
fn no_process_outlives_a_killed_daemon() {
    let test = "peers::no_process_outlives_a_killed_daemon";
    if peers::command(test, "mcp-server-everything").is_none() {
        return;
    }
    let mut node = Node::start(Plan::default());
    node.ctl.ok("mcp register everything -- mcp-server-everything stdio");
    let before = child(&node, "server-everything").expect("it is a child of the daemon");
    node.kill_9();
    node.restart();
    eventually("the old process is gone", || {
        expect(!processes::is_alive(before.pid), || format!("{before:?} lives"))
    });
    wait_ready(&node.ctl, "everything", "True");
    let after = child(&node, "server-everything").expect("it is a child of the daemon");
    assert_ne!(after.pid, before.pid);
    node.ctl.ok(r#"tool call everything.echo '{"message":"after the crash"}'"#);
    assert_eq!(node.terminate(), 0, "{}", node.log());
    assert!(!processes::is_alive(after.pid), "it outlives a polite end");
}

#[test]
fn a_lost_session_is_made_again() {
    let test = "peers::a_lost_session_is_made_again";
    let port = peers::free_port();
    let Some(server) = Peer::everything(test, port) else { return };
    let node = shared();
    let name = unique("everything");
    node.ctl.ok(&format!("mcp register {name} {}", server.url));
    let registered = node.ctl.json(&format!("mcp get {name}"));
    assert_eq!(registered["spec"]["protocolVersion"], "2025-11-25", "{registered}");
    assert_eq!(registered["spec"]["transport"], "http", "{registered}");
    let tools = node.ctl.json(&format!("tool list --field spec.server={name}"));
    assert!(tools["items"].as_array().is_some_and(|items| items.len() >= 10), "{tools}");
    let call = format!(r#"tool call {name}.echo '{{"message":"hi there"}}'"#);
    assert!(node.ctl.ok(&call).stdout.contains("hi there"));

    server.kill_9();
    let server = Peer::everything(test, port).expect("it was there before");
    // The very next call: the server knows no session any more.
    assert!(node.ctl.ok(&call).stdout.contains("hi there"), "{}", server.said());
    let structured = node
        .ctl
        .json(&format!(r#"tool call {name}.get-structured-content '{{"location":"New York"}}'"#));
    assert!(structured["structuredContent"].is_object(), "{structured}");
    drop(server);
    let gone = node.ctl.run(&call);
    assert!([1, 3, 5].contains(&gone.status), "{gone}");
    node.ctl.ok(&format!("mcp delete {name} --yes"));
}

#[test]
fn a_server_of_the_stateless_era() {
    let test = "peers::a_server_of_the_stateless_era";
    let Some(server) = Peer::mcp_http(test) else { return };
    let node = shared();
    let name = unique("adder");
    // The server's address is enough: the endpoint is found below it.
    let bare = server.url.trim_end_matches("/mcp");
    node.ctl.ok(&format!("mcp register {name} {bare}"));
    let registered = node.ctl.json(&format!("mcp get {name}"));
    assert_eq!(registered["spec"]["protocolVersion"], "2026-07-28", "{registered}");
    assert_eq!(registered["spec"]["url"], server.url.as_str(), "{registered}");
    assert_eq!(registered["spec"]["serverName"], "adder", "{registered}");
    let sum = node.ctl.json(&format!(r#"tool call {name}.add '{{"a":2,"b":3}}'"#));
    assert_eq!(sum["structuredContent"]["result"], 5, "{sum}");
    let wrong = format!(r#"tool call {name}.add '{{"a":"two","b":3}}'"#);
    node.ctl.refused(&wrong, 2, Code::ArgumentsInvalid);
    node.ctl.ok(&format!("mcp delete {name} --yes"));
}

#[test]
fn standard_error_is_kept() {
    let test = "peers::standard_error_is_kept";
    if peers::command(test, "mcp-server-everything").is_none() {
        return;
    }
    let node = shared();
    let name = unique("logging");
    node.ctl.ok(&format!("mcp register {name} -- mcp-server-everything stdio"));
    let logs = node.ctl.ok(&format!("mcp logs {name}"));
    assert!(logs.stdout.to_lowercase().contains("starting"), "{logs}");
    let last = node.ctl.ok(&format!("mcp logs {name} --tail 1 -o jsonl")).jsonl();
    assert_eq!(last.len(), 1, "{last:?}");
    assert!(last[0]["text"].is_string(), "{last:?}");
    node.ctl.ok(&format!("mcp delete {name} --yes"));
    // What it wrote goes when its process has ended.
    eventually("its log is gone", || {
        let logs = node.ctl.run(&format!("mcp logs {name}"));
        expect(logs.status == 6, || logs.to_string())
    });
}

#[test]
fn an_agents_task_may_fail() {
    let test = "peers::an_agents_task_may_fail";
    let Some(agent) = Peer::hello(test) else { return };
    let node = shared();
    let name = unique("hello");
    node.ctl.ok(&format!("agent register {name} {}", agent.url));
    let done = node.ctl.json(&format!("agent call {name} 'task well'"));
    assert_eq!(done["taskState"], "completed", "{done}");
    assert!(done["text"].as_str().is_some_and(|text| text.contains("Hello from a task")), "{done}");
    let failed = node.ctl.run(&format!("agent call {name} 'fail badly' -o json"));
    assert_eq!(failed.status, 9, "{failed}");
    assert_eq!(failed.json()["taskState"], "failed", "{failed}");
    let slow = node.ctl.ok(&format!("agent call {name} 'slow 2 steps'"));
    assert!(slow.stdout.contains("slow 2 steps"), "{slow}");
    agent.kill_9();
    node.ctl.refused(&format!("agent call {name} hi"), 3, Code::PeerUnreachable);
    node.ctl.ok(&format!("agent delete {name} --yes"));
}

#[test]
fn a_watch_goes_on_after_a_crash() {
    let agent = keiko_tests::fake::agent::start("watched");
    let mut node = Node::start(Plan::default());
    node.ctl.ok(&format!("agent register before {}", agent.url()));
    let watch = node.ctl.stream("agent list --watch -o jsonl");
    watch.find_json("what is there", |item| item["object"]["metadata"]["name"] == "before");
    node.kill_9();
    node.restart();
    node.ctl.ok(&format!("agent register after {}", agent.url()));
    let mut seen = Vec::new();
    watch.find_json("what came after", |item| {
        seen.push(item["object"]["metadata"]["name"].clone());
        item["object"]["metadata"]["name"] == "after" && item["type"] == "ADDED"
    });
    assert!(!seen.contains(&"before".into()), "it came twice: {seen:?}");
    node.ctl.ok("agent delete before --yes");
    watch.find_json("the end of one", |item| item["type"] == "DELETED");
}
