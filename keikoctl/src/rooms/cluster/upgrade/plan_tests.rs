use super::*;
use keiko_client::proto::v1::{ClusterInfo, Quorum};

fn node(name: &str, state: &str) -> NodeInfo {
    NodeInfo {
        name: name.into(),
        state: state.into(),
        role: if state == "learner" { "learner" } else { "voter" }.into(),
        version: "0.1.0".into(),
        feature_level: 1,
        applied_index: 5000,
        ..NodeInfo::default()
    }
}

/// n1 leads n2 and n3; n4 follows the log.
fn status() -> StatusResponse {
    StatusResponse {
        cluster: Some(ClusterInfo { id: "c".into(), ..ClusterInfo::default() }),
        leader: "n1".into(),
        quorum: Some(Quorum { voters: 3, needed: 2, reachable: 3, ok: true }),
        nodes: vec![
            node("n1", "leader"),
            node("n2", "follower"),
            node("n3", "follower"),
            node("n4", "learner"),
        ],
        feature_level: 1,
        server_unix_ms: 100 * 3_600_000,
        ..StatusResponse::default()
    }
}

fn target(release: &str, level: u32) -> Target {
    Target { release: Some(release.into()), level: Some(level) }
}

fn plan(target: Target, status: &StatusResponse) -> Plan {
    Plan::make(target, &Seen { status, findings: &[], backup: None })
}

fn order(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| &*step.node.name).collect()
}

fn whats(step: &Step) -> Vec<&str> {
    step.commands.iter().map(|command| command.what).collect()
}

#[test]
fn learners_then_followers_then_the_leader() {
    let all = plan(target("0.2.0", 2), &status());
    assert_eq!(order(&all), ["n4", "n2", "n3", "n1"]);
    assert_eq!(all.blockers, []);
    assert_eq!((all.level, all.understood, all.level_after()), (1, 1, 2));
    assert_eq!(whats(&all.steps[1]), ["drain", "stop", "replace", "start", "wait"]);
    let last = &all.steps[3];
    assert_eq!(whats(last), ["hand-over", "drain", "stop", "replace", "start", "wait"]);
    let lines: Vec<(&str, &str)> =
        last.commands.iter().map(|command| (&*command.on, &*command.line)).collect();
    assert_eq!(
        lines,
        [
            ("", "keikoctl cluster transfer-leader --to n2"),
            ("", "keikoctl node drain n1 --reason upgrade --wait"),
            ("n1", "systemctl stop keikod"),
            ("n1", "apt install ./keikod_0.2.0-*.deb"),
            ("n1", "systemctl start keikod"),
            ("", "keikoctl node drain n1 --undo --wait"),
        ]
    );
}

#[test]
fn what_is_done_is_left_out() {
    let mut seen = status();
    for (number, level) in [(3, 2), (1, 2), (2, 1)] {
        let version = if level == 2 { "0.2.0" } else { "0.1.0" };
        (seen.nodes[number].version, seen.nodes[number].feature_level) = (version.into(), level);
    }
    // It is back, and nobody has said so yet.
    seen.nodes[1].admin_state = "draining".into();
    let rest = plan(Target::of(Target::default(), &seen.nodes, "0.1.0"), &seen);
    assert_eq!(rest.target, target("0.2.0", 2));
    assert_eq!(order(&rest), ["n2", "n3", "n1"]);
    assert_eq!(whats(&rest.steps[0]), ["wait"]);
    assert_eq!(rest.done, ["n4"]);
    // Who leads goes to one that is in use.
    assert_eq!(rest.steps[2].commands[0].line, "keikoctl cluster transfer-leader --to n3");
    for node in &mut seen.nodes {
        (node.version, node.feature_level, node.admin_state) = ("0.2.0".into(), 2, String::new());
    }
    let none = plan(target("0.2.0", 2), &seen);
    assert_eq!((order(&none).len(), none.done.len(), none.understood), (0, 4, 2));
}

