//! What an upgrade of a cluster that is seen like this takes: which node when, by which commands, what
//! stands in the way, and what the feature level becomes.
//!
//! Invariants: one node at a time; who leads comes last; nothing is planned while a node is away or
//! behind. A node that is up to date is left out, so that the plan can be made anew after each node.
//!
//! Pure: it asks nobody.

use super::super::table;
use crate::print::time::short;
use keiko_client::proto::v1::{BackupHeader, Finding, NodeInfo, StatusResponse};
use keiko_core::features;
use std::cmp::Ordering;

/// More entries behind the furthest one, and a node has not caught up: as for a learner's vote.
const LAG_MAX: u64 = 1000;
/// An older backup is worth a word: there is no other way back to an older release.
const BACKUP_MS_MAX: u64 = 24 * 3_600_000;

/// What is to be installed, as far as anybody says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// None: not known.
    pub release: Option<String>,
    /// None: not known.
    pub level: Option<u32>,
}

/// What the plan is made of.
pub(super) struct Seen<'s> {
    pub status: &'s StatusResponse,
    /// What the nodes found out about themselves.
    pub findings: &'s [Finding],
    /// A backup that was named.
    pub backup: Option<&'s BackupHeader>,
}

/// What an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remark {
    /// Empty: of no single node.
    pub node: String,
    pub message: String,
    pub remedy: String,
}

/// One line to be typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// hand-over, drain, stop, replace, start, wait.
    pub what: &'static str,
    /// The node on whose machine; empty: anywhere.
    pub on: String,
    pub line: String,
}

/// One node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub node: NodeInfo,
    pub commands: Vec<Command>,
}

/// The plan.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub target: Target,
    /// The level that the state needs now.
    pub level: u32,
    /// The level that every voter understands.
    pub understood: u32,
    /// In order.
    pub steps: Vec<Step>,
    /// Who is up to date.
    pub done: Vec<String>,
    /// While there is one of these, nothing is to be begun.
    pub blockers: Vec<Remark>,
    pub warnings: Vec<Remark>,
}

impl Target {
    /// What the caller says; else what is newest, if not all are alike. Who plans with a newer
    /// keikoctl means its release.
    pub(super) fn of(said: Self, nodes: &[NodeInfo], own: &str) -> Self {
        let versions = || nodes.iter().map(|node| node.version.as_str()).chain([own]);
        let newest = versions().max_by(|one, other| compare(one, other)).unwrap_or(own);
        let differs = nodes.iter().any(|node| node.version != newest);
        let release = differs.then(|| newest.to_owned());
        let own_level = if newest == own { features::LEVEL } else { features::FIRST };
        let highest = nodes.iter().map(level_of).max().unwrap_or(features::FIRST).max(own_level);
        let level = nodes.iter().any(|node| level_of(node) < highest).then_some(highest);
        Self { release: said.release.or(release), level: said.level.or(level) }
    }

    /// True if this node is what it is to be; none is while nobody knows what that is.
    fn is_met(&self, node: &NodeInfo) -> bool {
        let is_known = self.release.is_some() || self.level.is_some();
        let release = self.release.as_ref().is_none_or(|release| *release == node.version);
        is_known && release && self.level.is_none_or(|level| level_of(node) >= level)
    }
}

impl Plan {
    pub(super) fn make(target: Target, seen: &Seen<'_>) -> Self {
        let status = seen.status;
        let nodes = &status.nodes;
        let level = status.feature_level.max(features::FIRST);
        let understood = voters(nodes).map(level_of).min().unwrap_or(features::FIRST);
        let is_done = |node: &&NodeInfo| target.is_met(node) && node.admin_state.is_empty();
        let mut left: Vec<&NodeInfo> = nodes.iter().filter(|node| !is_done(node)).collect();
        // The sort is stable: among equals it is the order in which they joined.
        left.sort_by_key(|node| {
            let leads = node.name == status.leader;
            (leads, node.role == "voter", node.admin_state.is_empty())
        });
        let steps = left.into_iter().map(|node| step(node, &target, status)).collect();
        let done = nodes.iter().filter(is_done).map(|node| node.name.clone()).collect();
        let mut blockers = quorum(status);
        blockers.extend(nodes.iter().filter_map(|node| away(node, nodes)));
        blockers.extend(backwards(&target, level, nodes));
        blockers.extend(foreign(seen));
        let mut warnings: Vec<Remark> = backup(seen).into_iter().collect();
        warnings.extend(small(status));
        warnings.extend(nodes.iter().filter_map(hosts));
        warnings.extend(seen.findings.iter().filter(|one| one.status == "failed").map(found));
        Self { target, level, understood, steps, done, blockers, warnings }
    }

