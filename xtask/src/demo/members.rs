//! Several daemons of this machine that are one cluster: the first one founds it, each other one
//! joins with a token of its own.
//!
//! Every command is printed as a person would type it.

use super::Cleanup;
use super::shell::{Shell, line, typed};
use crate::checkout::Checkout;
use crate::interrupt::lock;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Ports that are free; each node keeps its own.
const PORTS: [&str; 4] = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];

/// The nodes `n1`, `n2` …, here by their numbers from 0.
pub(crate) struct Members<'c> {
    cleanup: &'c Cleanup,
    config: Option<PathBuf>,
    members: Vec<Member>,
}

/// One of them.
struct Member {
    name: String,
    folder: PathBuf,
    shell: Shell,
}

impl<'c> Members<'c> {
    /// Starts so many and waits until they are one cluster. All read `config`, if there is one.
    pub(crate) fn start(
        checkout: &Checkout,
        cleanup: &'c Cleanup,
        count: usize,
        config: Option<&Path>,
    ) -> Result<Self> {
        let shell = Shell::new(checkout, cleanup);
        let above = lock(cleanup).folder().to_path_buf();
        let member = |number: usize| {
            let name = format!("n{number}");
            let folder = above.join(&name);
            let shell = shell.at(folder.join("keiko.sock"));
            Member { name, folder, shell }
        };
        let members = (1..=count).map(member).collect();
        let config = config.map(Path::to_path_buf);
        let nodes = Self { cleanup, config, members };
        nodes.found()?;
        Ok(nodes)
    }

    fn found(&self) -> Result<()> {
        let (founder, others) = self.members.split_first().context("no node is no cluster")?;
        self.run(founder, &["--init"], " --init")?;
        self.type_endpoint(0);
        let shell = &founder.shell;
        shell.wait("a cluster", self.cleanup, || Ok(leader_of(&status(shell)?, 1).map(drop)))?;
        if others.is_empty() {
            return Ok(());
        }
        // With the names that are typed, the lines can be copied.
        let of_founder = ["node", "get", &founder.name, "-o", "jsonpath=.apiAddress"];
        typed(&format!("A=$({})", line("keikoctl", &of_founder)));
        let address = shell.ask(&of_founder)?;
        for other in others {
            let create = ["cluster", "token", "create", "--for", "node", "-q"];
            typed(&format!("T=$({})", line("keikoctl", &create)));
            let token = shell.ask(&create)?;
            let join = ["--join", address.trim(), "--token", token.trim()];
            self.run(other, &join, " --join \"$A\" --token \"$T\"")?;
        }
        self.wait_whole().map(drop)
    }

    /// Starts a node; of `more`, `shown` is what is printed.
    fn run(&self, member: &Member, more: &[&str], shown: &str) -> Result<()> {
        let folder = member.folder.to_string_lossy();
        let mut words = vec!["run", "--data-dir", &folder, "--node-name", &member.name];
        let config = self.config.as_ref().map(|path| path.to_string_lossy());
        if let Some(config) = &config {
            words.extend(["--config", config]);
        }
        words.extend(PORTS);
        typed(&format!("{}{shown} &", line("keikod", &words)));
        words.extend(more);
        let command = member.shell.program("keikod", &words);
        lock(self.cleanup).start_node(&member.name, command)
    }

    /// Starts one again that ended.
    pub(super) fn run_again(&self, number: usize) -> Result<()> {
        self.run(self.member(number)?, &[], "")
    }

    /// Kills one as a crash would.
    pub(super) fn kill(&self, number: usize) -> Result<()> {
        let name = &self.member(number)?.name;
        let pid = lock(self.cleanup).node_pid(name).with_context(|| format!("{name} is gone"))?;
        typed(&format!("kill -9 {pid}   # keikod, {name}"));
        lock(self.cleanup).kill_node(name)
    }

    /// From here on commands without `--endpoint` go to this node.
    pub(super) fn type_endpoint(&self, number: usize) {
        if let Some(member) = self.members.get(number) {
            typed(&format!("export KEIKO_ENDPOINT={}", member.shell.endpoint()));
        }
    }

    /// How commands reach a node.
    pub(super) fn shell(&self, number: usize) -> Result<&Shell> {
        Ok(&self.member(number)?.shell)
    }

    /// The same for all of them.
    pub(crate) fn shells(&self) -> Vec<Shell> {
        self.members.iter().map(|member| member.shell.clone()).collect()
    }

    /// What a node is called.
    pub(super) fn name(&self, number: usize) -> Result<&str> {
        Ok(&self.member(number)?.name)
    }

    fn member(&self, number: usize) -> Result<&Member> {
        self.members.get(number).context("there is no such node")
    }

    /// Waits until each of them says that all of them vote and follow one leader; which that is.
    pub(super) fn wait_whole(&self) -> Result<usize> {
        let shell = self.shell(0)?;
        shell.wait("all nodes in the cluster", self.cleanup, || self.leader_of_all())
    }

    fn leader_of_all(&self) -> Result<Option<usize>> {
        let mut found = None;
        for member in &self.members {
            let status = status(&member.shell)?;
            let Some(leader) = leader_of(&status, self.members.len()) else { return Ok(None) };
            if found.get_or_insert_with(|| leader.to_owned()) != leader {
                return Ok(None);
            }
        }
        Ok(self.members.iter().position(|member| Some(&member.name) == found.as_ref()))
    }
}

fn status(shell: &Shell) -> Result<Value> {
    let answer = shell.ask(&["status", "-o", "json"])?;
    serde_json::from_str(&answer).context("status -o json")
}

/// The leader that a node names, if so many vote and all of them are there.
fn leader_of(status: &Value, count: usize) -> Option<&str> {
    let quorum = &status["quorum"];
    let all = |field: &str| quorum[field].as_u64() == u64::try_from(count).ok();
    let leader = status["leader"].as_str().filter(|name| !name.is_empty())?;
    (quorum["ok"] == true && all("voters") && all("reachable")).then_some(leader)
}

#[cfg(test)]
mod tests {
    use super::leader_of;
    use serde_json::json;

    #[test]
    fn all_vote_and_are_there() {
        let check = |leader: &str, voters: u64, reachable: u64, expect: Option<&str>| {
            let quorum = json!({"ok": true, "voters": voters, "reachable": reachable});
            let status = json!({"leader": leader, "quorum": quorum});
            assert_eq!(leader_of(&status, 3), expect, "{status}");
        };
        check("n2", 3, 3, Some("n2"));
        check("n2", 2, 2, None);
        check("n2", 3, 2, None);
        check("", 3, 3, None);
        assert_eq!(leader_of(&json!({"leader": "n1"}), 1), None);
    }
}
