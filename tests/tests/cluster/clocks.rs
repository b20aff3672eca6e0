//! A clock that is off: such a node does not come in, and does not lead.

use super::{members, put, value};
use keiko_core::refusal::Code;
use keiko_tests::cluster::{View, name};
use keiko_tests::shared::unique;
use keiko_tests::wait::{expect, within};
use keiko_tests::{Cluster, Node, eventually, faketime, measure, shared_cluster};
use std::time::{Duration, Instant};

/// How long somebody may lead once most voters say that its clock is off.
const MOVE_MAX: Duration = Duration::from_secs(10);
/// How long it is watched afterwards: several elections.
const WATCHED: Duration = Duration::from_secs(5);

/// From its next start on a node's wall clock is away by so much.
fn move_clock(node: &mut Node, library: &str, by: &str) {
    node.plan.env.extend(faketime::env(library, by));
}

#[test]
fn a_node_whose_clock_is_an_hour_off_does_not_come_in() {
    let Some(library) = faketime::library("cluster::clocks") else { return };
    let cluster = shared_cluster();
    // To one that is behind, the member's certificate is not valid yet.
    for by in ["+1h", "-1h"] {
        let mut node = cluster.newcomer(&unique("off"));
        move_clock(&mut node, library, by);
        node.launch();
        let status = node.wait_end();
        let log = node.log();
        let code = Code::ClockOff;
        assert!(log.contains(&format!("error[{code}]")), "{by}: no {code}:\n{log}");
        assert_eq!(status, i32::from(code.class().exit_code()), "{by}: {log}");
        assert!(!node.is_member(), "{by}: it took itself for a member");
    }
    assert_eq!(members(&cluster.node(0).ctl), ["node/n1", "node/n2", "node/n3"]);
}

/// Whether it says of itself that its clock is off.
fn is_alarmed(node: &Node) -> Result<bool, String> {
    let view = View::ask(node)?;
    Ok(view.alarms.iter().any(|alarm| alarm.contains("this node's clock is")))
}

#[track_caller]
fn wait_alarm(node: &Node, is_expected: bool) {
    eventually("the alarm of the clock", || {
        let alarmed = is_alarmed(node)?;
        expect(alarmed == is_expected, || format!("{}: {alarmed}", node.plan.name))
    });
}

/// Waits until this one leads, and asks for it where another one does.
#[track_caller]
fn wait_leads(cluster: &mut Cluster, number: usize) {
    eventually("it leads", || {
        let leader = cluster.leader().ok_or("nobody leads")?;
        if leader != number {
            cluster.node(leader).ctl.run(&format!("cluster transfer-leader --to {}", name(number)));
        }
        expect(leader == number, || format!("{} leads", name(leader)))
    });
}

#[test]
fn who_is_two_seconds_ahead_gives_up_leading_and_stays_a_follower() {
    let Some(library) = faketime::library("cluster::clocks") else { return };
    // Its own: nobody else should go on with such a clock.
    let mut cluster = Cluster::start(3);
    let ahead = cluster.wait_leader();
    let others = cluster.others(ahead);
    for number in cluster.all() {
        cluster.kill(number);
    }
    let right = cluster.node(ahead).plan.env.clone();
    move_clock(cluster.node_mut(ahead), library, "+2");
    // Of two nobody can say whose clock is off: there is an alarm, and it may lead.
    cluster.launch(ahead);
    cluster.launch(others[0]);
    wait_leads(&mut cluster, ahead);
    wait_alarm(cluster.node(ahead), true);

    // The third one decides it.
    cluster.launch(others[1]);
    cluster.node_mut(others[1]).wait_live();
    let begun = Instant::now();
    let moved = within(MOVE_MAX, || match cluster.leader() {
        Some(leader) if leader != ahead => Ok(leader),
        leader => Err(format!("{leader:?} leads")),
    });
    let next = moved.unwrap_or_else(|last| panic!("not within {MOVE_MAX:?}: {last}"));
    let kept = (MOVE_MAX - begun.elapsed().min(MOVE_MAX)).as_secs_f64();
    measure("a clock that is off, of 10 s until another one leads left", kept, 0.0, "s");
    assert!(others.contains(&next));
    let until = Instant::now() + WATCHED;
    while Instant::now() < until {
        assert_ne!(cluster.leader(), Some(ahead), "it leads again");
        std::thread::sleep(Duration::from_millis(100));
    }
    // It serves like any other, and the others' clocks are fine.
    wait_alarm(cluster.node(ahead), true);
    put(&cluster.node(ahead).ctl, "through-it", "there", "").ok();
    for number in others {
        let node = cluster.node(number);
        assert_eq!(value(&node.ctl, "through-it", "--consistency linearizable"), "there");
        wait_alarm(node, false);
    }

    // Set right, it is trusted again.
    assert_eq!(cluster.node_mut(ahead).terminate(), 0);
    cluster.node_mut(ahead).plan.env = right;
    cluster.restart(ahead);
    cluster.wait_whole();
    wait_alarm(cluster.node(ahead), false);
    wait_leads(&mut cluster, ahead);
}
