//! Nodes that live and do not hear each other.

use super::{nobody_leads, put, value, wait_alone};
use keiko_tests::cluster::name;
use keiko_tests::shared::unique;
use keiko_tests::wait::expect;
use keiko_tests::{DEADLINE, eventually, shared_cluster};
use std::time::{Duration, Instant};

#[test]
fn what_a_stale_leader_took_never_was() {
    let mut cluster = shared_cluster();
    let leader = cluster.wait_leader();
    let others = cluster.others(leader);
    let (key, lone) = (unique("split"), unique("lone"));
    put(&cluster.node(leader).ctl, &key, "before", "").ok();
    let term = cluster.views()[leader].1.term;
    cluster.cuts.isolate(leader, &others);
    let next = eventually("the others go on", || {
        let now = cluster.leader().ok_or("nobody leads")?;
        expect(now != leader, || format!("{} leads still", name(now))).map(|()| now)
    });
    put(&cluster.node(next).ctl, &key, "after", "").ok();
    // On the wrong side: refused, and not read as if nothing had happened.
    nobody_leads(put(&cluster.node(leader).ctl, &key, "nonsense", "--timeout 6s"));
    nobody_leads(put(&cluster.node(leader).ctl, &lone, "nonsense", "--timeout 6s"));
    for level in ["linearizable", "lease"] {
        let read = format!("agent get {key} --consistency {level} --timeout 6s");
        nobody_leads(cluster.node(leader).ctl.run(&read));
    }
    assert_eq!(value(&cluster.node(leader).ctl, &key, "--stale"), "before");
    // It was told at once that nobody leads; that it is alone is known a moment later.
    wait_alone(&cluster.node(leader).ctl);

    cluster.cuts.heal();
    cluster.wait_whole();
    let (_, view) = cluster.views().swap_remove(leader);
    assert!(view.term > term, "{view}");
    for number in cluster.all() {
        let ctl = &cluster.node(number).ctl;
        assert_eq!(value(ctl, &key, "--consistency linearizable"), "after", "n{}", number + 1);
        assert_eq!(ctl.run(&format!("agent get {lone}")).status, 6, "it was refused, and is there");
    }
    cluster.agree_within(DEADLINE).expect("the same state everywhere");
}

#[test]
fn one_way_that_is_cut_stops_nobody() {
    let mut cluster = shared_cluster();
    let leader = cluster.wait_leader();
    let others = cluster.others(leader);
    let pairs = [(leader, others[0]), (others[0], leader), (others[0], others[1])];
    for (from, to) in pairs {
        let key = unique("one-way");
        cluster.cuts.one_way(from, to);
        let end = Instant::now() + Duration::from_secs(4);
        while Instant::now() < end {
            // Not always at once: the leader may have to change.
            eventually("a write is accepted", || {
                let written = put(&cluster.node(others[1]).ctl, &key, "there", "");
                expect(written.status == 0, || written.to_string())
            });
            std::thread::sleep(Duration::from_millis(200));
        }
        cluster.cuts.heal();
        cluster.wait_whole();
        for number in cluster.all() {
            assert_eq!(value(&cluster.node(number).ctl, &key, ""), "there");
        }
    }
}

/// Who was cut off asks first whether it would be elected: it does not end the leader's term.
#[test]
fn who_comes_back_does_not_unseat_the_leader() {
    let mut cluster = shared_cluster();
    let leader = cluster.wait_leader();
    let follower = cluster.others(leader)[0];
    let term = cluster.views()[leader].1.term;
    let others = cluster.others(follower);
    cluster.cuts.isolate(follower, &others);
    // Several elections long.
    std::thread::sleep(Duration::from_secs(4));
    cluster.cuts.heal();
    cluster.wait_whole();
    let view = cluster.views().swap_remove(leader).1;
    assert_eq!((view.term, view.leader), (term, name(leader)));
}

#[test]
fn a_paused_leader_wakes_up_as_a_follower() {
    let mut cluster = shared_cluster();
    let leader = cluster.wait_leader();
    let key = unique("paused");
    put(&cluster.node(leader).ctl, &key, "before", "").ok();
    cluster.pause(leader);
    let next = eventually("the others go on", || {
        cluster.leader().ok_or_else(|| "nobody leads".to_owned())
    });
    assert_ne!(next, leader);
    put(&cluster.node(next).ctl, &key, "after", "").ok();
    cluster.resume(leader);
    // What it says first is the truth already.
    let read = cluster.node(leader).ctl.run(&format!(
        "agent get {key} --consistency linearizable -o jsonpath=.metadata.labels.value"
    ));
    assert_eq!(read.clone().ok().stdout.trim(), "after", "{read}");
    let read = value(&cluster.node(leader).ctl, &key, "--consistency lease");
    assert_eq!(read, "after");
    cluster.wait_whole();
}
