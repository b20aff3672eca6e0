//! Without a majority nothing is decided, and everything is said.

use super::{nobody_leads, put, value, wait_alone};
use keiko_tests::cluster::name;
use keiko_tests::shared::unique;
use keiko_tests::wait::expect;
use keiko_tests::{eventually, http, shared_cluster};

#[test]
fn two_of_three_are_lost_and_come_back() {
    let mut cluster = shared_cluster();
    let key = unique("left");
    put(&cluster.node(0).ctl, &key, "before", "").ok();
    let leader = cluster.wait_leader();
    // Whoever is left: the leader that loses its followers, and a follower without a leader.
    for left in [leader, cluster.others(leader)[0]] {
        eventually("it is everywhere", || {
            let read = value(&cluster.node(left).ctl, &key, "--stale");
            expect(read == "before", || read.clone())
        });
        let gone = cluster.others(left);
        for number in &gone {
            cluster.kill(*number);
        }
        let ctl = &cluster.node(left).ctl;
        let said = wait_alone(ctl);
        let led = format!("last leader {}", name(leader));
        assert!(left != leader || said.contains(&led), "{said}");
        // A write is refused soon and in so many words, and is not there later.
        nobody_leads(put(ctl, &key, "alone", "--timeout 6s"));
        nobody_leads(ctl.run(&format!("agent get {key} --timeout 6s")));
        let linearizable = format!("agent get {key} --consistency linearizable --timeout 6s");
        nobody_leads(ctl.run(&linearizable));
        assert_eq!(value(ctl, &key, "--stale"), "before");
        let answer = http::get(&cluster.node(left).socket(), "/readyz").expect("it answers");
        assert_eq!(answer.status, 503, "{answer:?}");
        let document = ctl.run("cluster status -o json").json();
        assert_eq!(document["quorum"]["ok"], false, "{document}");
        assert_eq!(document["leader"], "", "{document}");

        // One is enough.
        cluster.launch(gone[0]);
        cluster.wait_leader();
        let ctl = &cluster.node(left).ctl;
        eventually("writes are accepted again", || {
            let written = put(ctl, &key, "before", "");
            expect(written.status == 0, || written.to_string())
        });
        cluster.restart(gone[1]);
        cluster.wait_whole();
        for number in cluster.all() {
            assert_eq!(
                value(&cluster.node(number).ctl, &key, "--consistency linearizable"),
                "before"
            );
        }
    }
}

#[test]
fn all_of_them_are_lost_and_come_back() {
    let mut cluster = shared_cluster();
    let key = unique("night");
    put(&cluster.node(0).ctl, &key, "in-the-evening", "").ok();
    for number in cluster.all() {
        cluster.kill(number);
    }
    for number in cluster.all() {
        cluster.launch(number);
    }
    cluster.wait_whole();
    for number in cluster.all() {
        assert_eq!(value(&cluster.node(number).ctl, &key, ""), "in-the-evening");
    }
    cluster.agree_within(keiko_tests::DEADLINE).expect("the same state everywhere");
}
