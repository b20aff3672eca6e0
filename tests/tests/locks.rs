//! Locks as a person or a script takes them, on one node.
//!
//! ```text
//! (here)    every verb, who is next, and every "no"
//! stopped   holders that stand still and go on      etcd   the same script against another one
//! ```

mod etcd;
pub(crate) mod stopped;

use keiko_core::refusal::Code;
use keiko_tests::ctl::{Stream, end_of};
use keiko_tests::place::Place;
use keiko_tests::shared::unique;
use keiko_tests::wait::{DEADLINE, expect};
use keiko_tests::{Ctl, Node, eventually, shared};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::process::Stdio;

/// What was granted.
struct Grant {
    token: u64,
    session: String,
    fence: String,
}

impl Grant {
    #[track_caller]
    fn of(document: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        Self {
            token: document["holder"]["token"].as_u64().expect("a token"),
            session: text(&document["holder"]["session"]),
            fence: text(&document["fence"]),
        }
    }
}

#[track_caller]
fn acquire(ctl: &Ctl, line: &str) -> Grant {
    Grant::of(&ctl.json(&format!("lock acquire {line}")))
}

/// Waits until so many are in the queue.
#[track_caller]
fn wait_queue(node: &Node, lock: &str, count: usize) {
    eventually("they wait", || {
        let held = node.ctl.run(&format!("lock get {lock} -o json"));
        let waiting = held.json()["queue"].as_array().map_or(0, Vec::len);
        expect(waiting == count, || format!("{waiting} of {count}"))
    });
}

#[test]
fn a_lock_is_taken_and_given_back() {
    let (node, lock) = (shared(), unique("lock"));
    let told = node.ctl.ok(&format!("lock acquire {lock} --ttl 30s --value me"));
    assert!(told.stdout.starts_with(&format!("lock/{lock} granted: token ")), "{told}");
    let told = told.says("its session ends in 30s unless it is kept: keikoctl lock keep ");
    let session = told.stdout.trim().rsplit(' ').next().expect("a session").to_owned();

    let held = node.ctl.json(&format!("lock get lock/{lock}"));
    assert_eq!(held["holders"][0]["session"], session, "{held}");
    assert_eq!(held["holders"][0]["value"], "me", "{held}");
    assert_eq!(held["lock"]["kind"], "lock", "{held}");
    assert_eq!(held["queue"], serde_json::json!([]), "{held}");
    let table = node.ctl.ok(&format!("lock get {lock}")).stdout;
    assert!(table.contains("holds") && table.contains("me"), "{table}");
    let listed = node.ctl.ok("lock list").stdout;
    assert!(listed.contains(&lock) && listed.contains("1/1"), "{listed}");
    assert!(node.ctl.ok("lock list -A -o name").stdout.contains(&format!("lock/{lock}\n")));

    let kept = node.ctl.ok(&format!("lock keep {session}"));
    assert_eq!(kept.stdout, format!("session/{session} kept: it ends in 30s\n"));
    // Told twice it is the same grant.
    let again = acquire(&node.ctl, &format!("{lock} --session {session}"));
    assert_eq!(held["holders"][0]["token"], again.token);
    let checked = node.ctl.ok(&format!("lock check {lock} --token {}", again.token));
    assert!(checked.stdout.contains("is held with token"), "{checked}");

    node.ctl
        .refused(&format!("lock acquire {lock} --no-wait"), 7, Code::LockHeld)
        .says(&format!("token {}", again.token));
    let line = format!("lock acquire {lock} --timeout 1s");
    node.ctl.refused(&line, 5, Code::WaitTimeout);
    let released = node.ctl.ok(&format!("lock release {lock} --session {session}"));
    assert!(released.stdout.starts_with(&format!("lock/{lock} released at revision ")));
    node.ctl.refused(&format!("lock get {lock}"), 6, Code::NotFound);
    let stale = format!("lock check {lock} --token {}", again.token);
    node.ctl.refused(&stale, 1, Code::FenceStale).says("nobody holds it now");
    let next = acquire(&node.ctl, &format!("{lock} --no-wait"));
    assert!(next.token > again.token, "{} after {}", next.token, again.token);
    node.ctl.ok(&format!("lock release {lock} --token {}", next.token));
}

