//! Nodes on hosts of their own, and packets that get lost: nobody is refused and no connection is
//! reset, so that only silence tells.

use super::steady::{Steady, Written, longest_gap, nothing_is_lost};
use super::{nobody_leads, put, value, wait_alone};
use keiko_tests::cluster::name;
use keiko_tests::wait::expect;
use keiko_tests::{Cluster, DEADLINE, Network, eventually, measure};
use std::time::Duration;

const TEST: &str = "cluster::namespaces";
/// Between two writes.
const EVERY: Duration = Duration::from_millis(10);
/// How long packets get lost: several elections, and TCP waits for seconds before it sends again.
const LOST: Duration = Duration::from_secs(8);
/// How long nothing may be accepted meanwhile.
const GAP_MAX: Duration = Duration::from_secs(5);

/// The longest time in which nothing was accepted: not too long.
#[track_caller]
fn check_gap(written: &[Written]) -> Duration {
    assert!(written.len() > 100, "only {} writes", written.len());
    let gap = longest_gap(written);
    assert!(gap < GAP_MAX, "no write was accepted for {gap:?}");
    gap
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_cable_is_pulled_is_a_short_pause() {
    let Some(network) = Network::open(TEST, 3) else { return };
    let mut cluster = Cluster::across(&network);
    put(&cluster.node(0).ctl, "pulled", "before", "").ok();
    let leader = cluster.wait_leader();
    let steady = Steady::start(cluster.node(cluster.others(leader)[0]), EVERY);
    tokio::time::sleep(Duration::from_secs(1)).await;
    network.unplug(leader);
    let next = eventually("the others go on", || {
        let now = cluster.leader().ok_or("nobody leads")?;
        expect(now != leader, || format!("{} leads still", name(now))).map(|()| now)
    });
    put(&cluster.node(next).ctl, "pulled", "after", "").ok();
    let ctl = &cluster.node(leader).ctl;
    wait_alone(ctl);
    nobody_leads(put(ctl, "pulled", "nonsense", "--timeout 6s"));
    nobody_leads(ctl.run("agent get pulled --consistency linearizable --timeout 6s"));
    assert_eq!(value(ctl, "pulled", "--stale"), "before");
    tokio::time::sleep(LOST).await;

    network.plug(leader);
    cluster.wait_whole();
    let written = steady.end().await;
    let kept = GAP_MAX - check_gap(&written);
    measure("a cable pulled, of 5 s without a write left", kept.as_secs_f64(), 0.0, "s");
    for node in cluster.nodes() {
        assert_eq!(value(&node.ctl, "pulled", "--consistency linearizable"), "after");
    }
    cluster.agree_within(DEADLINE).expect("the same state everywhere");
    nothing_is_lost(cluster.nodes(), &written).await;
    cluster.end().expect("every record is right");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_that_get_lost_one_way_stop_nobody() {
    let Some(network) = Network::open(TEST, 3) else { return };
    let mut cluster = Cluster::across(&network);
    for of_leader in [true, false] {
        let leader = cluster.wait_leader();
        let [follower, third] = cluster.others(leader)[..] else { panic!("there are three") };
        let (from, to) = if of_leader { (leader, follower) } else { (follower, leader) };
        let steady = Steady::start(cluster.node(third), EVERY);
        tokio::time::sleep(Duration::from_secs(1)).await;
        network.lose(from, to);
        tokio::time::sleep(LOST).await;
        network.deliver(from, to);
        cluster.wait_whole();
        let written = steady.end().await;
        check_gap(&written);
        cluster.agree_within(DEADLINE).expect("the same state everywhere");
        nothing_is_lost(cluster.nodes(), &written).await;
    }
    cluster.end().expect("every record is right");
}
