//! The story that the demo tells: start, register, find, call, kill, heal, crash, nothing lost.

use super::node::{self, Process};
use super::shell::{Shell, heading, line, typed};
use super::{Cleanup, lock};
use crate::checkout::Checkout;
use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Instant;

const TIME_CALL: &[&str] = &["tool", "call", "get_current_time", r#"{"timezone":"UTC"}"#];
/// What must be the same after the crash.
const KINDS: [&str; 3] = ["agent", "mcp", "tool"];

struct Story<'d> {
    shell: Shell,
    cleanup: &'d Cleanup,
    checkout: &'d Checkout,
    real: bool,
}

/// Tells it all; gives the verdict.
pub(super) fn tell(checkout: &Checkout, cleanup: &Cleanup, real: bool) -> Result<String> {
    let story = Story { shell: Shell::new(checkout, cleanup), cleanup, checkout, real };
    story.start()?;
    story.register()?;
    story.find_and_call()?;
    let healed = story.kill_server()?;
    let kept = story.kill_daemon()?;
    Ok(format!(
        "demo: all of it worked: the server healed in {healed:.1} s, and {kept} outlived kill -9"
    ))
}

impl Story<'_> {
    fn start(&self) -> Result<()> {
        heading("a fresh node");
        self.run_daemon(&["--init"])?;
        self.shell.show(&["status"])?;
        Ok(())
    }

    /// Starts `keikod run` in the background and waits until it answers.
    fn run_daemon(&self, more: &[&str]) -> Result<()> {
        let folder = lock(self.cleanup).folder().to_path_buf();
        let folder = folder.to_string_lossy();
        let ports = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
        let arguments: Vec<&str> =
            ["run", "--data-dir", &folder].iter().chain(more).chain(&ports).copied().collect();
        typed(&format!("{} &", line("keikod", &arguments)));
        let command = self.shell.program("keikod", &arguments);
        lock(self.cleanup).start_daemon(command)?;
        self.shell
            .wait("keikoctl status", self.cleanup, || self.shell.ask(&["status"]).map(Some))?;
        Ok(())
    }

    fn register(&self) -> Result<()> {
        heading("MCP servers and an A2A agent join");
        let xtask = std::env::current_exe().context("the path of this program")?;
        let xtask = xtask.to_string_lossy();
        let bin = self.checkout.peers().join("bin");
        let mut agent;
        if self.real {
            self.shell.show(&[
                "mcp",
                "register",
                "time",
                "--",
                "mcp-server-time",
                "--local-timezone",
                "UTC",
            ])?;
            self.shell.show(&["mcp", "register", "everything", "--", "mcp-server-everything"])?;
            agent = Command::new(bin.join("hello-agent"));
            agent.args(["--port", "0"]);
        } else {
            self.shell.show(&["mcp", "register", "time", "--", &xtask, "builtin-mcp"])?;
            agent = Command::new(&*xtask);
            agent.arg("builtin-agent");
        }
        let stdout = lock(self.cleanup).start_agent(agent)?;
        let url = node::announced(stdout)?;
        self.shell.show(&["agent", "register", "hello", &url])?;
        Ok(())
    }

    fn find_and_call(&self) -> Result<()> {
        heading("find and call");
        self.wait_ready("time")?;
        self.shell.show(&["tool", "list"])?;
        self.shell.show(TIME_CALL)?;
        self.shell.show(&["agent", "call", "hello", "hi"])?;
        Ok(())
    }

    /// Kills the time server under the daemon; gives the seconds until it works again.
    fn kill_server(&self) -> Result<f64> {
        heading("kill -9 the time server: it heals");
        let before = self.server()?.context("the time server is no child of keikod")?;
        typed(&format!("kill -9 {}   # {}", before.pid, before.command));
        kill(before.pid, Signal::SIGKILL).context("killing the time server")?;
        let start = Instant::now();
        self.shell.show(&["mcp", "list"])?;
        let after = self.shell.wait("a new time server", self.cleanup, || {
            Ok(self.server()?.filter(|server| server.pid != before.pid))
        })?;
        self.wait_ready("time")?;
        self.shell
            .wait("a call after the kill", self.cleanup, || self.shell.ask(TIME_CALL).map(Some))?;
        let seconds = start.elapsed().as_secs_f64();
        println!("  … {seconds:.1} s later it is process {}", after.pid);
        self.shell.show(&["mcp", "list"])?;
        self.shell.show(TIME_CALL)?;
        Ok(seconds)
    }

    /// Kills the daemon and starts it again; gives what it kept.
    fn kill_daemon(&self) -> Result<String> {
        heading("kill -9 the daemon: nothing is lost");
        let (names, events) = (self.names()?, self.events()?);
        let pid = lock(self.cleanup).daemon_pid().context("no daemon was started")?;
        typed(&format!("kill -9 {pid}   # keikod"));
        lock(self.cleanup).kill_daemon()?;
        self.run_daemon(&[])?;
        self.shell.show(&["agent", "list"])?;
        self.shell.show(&["mcp", "list"])?;
        let lost: Vec<_> = names.difference(&self.names()?).cloned().collect();
        if !lost.is_empty() {
            bail!("lost in the crash: {}", lost.join(", "));
        }
        if !self.events()?.starts_with(&events) {
            bail!("the journal changed in the crash");
        }
        self.wait_ready("time")?;
        self.shell
            .wait("a call after the crash", self.cleanup, || self.shell.ask(TIME_CALL).map(Some))?;
        self.shell.show(TIME_CALL)?;
        Ok(format!("{} objects and {} events", names.len(), events.len()))
    }

    /// The running time server.
    fn server(&self) -> Result<Option<Process>> {
        let pid = lock(self.cleanup).daemon_pid().context("no daemon was started")?;
        let mark = if self.real { "mcp-server-time" } else { "builtin-mcp" };
        Ok(node::children(pid).into_iter().find(|process| process.command.contains(mark)))
    }

    fn wait_ready(&self, server: &str) -> Result<()> {
        self.shell.wait(&format!("{server} ready"), self.cleanup, || {
            let answer = self.shell.ask(&["mcp", "get", server, "-o", "json"])?;
            let object: Value = serde_json::from_str(&answer).context("mcp get -o json")?;
            Ok(is_ready(&object).then_some(()))
        })
    }

    fn names(&self) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for kind in KINDS {
            names.extend(self.shell.ask(&[kind, "list", "-o", "name"])?.lines().map(str::to_owned));
        }
        Ok(names)
    }

    fn events(&self) -> Result<Vec<String>> {
        let answer =
            self.shell.ask(&["event", "tail", "--from", "0", "--limit", "200", "-o", "jsonl"])?;
        Ok(answer.lines().map(str::to_owned).collect())
    }
}

/// True if the manifest has the condition Ready.
fn is_ready(object: &Value) -> bool {
    object["status"]["conditions"].as_array().is_some_and(|conditions| {
        conditions
            .iter()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    })
}

#[cfg(test)]
mod tests {
    use super::is_ready;
    use serde_json::json;

    #[test]
    fn readiness_is_a_condition() {
        let check = |conditions, expect: bool| {
            assert_eq!(is_ready(&json!({"status": {"conditions": conditions}})), expect);
        };
        check(json!([{"type": "Ready", "status": "True"}]), true);
        check(json!([{"type": "Ready", "status": "False"}]), false);
        check(json!([{"type": "Placed", "status": "True"}]), false);
        check(json!(null), false);
    }
}
