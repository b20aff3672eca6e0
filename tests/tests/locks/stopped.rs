//! A holder that is stopped past its ttl and goes on: its writes are refused, each time.
//!
//! The holder is `keikoctl lock run` with a script under it. Of every other one only keikoctl is
//! stopped, so that its script goes on as if nothing had happened; of the others both.

use crate::cluster::{put, value};
use keiko_core::refusal::Code;
use keiko_tests::ctl::end_of;
use keiko_tests::place::Place;
use keiko_tests::processes::is_alive;
use keiko_tests::shared::unique;
use keiko_tests::stopped::Stopped;
use keiko_tests::wait::{DEADLINE, expect};
use keiko_tests::{Node, Plan, eventually, full, heavy_time, measure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

const ROUNDS_CI: u32 = 24;
const ROUNDS_FULL: u32 = 1_000;
/// Holders at a time: most of what they do is to wait.
const WORKERS: u32 = 8;
/// Long enough for a machine that runs other tests, too.
const TTL: &str = "3s";

/// What runs under the lock: it says that it is there, waits to be told, and writes.
const SCRIPT: &str = r#"
cd "$1" || exit 1
echo "$KEIKO_LOCK_TOKEN $$ $KEIKO_FENCE" > started.new; mv started.new started
n=0; until [ -e go ] || [ $n -ge 600 ]; do n=$((n+1)); sleep 0.2; done
$2 keikoctl apply -f mine.yaml > out 2> err
echo $? > status.new; mv status.new status
"#;

/// A command that runs under a lock, in processes that can be stopped.
pub(crate) struct Holder {
    keeper: Child,
    place: Place,
    /// Of the script, which leads a process group of its own.
    script: u32,
    pub(crate) token: u64,
    pub(crate) fence: String,
}

impl Holder {
    /// Runs the script under a lock, once it is granted; told to go, it gives the agent of this
    /// name another value. `before` stands before its write.
    #[track_caller]
    pub(crate) fn start(node: &Node, lock: &str, ttl: &str, agent: &str, before: &str) -> Self {
        let place = Place::new();
        let manifest = format!(
            "apiVersion: keiko/v1\nkind: Agent\nmetadata:\n  name: {agent}\n  labels: {{value: 'stopped'}}\n\
             spec:\n  url: http://127.0.0.1:9/\n"
        );
        fs::write(place.join("mine.yaml"), manifest).expect("a file in the place");
        let mut command = node.ctl.command(&format!("lock run {lock} --ttl {ttl} --"));
        command.args(["sh", "-c", SCRIPT, "holder"]).arg(place.path()).arg(before);
        let said = File::create(place.join("said")).expect("a file in the place");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        let keeper = command.spawn().expect("keikoctl starts");
        let mut holder = Self { keeper, place, script: 0, token: 0, fence: String::new() };
        let started = holder.wait_for("started");
        let words: Vec<&str> = started.split_whitespace().collect();
        let [token, script, fence] = words[..] else { panic!("{started:?}") };
        holder.token = token.parse().expect("a token is a number");
        holder.script = script.parse().expect("a pid is a number");
        fence.clone_into(&mut holder.fence);
        holder
    }

    /// The process that keeps the session.
    pub(crate) fn keeper(&self) -> u32 {
        self.keeper.id()
    }

    /// A file of the script, once it is there.
    #[track_caller]
    fn wait_for(&self, name: &str) -> String {
        eventually(name, || {
            let text = fs::read_to_string(self.place.join(name));
            text.map_err(|error| format!("{error}; keikoctl said: {}", self.said()))
        })
    }

    /// What keikoctl said.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.place.join("said")).unwrap_or_default()
    }

    /// Lets the script write; its exit code, and what it was told.
    #[track_caller]
    pub(crate) fn write(&self) -> (String, String) {
        fs::write(self.place.join("go"), "").expect("a file in the place");
        let status = self.wait_for("status").trim().to_owned();
        (status, fs::read_to_string(self.place.join("err")).unwrap_or_default())
    }

    /// Waits until keikoctl ends by itself, and gives its exit code.
    #[track_caller]
    pub(crate) fn end(&mut self) -> i32 {
        let status = end_of(&mut self.keeper, DEADLINE);
        status.unwrap_or_else(|| panic!("lock run goes on: {}", self.said()))
    }

    /// True while the script runs.
    pub(crate) fn runs(&self) -> bool {
        is_alive(i32::try_from(self.script).expect("a pid fits"))
    }

    /// keikoctl dies without a word; the script goes on.
    pub(crate) fn kill_keeper(&mut self) {
        self.keeper.kill().expect("it runs");
        self.keeper.wait().expect("it is our child");
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        if let Some(script) = i32::try_from(self.script).ok().filter(|script| *script > 0) {
            let _ = killpg(Pid::from_raw(script), Signal::SIGKILL);
        }
    }
}