#[test]
fn a_session_that_nobody_keeps_ends() {
    let (node, lock) = (shared(), unique("lock"));
    let first = acquire(&node.ctl, &format!("{lock} --ttl 1s"));
    let second = acquire(&node.ctl, &lock);
    assert!(second.token > first.token, "{} after {}", second.token, first.token);
    let keep = format!("lock keep {}", first.session);
    node.ctl.refused(&keep, 1, Code::SessionEnded);
    node.ctl.refused(
        &format!("lock release {lock} --session {}", first.session),
        1,
        Code::SessionEnded,
    );
    node.ctl.ok(&format!("lock release {lock} --token {}", second.token));
}

#[test]
fn who_came_first_is_next() {
    let (node, lock) = (shared(), unique("lock"));
    let first = acquire(&node.ctl, &format!("{lock} --ttl 60s"));
    let mut waiting = Vec::new();
    for turn in 0..4 {
        let line = format!("lock acquire {lock} --ttl 30s --value v{turn} -o jsonl");
        waiting.push(node.ctl.stream(&line));
        wait_queue(node, &lock, turn + 1);
    }
    let mut last = first.token;
    node.ctl.ok(&format!("lock release {lock} --token {last}"));
    for (turn, stream) in waiting.into_iter().enumerate() {
        let granted = stream.find_json("a grant", |_| true);
        let token = Grant::of(&granted).token;
        assert_eq!(granted["holder"]["value"], format!("v{turn}"), "{granted}");
        assert!(token > last, "{token} after {last}");
        last = token;
        let queue = node.ctl.json(&format!("lock get {lock}"))["queue"].clone();
        assert_eq!(queue.as_array().map(Vec::len), Some(3 - turn), "{queue}");
        node.ctl.ok(&format!("lock release {lock} --token {token}"));
    }
}

#[test]
fn who_waits_no_longer_is_passed_over() {
    let (node, lock) = (shared(), unique("lock"));
    let first = acquire(&node.ctl, &format!("{lock} --ttl 60s"));
    let gone: Stream = node.ctl.stream(&format!("lock acquire {lock} --ttl 2s"));
    wait_queue(node, &lock, 1);
    let stays = node.ctl.stream(&format!("lock acquire {lock} -o jsonl"));
    wait_queue(node, &lock, 2);
    assert_eq!(gone.interrupt(), 130);
    // Nobody told the node: its session ends.
    wait_queue(node, &lock, 1);
    node.ctl.ok(&format!("lock release {lock} --token {}", first.token));
    let granted = Grant::of(&stays.find_json("a grant", |_| true));
    node.ctl.ok(&format!("lock release {lock} --token {}", granted.token));
}

#[test]
fn a_semaphore_has_so_many_places() {
    let (node, lock) = (shared(), unique("gpu"));
    let one = acquire(&node.ctl, &format!("{lock} --limit 2 --ttl 60s"));
    let two = acquire(&node.ctl, &format!("{lock} --limit 2 --ttl 60s"));
    let full = format!("lock acquire {lock} --limit 2 --no-wait");
    node.ctl.refused(&full, 7, Code::LockHeld);
    let other = format!("lock acquire {lock} --limit 3");
    node.ctl.refused(&other, 7, Code::LockMismatch);
    node.ctl.refused(&format!("lock acquire {lock} --no-wait"), 7, Code::LockMismatch);
    let listed = node.ctl.ok("lock list").stdout;
    assert!(listed.contains("semaphore") && listed.contains("2/2"), "{listed}");
    for grant in [&one, &two] {
        node.ctl.ok(&format!("lock check {lock} --token {}", grant.token));
    }
    node.ctl.ok(&format!("lock release {lock} --token {}", one.token));
    node.ctl.refused(&format!("lock check {lock} --token {}", one.token), 1, Code::FenceStale);
    node.ctl.ok(&format!("lock check {lock} --token {}", two.token));
    node.ctl.ok(&format!("lock release {lock} --token {}", two.token));
}

