//! What is called, what is repeated, and what the caller learns when nobody can know.

use crate::objects::{kept, names, wait_ready};
use keiko_core::refusal::Code;
use keiko_tests::fake::{self, mcp::Flavour};
use keiko_tests::place::Place;
use keiko_tests::shared::unique;
use keiko_tests::web::{Asked, Reply, Web};
use keiko_tests::{Node, programs, shared};

/// Registers the fake server as a command of its own, and gives its name.
fn stdio(node: &Node) -> String {
    let name = unique("fake");
    node.ctl.ok(&format!("mcp register {name} -- {} {name}", programs::path("fake-mcp").display()));
    name
}

fn calls(web: &Web) -> Vec<Asked> {
    web.asked().into_iter().filter(|asked| asked.body.contains("tools/call")).collect()
}

#[test]
fn a_name_is_one_thing() {
    let node = shared();
    let (one, other) = (fake::agent::start("One"), fake::agent::start("Other"));
    let name = unique("taken");
    node.ctl.ok(&format!("agent register {name} {}", one.url()));
    let before = kept(node.ctl.json(&format!("agent get {name}")));
    node.ctl
        .refused(&format!("agent register {name} {}", other.url()), 7, Code::NameTaken)
        .says(&one.url());
    assert_eq!(kept(node.ctl.json(&format!("agent get {name}"))), before);
    // The same endpoint again is no conflict, and no change.
    node.ctl.ok(&format!("agent register {name} {}", one.url()));
    assert_eq!(kept(node.ctl.json(&format!("agent get {name}"))), before);

    let server = stdio(node);
    let fake = programs::path("fake-mcp");
    let line = format!("mcp register {server} -- {} other", fake.display());
    node.ctl.refused(&line, 7, Code::NameTaken);
}

#[test]
fn a_name_may_be_the_peers_own() {
    let node = shared();
    let namespace = unique("slug");
    let agent = fake::agent::start("Ünusual Näme 7");
    node.ctl.ok(&format!("agent register {} -n {namespace}", agent.url()));
    let found = names(&node.ctl.json(&format!("agent list -n {namespace}")));
    assert_eq!(found.len(), 1, "{found:?}");
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    assert!(found[0].chars().all(fits), "{found:?}");
    let server = Web::start(|asked, _| fake::mcp::http(asked, Flavour::Plain));
    node.ctl.ok(&format!("mcp register {} -n {namespace}", server.url()));
    assert_eq!(names(&node.ctl.json(&format!("mcp list -n {namespace}"))), ["fake-server"]);
}

