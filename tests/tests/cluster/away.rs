//! Nodes that were away, or come back from another place.

use super::steady::{Steady, nothing_is_lost};
use super::{put, value};
use keiko_tests::cluster::{away_time, name};
use keiko_tests::shared::unique;
use keiko_tests::wait::expect;
use keiko_tests::{DEADLINE, eventually, shared_cluster};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_was_stopped_under_load_catches_up() {
    let mut cluster = shared_cluster();
    let leader = cluster.wait_leader();
    let followers = cluster.others(leader);
    let (away, through) = (followers[0], followers[1]);
    // Frozen where it stood, and then ended: what it missed it gets on two ways.
    for is_dead in [false, true] {
        let steady = Steady::start(cluster.node(through), Duration::from_millis(20));
        match is_dead {
            true => assert_eq!(cluster.node_mut(away).terminate(), 0),
            false => cluster.pause(away),
        }
        tokio::time::sleep(away_time() / 2).await;
        match is_dead {
            true => cluster.restart(away),
            false => cluster.resume(away),
        }
        let written = steady.end().await;
        assert!(written.len() > 100, "only {} writes", written.len());
        cluster.wait_whole();
        cluster.agree_within(DEADLINE).expect("it catches up");
        nothing_is_lost(cluster.nodes(), &written).await;
    }
}

/// A port that nobody has.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

#[test]
fn a_node_that_moved_is_found_again() {
    let mut cluster = shared_cluster();
    let leader = cluster.wait_leader();
    // A follower, and then the leader itself.
    for moved in [cluster.others(leader)[0], leader] {
        let old = cluster.node(moved).peer();
        assert_eq!(cluster.node_mut(moved).terminate(), 0);
        let address = free_address();
        cluster.node_mut(moved).plan.peer = address.to_string();
        cluster.restart(moved);
        assert_eq!(cluster.node(moved).peer(), address);
        cluster.wait_whole();
        let key = unique("moved");
        put(&cluster.node(moved).ctl, &key, "from-the-new-place", "").ok();
        for number in cluster.all() {
            assert_eq!(value(&cluster.node(number).ctl, &key, ""), "from-the-new-place");
            eventually("all know where it is", || {
                let member = cluster.node(number).ctl.json(&format!("node get {}", name(moved)));
                let told = member["peerAddress"].as_str().unwrap_or_default().to_owned();
                expect(told == address.to_string(), || format!("{told}, it was {old}"))
            });
        }
        cluster.agree_within(DEADLINE).expect("it catches up");
    }
}

/// The others start, too, and know nothing but where each of them was.
#[test]
fn all_nodes_move_at_once() {
    let mut cluster = shared_cluster();
    let key = unique("all-moved");
    put(&cluster.node(0).ctl, &key, "there", "").ok();
    // One stays, so that somebody can be found.
    for moved in [1, 2] {
        cluster.kill(moved);
    }
    for moved in [1, 2] {
        cluster.node_mut(moved).plan.peer = free_address().to_string();
        cluster.launch(moved);
    }
    cluster.wait_whole();
    for number in cluster.all() {
        assert_eq!(value(&cluster.node(number).ctl, &key, ""), "there");
    }
}
