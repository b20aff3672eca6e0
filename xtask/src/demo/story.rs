//! The story that the demo tells: three nodes, register, find, call, kill, heal. How the leader dies
//! is [`super::crash`]'s.

use super::members::Members;
use super::node::{self, Process};
use super::shell::{Shell, heading, typed};
use super::{Cleanup, lock};
use crate::checkout::Checkout;
use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

pub(super) const TIME_CALL: &[&str] =
    &["tool", "call", "get_current_time", r#"{"timezone":"UTC"}"#];
const NODES: usize = 3;

pub(super) struct Story<'d> {
    pub(super) members: Members<'d>,
    /// At the node that commands go to.
    pub(super) shell: Shell,
    pub(super) cleanup: &'d Cleanup,
    checkout: &'d Checkout,
    /// This program: it is a server and an agent, too.
    pub(super) program: String,
    real: bool,
}

/// Tells it all; gives the verdict.
pub(super) fn tell(checkout: &Checkout, cleanup: &Cleanup, real: bool) -> Result<String> {
    heading("three fresh nodes: one founds a cluster, two join it");
    // Not the path of this process: the build may have put another file there.
    let program = checkout.programs().join("xtask").to_string_lossy().into_owned();
    let config = configure(lock(cleanup).folder(), &program)?;
    let members = Members::start(checkout, cleanup, NODES, Some(&config))?;
    let shell = members.shell(0)?.clone();
    let mut story = Story { members, shell, cleanup, checkout, program, real };
    story.shell.show(&["status"])?;
    let agent = story.register()?;
    story.find_and_call()?;
    let healed = story.kill_server()?;
    let survived = story.kill_leader(&agent)?;
    Ok(format!(
        "demo: all of it worked: the server healed in {healed:.1} s; the leader was killed amid {survived}"
    ))
}

/// Every node may run the server of numbers, so that it can be started elsewhere.
fn configure(folder: &Path, program: &str) -> Result<PathBuf> {
    let path = folder.join("keiko.toml");
    // Texts and lists are written alike in JSON and in TOML.
    let allow = json!([[program, "builtin-notes"]]);
    let text = format!("[exec]\nallow = {allow}\n");
    std::fs::write(&path, &text).with_context(|| format!("{}", path.display()))?;
    typed(&format!("cat {}   # what every node may run, whoever registered it", path.display()));
    print!("{text}");
    Ok(path)
}

impl Story<'_> {
    /// Gives the agent's URL.
    fn register(&self) -> Result<String> {
        heading("MCP servers and an A2A agent join");
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
            let own = &self.program;
            self.shell.show(&["mcp", "register", "time", "--", own, "builtin-mcp"])?;
            agent = Command::new(own);
            agent.arg("builtin-agent");
        }
        let stdout = lock(self.cleanup).start_agent(agent)?;
        let url = node::announced(stdout)?;
        self.shell.show(&["agent", "register", "hello", &url])?;
        Ok(url)
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

    /// The running time server.
    fn server(&self) -> Result<Option<Process>> {
        let name = self.members.name(0)?;
        let pid = lock(self.cleanup).node_pid(name).context("no daemon was started")?;
        let mark = if self.real { "mcp-server-time" } else { "builtin-mcp" };
        Ok(node::children(pid).into_iter().find(|process| process.command.contains(mark)))
    }

    pub(super) fn wait_ready(&self, server: &str) -> Result<()> {
        self.shell.wait(&format!("{server} ready"), self.cleanup, || {
            let answer = self.shell.ask(&["mcp", "get", server, "-o", "json"])?;
            let object: Value = serde_json::from_str(&answer).context("mcp get -o json")?;
            Ok(is_ready(&object).then_some(()))
        })
    }

    /// From here on commands go to this node.
    pub(super) fn turn_to(&mut self, node: usize) -> Result<()> {
        let shell = self.members.shell(node)?.clone();
        if shell.endpoint() != self.shell.endpoint() {
            self.members.type_endpoint(node);
        }
        self.shell = shell;
        Ok(())
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
