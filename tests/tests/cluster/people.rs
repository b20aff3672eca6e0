//! People come in with a token, and go on with a certificate, at any node.

use keiko_core::refusal::Code;
use keiko_tests::shared::unique;
use keiko_tests::wait::expect;
use keiko_tests::{Cluster, Ctl, eventually, fake, shared_cluster};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Somebody with this role, whose context points at this node.
#[track_caller]
pub(crate) fn person(cluster: &Cluster, role: &str, name: &str, node: usize) -> Ctl {
    let token = cluster.token(&format!("--for {role} --name {name}"));
    let ctl = Ctl::new(None);
    let endpoint = format!("https://{}", cluster.node(node).api());
    ctl.ok(&format!("context add here --endpoint {endpoint} --token {token} --use"));
    ctl
}

/// The same person asks another node from now on.
pub(crate) fn turn_to(ctl: &Ctl, cluster: &Cluster, from: usize, to: usize) {
    let path = ctl.place().join("config/keiko/config.toml");
    let text = fs::read_to_string(&path).expect("it has a context");
    let (old, new) = (cluster.node(from).api().to_string(), cluster.node(to).api().to_string());
    assert!(text.contains(&old), "{text}");
    fs::write(&path, text.replace(&old, &new)).expect("a file");
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_token_becomes_a_certificate_that_every_node_knows() {
    let cluster = shared_cluster();
    let name = unique("anna");
    let token = cluster.token(&format!("--for operator --name {name}"));
    let ctl = Ctl::new(None);
    let endpoint = format!("https://{}", cluster.node(0).api());
    ctl.ok(&format!("context add here --endpoint {endpoint} --token {token} --use"));
    for (at, next) in [(0, 1), (1, 2), (2, 0)] {
        let agent = fake::agent::start("of-a-person");
        let registered = unique("by-a-person");
        ctl.ok(&format!("agent register {registered} {}", agent.url()));
        ctl.ok("agent list");
        let seen = cluster.node(0).ctl.ok("event tail --from 0 -o jsonl").jsonl();
        let of = |event: &&Value| event["subject"] == format!("agent/default/{registered}");
        let event = seen.iter().find(of).unwrap_or_else(|| panic!("no event of {registered}"));
        assert_eq!(event["actor"]["person"]["name"], name.as_str(), "{event}");
        turn_to(&ctl, &cluster, at, next);
    }
    // The token is gone, and what is kept is for its owner only.
    let kept = files(&ctl.place().join("config"));
    for path in &kept {
        let text = fs::read_to_string(path).unwrap_or_default();
        assert!(!text.contains(&token), "{}", path.display());
        let mode = fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert!(!text.contains("PRIVATE KEY") || mode == 0o600, "{mode:o} {}", path.display());
    }
    let again = Ctl::new(None);
    let second = format!("context add here --endpoint {endpoint} --token {token}");
    again.refused(&second, 4, Code::TokenUsed);
}

#[test]
fn who_may_only_look_is_refused_and_that_is_told() {
    let mut cluster = shared_cluster();
    let name = unique("viola");
    let follower = cluster.followers()[0];
    let ctl = person(&cluster, "viewer", &name, follower);
    ctl.ok("agent list");
    ctl.ok("event tail --from 0 --limit 1 -o jsonl");
    ctl.ok("node list");
    let agent = fake::agent::start("not-hers");
    let wanted = unique("not-hers");
    let refused =
        ctl.refused(&format!("agent register {wanted} {}", agent.url()), 4, Code::PermissionDenied);
    refused.says("registry.write");
    ctl.refused("node drain n1", 4, Code::PermissionDenied).says("cluster.operate");
    ctl.refused("cluster token create --for node", 4, Code::PermissionDenied)
        .says("security.write");
    // Gathered for a second, and then in the journal of every node.
    for number in cluster.all() {
        eventually("the attempts are told", || {
            let log = cluster.node(number).ctl.ok("event tail --from 0 -o jsonl");
            let events = log.jsonl();
            let refused = events.iter().filter(|event| event["type"] == "keiko.security.refused");
            let told: String = refused.map(Value::to_string).collect();
            let all = ["registry.write", "cluster.operate", "security.write"];
            let is_told = told.contains(&name) && all.iter().all(|word| told.contains(word));
            expect(is_told, || told)
        });
    }
    let metrics = keiko_tests::http::get(&cluster.node(follower).socket(), "/metrics");
    let text = metrics.expect("it answers").text;
    assert!(text.contains("keiko_net_refusals_total{"), "no metric of refusals");
}

#[test]
fn an_operator_operates_and_no_more() {
    let mut cluster = shared_cluster();
    let ctl = person(&cluster, "operator", &unique("otto"), 0);
    let leader = cluster.wait_leader();
    ctl.ok("cluster transfer-leader");
    cluster.wait_leader_other_than(leader);
    ctl.refused("node remove n3 --yes", 4, Code::PermissionDenied).says("cluster.admin");
    ctl.refused("cluster token create --for admin --name x", 4, Code::PermissionDenied);
    // Nobody runs a command on a node from afar.
    let refused = ctl.run("mcp register odd -- /bin/true");
    assert_eq!(refused.status, 4, "{refused}");
}
