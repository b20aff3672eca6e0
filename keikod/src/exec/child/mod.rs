//! The child processes of this node: commands that serve over their standard input and output.
//!
//! Keeps: what lives ([`Children`]), one long-lived thread that starts everything, one small thread
//! per child that waits for its end, the last lines of each child's stderr, and
//! `children.json` in the data folder with what a killed daemon would leave behind.
//!
//! Invariants
//! - Every child is the leader of a session, and so of a process group, of its own, in a cgroup of
//!   its own where that is possible. When it ends, what it forked ends with it.
//! - The kernel kills a child whose starting thread is gone, so that thread lives as long as the
//!   last [`Children`] handle; dropping that one ends all children.
//! - A child is reaped only after its group was signalled for the last time, so no signal ever
//!   reaches a process that took over its number.
//! - A child sees descriptors 0, 1 and 2, the environment that [`Command`] promises and nothing
//!   else of the daemon.
//!
//! Never: decides who may run (that is [`Policy`](super::Policy)), restarts anything (that is
//! the driver's), or runs a shell.

mod cgroup;
mod children;
mod confine;
mod cover;
mod home;
mod isolation;
mod launch;
mod leftovers;
mod log;
mod pace;
mod proc;
mod process;
mod record;
mod remove;
mod spawner;

pub use children::Children;
pub use isolation::{Isolation, Measure};
pub use log::{Follow, LINE_BYTES_MAX, LogLine, RING_BYTES_MAX};
pub use process::{Exit, Grace, Process};

use super::policy::RunAs;
use super::secret::Secret;
use keiko_core::refusal::Result;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::unix::pipe;

/// Children alive at once: 256 × (3 pipes + a 64 KiB stack + a 256 KiB log) is under 100 MiB.
pub const LIVE_MAX: usize = 256;
/// How long a command may take from the request to its `execve`; a dead network file system is
/// the usual reason to be late.
pub const SPAWN_DEADLINE: Duration = Duration::from_secs(10);

/// What all children of a node have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data folder; its owner holds the lock on it. It must exist.
    pub data: PathBuf,
    /// What a child that runs as root must not see besides the data folder: the credentials folder
    /// and the socket, wherever they are.
    pub covered: Vec<PathBuf>,
    /// Where the private homes lie; `None`: see [`Children::start`].
    pub homes: Option<PathBuf>,
    /// Open files of one child (`RLIMIT_NOFILE`).
    pub files_max: u64,
}

impl Settings {
    /// The settings of a node that keeps everything in its data folder.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self { data: data.into(), covered: Vec::new(), homes: None, files_max: 4096 }
    }
}

/// One command to run.
///
/// Its environment is exactly `PATH=<the command's folder>:/usr/local/bin:/usr/bin:/bin`, a private
/// `HOME` and `TMPDIR`, `LANG=C.UTF-8` and `env`. The home stays over restarts of the same id, the
/// temporary folder does not.
#[derive(Clone, Debug)]
pub struct Command {
    /// Names the child: its home, its log, its cgroup. One child per id lives at a time.
    pub id: String,
    /// The words, the first an absolute path.
    pub argv: Vec<String>,
    /// The named environment, with values from [`Credentials`](super::Credentials).
    pub env: Vec<(String, Secret)>,
    /// What [`Policy::decide`](super::Policy::decide) said.
    pub run_as: RunAs,
}

/// A child that was started, with both ends of its conversation.
#[derive(Debug)]
pub struct Child {
    /// Writes to its standard input; dropping it is the first way to ask it to end.
    pub stdin: pipe::Sender,
    /// Reads its standard output.
    pub stdout: pipe::Receiver,
    /// The process, apart from the pipes.
    pub process: Process,
}

impl Child {
    /// Closes its standard input and ends it as [`Process::stop`] does.
    ///
    /// # Errors
    /// As [`Process::stop`].
    pub async fn stop(self, grace: Grace) -> Result<Exit> {
        let Self { stdin, stdout, process } = self;
        drop(stdin);
        let exit = process.stop(grace).await;
        drop(stdout);
        exit
    }
}

#[cfg(test)]
mod tests;
