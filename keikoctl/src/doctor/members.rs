//! What can only be seen by looking at all members together: what one of them says otherwise than
//! the rest. A finding about one carries its name; that all agree is one finding without.
//!
//! Who is down is compared with nobody: what is known of it may be old.

use crate::print::time::short;
use keiko_client::proto::v1::{Finding, NodeInfo};
use std::collections::BTreeMap;

/// Further from the voters' median a node does not lead.
const CLOCK_MS_MAX: u64 = 500;
/// A certificate lives a day and is renewed at half: less than this, and the renewal has failed.
const CERTIFICATE_MS_LEFT: u64 = 6 * 3_600_000;

/// Compares the members. One alone agrees with itself, and says the rest in its own diagnosis.
pub(super) fn compare(nodes: &[NodeInfo], now_ms: u64) -> Vec<Finding> {
    let up: Vec<&NodeInfo> = nodes.iter().filter(|node| node.state != "down").collect();
    if nodes.len() < 2 {
        return Vec::new();
    }
    [releases(&up), levels(&up), clocks(&up), settings(&up), certificates(&up, now_ms)].concat()
}

/// Members of whom the diagnosis knows nothing.
pub(super) fn silent(nodes: &[NodeInfo], found: &[Finding]) -> Vec<Finding> {
    let is_silent = |node: &&NodeInfo| found.iter().all(|finding| finding.node != node.name);
    let finding = |node: &NodeInfo| {
        let NodeInfo { name, state, last_heard_ms, .. } = node;
        let (message, remedy) = match (state.as_str(), last_heard_ms) {
            ("down", 0) => ("nobody hears from it".to_owned(), true),
            ("down", ms) => (format!("nobody has heard from it for {}", short(*ms)), true),
            _ => ("it is heard, but does not answer when it is asked".to_owned(), false),
        };
        let remedy = match remedy {
            true => format!(
                "look at its machine and at its log; gone for good: keikoctl node remove {name}"
            ),
            false => "look at its log".to_owned(),
        };
        one(name, "member", "failed", message, &remedy)
    };
    nodes.iter().filter(is_silent).map(finding).collect()
}

fn one(node: &str, check: &str, status: &str, message: String, remedy: &str) -> Finding {
    Finding {
        check: check.to_owned(),
        status: status.to_owned(),
        message,
        remedy: remedy.to_owned(),
        node: node.to_owned(),
    }
}

/// What most of them say, and who says otherwise; of two that are as frequent the first counts. Who
/// says nothing is left out.
fn usual<'n>(
    nodes: &[&'n NodeInfo],
    says: impl Fn(&NodeInfo) -> &str,
) -> Option<(String, Vec<&'n NodeInfo>)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for node in nodes.iter().filter(|node| !says(node).is_empty()) {
        *counts.entry(says(node).to_owned()).or_default() += 1;
    }
    // The last of those that are as large is taken, so the list is read from its end.
    let usual = nodes.iter().rev().map(|node| says(node)).filter(|said| !said.is_empty());
    let usual = usual.max_by_key(|said| counts.get(*said).copied())?.to_owned();
    let differs = |node: &&NodeInfo| !says(node).is_empty() && says(node) != usual;
    let others = nodes.iter().copied().filter(differs).collect();
    Some((usual, others))
}

fn releases(nodes: &[&NodeInfo]) -> Vec<Finding> {
    const CHECK: &str = "releases";
    let Some((usual, others)) = usual(nodes, |node| &node.version) else { return Vec::new() };
    if others.is_empty() {
        return vec![one("", CHECK, "ok", format!("all run {usual}"), "")];
    }
    let differs = |node: &&NodeInfo| {
        let message = format!("it runs {}, most run {usual}", node.version);
        one(&node.name, CHECK, "warning", message, "what is left: keikoctl cluster upgrade --plan")
    };
    others.iter().map(differs).collect()
}

fn levels(nodes: &[&NodeInfo]) -> Vec<Finding> {
    const CHECK: &str = "feature-levels";
    let highest = nodes.iter().map(|node| node.feature_level).max().unwrap_or_default();
    let below: Vec<_> = nodes.iter().filter(|node| node.feature_level < highest).collect();
    if below.is_empty() {
        return vec![one("", CHECK, "ok", format!("all understand level {highest}"), "")];
    }
    let lags = |node: &&&NodeInfo| {
        let level = node.feature_level;
        let message =
            format!("it understands level {level}, others {highest}: all keep to {level}");
        one(&node.name, CHECK, "warning", message, "what is left: keikoctl cluster upgrade --plan")
    };
    below.iter().map(lags).collect()
}

fn clocks(nodes: &[&NodeInfo]) -> Vec<Finding> {
    const CHECK: &str = "clock-offsets";
    let votes = |node: &&&NodeInfo| node.role == "voter";
    let mut offsets: Vec<i64> =
        nodes.iter().filter(votes).map(|node| node.clock_offset_ms).collect();
    offsets.sort_unstable();
    let Some(median) = offsets.get(offsets.len().saturating_sub(1) / 2).copied() else {
        return Vec::new();
    };
    let away = |node: &NodeInfo| node.clock_offset_ms.saturating_sub(median);
    let far: Vec<_> =
        nodes.iter().filter(|node| away(node).unsigned_abs() > CLOCK_MS_MAX).collect();
    if far.is_empty() {
        let most = nodes.iter().map(|node| away(node).unsigned_abs()).max().unwrap_or_default();
        let message = format!("all are within {most} ms of the voters' median");
        return vec![one("", CHECK, "ok", message, "")];
    }
    let is_off = |node: &&&NodeInfo| {
        let message =
            format!("its clock is {:+} ms from the voters' median: it does not lead", away(node));
        one(&node.name, CHECK, "failed", message, "set it by NTP: timedatectl set-ntp true")
    };
    far.iter().map(is_off).collect()
}