/// Stops a holder past its ttl, lets the next one write, and then lets the first one try.
fn round(node: &Node, number: u32) {
    let (lock, agent) = (unique("stopped"), unique("stopped"));
    let mut first = Holder::start(node, &lock, TTL, &agent, "");
    let keeper = Stopped::process(first.keeper());
    let script = number.is_multiple_of(2).then(|| Stopped::group(first.script));

    let second = node.ctl.json(&format!("lock acquire {lock} --ttl 30s"));
    let token = second["holder"]["token"].as_u64().expect("a token");
    assert!(token > first.token, "{token} after {}", first.token);
    let fence = second["fence"].as_str().expect("a fence");
    put(&node.ctl, &agent, "second", &format!("--fence {fence}")).ok();

    drop(script);
    let (status, err) = first.write();
    assert_eq!(status, "1", "round {number}: the stopped holder wrote: {err}");
    assert!(err.contains(&format!("error[{}]: ", Code::FenceStale)), "{err}");
    assert_eq!(value(&node.ctl, &agent, ""), "second", "round {number}");

    drop(keeper);
    assert_eq!(first.end(), 1, "{}", first.said());
    let said = first.said();
    assert!(said.contains(&format!("error[{}]: ", Code::SessionEnded)), "{said}");
    node.ctl.ok(&format!("lock release {lock} --token {token}"));
}

#[test]
fn a_stopped_holder_is_refused() {
    let node = Node::start(Plan::default());
    let rounds = if full() { ROUNDS_FULL } else { ROUNDS_CI };
    let (begun, next, done) = (Instant::now(), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let enough = full() || begun.elapsed() > heavy_time() / 2;
                    if number >= rounds && enough {
                        return;
                    }
                    round(&node, number);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let done = done.into_inner();
    measure("holders stopped past their ttl, refused", done.into(), rounds.into(), "holders");
}

/// A harness that finds nothing proves nothing: who drops the fence is not refused.
#[test]
fn without_its_fence_the_stopped_holder_writes_on() {
    let node = Node::start(Plan::default());
    let (lock, agent) = (unique("unfenced"), unique("unfenced"));
    let first = Holder::start(&node, &lock, TTL, &agent, "env -u KEIKO_FENCE");
    let keeper = Stopped::process(first.keeper());
    node.ctl.ok(&format!("lock acquire {lock} --ttl 30s"));
    put(&node.ctl, &agent, "second", "").ok();
    let (status, err) = first.write();
    assert_eq!(status, "0", "{err}");
    assert_eq!(value(&node.ctl, &agent, ""), "stopped");
    drop(keeper);
}

#[test]
fn a_command_that_lost_its_lock_is_ended() {
    let node = Node::start(Plan::default());
    let (lock, agent) = (unique("ended"), unique("ended"));
    let mut first = Holder::start(&node, &lock, TTL, &agent, "");
    let keeper = Stopped::process(first.keeper());
    node.ctl.ok(&format!("lock acquire {lock} --ttl 30s"));
    assert!(first.runs(), "nobody could have told it");
    drop(keeper);
    assert_eq!(first.end(), 1, "{}", first.said());
    let said = first.said();
    assert!(said.contains(&format!("error[{}]: ", Code::SessionEnded)), "{said}");
    assert!(said.contains("\"sh\" was ended"), "{said}");
    eventually("the script is gone", || expect(!first.runs(), || "it runs".to_owned()));
}

/// Whoever opened it is alive and well, and learns with its next keepalive that it is over.
#[test]
fn a_session_that_an_admin_ends_is_lost() {
    let node = Node::start(Plan::default());
    let (lock, agent) = (unique("closed"), unique("closed"));
    let mut first = Holder::start(&node, &lock, TTL, &agent, "");
    let held = node.ctl.json(&format!("lock get {lock}"));
    let session = held["holders"][0]["session"].as_str().expect("a session");
    let path = format!("/v1/sessions/{session}");
    let ended = keiko_tests::http::ask(&node.socket(), "DELETE", &path, &[], "");
    assert_eq!(ended.expect("it answers").status, 200);
    assert_eq!(first.end(), 1, "{}", first.said());
    assert!(first.said().contains(&format!("error[{}]: ", Code::SessionEnded)), "{}", first.said());
    eventually("the script is gone", || expect(!first.runs(), || "it runs".to_owned()));
    let stale = format!("--fence {} agent list", first.fence);
    node.ctl.ok(&stale);
    put(&node.ctl, &agent, "late", &format!("--fence {}", first.fence))
        .refused(1, Code::FenceStale);
}
