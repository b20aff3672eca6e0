//! The same script against etcd: its lock and its election keep two holders apart as long as both
//! run, and say nothing of one that is stopped and goes on.
//!
//! One member without TLS, as `etcdctl` finds it; the commands are etcd's own.

use keiko_tests::ctl::end_of;
use keiko_tests::peers::{self, free_port};
use keiko_tests::place::Place;
use keiko_tests::stopped::Stopped;
use keiko_tests::wait::{DEADLINE, within};
use keiko_tests::{eventually, full, skip};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const TEST: &str = "locks::etcd";
/// An election's session lives for a minute, and no flag says otherwise.
const ELECTED: Duration = Duration::from_secs(150);

/// Longer than the ttl of the holder: it had the time to learn that it is none.
const TO_LEARN: Duration = Duration::from_secs(4);

/// The holder's script, as in `stopped`: it says that it is there, waits to be told, and writes;
/// and once more.
const SCRIPT: &str = r#"
: > "$1/started"
for turn in one two; do
  n=0; until [ -e "$1/go-$turn" ] || [ $n -ge 600 ]; do n=$((n+1)); sleep 0.2; done
  etcdctl put account first > "$1/out" 2>&1
  echo $? > "$1/status.new"; mv "$1/status.new" "$1/status-$turn"
done
"#;
const SECOND: &str = "etcdctl put account second";

/// One member, ended with its folder.
struct Etcd {
    folder: PathBuf,
    endpoint: String,
    place: Place,
    child: Child,
}

impl Etcd {
    /// None where there is none: a counted skip.
    fn start() -> Option<Self> {
        let Some(folder) = folder() else {
            skip(TEST, "no etcd and etcdctl on PATH or beside the peers");
            return None;
        };
        let place = Place::new();
        let [client, peer] =
            [free_port(), free_port()].map(|port| format!("http://127.0.0.1:{port}"));
        let mut command = Command::new(folder.join("etcd"));
        command.args(["--name", "e1", "--log-level", "error"]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("e1={peer}")]).arg("--data-dir");
        command.arg(place.join("data")).stdin(Stdio::null()).stdout(Stdio::null());
        let log = File::create(place.join("log")).expect("a file in the place");
        let child = command.stderr(log).spawn().expect("etcd starts");
        let etcd = Self { folder, endpoint: client, place, child };
        eventually("etcd answers", || etcd.run(&["endpoint", "health"]).map(drop));
        Some(etcd)
    }

    /// etcdctl with these words, which finds this member, and itself on PATH.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.folder.join("etcdctl"));
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.folder.display());
        command.args(words).env_clear().env("PATH", path).env("ETCDCTL_API", "3");
        command.env("ETCDCTL_ENDPOINTS", &self.endpoint);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, words: &[&str]) -> Result<String, String> {
        let output = self.command(words).output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.success() {
            true => Ok(said),
            false => Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr))),
        }
    }

    /// What was written last.
    fn account(&self) -> String {
        let read = self.run(&["get", "account", "--print-value-only"]).expect("it answers");
        read.trim().to_owned()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where both programs are.
fn folder() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain([peers::bin()]);
    let has = |folder: &Path, name: &str| folder.join(name).is_file();
    folders.find(|folder| has(folder, "etcd") && has(folder, "etcdctl"))
}

#[test]
fn etcd_lets_a_stopped_holder_write_on() {
    let Some(etcd) = Etcd::start() else { return };
    let place = &etcd.place;
    let (script, second) = (place.join("first.sh"), place.join("second.sh"));
    fs::write(&script, SCRIPT).expect("a file in the place");
    fs::write(&second, SECOND).expect("a file in the place");
    let [script, second] = [&script, &second].map(|path| path.display().to_string());
    let place = place.path().display().to_string();
    let mut holder = etcd.command(&["lock", "--ttl", "2", "seat", "sh", &script, &place]);
    let mut holder = holder.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    wait_for(&etcd, "started");

    let stopped = Stopped::process(holder.id());
    // Granted, so the first one's lease is over.
    etcd.run(&["lock", "--ttl", "60", "seat", "sh", &second]).expect("the next one's turn");
    assert_eq!(etcd.account(), "second");
    fs::write(etcd.place.join("go-one"), "").expect("a file in the place");
    assert_eq!(wait_for(&etcd, "status-one").trim(), "0", "the write of the stopped holder");
    assert_eq!(etcd.account(), "first", "what the next one wrote is gone");

    drop(stopped);
    std::thread::sleep(TO_LEARN);
    etcd.run(&["put", "account", "second"]).expect("it answers");
    fs::write(etcd.place.join("go-two"), "").expect("a file in the place");
    assert_eq!(wait_for(&etcd, "status-two").trim(), "0", "its command was not ended");
    assert_eq!(etcd.account(), "first");
    if end_of(&mut holder, DEADLINE).is_none() {
        let _ = holder.kill();
        let _ = holder.wait();
    }
}

/// The same with `elect`: who was elected is told nothing that a write could carry.
#[test]
fn etcd_lets_a_stopped_leader_write_on() {
    // A minute of waiting shows nothing new.
    if !full() {
        return;
    }
    let Some(etcd) = Etcd::start() else { return };
    let elect = |proposal: &str| {
        let said = File::create(etcd.place.join(proposal)).expect("a file in the place");
        let mut command = etcd.command(&["elect", "seat", proposal]);
        command.stdout(said).stderr(Stdio::null()).spawn().expect("it starts")
    };
    let mut first = elect("first");
    wait_for_words(&etcd, "first", DEADLINE);
    let stopped = Stopped::process(first.id());
    let mut second = elect("second");
    wait_for_words(&etcd, "second", ELECTED);
    etcd.run(&["put", "account", "second"]).expect("the new leader writes");
    etcd.run(&["put", "account", "first"]).expect("the old one was told nothing");
    assert_eq!(etcd.account(), "first");
    drop(stopped);
    for leader in [&mut first, &mut second] {
        let _ = leader.kill();
        let _ = leader.wait();
    }
}

#[track_caller]
fn wait_for(etcd: &Etcd, name: &str) -> String {
    eventually(name, || {
        fs::read_to_string(etcd.place.join(name)).map_err(|error| error.to_string())
    })
}

/// Until it says that it leads.
#[track_caller]
fn wait_for_words(etcd: &Etcd, name: &str, bound: Duration) {
    let said = || fs::read_to_string(etcd.place.join(name)).unwrap_or_default();
    let leads = within(bound, || said().contains(name).then_some(()).ok_or_else(said));
    leads.unwrap_or_else(|said| panic!("{name} does not lead: {said}"));
}
