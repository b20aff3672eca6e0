//! Releases that understand different levels: no entry goes beyond what every voter understands.

use super::{put, value};
use keiko_core::refusal::Code;
use keiko_tests::cluster::inside::LEVEL;
use keiko_tests::cluster::name;
use keiko_tests::wait::expect;
use keiko_tests::{Cluster, DEADLINE, eventually};

/// From its next start on a node takes itself for one of a release that understands this level.
#[track_caller]
fn restart_with(cluster: &mut Cluster, number: usize, level: &str) {
    assert_eq!(cluster.node_mut(number).terminate(), 0);
    cluster.node_mut(number).plan.env.push((LEVEL.to_owned(), level.to_owned()));
    cluster.restart(number);
    cluster.wait_whole();
}

/// Lets each of them lead, and write.
#[track_caller]
fn lead_in_turn(cluster: &mut Cluster, text: &str) {
    for number in cluster.all() {
        eventually("it leads", || {
            let leader = cluster.wait_leader();
            let line = format!("cluster transfer-leader --to {}", name(number));
            if leader != number {
                cluster.node(leader).ctl.run(&line);
            }
            expect(leader == number, || format!("{} leads", name(leader)))
        });
        put(&cluster.node(number).ctl, "levelled", &format!("{text}-{number}"), "").ok();
    }
    cluster.agree_within(DEADLINE).expect("the same state everywhere");
}

#[test]
fn entries_are_of_the_level_that_every_voter_understands() {
    // Its own: who wrote at the next level can't go back.
    let mut cluster = Cluster::start(3);
    // One after the other, as people upgrade; whoever leads, the oldest can read it.
    for number in [0, 1] {
        restart_with(&mut cluster, number, "2");
        lead_in_turn(&mut cluster, &format!("before-{number}"));
    }
    restart_with(&mut cluster, 2, "2");
    // The leader takes it up at its next look.
    eventually("entries of the next level", || {
        lead_in_turn(&mut cluster, "after");
        assert_eq!(cluster.node_mut(2).terminate(), 0);
        let right = cluster.node(2).plan.env.clone();
        cluster.node_mut(2).plan.env.push((LEVEL.to_owned(), "1".to_owned()));
        put(&cluster.node(0).ctl, "levelled", "too-new", "").ok();
        let from = cluster.node(2).log().len();
        cluster.launch(2);
        let stopped = keiko_tests::wait::within(DEADLINE / 6, || {
            expect(!cluster.is_running(2), || "it goes on".to_owned())
        });
        let said = cluster.node(2).log().get(from..).unwrap_or_default().to_owned();
        if stopped.is_err() {
            cluster.kill(2);
        }
        cluster.node_mut(2).forget();
        cluster.node_mut(2).plan.env = right;
        cluster.restart(2);
        cluster.wait_whole();
        let is_told = said.contains(&Code::FeatureLevel.to_string());
        stopped.and_then(|()| expect(is_told, || said))
    });
    for number in cluster.all() {
        let ctl = &cluster.node(number).ctl;
        assert_eq!(value(ctl, "levelled", "--consistency linearizable"), "too-new");
    }
}
