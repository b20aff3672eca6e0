//! What the demo starts and ends: daemons, one agent, one folder.
//!
//! Each program has a process group of its own, so that Ctrl-C reaches the demo alone, which then
//! ends them in order. After [`Started::end`] nothing of them is left, children of a killed daemon
//! included.

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A daemon that is alone, and its log.
const LONE: &str = "keikod";
/// How long programs may take to end by themselves: a daemon drains for ten seconds at most.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long an agent may take to start; Python takes seconds on a cold disk.
const START: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// Everything that must be ended.
pub(crate) struct Started {
    folder: PathBuf,
    /// Those that run, by name.
    daemons: BTreeMap<String, Child>,
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
        let (daemons, servers) = (BTreeMap::new(), Vec::new());
        Ok(Self { folder, daemons, agent: None, servers, ended: false })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// Starts a daemon that is alone, unless the demo is being ended.
    pub(crate) fn start_daemon(&mut self, command: Command) -> Result<()> {
        self.start_node(LONE, command)
    }

    /// The same for one of several.
    pub(crate) fn start_node(&mut self, name: &str, mut command: Command) -> Result<()> {
        self.refuse_if_ended()?;
        let log = fs::File::options().create(true).append(true).open(self.log(name))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let daemon = command.spawn().with_context(|| format!("starting keikod, {name}"))?;
        self.daemons.insert(name.to_owned(), daemon);
        Ok(())
    }

    /// Fails if no daemon runs, or one ended by itself.
    pub(super) fn check_daemons(&mut self) -> Result<()> {
        if self.daemons.is_empty() {
            bail!("no daemon runs");
        }
        match self.take_ended().first() {
            None => Ok(()),
            Some((name, status)) => bail!("{name} ended by itself: {status}"),
        }
    }

    /// Forgets the daemons that ended, and says which.
    pub(crate) fn take_ended(&mut self) -> Vec<(String, ExitStatus)> {
        let mut ended = Vec::new();
        self.daemons.retain(|name, daemon| match daemon.try_wait() {
            Ok(Some(status)) => {
                ended.push((name.clone(), status));
                false
            }
            Ok(None) | Err(_) => true,
        });
        ended
    }

    /// Kills a daemon as a crash would.
    pub(super) fn kill_node(&mut self, name: &str) -> Result<()> {
        let mut daemon =
            self.daemons.remove(name).with_context(|| format!("{name} does not run"))?;
        self.note_servers(daemon.id());
        daemon.kill()?;
        daemon.wait()?;
        Ok(())
    }

    /// The process of the daemon that is alone.
    pub(crate) fn daemon_pid(&self) -> Option<u32> {
        self.node_pid(LONE)
    }

    /// The process of one of several.
    pub(super) fn node_pid(&self, name: &str) -> Option<u32> {
        self.daemons.get(name).map(Child::id)
    }

    /// True if any daemon runs.
    pub(crate) fn runs(&self) -> bool {
        !self.daemons.is_empty()
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

    /// Remembers a daemon's children, for the case that it can't end them itself.
    fn note_servers(&mut self, daemon: u32) {
        self.servers.extend(children(daemon).into_iter().map(|child| child.pid));
    }

    /// The last lines of every log, for a story that went wrong.
    pub(crate) fn print_log(&self) {
        let logs = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut logs: Vec<_> = logs.map(|entry| entry.path()).collect();
        logs.retain(|path| path.extension().is_some_and(|ending| ending == "log"));
        logs.sort();
        for path in logs {
            let log = fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("\nthe end of {}:", path.display());
            for line in &lines[lines.len().saturating_sub(30)..] {
                eprintln!("  {line}");
            }
        }
    }

    /// Ends everything; the second time it does nothing.
    pub(crate) fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let daemons = std::mem::take(&mut self.daemons);
        for daemon in daemons.values() {
            self.note_servers(daemon.id());
        }
        end_all(daemons.into_values().chain(self.agent.take()).collect());
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

/// Asks all of them to end, waits for them together, and kills who does not.
fn end_all(mut programs: Vec<Child>) {
    let pid = |program: &Child| i32::try_from(program.id()).map(Pid::from_raw).ok();
    for pid in programs.iter().filter_map(pid) {
        let _ = kill(pid, Signal::SIGTERM);
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        programs.retain_mut(|program| matches!(program.try_wait(), Ok(None)));
        if programs.is_empty() || Instant::now() >= deadline {
            break;
        }
        std::thread::sleep(POLL);
    }
    for mut program in programs {
        if let Some(pid) = pid(&program) {
            let _ = killpg(pid, Signal::SIGKILL);
        }
        let _ = program.wait();
    }
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
        end_all(vec![child]);
        assert!(!found(children(std::process::id())));
    }
}
