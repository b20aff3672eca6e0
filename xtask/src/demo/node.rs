//! What the demo starts and ends: one daemon, one agent, one folder.
//!
//! Each program has a process group of its own, so that Ctrl-C reaches the demo alone, which then
//! ends them in order. After [`Started::end`] nothing of them is left, children of a killed daemon
//! included.

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a program may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an agent may take to start; Python takes seconds on a cold disk.
const START: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// Everything that must be ended.
pub(crate) struct Started {
    folder: PathBuf,
    daemon: Option<Child>,
    agent: Option<Child>,
    /// Servers that a daemon started: they outlive it only if it was killed.
    servers: Vec<Pid>,
    ended: bool,
}

impl Started {
    /// A fresh folder under `parent`; the path stays short, for the socket in it.
    pub(crate) fn new(parent: &Path, what: &str) -> Result<Self> {
        let folder = parent.join(format!("keiko-{what}-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
        Ok(Self { folder, daemon: None, agent: None, servers: Vec::new(), ended: false })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn log(&self) -> PathBuf {
        self.folder.join("keikod.log")
    }

    /// Starts the daemon, unless the demo is being ended.
    pub(crate) fn start_daemon(&mut self, mut command: Command) -> Result<()> {
        self.refuse_if_ended()?;
        let log = fs::File::options().create(true).append(true).open(self.log())?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        self.daemon = Some(command.spawn().context("starting keikod")?);
        Ok(())
    }

    /// Fails if the daemon ended by itself.
    pub(super) fn check_daemon(&mut self) -> Result<()> {
        let daemon = self.daemon.as_mut().context("no daemon was started")?;
        match daemon.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("keikod ended by itself: {status}"),
        }
    }

    /// Kills the daemon as a crash would.
    pub(super) fn kill_daemon(&mut self) -> Result<()> {
        self.note_servers();
        let mut daemon = self.daemon.take().context("no daemon was started")?;
        daemon.kill()?;
        daemon.wait()?;
        Ok(())
    }

    pub(crate) fn daemon_pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Child::id)
    }

    /// Starts an agent that [announces](announced) on stdout where it listens.
    pub(super) fn start_agent(&mut self, mut command: Command) -> Result<ChildStdout> {
        self.refuse_if_ended()?;
        let log =
            fs::File::options().create(true).append(true).open(self.folder.join("agent.log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).process_group(0);
        let agent = self.agent.insert(command.spawn().context("starting the agent")?);
        agent.stdout.take().context("the agent's output")
    }

    fn refuse_if_ended(&self) -> Result<()> {
        if self.ended { bail!("the demo is over") } else { Ok(()) }
    }

    /// Remembers the daemon's children, for the case that it can't end them itself.
    fn note_servers(&mut self) {
        if let Some(pid) = self.daemon_pid() {
            let children = children(pid);
            self.servers.extend(children.into_iter().map(|child| child.pid));
        }
    }

    /// The last lines of the daemon's log, for a story that went wrong.
    pub(crate) fn print_log(&self) {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        eprintln!("\nthe end of keikod's log:");
        for line in &lines[lines.len().saturating_sub(30)..] {
            eprintln!("  {line}");
        }
    }

    /// Ends everything; the second time it does nothing.
    pub(crate) fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.note_servers();
        for child in [self.daemon.take(), self.agent.take()].into_iter().flatten() {
            end_child(child);
        }
        // Each is the leader of its own group. One that is gone already is no error.
        for server in self.servers.drain(..) {
            let _ = killpg(server, Signal::SIGKILL);
            let _ = kill(server, Signal::SIGKILL);
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("{} is left behind: {error}", self.folder.display());
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.end();
    }
}

/// The URL in the line `listening on URL`, which is the first thing that an agent prints.
pub(super) fn announced(stdout: ChildStdout) -> Result<String> {
    let (send, receive) = mpsc::sync_channel(1);
    // Ends with the agent at the latest.
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = BufReader::new(stdout).read_line(&mut line);
        let _ = send.send(line);
    });
    let line = receive.recv_timeout(START).context("the agent does not say where it listens")?;
    let url = line.trim().strip_prefix("listening on ").context("the agent did not start")?;
    Ok(url.to_owned())
}

fn end_child(mut child: Child) {
    let Ok(pid) = i32::try_from(child.id()) else { return };
    let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(POLL);
    }
    let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    let _ = child.wait();
}

/// A process that another one started.
pub(super) struct Process {
    pub(super) pid: Pid,
    pub(super) command: String,
}

/// The children of a process.
pub(super) fn children(parent: u32) -> Vec<Process> {
    let child = |line: &str| {
        let mut words = line.split_whitespace();
        let (pid, ppid) = (words.next()?.parse().ok()?, words.next()?.parse::<u32>().ok()?);
        let command = words.collect::<Vec<_>>().join(" ");
        (ppid == parent).then(|| Process { pid: Pid::from_raw(pid), command })
    };
    from_proc().or_else(from_ps).unwrap_or_default().lines().filter_map(child).collect()
}

/// `pid ppid command` of every process, where there is a `/proc`.
fn from_proc() -> Option<String> {
    let line = |folder: PathBuf| {
        let pid: u32 = folder.file_name()?.to_str()?.parse().ok()?;
        let stat = fs::read_to_string(folder.join("stat")).ok()?;
        // The command's name is in parentheses and may hold anything.
        let ppid = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.to_owned();
        let words = fs::read(folder.join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&words).replace('\0', " ");
        Some(format!("{pid} {ppid} {}\n", command.replace('\n', " ")))
    };
    let lines: String =
        fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| line(entry.path())).collect();
    (!lines.is_empty()).then_some(lines)
}

/// The same where there is none.
fn from_ps() -> Option<String> {
    let mut command = Command::new("ps");
    command.args(["-A", "-ww", "-o", "pid=,ppid=,args="]);
    crate::process::output(&mut command).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_found_and_ended() {
        let mut command = Command::new("sleep");
        let child = command.arg("60").process_group(0).spawn().unwrap();
        let pid = child.id();
        let found = |list: Vec<Process>| {
            list.iter().any(|p| p.command == "sleep 60" && p.pid.as_raw() as u32 == pid)
        };
        // Until it has become `sleep`, the child looks like this process.
        let until = Instant::now() + Duration::from_secs(10);
        while !found(children(std::process::id())) {
            assert!(Instant::now() < until);
        }
        end_child(child);
        assert!(!found(children(std::process::id())));
    }
}
