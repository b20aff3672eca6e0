//! Leaders come and go: killed, handed over, drained.

use super::steady::{Steady, longest_gap, nothing_is_lost};
use super::{put, value};
use keiko_tests::cluster::name;
use keiko_tests::shared::unique;
use keiko_tests::wait::expect;
use keiko_tests::{eventually, measure, shared_cluster};
use std::time::Duration;

/// Between two writes.
const EVERY: Duration = Duration::from_millis(10);
/// How long nothing may be accepted when the leader is gone.
const GAP_MAX: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_is_a_short_pause() {
    let mut cluster = shared_cluster();
    let mut worst = Duration::ZERO;
    for _ in 0..3 {
        let leader = cluster.wait_leader();
        let through = cluster.others(leader)[0];
        let steady = Steady::start(cluster.node(through), EVERY);
        tokio::time::sleep(Duration::from_secs(1)).await;
        cluster.kill(leader);
        tokio::time::sleep(Duration::from_secs(4)).await;
        let written = steady.end().await;
        assert!(written.len() > 100, "only {} writes", written.len());
        worst = worst.max(longest_gap(&written));
        assert!(worst < GAP_MAX, "no write was accepted for {worst:?}");
        cluster.restart(leader);
        cluster.wait_whole();
        nothing_is_lost(cluster.nodes(), &written).await;
    }
    let kept = GAP_MAX.as_secs_f64() - worst.as_secs_f64();
    measure("a leader killed, of 3 s without a write left", kept, 0.0, "s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over_without_a_loss() {
    let mut cluster = shared_cluster();
    let leader = cluster.wait_leader();
    let steady = Steady::start(cluster.node(leader), EVERY);
    let mut from = leader;
    for to in cluster.others(leader).into_iter().chain([leader]) {
        // Who was killed by another case may be noted as down for a moment longer.
        eventually("nobody is noted as down", || {
            let nodes = cluster.node(leader).ctl.json("node list");
            let down = |node: &serde_json::Value| node["state"] == "down";
            let items = nodes["items"].as_array().cloned().unwrap_or_default();
            expect(!items.iter().any(down), || nodes.to_string())
        });
        let handed =
            cluster.node(leader).ctl.json(&format!("cluster transfer-leader --to {}", name(to)));
        assert_eq!(handed["leader"], name(to), "{handed}");
        assert_eq!(handed["before"], name(from), "{handed}");
        eventually("all know it", || {
            let views = cluster.views();
            let agree = views.iter().all(|(_, view)| view.leader == name(to));
            expect(agree && views.len() == 3, || format!("{views:?}"))
        });
        from = to;
    }
    let written = steady.end().await;
    assert!(written.len() > 20, "only {} writes", written.len());
    let gap = longest_gap(&written);
    assert!(gap < GAP_MAX, "no write was accepted for {gap:?}");
    nothing_is_lost(cluster.nodes(), &written).await;
}

#[test]
fn leadership_goes_to_who_is_furthest_if_nobody_is_named() {
    let mut cluster = shared_cluster();
    let leader = cluster.wait_leader();
    let handed = cluster.node(0).ctl.json("cluster transfer-leader");
    assert_ne!(handed["leader"], name(leader), "{handed}");
    assert_eq!(handed["before"], name(leader), "{handed}");
    cluster.wait_leader_other_than(leader);
    let unknown = cluster.node(0).ctl.run("cluster transfer-leader --to n9");
    assert_eq!(unknown.status, 6, "{unknown}");
}

#[test]
fn a_drained_node_leads_nothing() {
    let mut cluster = shared_cluster();
    let leader = cluster.wait_leader();
    let (drained, other) = (name(leader), cluster.others(leader)[0]);
    cluster.node(other).ctl.ok(&format!("node drain {drained} --reason upgrade --wait"));
    let next = cluster.wait_leader_other_than(leader);
    for number in cluster.all() {
        eventually("it is seen everywhere", || {
            let member = cluster.node(number).ctl.json(&format!("node get {drained}"));
            expect(member["adminState"] == "draining", || member.to_string())
        });
    }
    // It answers as ever, and is not voted for when the next one goes.
    let key = unique("drained");
    put(&cluster.node(leader).ctl, &key, "through-it", "").ok();
    let third = cluster.others(leader).into_iter().find(|number| *number != next);
    cluster.kill(next);
    eventually("the third one leads", || {
        let now = cluster.leader();
        expect(now == third, || format!("{now:?} leads, not {third:?}"))
    });
    assert_eq!(value(&cluster.node(leader).ctl, &key, ""), "through-it");
    cluster.restart(next);
    cluster.node(other).ctl.ok(&format!("node drain {drained} --undo"));
    eventually("it is in use again", || {
        let member = cluster.node(other).ctl.json(&format!("node get {drained}"));
        expect(member["adminState"].is_null(), || member.to_string())
    });
}