#[test]
fn a_command_runs_while_the_lock_is_held() {
    let (node, lock, place) = (shared(), unique("run"), Place::new());
    let line = format!("lock run {lock} -- env");
    let env = node.ctl.ok(&line).stdout;
    let variable = |name: &str| {
        let prefix = format!("{name}=");
        env.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default().to_owned()
    };
    assert_eq!(variable("KEIKO_LOCK"), lock, "{env}");
    let token = variable("KEIKO_LOCK_TOKEN");
    assert_eq!(variable("KEIKO_FENCE"), format!("default/{lock}={token}"));
    assert_eq!(variable("KEIKO_SESSION").len(), 36);
    node.ctl.refused(&format!("lock get {lock}"), 6, Code::NotFound);

    for status in [0, 1, 7, 255] {
        let ended = node.ctl.run(&format!("lock run {lock} -- sh -c 'exit {status}'"));
        assert_eq!(ended.status, status, "{ended}");
    }
    let killed = node.ctl.run(&format!("lock run {lock} -- sh -c 'kill -9 $$'"));
    assert_eq!(killed.status, 137, "{killed}");
    let none = format!("lock run {lock} -- /no/such/program");
    node.ctl.refused(&none, 2, Code::InvalidArgument);
    node.ctl.refused(&format!("lock get {lock}"), 6, Code::NotFound);

    // It outlives many ttls, and nobody else gets in.
    let inside = format!("lock run {lock} --no-wait -- true");
    let script = "keikoctl lock run \"$KEIKO_LOCK\" --no-wait -- true; echo $?; sleep 6; : > done";
    let mut command = node.ctl.command(&format!("lock run {lock} --ttl 2s --"));
    command.args(["sh", "-c", script]).current_dir(place.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let child = command.spawn().expect("keikoctl starts");
    eventually("it holds", || {
        let held = node.ctl.run(&format!("lock get {lock}"));
        expect(held.status == 0, || held.to_string())
    });
    node.ctl.refused(&inside, 7, Code::LockHeld);
    node.ctl
        .ok(&format!("lock run {lock} --timeout 60s -- test -e {}/done", place.path().display()));
    let output = child.wait_with_output().expect("it is our child");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "7\n");
    assert!(output.status.success());
}

#[test]
fn signals_are_passed_on() {
    let (node, lock, place) = (shared(), unique("signal"), Place::new());
    for (signal, name, status) in
        [(Signal::SIGTERM, "TERM", 11), (Signal::SIGINT, "INT", 12), (Signal::SIGUSR1, "USR1", 13)]
    {
        let script =
            format!("trap 'exit {status}' {name}; : > {name}; while :; do sleep 0.1; done");
        let mut command = node.ctl.command(&format!("lock run {lock} --"));
        command.args(["sh", "-c", &script]).current_dir(place.path()).stdin(Stdio::null());
        let mut child = command.spawn().expect("keikoctl starts");
        eventually("it runs", || fs::metadata(place.join(name)).map_err(|error| error.to_string()));
        kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid fits")), signal).expect("sent");
        assert_eq!(end_of(&mut child, DEADLINE), Some(status), "{name}");
        node.ctl.refused(&format!("lock get {lock}"), 6, Code::NotFound);
    }
    // Who is interrupted while it waits leaves the queue at once.
    let held = acquire(&node.ctl, &format!("{lock} --ttl 60s"));
    let waits = node.ctl.stream(&format!("lock run {lock} --ttl 10m -- true"));
    wait_queue(node, &lock, 1);
    assert_eq!(waits.interrupt(), 130);
    wait_queue(node, &lock, 0);
    node.ctl.ok(&format!("lock release {lock} --token {}", held.token));
}

