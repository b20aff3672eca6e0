//! The real peers, as `./x peers` installs them.

use crate::ctl::end_of;
use crate::report::skip;
use crate::wait::eventually;
use crate::{place::Place, programs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(5);

/// Where their commands are.
pub fn bin() -> PathBuf {
    let given = std::env::var_os("KEIKO_PEERS").map(PathBuf::from);
    given.unwrap_or_else(|| programs::target().join("peers")).join("bin")
}

/// The command of a peer, or a counted skip.
pub fn command(test: &str, peer: &str) -> Option<PathBuf> {
    let path = bin().join(peer);
    if path.exists() {
        return Some(path);
    }
    skip(test, &format!("no peer {peer}: ./x peers installs it"));
    None
}

/// A peer that listens; ended when dropped.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    place: Place,
    /// Where it listens.
    pub url: String,
}

impl Peer {
    /// The A2A agent.
    pub fn hello(test: &str) -> Option<Self> {
        let command = held(&command(test, "hello-agent")?);
        Some(Self::announced(command, &["--port", "0"]))
    }

    /// The MCP server of the stateless era.
    pub fn mcp_http(test: &str) -> Option<Self> {
        Some(Self::announced(held(&command(test, "mcp-http")?), &["0"]))
    }

    /// The MCP server of the era of sessions, on this port.
    pub fn everything(test: &str, port: u16) -> Option<Self> {
        let mut command = held(&command(test, "mcp-server-everything")?);
        command.arg("streamableHttp").env("PORT", port.to_string());
        let peer = Self::spawn(command, format!("http://127.0.0.1:{port}/mcp"));
        peer.wait_open();
        Some(peer)
    }

    /// A peer that says `listening on URL`.
    fn announced(mut command: Command, arguments: &[&str]) -> Self {
        command.args(arguments);
        let mut peer = Self::spawn(command, String::new());
        peer.url = eventually("the peer's address", || {
            let said = peer.said();
            let line = said.lines().find_map(|line| line.strip_prefix("listening on "));
            line.map(str::to_owned).ok_or(said)
        });
        // One that chooses its port first says so a little before it listens.
        peer.wait_open();
        peer
    }

    fn wait_open(&self) {
        let rest = self.url.trim_start_matches("http://");
        let address = rest.split('/').next().unwrap_or_default();
        eventually("the peer listens", || {
            TcpStream::connect(address).map(drop).map_err(|error| error.to_string())
        });
    }

    fn spawn(mut command: Command, url: String) -> Self {
        let place = Place::new();
        let log = fs::File::create(log(&place)).expect("a log in the place");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        let child = command.spawn().expect("the peer starts");
        Self { child, place, url }
    }

    /// Its output so far.
    pub fn said(&self) -> String {
        fs::read_to_string(log(&self.place)).unwrap_or_default()
    }

    /// Kills it and waits until it is gone.
    pub fn kill_9(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is our child");
    }
}

fn log(place: &Place) -> PathBuf {
    Path::new(place.path()).join("log")
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id())
            && matches!(self.child.try_wait(), Ok(None))
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        if end_of(&mut self.child, GRACE).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Ends with the thread of the test, however that ends.
fn held(program: &Path) -> Command {
    let mut command = Command::new(programs::path("ends-with-parent"));
    command.arg(program);
    command
}

/// A port that is free now, for a peer that can't choose one itself.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}
