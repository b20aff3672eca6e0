//! `./x bench registry`: a throw-away node under the load of `keiko-load`, figure by figure.
//!
//! The node's folder lies in the build folder, on the disk that builds use: a temporary folder may
//! be memory, and then a sync costs nothing. What is started is ended, also on Ctrl-C. It gates on
//! nothing: figures of different machines can't be compared.

mod cluster;
mod node;

use crate::demo::node::Started;
use crate::demo::shell::Shell;
use crate::interrupt::{lock, on_signal};
use crate::{Outcome, checkout::Checkout, process};
use anyhow::{Context, bail};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};

/// The longest path of a socket.
const SOCKET_BYTES_MAX: usize = 107;

pub(crate) fn run(checkout: &Checkout, arguments: &[String]) -> Outcome {
    match arguments.split_first().map(|(what, rest)| (what.as_str(), rest)) {
        Some(("registry", rest)) => registry(checkout, rest),
        Some(("node", rest)) => node::run(checkout, rest),
        Some(("cluster", rest)) => cluster::run(checkout, rest),
        _ => bail!(
            "usage: ./x bench registry [--json] [--seconds N] [--agents N] [PARTS…]\n\
             \x20      ./x bench node [--vs etcd[=FOLDER]] [--json] [--seconds N] [PARTS…]\n\
             \x20      ./x bench cluster [--vs etcd[=FOLDER]] [--json] [--short] [--seconds N] [PARTS…]"
        ),
    }
}

fn registry(checkout: &Checkout, rest: &[String]) -> Outcome {
    eprintln!("building keikod, keikoctl and keiko-load");
    process::build(checkout)?;
    let started = Started::new(&checkout.target, "bench")?;
    let socket = socket(&started);
    let cleanup = Arc::new(Mutex::new(started));
    on_signal(&cleanup, Started::end)?;
    let shell = Shell::new(checkout, &cleanup);
    let folder = lock(&cleanup).folder().display().to_string();
    let ports = ["--listen", "--listen-peer", "--metrics-listen"];
    let ports = ports.into_iter().flat_map(|port| [port, "127.0.0.1:0"]);
    let words = ["run", "--init", "--data-dir", &folder, "--socket", &socket, "--log", "warn"];
    let words: Vec<&str> = words.into_iter().chain(ports).collect();
    lock(&cleanup).start_daemon(shell.program("keikod", &words))?;
    let endpoint = format!("unix:{socket}");
    shell.wait("keikoctl status", &cleanup, || {
        shell.ask(&["--endpoint", &endpoint, "status"]).map(Some)
    })?;

    let pid = lock(&cleanup).daemon_pid().context("the node is gone")?;
    let mut load = Command::new(checkout.programs().join("keiko-load"));
    load.args(["registry", "--socket", &socket, "--folder", &folder]);
    load.args(["--pid", &pid.to_string()]).args(rest).stdin(Stdio::null());
    let status = load.status().context("starting keiko-load")?;
    if !status.success() {
        lock(&cleanup).print_log();
    }
    lock(&cleanup).end();
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// In the node's folder if its path is short enough, else in the temporary one.
fn socket(started: &Started) -> String {
    let inside = started.folder().join("keiko.sock");
    if inside.as_os_str().len() <= SOCKET_BYTES_MAX {
        return inside.display().to_string();
    }
    let name = format!("keiko-bench-{}.sock", std::process::id());
    std::env::temp_dir().join(name).display().to_string()
}
