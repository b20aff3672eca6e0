//! `./x bench node`: one node beside one member of etcd, both started and loaded by `keiko-load`.
//! `./x bench cluster` ([`super::cluster`]) is the same with three of each.
//!
//! Their folders lie in the build folder, on the disk that builds use: a temporary folder may be
//! memory, and then a sync costs nothing. `keiko-load` and its servers are one process group, so
//! that Ctrl-C ends all of them; afterwards their folder is gone. It gates on nothing: figures of
//! different machines can't be compared, and what is compared ran side by side.

use super::SOCKET_BYTES_MAX;
use crate::interrupt::{lock, on_signal};
use crate::{Outcome, checkout::Checkout, process};
use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long the group may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

/// What must be ended: a folder, and the processes that write into it.
pub(super) struct Started {
    folder: PathBuf,
    /// Sockets whose path in the folder would be too long.
    sockets: Option<PathBuf>,
    group: Option<Pid>,
    ended: bool,
}

/// The words behind `bench node` are those of `keiko-load node`.
pub(super) fn run(checkout: &Checkout, rest: &[String]) -> Outcome {
    eprintln!("building keikod and keiko-load");
    process::build(checkout)?;
    let started = Started::new(&checkout.target, "node")?;
    let mut load = Command::new(checkout.programs().join("keiko-load"));
    load.arg("node").arg("--folder").arg(&started.folder);
    load.arg("--socket").arg(socket(&started.folder)).args(rest);
    started.run(load)
}

impl Started {
    /// A folder under `parent` for what is measured.
    pub(super) fn new(parent: &Path, what: &str) -> Result<Self> {
        let folder = parent.join(format!("keiko-{what}-{}", std::process::id()));
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.with_context(|| format!("{}", folder.display()))?;
        Ok(Self { folder, sockets: None, group: None, ended: false })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// With a folder elsewhere, which ends with this one.
    pub(super) fn with_sockets(mut self, sockets: PathBuf) -> Self {
        self.sockets = Some(sockets);
        self
    }

    /// Runs `keiko-load` to its end, or until a signal comes.
    pub(super) fn run(self, mut load: Command) -> Outcome {
        let cleanup = Arc::new(Mutex::new(self));
        on_signal(&cleanup, Self::end)?;
        load.stdin(Stdio::null()).process_group(0);
        let mut load = lock(&cleanup).start(load)?;
        let status = load.wait().context("waiting for keiko-load")?;
        lock(&cleanup).end();
        Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn start(&mut self, mut command: Command) -> Result<Child> {
        let child = command.spawn().context("starting keiko-load")?;
        self.group = Some(Pid::from_raw(i32::try_from(child.id())?));
        Ok(child)
    }

    /// Ends the group, and then removes the folder; the second time it does nothing.
    fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if let Some(group) = self.group.take() {
            let deadline = Instant::now() + PATIENCE;
            // An error says that nobody is left in it.
            let mut left = killpg(group, Signal::SIGTERM).is_ok();
            while left && Instant::now() < deadline {
                std::thread::sleep(POLL);
                left = killpg(group, None).is_ok();
            }
            let _ = killpg(group, Signal::SIGKILL);
        }
        let sockets = self.sockets.take().filter(|sockets| sockets.exists());
        for folder in [Some(&self.folder), sockets.as_ref()].into_iter().flatten() {
            if let Err(error) = fs::remove_dir_all(folder) {
                eprintln!("{} is left behind: {error}", folder.display());
            }
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.end();
    }
}

/// In the node's folder if its path is short enough, else in the temporary one.
fn socket(folder: &Path) -> PathBuf {
    let inside = folder.join("keiko/keiko.sock");
    if inside.as_os_str().len() <= SOCKET_BYTES_MAX {
        return inside;
    }
    std::env::temp_dir().join(format!("keiko-node-{}.sock", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_ends_with_its_folder() {
        let mut started = Started::new(&std::env::temp_dir(), "node").unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & sleep 60"]).process_group(0);
        let mut child = started.start(command).unwrap();
        let group = started.group.unwrap();
        // As the main thread does while a signal ends the group.
        let reaper = std::thread::spawn(move || child.wait());
        started.end();
        assert!(!reaper.join().unwrap().unwrap().success());
        assert!(killpg(group, None).is_err(), "somebody is left");
        assert!(!started.folder.exists());
    }
}