#[test]
fn a_bare_name_is_no_way_to_shadow_a_tool() {
    let node = shared();
    let namespace = unique("bare");
    let plain = Web::start(|asked, _| fake::mcp::http(asked, Flavour::Plain));
    let twin = Web::start(|asked, _| fake::mcp::http(asked, Flavour::Plain));
    let odd = Web::start(|asked, _| fake::mcp::http(asked, Flavour::Odd));
    let call = format!(r#"tool call echo '{{"text":"hi"}}' -n {namespace} -o json"#);
    node.ctl.refused(&call.replace(" -o json", ""), 6, Code::NotFound);
    node.ctl.ok(&format!("mcp register plain {} -n {namespace}", plain.url()));
    assert_eq!(node.ctl.ok(&call).json()["tool"], "plain.echo");
    // Who agrees on the schema offers the same tool.
    node.ctl.ok(&format!("mcp register twin {} -n {namespace}", twin.url()));
    node.ctl.ok(&call);
    node.ctl.ok(&format!("mcp register odd {} -n {namespace}", odd.url()));
    let refused = node.ctl.refused(&call.replace(" -o json", ""), 7, Code::Ambiguous);
    for full in ["plain.echo", "twin.echo", "odd.echo"] {
        assert!(refused.stderr.contains(full), "{full} is missing: {refused}");
    }
    assert!(calls(&odd).is_empty());
    let full = format!(r#"tool call plain.echo '{{"text":"hi"}}' -n {namespace}"#);
    assert!(node.ctl.ok(&full).stdout.contains("hi"));
}

#[test]
fn arguments_are_checked_before_anything_is_sent() {
    let node = shared();
    let web = Web::start(|asked, _| fake::mcp::http(asked, Flavour::Plain));
    let name = unique("checked");
    node.ctl.ok(&format!("mcp register {name} {}", web.url()));
    for arguments in [r#"{"text":7}"#, "{}", "[]", "7", "{not json"] {
        let line = format!("tool call {name}.echo '{arguments}'");
        let refused = node.ctl.run(&line);
        assert_eq!(refused.status, 2, "{refused}");
        assert_eq!(refused.stdout, "", "{refused}");
    }
    let line = format!(r#"tool call {name}.echo '{{"text":7}}'"#);
    node.ctl.refused(&line, 2, Code::ArgumentsInvalid).says("/text");
    assert!(calls(&web).is_empty(), "{:?}", calls(&web));
    node.ctl.refused(&format!("tool call {name}.nothing"), 6, Code::NotFound);
}

#[test]
fn a_tool_may_say_that_it_failed() {
    let node = shared();
    let name = stdio(node);
    let failed = node.ctl.run(&format!("tool call {name}.fail -o json"));
    assert_eq!(failed.status, 9, "{failed}");
    assert_eq!(failed.json()["isError"], true, "{failed}");
    let failed = node.ctl.run(&format!("tool call {name}.fail"));
    assert_eq!(failed.status, 9, "{failed}");
    assert!(failed.stdout.contains("it failed"), "{failed}");
}

#[test]
fn what_may_have_run_is_not_run_again() {
    let node = shared();
    let name = stdio(node);
    let place = Place::new();
    let marker = |what: &str| place.join(what).display().to_string();
    let call = |tool: &str| format!(r#"tool call {name}.{tool} '{{"text":"{}"}}'"#, marker(tool));

    // It says that it is read-only: the second try is answered.
    let answer = node.ctl.ok(&call("read_once"));
    assert!(answer.stdout.contains("the second time"), "{answer}");
    assert!(place.join("read_once").exists());
    wait_ready(&node.ctl, &name, "True");

    // It says nothing of the kind.
    node.ctl.refused(&call("die_once"), 1, Code::OutcomeUnknown);
    assert!(place.join("die_once").exists());
    wait_ready(&node.ctl, &name, "True");
    node.ctl.ok(&call("die_once"));
}

#[test]
fn a_broken_connection_leaves_the_outcome_open() {
    let node = shared();
    let web = Web::start(|asked, _| fake::mcp::http(asked, Flavour::Plain));
    let name = unique("breaking");
    let place = Place::new();
    node.ctl.ok(&format!("mcp register {name} {}", web.url()));
    let call = |tool: &str| {
        let text = place.join(tool).display().to_string();
        format!(r#"tool call {name}.{tool} '{{"text":"{text}"}}'"#)
    };
    node.ctl.refused(&format!("tool call {name}.die"), 1, Code::OutcomeUnknown);
    assert_eq!(calls(&web).len(), 1, "it was sent again: {:?}", calls(&web));
    let answer = node.ctl.ok(&call("read_once"));
    assert!(answer.stdout.contains("the second time"), "{answer}");
    let json = node.ctl.run(&format!("tool call {name}.die -o json"));
    assert_eq!(json.status, 1, "{json}");
    let refusal: serde_json::Value = serde_json::from_str(&json.stderr).expect("one object");
    assert_eq!(refusal["code"], "KEIKO-0005", "{refusal}");
    assert_eq!(refusal["retryable"], false, "{refusal}");
    assert_eq!(refusal["trace_id"].as_str().map(str::len), Some(32), "{refusal}");
    // The trace went along, where MCP has its place for it.
    let sent = calls(&web).pop().expect("a call").body;
    assert!(sent.contains("\"traceparent\""), "{sent}");
    assert!(sent.contains(refusal["trace_id"].as_str().expect("an id")), "{sent}");
}

#[test]
fn what_is_no_peer_is_not_registered() {
    let node = shared();
    let name = unique("odd");
    let page = Web::start(|_, _| {
        Reply::status(200, "<html>hello</html>").header("content-type", "text/html")
    });
    let nothing = Web::start(|_, _| Reply::status(404, "nothing"));
    let broken = Web::start(|_, _| Reply::hang_up());
    let huge = Web::start(|_, _| Reply::json(&"x".repeat(6 << 20).into()));
    let closed = keiko_tests::peers::free_port();
    for noun in ["agent", "mcp"] {
        for web in [&page, &nothing, &broken, &huge] {
            let refused = node.ctl.run(&format!("{noun} register {name} {}", web.url()));
            assert!([1, 3].contains(&refused.status), "{refused}");
            let codes = ["error[KEIKO-005", "error[KEIKO-007"];
            assert!(codes.iter().any(|code| refused.stderr.starts_with(code)), "{refused}");
        }
        let line = format!("{noun} register {name} http://127.0.0.1:{closed}");
        node.ctl.refused(&line, 3, Code::PeerUnreachable);
        assert!(!names(&node.ctl.json(&format!("{noun} list"))).contains(&name));
    }
    let fake = programs::path("fake-mcp");
    let line = format!("mcp register {name} -- {} --exit", fake.display());
    node.ctl.refused(&line, 1, Code::ChildFailed);
    node.ctl.refused(&format!("mcp register {name} -- no-such-command"), 2, Code::InvalidArgument);
    assert!(!names(&node.ctl.json("mcp list")).contains(&name));
}

#[test]
fn a_silent_peer_does_not_hold_the_caller() {
    let node = shared();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("it is bound"));
    let name = unique("silent");
    for noun in ["agent", "mcp"] {
        let refused = node.ctl.run(&format!("{noun} register {name} {url} --timeout 2s"));
        assert_eq!(refused.status, 5, "{refused}");
        assert!(!names(&node.ctl.json(&format!("{noun} list"))).contains(&name));
    }
}

#[test]
fn a_secret_reaches_the_command_that_it_was_given_for() {
    let node = shared();
    let (name, secret) = (unique("secretive"), unique("secret"));
    node.credential(&secret, "0123456789\n");
    let fake = programs::path("fake-mcp");
    node.ctl.ok(&format!("mcp register {name} --env FAKE_SECRET=@{secret} -- {}", fake.display()));
    let logs = node.ctl.ok(&format!("mcp logs {name}")).stdout;
    assert!(logs.contains("a secret of 10 bytes"), "{logs}");
}
