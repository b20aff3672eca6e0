//! Locks while nodes and holders die: nobody loses one that is alive, nobody keeps one that is not.

use super::{put, value};
use crate::locks::stopped::Holder;
use keiko_core::refusal::Code;
use keiko_tests::cluster::name;
use keiko_tests::ctl::Stream;
use keiko_tests::shared::unique;
use keiko_tests::wait::expect;
use keiko_tests::{Node, eventually, shared_cluster};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Longer than an election, and than whatever the machine does beside it.
const TTL: &str = "8s";
/// Longer than that: who is not kept for so long is gone.
const PAST_TTL: Duration = Duration::from_secs(10);
/// Locks that are held at once.
const LOCKS: usize = 4;

#[track_caller]
fn holders(node: &Node, lock: &str) -> Value {
    let held = node.ctl.json(&format!("lock get {lock}"));
    held["holders"].clone()
}

#[track_caller]
fn wait_queue(node: &Node, lock: &str) {
    eventually("it waits", || {
        let held = node.ctl.run(&format!("lock get {lock} -o json"));
        let waits = held.status == 0 && held.json()["queue"][0].is_object();
        expect(waits, || held.to_string())
    });
}

/// The token of the grant that is waited for.
#[track_caller]
fn granted(waits: &Stream) -> u64 {
    let granted = waits.find_json("a grant", |_| true);
    granted["holder"]["token"].as_u64().expect("a token")
}

#[test]
fn a_killed_leader_takes_no_lock_with_it() {
    let mut cluster = shared_cluster();
    let leader = cluster.wait_leader();
    let [near, far] = cluster.others(leader)[..] else { panic!("three nodes") };
    let agent = unique("kept");
    let mut held = Vec::new();
    for _ in 0..LOCKS {
        let lock = unique("kept");
        let holder = Holder::start(cluster.node(near), &lock, TTL, &agent, "");
        let waits = format!("lock acquire {lock} --ttl 30s --timeout 5m -o jsonl");
        let waits = cluster.node(far).ctl.stream(&waits);
        wait_queue(cluster.node(far), &lock);
        held.push((lock, holder, waits));
    }
    cluster.kill(leader);
    let next = cluster.wait_leader_other_than(leader);
    std::thread::sleep(PAST_TTL);
    for (lock, holder, _) in &held {
        assert!(holder.runs(), "{} lost {lock}: {}", name(near), holder.said());
        let now = holders(cluster.node(next), lock);
        assert_eq!(now[0]["token"], holder.token, "{lock}: {now}");
        assert_eq!(now.as_array().map(Vec::len), Some(1), "{lock}: {now}");
    }
    for (lock, mut holder, waits) in held {
        let (status, err) = holder.write();
        assert_eq!(status, "0", "{lock}: {err}");
        assert_eq!(holder.end(), 0, "{lock}: {}", holder.said());
        let token = granted(&waits);
        assert!(token > holder.token, "{lock}: {token} after {}", holder.token);
        put(&cluster.node(near).ctl, &agent, "late", &format!("--fence {}", holder.fence))
            .refused(1, Code::FenceStale);
        cluster.node(near).ctl.ok(&format!("lock release {lock} --token {token}"));
    }
    assert_eq!(value(&cluster.node(far).ctl, &agent, ""), "stopped");
    cluster.restart(leader);
}

#[test]
fn a_dead_holder_is_followed_after_its_ttl() {
    let mut cluster = shared_cluster();
    cluster.wait_leader();
    let (lock, agent) = (unique("dead"), unique("dead"));
    let mut holder = Holder::start(cluster.node(0), &lock, TTL, &agent, "");
    let waits = format!("lock acquire {lock} --ttl 30s --timeout 5m -o jsonl");
    let waits = cluster.node(1).ctl.stream(&waits);
    wait_queue(cluster.node(2), &lock);
    holder.kill_keeper();
    let killed = Instant::now();
    assert_eq!(holders(cluster.node(2), &lock)[0]["token"], holder.token, "its ttl is not over");
    let token = granted(&waits);
    assert!(killed.elapsed() > Duration::from_secs(2), "after {:?}", killed.elapsed());
    assert!(token > holder.token, "{token} after {}", holder.token);

    // Its command was told nothing, and does no harm.
    put(&cluster.node(2).ctl, &agent, "next", &format!("--fence default/{lock}={token}")).ok();
    let (status, err) = holder.write();
    assert_eq!(status, "1", "{err}");
    assert!(err.contains(&format!("error[{}]: ", Code::FenceStale)), "{err}");
    assert_eq!(value(&cluster.node(0).ctl, &agent, ""), "next");
    cluster.node(2).ctl.ok(&format!("lock release {lock} --token {token}"));
}