#[test]
fn writes_count_only_while_the_lock_is_held() {
    let (node, lock, agent) = (shared(), unique("fence"), unique("fence"));
    let grant = acquire(&node.ctl, &format!("{lock} --ttl 60s"));
    let fenced = format!("--fence {}", grant.fence);
    crate::cluster::put(&node.ctl, &agent, "one", &fenced).ok();
    node.ctl.ok(&format!("agent suspend {agent} {fenced}"));
    node.ctl.ok(&format!("agent resume {agent} {fenced}"));
    node.ctl.ok(&format!("lock release {lock} --token {}", grant.token));

    crate::cluster::put(&node.ctl, &agent, "two", &fenced).refused(1, Code::FenceStale);
    node.ctl.refused(&format!("agent suspend {agent} {fenced}"), 1, Code::FenceStale);
    node.ctl.refused(&format!("agent delete {agent} --yes {fenced}"), 1, Code::FenceStale);
    node.ctl.refused(&format!("cluster token create --for node {fenced}"), 1, Code::FenceStale);
    assert_eq!(crate::cluster::value(&node.ctl, &agent, &fenced), "one", "reads go on");
    let mut command = node.ctl.command(&format!("agent suspend {agent} -o json"));
    command.env("KEIKO_FENCE", &grant.fence);
    let refused = keiko_tests::ctl::run(command, "agent suspend", "");
    assert!(refused.stderr.contains(&Code::FenceStale.to_string()), "{refused}");
    let body = r#"{"name": "late", "scope": "*", "durationMs": 60000}"#;
    let post = |fence: &str| {
        let headers = [("content-type", "application/json"), ("keiko-fence", fence)];
        let answer = keiko_tests::http::ask(&node.socket(), "POST", "/v1/windows", &headers, body);
        let answer = answer.expect("it answers");
        (answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(post(&grant.fence), (412, Code::FenceStale.to_string()));
    assert_eq!(post("deploy=1"), (400, Code::InvalidArgument.to_string()));
    for fence in ["", "deploy=1", "default/deploy", "default/deploy=0", "default/deploy=x"] {
        let line = format!("agent suspend {agent} --fence '{fence}'");
        node.ctl.refused(&line, 2, Code::InvalidArgument);
    }
}

#[test]
fn an_election_tells_who_leads() {
    let (node, seat) = (shared(), unique("seat"));
    let script = format!("keikoctl lock get {seat} -o jsonpath=.holders[0].value");
    let told = node.ctl.ok(&format!("lock elect {seat} --value 10.0.0.7:80 -- {script}"));
    assert_eq!(told.stdout.trim(), "10.0.0.7:80");
    let kind =
        format!("lock elect {seat} --value a -- keikoctl lock get {seat} -o jsonpath=.lock.kind");
    assert_eq!(node.ctl.ok(&kind).stdout.trim(), "election");
    let other = format!("lock elect {seat} --value a -- keikoctl lock acquire {seat} --no-wait");
    let mixed = node.ctl.run(&other);
    assert_eq!(mixed.status, 7, "{mixed}");
    assert!(mixed.stderr.contains(&Code::LockMismatch.to_string()), "{mixed}");
}

#[test]
fn a_barrier_opens_when_all_are_there() {
    let (node, start) = (shared(), unique("start"));
    let line = format!("lock barrier arrive {start} --parties 3 --timeout 60s");
    let early: Vec<Stream> = (0..2).map(|_| node.ctl.stream(&line)).collect();
    eventually("two are there", || {
        let listed = node.ctl.json("lock barrier list");
        let items = listed["items"].as_array().cloned().unwrap_or_default();
        let there = items.iter().any(|item| item["name"] == start && item["arrived"] == 2);
        expect(there, || listed.to_string())
    });
    let other = format!("lock barrier arrive {start} --parties 4");
    node.ctl.refused(&other, 7, Code::LockMismatch);
    let opened = format!("barrier/{start} opened: all 3 are there");
    assert_eq!(node.ctl.ok(&line).stdout.trim(), opened);
    for waits in &early {
        waits.find("the barrier opens", |line| (line == opened).then_some(()));
    }
    let late = format!("lock barrier arrive {start} --parties 3 --timeout 1s");
    node.ctl.refused(&late, 5, Code::WaitTimeout);
}

#[test]
fn windows_come_and_go() {
    let (node, now, later) = (shared(), unique("now"), unique("later"));
    let told = node.ctl.ok(&format!("lock window create {now} --scope node/n1 --for 2h"));
    assert!(told.stdout.starts_with(&format!("window/{now} set for node/n1 from ")), "{told}");
    node.ctl.ok(&format!("lock window create {later} --from 1h --for 30m --reason disks"));
    let active = node.ctl.ok("lock window list --active -o name").stdout;
    assert!(active.contains(&now) && !active.contains(&later), "{active}");
    let all = node.ctl.ok("lock window list").stdout;
    for words in [now.as_str(), later.as_str(), "active", "planned", "node/n1", "disks"] {
        assert!(all.contains(words), "{words:?} is missing:\n{all}");
    }
    for name in [&now, &later] {
        node.ctl.ok(&format!("lock window delete window/{name}"));
        node.ctl.refused(&format!("lock window delete {name}"), 6, Code::NotFound);
    }
}

#[test]
fn what_can_not_be_is_refused() {
    let (node, lock) = (shared(), unique("bad"));
    let nobody = "0199a3c2-7b1e-7000-8000-000000000001";
    for (line, status, code) in [
        ("lock acquire Bad_Name".to_owned(), 2, Code::InvalidArgument),
        (format!("lock acquire {lock} --ttl 500ms"), 2, Code::InvalidArgument),
        (format!("lock acquire {lock} --ttl 11m"), 2, Code::InvalidArgument),
        (format!("lock acquire {lock} --limit 1025"), 2, Code::InvalidArgument),
        (format!("lock acquire {lock} --session x"), 2, Code::InvalidArgument),
        (format!("lock acquire {lock} --session {nobody}"), 1, Code::SessionEnded),
        (format!("lock acquire {lock} --value {}", "v".repeat(513)), 2, Code::InvalidArgument),
        (format!("lock acquire {lock} --request-id {nobody}"), 2, Code::InvalidArgument),
        (format!("lock acquire {lock} -o csv"), 2, Code::InvalidArgument),
        (format!("lock release {lock}"), 2, Code::InvalidArgument),
        (format!("lock release {lock} --token 4711"), 1, Code::LockNotHeld),
        (format!("lock release {lock} --session {nobody}"), 1, Code::SessionEnded),
        (format!("lock keep {nobody}"), 1, Code::SessionEnded),
        (format!("lock get {lock}"), 6, Code::NotFound),
        (format!("lock check {lock} --token 1"), 1, Code::FenceStale),
        (format!("lock run {lock}"), 2, Code::InvalidArgument),
        (format!("lock run {lock} --ttl 0s -- true"), 2, Code::InvalidArgument),
        (format!("lock elect {lock} -- true"), 2, Code::InvalidArgument),
        (format!("lock barrier arrive {lock} --parties 1025"), 2, Code::InvalidArgument),
        (format!("lock window create {lock} --for 0s"), 2, Code::InvalidArgument),
        (format!("lock window create {lock} --for 91d"), 1, Code::LimitExceeded),
        (format!("lock window create {lock} --for 1h --scope wings"), 2, Code::InvalidArgument),
        (format!("lock window create {lock} --for 1h --from noon"), 2, Code::InvalidArgument),
        (
            format!("lock window create {lock} --for 1h --from 2020-01-01T00:00:00Z"),
            2,
            Code::InvalidArgument,
        ),
    ] {
        node.ctl.refused(&line, status, code);
    }
    node.ctl.refused(&format!("lock get {lock}"), 6, Code::NotFound);
}
