//! The tour of the README, command by command, with real peers.

use crate::objects::{condition, names, wait_ready};
use keiko_core::refusal::Code;
use keiko_tests::ctl::Stream;
use keiko_tests::peers::{self, Peer};
use keiko_tests::place::Place;
use keiko_tests::wait::expect;
use keiko_tests::{Ctl, Node, Plan, ctl, eventually, processes, programs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

#[test]
fn the_tour_works_as_written() {
    let test = "tour::the_tour_works_as_written";
    if peers::command(test, "mcp-server-time").is_none() {
        return;
    }
    let Some(hello) = Peer::hello(test) else { return };
    let node = Node::start(Plan::default());
    status(&node.ctl);
    let watch = node.ctl.stream("mcp list --watch -o jsonl");
    node.ctl.ok("mcp register time -- mcp-server-time --local-timezone UTC");
    let seen = watch
        .find_json("the server in the watch", |item| item["object"]["metadata"]["name"] == "time");
    assert!(seen["revision"].as_u64().is_some_and(|revision| revision > 0), "{seen}");
    tools(&node.ctl);
    agent(&node.ctl, &hello);
    events(&node.ctl);
    past(&node.ctl);
    token_and_end(&node.ctl);
}

fn status(ctl: &Ctl) {
    let status = ctl.json("status");
    let id = status["cluster"]["id"].as_str().expect("a cluster has an id");
    assert_eq!(id.len(), 36, "{status}");
    assert_eq!(status["leader"], "n1", "{status}");
    assert_eq!(status["quorum"]["ok"], true, "{status}");
    assert_eq!(status["quorum"]["voters"], 1, "{status}");
    assert_eq!(status["nodes"][0]["state"], "leader", "{status}");
    assert!(status["revision"].as_u64().is_some_and(|revision| revision > 0), "{status}");
    assert_eq!(ctl.ok("status -o jsonpath=.quorum.ok").stdout.trim(), "true");
}

fn tools(ctl: &Ctl) {
    let list = ctl.json("tool list");
    assert_eq!(names(&list), ["time.convert_time", "time.get_current_time"], "{list}");
    assert!(list["revision"].as_u64().is_some_and(|revision| revision > 0), "{list}");
    for tool in list["items"].as_array().expect("a list") {
        assert_eq!(tool["spec"]["server"], "time");
        assert_eq!(tool["spec"]["inputSchema"]["type"], "object", "{tool}");
    }
    assert_eq!(list["items"][1]["spec"]["toolName"], "get_current_time");
    let server = wait_ready(ctl, "time", "True");
    assert_eq!(server["spec"]["protocolVersion"], "2026-07-28", "{server}");

    let call = ctl.json(r#"tool call get_current_time '{"timezone":"UTC"}'"#);
    assert_eq!(call["tool"], "time.get_current_time", "{call}");
    let text = call["content"][0]["text"].as_str().expect("a text");
    assert!(text.contains("UTC"), "{text}");
    let named = ctl.ok(r#"tool call time.get_current_time '{"timezone":"UTC"}'"#);
    assert!(named.stdout.contains("UTC"), "{named}");
    let typed =
        ctl.run_with("tool call tool/time.get_current_time -", r#"{"timezone":"UTC"}"#).ok();
    assert!(typed.stdout.contains("UTC"), "{typed}");
}

fn agent(ctl: &Ctl, hello: &Peer) {
    ctl.ok(&format!("agent register hello {}", hello.url));
    let agent = ctl.json("agent get hello");
    assert_eq!(agent["kind"], "Agent", "{agent}");
    assert_eq!(agent["apiVersion"], "keiko/v1", "{agent}");
    assert_eq!(agent["spec"]["protocolVersion"], "1.0", "{agent}");
    eventually("the agent is Ready", || {
        let agent = ctl.json("agent get hello");
        expect(condition(&agent, "Ready") == "True", || agent.to_string())
    });
    let answer = ctl.ok(r#"agent call hello "hi""#);
    assert!(answer.stdout.contains("Hello! You said: hi"), "{answer}");
    assert_eq!(names(&ctl.json("skill list")), ["hello.hello"]);
}

/// Every change, with actor, revision, trace id.
fn events(ctl: &Ctl) {
    let events = ctl.ok("event tail --from 0 --limit 50 -o jsonl").jsonl();
    let revisions: Vec<u64> =
        events.iter().filter_map(|event| event["revision"].as_u64()).collect();
    assert_eq!(revisions.len(), events.len(), "each has a revision: {events:?}");
    assert!(revisions.is_sorted(), "{revisions:?}");
    for event in &events {
        assert!(event["actor"].is_object(), "{event}");
        assert!(event["unixMs"].as_u64().is_some(), "{event}");
    }
    let of_caller = |event: &&Value| event["actor"]["socket"].is_object();
    let registered = events
        .iter()
        .filter(of_caller)
        .find(|event| event["subject"] == "agent/default/hello")
        .unwrap_or_else(|| panic!("no registration: {events:?}"));
    assert_eq!(registered["actor"]["socket"]["node"], "n1", "{registered}");
    assert_eq!(registered["traceId"].as_str().map(str::len), Some(32), "{registered}");
    assert_eq!(registered["requestId"].as_str().map(str::len), Some(36), "{registered}");
    let revision = registered["revision"].as_u64().expect("a revision");
    let same = ctl.json(&format!("event get event/{revision}"));
    assert!(same["items"].as_array().is_some_and(|items| items.contains(registered)), "{same}");
    // Without a beginning it is the end that is wanted, and the server counts from a beginning.
    let newest = ctl.ok("event tail --limit 2 -o jsonl").jsonl();
    let all = ctl.ok("event tail --from 0 -o jsonl").jsonl();
    assert!(all.windows(2).any(|two| two == newest), "{newest:?} of {all:?}");
    assert!(newest[1]["revision"].as_u64() >= Some(revision), "{newest:?}");
    ctl.refused("event tail --follow --limit 2", 2, Code::InvalidArgument).says("--from");
}

fn past(ctl: &Ctl) {
    let revision = ctl.ok("agent get hello -o jsonpath=.metadata.revision").stdout;
    let revision = revision.trim();
    let then = ctl.ok(&format!("agent get hello --at {revision} -o yaml")).stdout;
    assert!(then.starts_with("apiVersion: keiko/v1\n"), "{then}");
    let then = ctl.json(&format!("agent get hello --at {revision}"));
    assert_eq!(crate::objects::kept(ctl.json("agent get hello")), then);
    let history = ctl.json("agent history hello");
    let newest = &history["items"][0];
    assert_eq!(newest["revision"].to_string(), revision, "{history}");
    ctl.refused("agent get hello --at 1", 6, Code::NotFound);
    ctl.refused("agent get hello --at 999999999", 2, Code::FutureRevision);
}

fn token_and_end(ctl: &Ctl) {
    let token = ctl.ok("agent token hello --ttl 1h");
    assert!(token.stdout.starts_with("keiko."), "{token}");
    ctl.refused("agent delete hello --no-input", 2, Code::InvalidArgument);
    ctl.ok("agent delete agent/hello --yes");
    ctl.refused("agent get hello", 6, Code::NotFound);
    assert_eq!(names(&ctl.json("skill list")), Vec::<String>::new());
    // What is gone still has its past.
    assert!(
        ctl.json("agent history hello")["items"].as_array().is_some_and(|items| items.len() > 1)
    );
    ctl.ok("mcp delete time --yes");
    assert_eq!(names(&ctl.json("tool list")), Vec::<String>::new());
}

/// It builds what is missing and waits for Python, which is slow on a cold disk.
const DEMO_BOUND: Duration = Duration::from_secs(600);

#[test]
fn the_demo_ends_well() {
    let x = Path::new(env!("CARGO_MANIFEST_DIR")).join("../x");
    let place = Place::new();
    let words = [x.display().to_string(), "demo".to_owned()];
    let mut command = ctl::program("ends-with-parent", &place, &words);
    // It calls cargo, which wants its own surroundings.
    let kept = ["HOME", "PATH", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "CI"];
    command.envs(kept.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.env("CARGO_TARGET_DIR", programs::target());
    let demo = ctl::run_within(DEMO_BOUND, command, "./x demo", "").ok();
    assert!(demo.stdout.contains("demo: all of it worked"), "{demo}");
}

/// Where a throw-away node says that it is.
#[track_caller]
fn socket_of(dev: &Stream) -> String {
    dev.find("its endpoint", |line| {
        let unix = line.split('"').find_map(|word| word.strip_prefix("unix:"));
        unix.map(str::to_owned)
    })
}

#[test]
fn dev_ends_with_its_terminal() {
    let ctl = Ctl::new(None);
    let typed = ctl.command("dev -o json");
    // Whatever these tests were started with: nohup is inherited.
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP").arg(typed.get_program()).args(typed.get_args());
    command.env_clear().current_dir(ctl.place());
    command.envs(typed.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let dev = Stream::start(command, "keikoctl dev");
    let socket = socket_of(&dev);
    let node = processes::children(dev.pid()).remove(0);
    let pid = i32::try_from(dev.pid()).expect("a pid fits");
    kill(Pid::from_raw(pid), Signal::SIGHUP).expect("it runs");
    eventually("its node and its folder are gone", || {
        let left = processes::is_alive(node.pid) || Path::new(&socket).exists();
        expect(!left, || socket.clone())
    });
}

#[test]
fn the_context_of_dev_is_current_while_it_lives() {
    let ctl = Ctl::new(None);
    let dev = ctl.stream("dev -o json");
    let socket = socket_of(&dev);
    let children = processes::children(dev.pid());
    assert_eq!(children.len(), 1, "{children:?}");
    let status = ctl.json("status");
    assert_eq!(status["quorum"]["ok"], true, "{status}");
    ctl.ok(&format!("context add here --endpoint unix:{socket}"));
    ctl.ok("context use here").says("context/dev counts before it");
    ctl.ok("context delete here --yes");
    // A second one counts while it lives, then the first again.
    let second = ctl.stream("dev -o json");
    let its = socket_of(&second);
    let current = || ctl.json("context show")["endpoint"].clone();
    assert_eq!(current(), format!("unix:{its}"));
    assert_eq!(second.interrupt(), 0);
    assert_eq!(current(), format!("unix:{socket}"));
    assert_eq!(dev.interrupt(), 0);
    assert!(!processes::is_alive(children[0].pid), "its node is still there");
    assert!(!Path::new(&socket).exists(), "{socket} is still there");
    // Neither the context nor a link is left: there is no daemon to talk to.
    let gone = ctl.run("status");
    assert_eq!(gone.status, 3, "{gone}");
}