#[test]
fn the_target_is_what_is_newest() {
    let of = |versions: [&str; 2], levels: [u32; 2], own: &str| {
        let pairs = versions.into_iter().zip(levels);
        let nodes: Vec<NodeInfo> = pairs
            .map(|(version, feature_level)| NodeInfo {
                version: version.into(),
                feature_level,
                ..NodeInfo::default()
            })
            .collect();
        let Target { release, level } = Target::of(Target::default(), &nodes, own);
        (release.unwrap_or_default(), level.unwrap_or_default())
    };
    let now = features::LEVEL;
    assert_eq!(of(["0.1.0"; 2], [now; 2], "0.1.0"), (String::new(), 0));
    assert_eq!(of(["0.1.0"; 2], [now; 2], "0.10.0"), ("0.10.0".into(), 0));
    assert_eq!(of(["0.9.0", "0.10.0"], [now; 2], "0.9.0"), ("0.10.0".into(), 0));
    assert_eq!(of(["0.1.0"; 2], [now, now + 1], "0.1.0"), (String::new(), now + 1));
    assert_eq!(of(["0.2.0"; 2], [now; 2], "0.1.0"), (String::new(), 0));
    // Nobody knows what is to be installed, so nobody has it.
    let unknown = plan(Target::default(), &status());
    assert_eq!(order(&unknown).len(), 4);
    assert!(unknown.steps[0].commands[2].line.ends_with("./keikod_*.deb"));
}

#[test]
fn what_stands_in_the_way() {
    let check = |to: Target, change: &dyn Fn(&mut StatusResponse), expect: &[&str]| {
        let mut seen = status();
        change(&mut seen);
        let blockers = plan(to, &seen).blockers;
        let said: Vec<&str> = blockers.iter().map(|remark| &*remark.message).collect();
        assert_eq!(said.len(), expect.len(), "{said:?}");
        for (said, expect) in said.iter().zip(expect) {
            assert!(said.contains(expect), "{said:?} is not of {expect:?}");
        }
        assert!(blockers.iter().all(|remark| !remark.remedy.is_empty()), "{blockers:?}");
    };
    let new = || target("0.2.0", 2);
    check(new(), &|_| {}, &[]);
    check(new(), &|seen| seen.leader.clear(), &["NO LEADER 3/3"]);
    check(
        new(),
        &|seen| {
            seen.quorum = Some(Quorum { voters: 3, needed: 2, reachable: 2, ok: true });
            seen.nodes[1].state = "down".into();
        },
        &["none of them can be stopped", "n2 is down"],
    );
    check(new(), &|seen| seen.nodes[2].state = "joining".into(), &["n3 is joining"]);
    check(new(), &|seen| seen.nodes[2].applied_index = 4000, &["n3 is 1000 entries behind"]);
    check(new(), &|seen| seen.nodes[2].lag = 2000, &["n3 is 2000 entries behind"]);
    check(new(), &|seen| seen.alarms = vec!["the clock".into()], &["alarm: the clock"]);
    check(new(), &|seen| seen.feature_level = 3, &["needs feature level 3"]);
    check(target("0.0.9", 1), &|seen| seen.nodes.truncate(1), &["n1 runs 0.1.0, which is newer"]);
}

#[test]
fn what_is_worth_a_word() {
    let seen = status();
    let header = |cluster: &str, hours: u64| BackupHeader {
        cluster_id: cluster.into(),
        created_unix_ms: seen.server_unix_ms - hours * 3_600_000,
        ..BackupHeader::default()
    };
    let with = |backup: Option<&BackupHeader>| {
        Plan::make(target("0.2.0", 2), &Seen { status: &seen, findings: &[], backup })
    };
    assert!(with(None).warnings[0].message.contains("no backup was named"));
    assert_eq!(with(Some(&header("c", 1))).warnings, []);
    assert!(with(Some(&header("c", 50))).warnings[0].message.contains("old"));
    assert!(with(Some(&header("d", 1))).blockers[0].message.contains("cluster d"));

    let mut small = status();
    small.quorum = Some(Quorum { voters: 2, needed: 2, reachable: 2, ok: true });
    small.nodes[1].hosted = 2;
    let finding = |status: &str| Finding {
        check: "disk-room".into(),
        status: status.into(),
        message: "little".into(),
        remedy: "more".into(),
        node: "n3".into(),
    };
    let findings = [finding("ok"), finding("failed"), finding("warning")];
    let seen = Seen { status: &small, findings: &findings, backup: None };
    let warned = Plan::make(target("0.2.0", 2), &seen);
    let said: Vec<&str> = warned.warnings.iter().map(|remark| &*remark.message).collect();
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(said[1].contains("with 2 voters"), "{said:?}");
    assert!(said[2].contains("n2 runs 2 MCP servers"), "{said:?}");
    assert_eq!(said[3], "disk-room: little");
    assert_eq!(warned.blockers, []);
}