fn settings(nodes: &[&NodeInfo]) -> Vec<Finding> {
    const CHECK: &str = "configurations";
    let Some((_, others)) = usual(nodes, |node| &node.settings_hash) else { return Vec::new() };
    if others.is_empty() {
        return vec![one("", CHECK, "ok", "all say the same".to_owned(), "")];
    }
    let differs = |node: &&NodeInfo| {
        let message = "its configuration is not that of most".to_owned();
        one(&node.name, CHECK, "warning", message, "compare its keiko.toml with another node's")
    };
    others.iter().map(differs).collect()
}

fn certificates(nodes: &[&NodeInfo], now_ms: u64) -> Vec<Finding> {
    const CHECK: &str = "certificates";
    let seen = nodes.iter().filter(|node| node.certificate_expires_ms > 0);
    let left = |node: &NodeInfo| node.certificate_expires_ms.saturating_sub(now_ms);
    let Some(first) = seen.clone().map(|node| left(node)).min() else { return Vec::new() };
    if first >= CERTIFICATE_MS_LEFT {
        let message = format!("the first ends in {}", short(first));
        return vec![one("", CHECK, "ok", message, "")];
    }
    let ends = |node: &&NodeInfo| {
        let (status, message) = match left(node) {
            0 => {
                let ago = now_ms.saturating_sub(node.certificate_expires_ms);
                ("failed", format!("its certificate ended {} ago", short(ago)))
            }
            ms => ("warning", format!("its certificate ends in {}, not renewed", short(ms))),
        };
        one(&node.name, CHECK, status, message, "its log says why it is not renewed; restart it")
    };
    seen.filter(|node| left(node) < CERTIFICATE_MS_LEFT).map(ends).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 100 * 3_600_000;

    fn three() -> [NodeInfo; 3] {
        ["n1", "n2", "n3"].map(|name| NodeInfo {
            name: name.into(),
            state: "follower".into(),
            role: "voter".into(),
            version: "0.1.0".into(),
            feature_level: 1,
            settings_hash: "ab".into(),
            certificate_expires_ms: NOW_MS + 13 * 3_600_000,
            ..NodeInfo::default()
        })
    }

    /// Node, check and status of what is not ok.
    fn wrong(nodes: &[NodeInfo]) -> Vec<String> {
        let found = compare(nodes, NOW_MS);
        let wrong = found.iter().filter(|finding| finding.status != "ok");
        let wrong = wrong.inspect(|finding| assert!(!finding.remedy.is_empty(), "{finding:?}"));
        wrong.map(|one| format!("{} {} {}", one.node, one.check, one.status)).collect()
    }

    #[test]
    fn who_differs_is_named() {
        let check = |change: &dyn Fn(&mut [NodeInfo; 3]), expect: &[&str]| {
            let mut nodes = three();
            change(&mut nodes);
            assert_eq!(wrong(&nodes), expect);
        };
        check(&|_| {}, &[]);
        check(&|nodes| nodes[2].version = "0.2.0".into(), &["n3 releases warning"]);
        check(&|nodes| nodes[0].version = "0.2.0".into(), &["n1 releases warning"]);
        check(
            &|nodes| nodes[1].feature_level = 2,
            &["n1 feature-levels warning", "n3 feature-levels warning"],
        );
        check(&|nodes| nodes[1].settings_hash = "cd".into(), &["n2 configurations warning"]);
        check(&|nodes| nodes[1].settings_hash = String::new(), &[]);
        check(&|nodes| nodes[2].clock_offset_ms = 3_600_000, &["n3 clock-offsets failed"]);
        check(&|nodes| nodes[2].clock_offset_ms = -500, &[]);
        // The one that answers is the one whose clock is wrong.
        check(
            &|nodes| nodes[1..].iter_mut().for_each(|node| node.clock_offset_ms = 9_000),
            &["n1 clock-offsets failed"],
        );
        check(
            &|nodes| nodes[0].certificate_expires_ms = NOW_MS + 3_600_000,
            &["n1 certificates warning"],
        );
        check(&|nodes| nodes[0].certificate_expires_ms = 1, &["n1 certificates failed"]);
        check(&|nodes| nodes[0].certificate_expires_ms = 0, &[]);
        check(
            &|nodes| {
                nodes[2] =
                    NodeInfo { name: "n3".into(), state: "down".into(), ..NodeInfo::default() };
            },
            &[],
        );
    }

    #[test]
    fn that_all_agree_is_said_once() {
        let found = compare(&three(), NOW_MS);
        assert!(found.iter().all(|one| one.node.is_empty() && one.status == "ok"), "{found:?}");
        assert_eq!(found.len(), 5);
        assert_eq!(compare(&three()[..1], NOW_MS), [], "one alone agrees with itself");
    }

    #[test]
    fn of_two_halves_the_first_counts() {
        let mut nodes = three();
        nodes[1].version = "0.2.0".into();
        assert_eq!(wrong(&nodes[..2]), ["n2 releases warning"]);
    }

    #[test]
    fn who_does_not_answer_is_a_finding() {
        let mut nodes = three();
        (nodes[1].state, nodes[1].last_heard_ms) = ("down".into(), 40_000);
        let told = one("n1", "ready", "ok", "it is".into(), "");
        let found = silent(&nodes, &[told]);
        let told: Vec<(&str, &str)> =
            found.iter().map(|finding| (&*finding.node, &*finding.message)).collect();
        assert_eq!(
            told,
            [
                ("n2", "nobody has heard from it for 40s"),
                ("n3", "it is heard, but does not answer when it is asked"),
            ]
        );
        assert!(found[0].remedy.contains("keikoctl node remove n2"), "{found:?}");
    }
}