    /// The level once all nodes are what they are to be.
    pub(super) fn level_after(&self) -> u32 {
        self.target.level.unwrap_or(self.understood).max(self.level)
    }
}

fn voters(nodes: &[NodeInfo]) -> impl Iterator<Item = &NodeInfo> {
    nodes.iter().filter(|node| node.role == "voter")
}

/// A node that says none understands the first one.
fn level_of(node: &NodeInfo) -> u32 {
    node.feature_level.max(features::FIRST)
}

/// Releases by their numbers; what is no number counts as text.
fn compare(one: &str, other: &str) -> Ordering {
    let parts = |text: &str| -> Vec<(u64, String)> {
        let part = |part: &str| (part.parse().unwrap_or(0), part.to_owned());
        text.split(['.', '-', '+']).map(part).collect()
    };
    parts(one).cmp(&parts(other))
}

fn remark(node: &str, message: impl Into<String>, remedy: impl Into<String>) -> Remark {
    Remark { node: node.to_owned(), message: message.into(), remedy: remedy.into() }
}

// ---- the steps ----

fn step(node: &NodeInfo, target: &Target, status: &StatusResponse) -> Step {
    let name = &node.name;
    let line = |what, on: &str, line: String| Command { what, on: on.to_owned(), line };
    let mut commands = Vec::new();
    // One that is what it is to be waits only to be in use again.
    if !target.is_met(node) {
        if *name == status.leader
            && let Some(heir) = heir(node, status)
        {
            let hand = format!("keikoctl cluster transfer-leader --to {heir}");
            commands.push(line("hand-over", "", hand));
        }
        let drain = format!("keikoctl node drain {name} --reason upgrade --wait");
        commands.push(line("drain", "", drain));
        commands.push(line("stop", name, "systemctl stop keikod".to_owned()));
        let package = match &target.release {
            Some(release) => format!("{release}-*"),
            None => "*".to_owned(),
        };
        commands.push(line("replace", name, format!("apt install ./keikod_{package}.deb")));
        commands.push(line("start", name, "systemctl start keikod".to_owned()));
    }
    commands.push(line("wait", "", format!("keikoctl node drain {name} --undo --wait")));
    Step { node: node.clone(), commands }
}

/// Who leads while the leader is replaced: by then all others are what they are to be.
fn heir<'s>(leader: &NodeInfo, status: &'s StatusResponse) -> Option<&'s str> {
    let others = voters(&status.nodes).filter(|node| node.name != leader.name);
    others.min_by_key(|node| !node.admin_state.is_empty()).map(|node| node.name.as_str())
}

// ---- what stands in the way ----

fn quorum(status: &StatusResponse) -> Vec<Remark> {
    let quorum = status.quorum.unwrap_or_default();
    let mut found: Vec<Remark> = Vec::new();
    if let Some(words) = table::lost(status) {
        found.push(remark("", words, "start the nodes that are down: keikoctl cluster status"));
    } else if quorum.voters >= 3 && quorum.reachable <= quorum.needed {
        let (reachable, voters, needed) = (quorum.reachable, quorum.voters, quorum.needed);
        let message = format!(
            "{reachable} of {voters} voters are reachable and {needed} are needed: none of them can be stopped"
        );
        found.push(remark("", message, "bring the others back first: keikoctl cluster status"));
    }
    let alarm = |words: &String| remark(&status.node, format!("alarm: {words}"), "keikoctl doctor");
    found.extend(status.alarms.iter().map(alarm));
    found
}

