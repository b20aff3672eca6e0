//! One daemon in a folder of its own.
//!
//! It ends with this process: it holds the other end of a pipe (see [`crate::under_test`]).

use crate::ctl::{self, Ctl, Output, end_of, program, program_on, words};
use crate::http::{self, Answer};
use crate::place::Place;
use crate::under_test::{HELD, MARK};
use crate::wait::{DEADLINE, eventually, expect};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

/// What a polite end may take before the node is killed at the end of a case.
const GRACE: Duration = Duration::from_secs(20);
/// Lines of its log that a failed case shows.
const LOG_LINES: usize = 60;

/// How a node is to be started.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `--init`
    pub init: bool,
    /// The text of its keiko.toml; `{place}` stands for the node's own folder.
    pub config: Option<String>,
    /// Further flags.
    pub flags: String,
    /// `--node-name`
    pub name: String,
    /// `--join` and `--token`, until it is a member: any member's API, and a one-use token.
    pub join: Option<(SocketAddr, String)>,
    /// `--listen`
    pub api: String,
    /// `--listen-peer`
    pub peer: String,
    /// The network namespace that it runs in, if it has one of its own.
    pub namespace: Option<String>,
    /// Further variables of its environment.
    pub env: Vec<(String, String)>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            init: true,
            config: None,
            flags: String::new(),
            name: "n1".to_owned(),
            join: None,
            api: "127.0.0.1:0".to_owned(),
            peer: "127.0.0.1:0".to_owned(),
            namespace: None,
            env: Vec::new(),
        }
    }
}

impl Plan {
    /// With this keiko.toml.
    pub fn config(text: &str) -> Self {
        Self { config: Some(text.to_owned()), ..Self::default() }
    }

    /// A node of this name that becomes a member of a cluster.
    pub fn join(name: &str, member: SocketAddr, token: &str) -> Self {
        let join = Some((member, token.to_owned()));
        Self { init: false, name: name.to_owned(), join, ..Self::default() }
    }
}

/// A daemon, running or not.
#[derive(Debug)]
pub struct Node {
    child: Option<Child>,
    place: Place,
    /// How it starts the next time.
    pub plan: Plan,
    /// keikoctl at its socket.
    pub ctl: Ctl,
}

impl Node {
    /// A node that is ready.
    #[track_caller]
    pub fn start(plan: Plan) -> Self {
        let mut node = Self::prepare(plan);
        node.launch();
        node.wait_ready();
        node
    }

    /// A node that is not started yet.
    pub fn prepare(plan: Plan) -> Self {
        let place = Place::new();
        let ctl = Ctl::new(Some(format!("unix:{}", place.join("d/keiko.sock").display())));
        let node = Self { child: None, place, plan, ctl };
        if let Some(text) = node.plan.config.clone() {
            node.configure(&text);
        }
        node
    }

