//! One running child and its end.
//!
//! Invariants: signals go to the whole process group, and only while the leader is not reaped, so
//! that its number is still its own; the end is told only when what the child forked is gone and
//! its place in the registry of the living is free.

use super::cgroup::Cgroup;
use super::record::Entry;
use keiko_core::refusal::{Code, Refusal, Result};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long what a child forked may take to vanish after SIGKILL.
const LEFTOVER_DEADLINE: Duration = Duration::from_secs(2);

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The number of the signal that ended it.
    pub signal: Option<i32>,
    /// How long it lived.
    pub lived: Duration,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(signal)) => match Signal::try_from(signal) {
                Ok(name) => write!(f, "ended by {name}"),
                Err(_) => write!(f, "ended by signal {signal}"),
            },
            (None, None) => f.write_str("its end was not seen"),
        }
    }
}

/// How long each step of a stop may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    /// After its standard input was closed, until SIGTERM.
    pub close: Duration,
    /// After SIGTERM, until SIGKILL.
    pub term: Duration,
    /// After SIGKILL, until the stop gives up.
    pub kill: Duration,
}

impl Default for Grace {
    fn default() -> Self {
        // The MCP specification asks for "a reasonable time" at each step; the last one also
        // covers the end of what it forked (2 s).
        let step = Duration::from_secs(2);
        Self { close: step, term: step, kill: Duration::from_secs(5) }
    }
}

/// A handle to a child; cheap to clone. Dropping it changes nothing.
#[derive(Clone, Debug)]
pub struct Process(Arc<Running>);

#[derive(Debug)]
struct Running {
    entry: Entry,
    cgroup: Option<Cgroup>,
    started: Instant,
    reaped: Mutex<bool>,
    exit: watch::Receiver<Option<Exit>>,
}

impl Process {
    /// A child that has just been started, and where its end will be told.
    pub(super) fn new(entry: Entry, cgroup: Option<Cgroup>) -> (Self, watch::Sender<Option<Exit>>) {
        let (told, exit) = watch::channel(None);
        let running =
            Running { entry, cgroup, started: Instant::now(), reaped: Mutex::new(false), exit };
        (Self(Arc::new(running)), told)
    }

    /// The id that its command named.
    pub fn id(&self) -> &str {
        &self.0.entry.id
    }

    /// Its number, which is also its process group.
    pub fn pid(&self) -> u32 {
        self.0.entry.pid.unsigned_abs()
    }

    /// How long ago it was started.
    pub fn age(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// How it ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        *self.0.exit.borrow()
    }

    /// Waits for its end. By then what it forked is gone too, and its id is free.
    pub async fn wait(&self) -> Exit {
        let mut exit = self.0.exit.clone();
        let told = exit.wait_for(Option::is_some).await.ok().and_then(|told| *told);
        told.unwrap_or_else(|| Exit { code: None, signal: None, lived: self.age() })
    }

    /// Ends it: waits for `close`, sends SIGTERM to its group and waits for `term`, then sends
    /// SIGKILL to group and cgroup. The caller closes its standard input first (dropping the
    /// transport does) or calls [`Child::stop`](super::Child::stop).
    ///
    /// # Errors
    /// [`Code::ChildFailed`] if it still lives after all that, as in an uninterruptible sleep.
    pub async fn stop(&self, grace: Grace) -> Result<Exit> {
        if let Ok(exit) = timeout(grace.close, self.wait()).await {
            return Ok(exit);
        }
        self.signal(Signal::SIGTERM);
        if let Ok(exit) = timeout(grace.term, self.wait()).await {
            return Ok(exit);
        }
        self.kill();
        timeout(grace.kill, self.wait()).await.map_err(|_| {
            let message = format!("child {:?} (pid {}) does not end", self.id(), self.pid());
            Refusal::new(Code::ChildFailed, message)
                .cause("it was sent SIGKILL, so it sleeps in the kernel")
                .hint(format!("see /proc/{}/stack for what it waits for", self.pid()))
        })
    }

    /// Kills it and what it forked, at once.
    pub(super) fn kill(&self) {
        self.signal(Signal::SIGKILL);
        if let Some(cgroup) = &self.0.cgroup {
            cgroup.kill();
        }
    }

    fn signal(&self, signal: Signal) {
        let reaped = self.0.reaped.lock().unwrap_or_else(PoisonError::into_inner);
        if !*reaped {
            let _ = killpg(self.leader(), signal);
        }
    }

    /// What the next daemon must know.
    pub(super) fn entry(&self) -> Entry {
        self.0.entry.clone()
    }

    /// Waits for the leader, ends what it forked, and reaps it. Blocks the calling thread.
    pub(super) fn see_end(&self) -> Exit {
        let ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        // The number stays taken until the call without WNOWAIT below.
        while waitid(Id::Pid(self.leader()), ended) == Err(Errno::EINTR) {}
        let lived = self.age();
        self.signal(Signal::SIGKILL);
        if let Some(cgroup) = &self.0.cgroup
            && !cgroup.end(Instant::now() + LEFTOVER_DEADLINE)
        {
            tracing::warn!(id = self.id(), "what the child forked does not end");
        }
        let mut reaped = self.0.reaped.lock().unwrap_or_else(PoisonError::into_inner);
        *reaped = true;
        let (code, signal) = match waitpid(self.leader(), None) {
            Ok(WaitStatus::Exited(_, code)) => (Some(code), None),
            Ok(WaitStatus::Signaled(_, signal, _)) => (None, Some(signal as i32)),
            _ => (None, None),
        };
        Exit { code, signal, lived }
    }

    fn leader(&self) -> Pid {
        Pid::from_raw(self.0.entry.pid)
    }
}
