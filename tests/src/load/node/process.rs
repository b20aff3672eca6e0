//! A server that the benchmark starts, and ends however the benchmark ends.

use crate::under_test::{HELD, MARK};
use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a polite end may take.
const END_MAX: Duration = Duration::from_secs(30);
/// What becoming ready may take: with a long log behind it.
const READY_MAX: Duration = Duration::from_secs(120);
/// Between two looks: far below what a start takes.
const POLL: Duration = Duration::from_millis(1);
/// Lines of its log that a failure shows.
const LOG_LINES: usize = 20;

/// A running server; killed when this is dropped.
pub(in crate::load) struct Process {
    child: Child,
    command: String,
    log: PathBuf,
}

impl Process {
    /// Starts it and waits until `is_ready`; gives how long that took.
    pub(in crate::load) fn start(
        command: Command,
        log: &Path,
        is_ready: impl Fn() -> bool,
    ) -> Result<(Self, Duration)> {
        let begun = Instant::now();
        let mut process = Self::spawn(command, log)?;
        process.wait(is_ready)?;
        Ok((process, begun.elapsed()))
    }

    /// Starts it and waits for nothing.
    pub(in crate::load) fn spawn(mut command: Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        // A node that tests built ends with this process; another one does not know the mark.
        command.env(MARK, HELD).stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        Ok(Self { child, command: format!("{command:?}"), log: log.to_owned() })
    }

    /// Waits until `is_ready`.
    pub(in crate::load) fn wait(&mut self, is_ready: impl Fn() -> bool) -> Result<()> {
        let end = Instant::now() + READY_MAX;
        while !is_ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended: {status}\n{}", self.command, self.last_words());
            }
            if Instant::now() > end {
                bail!("not ready after {READY_MAX:?}: {}\n{}", self.command, self.last_words());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    pub(in crate::load) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it politely.
    pub(in crate::load) fn terminate(mut self) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.pid())?), Signal::SIGTERM)?;
        let end = Instant::now() + END_MAX;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > end {
                bail!("it does not end in {END_MAX:?}\n{}", self.last_words());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

impl Drop for Process {
    /// As a crash would end it; nothing in its folder is of use any more, or a crash is the point.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
