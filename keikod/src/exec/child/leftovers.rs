//! Ends what a killed daemon left behind.
//!
//! The kernel kills the children themselves with their daemon. What is left is what they forked,
//! or a child whose program cleared the death signal.
//!
//! Invariants: a process is signalled only if its number and start time are those of the note, or
//! if it is in the noted process group, started after the noted child and has the child's private
//! home in its environment; a cgroup only if its name stands for this data folder.

use super::cgroup::Cgroup;
use super::proc;
use super::record::Entry;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

/// Between two looks at what is ending.
const POLL: Duration = Duration::from_millis(10);

/// Ends the noted children; returns how many processes it found, each counted once or more.
///
/// Blocks the calling thread until they are gone or the deadline is met.
pub(super) fn end(entries: &[Entry], tag: &str, deadline: Instant) -> usize {
    for cgroup in entries.iter().filter_map(|entry| entry.cgroup.as_deref()) {
        if let Some(cgroup) = Cgroup::noted(cgroup, tag) {
            cgroup.end(deadline);
        }
    }
    let mut found = 0;
    loop {
        let left: Vec<i32> = entries.iter().flat_map(processes).collect();
        found = left.len().max(found);
        for pid in &left {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        if left.is_empty() || Instant::now() >= deadline {
            return found;
        }
        std::thread::sleep(POLL);
    }
}

/// The live processes that are surely of this child.
fn processes(entry: &Entry) -> Vec<i32> {
    let own = std::process::id() as i32;
    let home = [b"HOME=", entry.home.as_os_str().as_bytes()].concat();
    let is_of = |pid: &i32| {
        let Some(stat) = proc::stat(*pid) else { return false };
        let itself = *pid == entry.pid && stat.start_ticks == entry.start_ticks;
        let forked = stat.group == entry.group && stat.start_ticks >= entry.start_ticks;
        stat.state != b'Z' && (itself || forked && proc::has_env(*pid, &home))
    };
    proc::pids().into_iter().filter(|pid| *pid > 1 && *pid != own).filter(is_of).collect()
}
