//! The thread that starts every child, and what it shares with the threads that wait for them.
//!
//! The kernel ties the death signal to the *thread* that forked, so all children are started by
//! one thread that lives as long as the last [`Children`](super::Children) handle. It ends when the
//! queue of jobs closes.
//!
//! Invariants: a child is among the living, and noted in `children.json`, before anyone hears of
//! it; it leaves both before its end is told. Never: waits for a child.

use super::cgroup::Cgroups;
use super::home::Homes;
use super::launch::{Launched, Launcher, Pipes};
use super::log::Logs;
use super::process::{Exit, Process};
use super::record::{self, Entry};
use super::{Command, LIVE_MAX};
use keiko_core::refusal::{Code, Refusal, Result, refuse};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, oneshot, watch};

/// Waiting for one process, and removing what it left, takes no depth.
const WAITER_STACK_BYTES: usize = 64 * 1024;

/// One command to start.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) command: Command,
    pub(super) reply: oneshot::Sender<Result<Started>>,
}

/// A child that runs. Who asked may give up at any moment, even with the reply on its way; then
/// nobody holds the child's pipes, so one that is dropped untaken is killed.
#[derive(Debug)]
pub(super) struct Started {
    process: Process,
    /// `None` once taken.
    pipes: Option<Pipes>,
}

impl Started {
    /// From here on the caller answers for the child.
    pub(super) fn take(mut self) -> Option<(Process, Pipes)> {
        Some((self.process.clone(), self.pipes.take()?))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if self.pipes.is_some() {
            self.process.kill();
        }
    }
}

/// What the handles, the starting thread and the waiting threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) data: PathBuf,
    pub(super) boot: String,
    pub(super) homes: Arc<Homes>,
    /// Goes with the last of those that share it, when no child is left in it.
    pub(super) cgroups: Option<Arc<Cgroups>>,
    pub(super) logs: Logs,
    pub(super) live: Mutex<BTreeMap<String, Process>>,
    /// Held while `children.json` is written, so that a later state is never overwritten.
    pub(super) writing: Mutex<()>,
}

impl Shared {
    /// Those that live.
    pub(super) fn live(&self) -> MutexGuard<'_, BTreeMap<String, Process>> {
        // Each change is one call of the map, so a panic elsewhere spoils nothing.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down who lives. A failure is no reason to refuse the child: the cgroup and the death
    /// signal end it too.
    pub(super) fn note(&self) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = self.live().values().map(Process::entry).collect();
        if let Err(error) = record::write(&self.data, &self.boot, entries) {
            tracing::warn!(%error, "children.json can't be written");
        }
    }

    /// Takes a child that ended from the living, and its temporary files from the disk.
    fn ended(&self, process: &Process) {
        self.homes.clear(process.id());
        self.live().remove(process.id());
        self.note();
    }
}

/// Starts what is asked for until nobody can ask any more.
pub(super) fn run(launcher: &Launcher, shared: &Arc<Shared>, mut jobs: mpsc::Receiver<Job>) {
    while let Some(Job { command, reply }) = jobs.blocking_recv() {
        if reply.is_closed() {
            continue;
        }
        // If nobody waits for it any more, the reply is dropped, and what runs ends with it.
        let _ = reply.send(start(launcher, shared, &command));
    }
}

fn start(launcher: &Launcher, shared: &Arc<Shared>, command: &Command) -> Result<Started> {
    {
        let live = shared.live();
        if let Some(process) = live.get(&command.id) {
            let message = format!("child {:?} runs already as pid {}", command.id, process.pid());
            return Err(Refusal::new(Code::ChildFailed, message).hint("wait for its end first"));
        }
        if live.len() >= LIVE_MAX {
            // The node's limit and not the peer's doing: no code that blames its size.
            return refuse(
                Code::ChildFailed,
                format!("this node runs {LIVE_MAX} children already"),
            );
        }
    }
    let Launched { pid, start_ticks, home, cgroup, pipes } = launcher.launch(command)?;
    let at = cgroup.as_ref().map(|cgroup| cgroup.path().to_owned());
    let entry = Entry { id: command.id.clone(), pid, start_ticks, group: pid, home, cgroup: at };
    let (process, told) = Process::new(entry, cgroup);
    shared.live().insert(command.id.clone(), process.clone());
    shared.note();
    wait_apart(shared, &process, told)?;
    Ok(Started { process, pipes: Some(pipes) })
}

/// Waits for the child on a thread of its own and tells its end.
fn wait_apart(
    shared: &Arc<Shared>,
    process: &Process,
    told: watch::Sender<Option<Exit>>,
) -> Result<()> {
    let (theirs, child) = (Arc::clone(shared), process.clone());
    let waiter =
        std::thread::Builder::new().name("keiko-wait".into()).stack_size(WAITER_STACK_BYTES);
    let spawned = waiter.spawn(move || {
        let exit = child.see_end();
        theirs.ended(&child);
        // Nobody may be left to hear it.
        let _ = told.send(Some(exit));
    });
    let Err(error) = spawned else { return Ok(()) };
    process.kill();
    process.see_end();
    shared.ended(process);
    let message = format!("child {:?} can't be watched over", process.id());
    Err(Refusal::new(Code::ChildFailed, message).cause(error))
}