/// A node that is not there, or not where the others are.
fn away(node: &NodeInfo, all: &[NodeInfo]) -> Option<Remark> {
    let name = &node.name;
    match node.state.as_str() {
        "leader" | "follower" | "learner" => {}
        "down" => {
            let remedy = format!(
                "bring it back first, with the new release if it was being replaced: systemctl start keikod on {name}"
            );
            return Some(remark(name, format!("{name} is down"), remedy));
        }
        state => {
            let remedy = "wait until it follows: keikoctl node list --watch";
            return Some(remark(name, format!("{name} is {state}"), remedy));
        }
    }
    let furthest = all.iter().map(|node| node.applied_index).max().unwrap_or_default();
    let behind = furthest.saturating_sub(node.applied_index).max(node.lag);
    (behind >= LAG_MAX).then(|| {
        let message = format!("{name} is {behind} entries behind");
        remark(name, message, "wait until it has caught up: keikoctl cluster status")
    })
}

/// There is no way back to an older release.
fn backwards(target: &Target, level: u32, nodes: &[NodeInfo]) -> Vec<Remark> {
    let mut found = Vec::new();
    let remedy = "a backup that the older release made can be restored as another cluster";
    if let Some(to) = target.level.filter(|to| *to < level) {
        let message =
            format!("the state needs feature level {level}, that release understands {to}");
        found.push(remark("", message, remedy));
    }
    if let Some(release) = &target.release {
        let newer = |node: &&NodeInfo| compare(&node.version, release) == Ordering::Greater;
        let back = |node: &NodeInfo| {
            let NodeInfo { name, version, .. } = node;
            remark(name, format!("{name} runs {version}, which is newer than {release}"), remedy)
        };
        found.extend(nodes.iter().filter(newer).map(back));
    }
    found
}

/// A backup of something else.
fn foreign(seen: &Seen<'_>) -> Option<Remark> {
    let header = seen.backup?;
    let id = seen.status.cluster.as_ref().map_or("", |cluster| &cluster.id);
    (header.cluster_id != id).then(|| {
        let message = format!("the backup is of cluster {}, this one is {id}", header.cluster_id);
        remark("", message, "keikoctl cluster backup FILE")
    })
}

// ---- what is worth a word ----

fn backup(seen: &Seen<'_>) -> Option<Remark> {
    const REMEDY: &str =
        "keikoctl cluster backup FILE, keikod verify FILE, then plan with --backup FILE";
    let Some(header) = seen.backup else {
        return Some(remark("", "no backup was named: none is known to be there", REMEDY));
    };
    let age_ms = seen.status.server_unix_ms.saturating_sub(header.created_unix_ms);
    let message = format!("the backup is {} old", short(age_ms));
    (age_ms > BACKUP_MS_MAX).then(|| remark("", message, REMEDY))
}

/// Who has no spare voter stands still for each restart.
fn small(status: &StatusResponse) -> Option<Remark> {
    let voters = status.quorum.unwrap_or_default().voters;
    (voters == 1 || voters == 2).then(|| {
        let message = match voters {
            1 => "with 1 voter nothing is answered while it restarts",
            _ => "with 2 voters no write and no fresh read is taken while one of them restarts",
        };
        remark("", message, "let a third node join first: keikoctl cluster token create --for node")
    })
}

/// Commands of MCP servers go with their node.
fn hosts(node: &NodeInfo) -> Option<Remark> {
    let NodeInfo { name, hosted, .. } = node;
    (*hosted > 0).then(|| {
        let servers =
            if *hosted == 1 { "1 MCP server".to_owned() } else { format!("{hosted} MCP servers") };
        let message = format!(
            "{name} runs {servers}: away while it restarts, unless another node may run them"
        );
        remark(name, message, "[exec] allow in keiko.toml of another node")
    })
}

fn found(finding: &Finding) -> Remark {
    remark(&finding.node, format!("{}: {}", finding.check, finding.message), &finding.remedy)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