    /// Starts the daemon and waits for nothing.
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = OpenOptions::new().create(true).append(true).open(self.log_path());
        let log = log.expect("a log in the place");
        let mut command = match &self.plan.namespace {
            Some(namespace) => program_on(namespace, "keikod", &self.place, &self.arguments()),
            None => program("keikod", &self.place, &self.arguments()),
        };
        command.env(MARK, HELD).stdin(Stdio::piped());
        command.envs(self.plan.env.iter().map(|(name, value)| (name, value)));
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        self.child = Some(command.spawn().expect("keikod starts"));
    }

    /// The words behind `keikod`.
    pub fn arguments(&self) -> Vec<String> {
        let Plan { name, api, peer, .. } = &self.plan;
        let ports = format!("--listen {api} --listen-peer {peer} --metrics-listen 127.0.0.1:0");
        let mut line = format!("run {ports} --node-name {name}");
        if self.plan.init && !self.data().join("format").exists() {
            line.push_str(" --init");
        }
        let mut words = words(&format!("{line} {}", self.plan.flags));
        if let Some((member, token)) = self.plan.join.as_ref().filter(|_| !self.is_member()) {
            words.extend(["--join", &member.to_string(), "--token", token].map(str::to_owned));
        }
        words.extend(["--data-dir".to_owned(), self.data().display().to_string()]);
        if self.plan.config.is_some() {
            words.extend(["--config".to_owned(), self.config_path().display().to_string()]);
        }
        words
    }

    /// Runs `keikod` with these words to its end, beside the daemon if there is one.
    #[track_caller]
    pub fn run(&self, arguments: &[String]) -> Output {
        let line = format!("keikod {}", arguments.join(" "));
        ctl::run(program("keikod", &self.place, arguments), &line, "")
    }

    /// Waits until `/readyz` says so.
    #[track_caller]
    pub fn wait_ready(&mut self) {
        self.wait_for("ready", |answer| answer.status == 200);
    }

    /// Waits until the socket answers, ready or not.
    #[track_caller]
    pub fn wait_live(&mut self) {
        self.wait_for("live", |_| true);
    }

    #[track_caller]
    fn wait_for(&mut self, what: &str, fits: impl Fn(&Answer) -> bool) {
        let socket = self.socket();
        let mut ended = None;
        eventually(what, || {
            ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() {
                return Ok(());
            }
            let answer = http::get(&socket, "/readyz").map_err(|error| error.to_string())?;
            expect(fits(&answer), || format!("{answer:?}"))
        });
        assert!(ended.is_none(), "keikod ended: {ended:?}\n{}", self.log());
    }

    /// What is in the data folder.
    pub fn data(&self) -> PathBuf {
        self.place.join("d")
    }

    /// A path beside the data folder.
    pub fn join(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// Its unix socket.
    pub fn socket(&self) -> PathBuf {
        self.data().join("keiko.sock")
    }

    /// Everything that it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.place.join("keikod.log")
    }

    fn config_path(&self) -> PathBuf {
        self.place.join("keiko.toml")
    }

    /// Writes its keiko.toml; it counts from the next start or reload on.
    pub fn configure(&self, text: &str) {
        let text = text.replace("{place}", &self.place.path().display().to_string());
        fs::write(self.config_path(), text).expect("a file in the place");
    }

    /// Puts a file into its credentials folder.
    pub fn credential(&self, name: &str, value: &str) {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        let folder = self.data().join("credentials");
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.expect("a folder in the data folder");
        let mut options = OpenOptions::new();
        let file =
            options.write(true).create(true).truncate(true).mode(0o600).open(folder.join(name));
        std::io::Write::write_all(&mut file.expect("a file"), value.as_bytes())
            .expect("it is written");
    }

    /// True once it has an identity in a cluster.
    pub fn is_member(&self) -> bool {
        self.data().join("node.json").exists()
    }

    /// True until it is killed or ends by itself.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// It ended by itself; now it can be started again.
    pub fn forget(&mut self) {
        if !self.is_running() {
            self.child = None;
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Where its API listens.
    pub fn api(&self) -> SocketAddr {
        self.address("api")
    }

    /// Where `/metrics` is.
    pub fn metrics(&self) -> SocketAddr {
        self.address("metrics")
    }

    /// Where other nodes reach it.
    pub fn peer(&self) -> SocketAddr {
        self.address("peer")
    }

    fn address(&self, which: &str) -> SocketAddr {
        let text = fs::read_to_string(self.data().join("addresses.json")).expect("it listens");
        let addresses: Value = serde_json::from_str(&text).expect("JSON");
        addresses[which].as_str().expect("an address").parse().expect("an address")
    }

    /// The certificate of its cluster's CA.
    pub fn ca_pem(&self) -> Vec<u8> {
        fs::read(self.data().join("ca.pem")).expect("ca.pem")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a pid fits");
        kill(Pid::from_raw(pid), signal).expect("it runs");
    }

    /// A crash.
    pub fn kill_9(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it runs");
        child.wait().expect("it is our child");
    }

    /// Waits for its end and gives its exit code.
    #[track_caller]
    pub fn wait_end(&mut self) -> i32 {
        let mut child = self.child.take().expect("it runs");
        let status = end_of(&mut child, DEADLINE);
        if status.is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
        status.unwrap_or_else(|| panic!("keikod does not end\n{}", self.log()))
    }

    /// SIGTERM, and its exit code.
    #[track_caller]
    pub fn terminate(&mut self) -> i32 {
        self.signal(Signal::SIGTERM);
        self.wait_end()
    }

    /// Starts it again after it ended, and waits until it is ready.
    #[track_caller]
    pub fn restart(&mut self) {
        self.launch();
        self.wait_ready();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
            eprint_captured(&format!("\nthe end of keikod's log:\n{last}\n"));
        }
        let Some(mut child) = self.child.take() else { return };
        if let Ok(pid) = i32::try_from(child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        if end_of(&mut child, GRACE).is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Into the captured output of the failed test, where it belongs.
#[allow(clippy::print_stderr, reason = "only the macro is captured")]
fn eprint_captured(text: &str) {
    eprintln!("{text}");
}
