//! Members that go, and members that must not. Each case has a cluster of its own: what goes is gone.

use super::steady::{Steady, longest_gap, nothing_is_lost};
use super::{put, says, status, value};
use keiko_core::refusal::Code;
use keiko_tests::cluster::name;
use keiko_tests::wait::expect;
use keiko_tests::{Cluster, Node, eventually};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_is_removed_under_load() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.wait_leader();
    let others = cluster.others(leader);
    let steady = Steady::start(cluster.node(others[0]), Duration::from_millis(10));
    tokio::time::sleep(Duration::from_millis(500)).await;
    // Asked at the one that goes: it says so itself.
    let removed = cluster.node(leader).ctl.run(&format!("node remove {} --yes", name(leader)));
    assert_eq!(removed.status, 0, "{removed}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let written = steady.end().await;
    let gap = longest_gap(&written);
    assert!(gap < Duration::from_secs(3), "no write was accepted for {gap:?}");
    for number in &others {
        eventually("two are left, and one of them leads", || {
            let status = status(&cluster.node(*number).ctl);
            let is_so = status["quorum"]["voters"] == 2
                && status["quorum"]["ok"] == true
                && status["leader"] != name(leader)
                && status["nodes"].as_array().map(Vec::len) == Some(2);
            expect(is_so, || status.to_string())
        });
    }
    let nodes: Vec<&Node> = others.iter().map(|number| cluster.node(*number)).collect();
    nothing_is_lost(nodes, &written).await;
    says(cluster.node(leader), &["KEIKO-0038"]);
    // What is left is a cluster like any other: one more may come in.
    let at = others[0];
    let token = cluster.node(at).ctl.ok("cluster token create --for node -q").stdout;
    let plan = keiko_tests::Plan::join("n9", cluster.node(at).api(), token.trim());
    let newcomer = Node::start(plan);
    eventually("there are three again", || {
        let status = status(&newcomer.ctl);
        expect(status["quorum"]["voters"] == 3, || status.to_string())
    });
}

#[test]
fn no_removal_takes_the_quorum_away() {
    let mut cluster = Cluster::start(3);
    put(&cluster.node(0).ctl, "kept", "there", "").ok();
    let leader = cluster.wait_leader();
    let others = cluster.others(leader);
    let (dead, healthy) = (others[0], others[1]);
    cluster.kill(dead);
    let ctl = &cluster.node(leader).ctl;
    eventually("it is known that one is down", || {
        let status = status(ctl);
        expect(status["quorum"]["reachable"] == 2, || status.to_string())
    });
    // Two are left of three. Without the healthy one there would be two voters, of which one lives.
    ctl.refused(&format!("node remove {} --yes", name(healthy)), 1, Code::MembershipRefused);
    ctl.refused(&format!("node remove {} --yes", name(leader)), 1, Code::MembershipRefused);
    let unchanged = status(ctl);
    assert_eq!(unchanged["quorum"]["voters"], 3, "{unchanged}");
    // The dead one may go: two of two live.
    ctl.ok(&format!("node remove {} --yes", name(dead)));
    eventually("there are two voters", || {
        let status = status(ctl);
        let is_so = status["quorum"]["voters"] == 2 && status["quorum"]["ok"] == true;
        expect(is_so, || status.to_string())
    });
    put(ctl, "kept", "still-there", "").ok();
    assert_eq!(value(&cluster.node(healthy).ctl, "kept", ""), "still-there");
    // Down to one, which is alone and goes on; and that one stays.
    ctl.ok(&format!("node remove {} --yes", name(healthy)));
    eventually("one is left", || {
        let status = status(ctl);
        expect(status["quorum"]["voters"] == 1, || status.to_string())
    });
    put(ctl, "kept", "alone", "").ok();
    ctl.refused(&format!("node remove {} --yes", name(leader)), 1, Code::MembershipRefused);
}
