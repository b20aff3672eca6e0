//! What turns out only after it was registered.

use super::clean;
use crate::objects::wait_ready;
use keiko_tests::fake::{self, hostile};
use keiko_tests::shared::unique;
use keiko_tests::wait::{expect, within};
use keiko_tests::web::{Asked, Reply, Web};
use keiko_tests::{eventually, programs, shared};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[test]
fn a_stubborn_command_ends_all_the_same() {
    let node = shared();
    let fake = programs::path("fake-mcp").display().to_string();
    // Each process has a number of its own among the arguments, to be found by.
    let mark = |what: u32| format!("86{:05}{what}", std::process::id());
    let scripts = [
        format!("sleep {} & trap \"\" TERM; {fake}; while :; do sleep 1; done", mark(1)),
        format!("echo Welcome; setsid sleep {} & exec {fake}", mark(2)),
    ];
    for (script, mark) in scripts.iter().zip([mark(1), mark(2)]) {
        let name = unique("stubborn");
        node.ctl.ok(&format!("mcp register {name} -- /bin/sh -c '{script}'"));
        node.ctl.ok(&format!(r#"tool call {name}.echo '{{"text":"hi"}}'"#));
        assert!(is_running(&mark));
        node.ctl.ok(&format!("mcp delete {name} --yes"));
        eventually("what it forked is gone", || {
            expect(!is_running(&mark), || format!("sleep {mark} runs"))
        });
    }
}

fn is_running(argument: &str) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut commands = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    commands.any(|words| words == format!("sleep\0{argument}\0").as_bytes())
}

#[test]
fn a_session_that_dies_after_each_call() {
    let node = shared();
    let name = unique("forgetful");
    let server = hostile::forgets();
    node.ctl.ok(&format!("mcp register {name} {}", server.url()));
    for _ in 0..6 {
        // It surely did not run, so it is called again, or it is not called for a while.
        let answer = node.ctl.run(&format!("tool call {name}.echo"));
        let known = answer.status == 0 || answer.stderr.contains("error[KEIKO-0056]");
        assert!(known, "{answer}");
    }
    let greeted = of_method(&server, "initialize");
    assert!(greeted <= 20, "{greeted} sessions");
    node.ctl.ok(&format!("mcp delete {name} --yes"));
}

fn of_method(web: &Web, method: &str) -> usize {
    let word = format!("\"{method}\"");
    web.asked().iter().filter(|asked| asked.body.contains(&word)).count()
}

#[test]
fn a_stream_that_breaks_off_is_opened_again_with_pauses() {
    let node = shared();
    for events in ["retry: 0\n\n", "what is this\n\n"] {
        let name = unique("streams");
        let server = hostile::streams(events);
        node.ctl.ok(&format!("mcp register {name} {}", server.url()));
        let opened = || server.asked().iter().filter(|asked| asked.method == "GET").count();
        eventually("its stream is opened again", || expect(opened() > 1, || opened().to_string()));
        // Sixteen at once for each session, of which there may be two, and four in a second.
        let before = opened();
        let flooded = within(Duration::from_secs(3), || {
            expect(opened() - before > 70, || opened().to_string())
        });
        assert!(flooded.is_err(), "{events:?}: {} streams", opened());
        let answer = node.ctl.ok(&format!(r#"tool call {name}.echo '{{"text":"hi"}}'"#));
        assert!(answer.stdout.contains("hi"), "{answer}");
        node.ctl.ok(&format!("mcp delete {name} --yes"));
    }
}

#[test]
fn an_agent_that_never_completes() {
    let node = shared();
    let name = unique("endless");
    let agent = hostile::agent(|url| fake::agent::card("Endless", url));
    node.ctl.ok(&format!("agent register {name} {}", agent.url()));
    let begun = Instant::now();
    let refused = node.ctl.run(&format!("agent call {name} hi --timeout 4s"));
    assert!([1, 5].contains(&refused.status), "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(of_method(&agent, "SendMessage"), 1, "it is never said twice");
    let looks = of_method(&agent, "GetTask");
    assert!((1..=8).contains(&looks), "{looks} looks");
    node.ctl.ok(&format!("agent delete {name} --yes"));
}

#[test]
fn who_turns_hostile_is_asked_less_and_less() {
    let node = shared();
    let name = unique("turned");
    let turned = Arc::new(AtomicBool::new(false));
    let is_turned = Arc::clone(&turned);
    let server = Web::start(move |asked: &Asked, _| {
        if is_turned.load(Ordering::Relaxed) {
            return Reply::status(200, "<html>\u{1b}[2J").header("content-type", "text/html");
        }
        fake::mcp::http(asked, fake::mcp::Flavour::Plain)
    });
    node.ctl.ok(&format!("mcp register {name} {}", server.url()));
    wait_ready(&node.ctl, &name, "True");
    turned.store(true, Ordering::Relaxed);
    let object = eventually("its class is told", || {
        let object = node.ctl.json(&format!("mcp get {name}"));
        let class = &object["status"]["health"]["failureClass"];
        expect(class == "protocol", || object.to_string()).map(|()| object)
    });
    assert_ne!(object["status"]["health"]["state"], "ready", "{object}");
    clean(node.ctl.ok(&format!("mcp describe {name}")));
    clean(node.ctl.ok("mcp list"));
    let before = server.asked().len();
    let window = Duration::from_secs(8);
    // The back-off is 250 ms and doubles: six looks in 8 s, each of two requests at most.
    let flooded = within(window, || {
        let asked = server.asked().len() - before;
        expect(asked > 24, || asked.to_string())
    });
    assert!(flooded.is_err(), "it is asked again and again");
    turned.store(false, Ordering::Relaxed);
    wait_ready(&node.ctl, &name, "True");
    node.ctl.ok(&format!("mcp delete {name} --yes"));
}
