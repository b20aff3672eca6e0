//! Servers that a node runs: called through every node, and gone with theirs.

use crate::objects::wait_ready;
use keiko_tests::cluster::name;
use keiko_tests::http::get;
use keiko_tests::shared::unique;
use keiko_tests::wait::expect;
use keiko_tests::{Cluster, Node, eventually, measure, programs, shared_cluster};
use std::time::{Duration, Instant};

/// How long a dead node's servers may be taken for alive.
const ROUTE_MAX: Duration = Duration::from_secs(3);

/// The same of what is declared: besides that, an election if it led, and an entry.
const TOLD_MAX: Duration = Duration::from_secs(6);

/// Registers a stdio server at this node, and waits until it is ready.
#[track_caller]
fn host(node: &Node, server: &str) {
    let program = programs::path("fake-mcp").display().to_string();
    node.ctl.ok(&format!("mcp register {server} -- {program}"));
    wait_ready(&node.ctl, server, "True");
}

/// Waits until it is declared that its node is down.
#[track_caller]
fn wait_node_down(node: &Node, server: &str) {
    let object = wait_ready(&node.ctl, server, "False");
    assert_eq!(object["status"]["health"]["failureClass"], "node-down", "{object}");
}

/// True if a node would send a call there.
fn routes(node: &Node, server: &str) -> bool {
    let path = format!("/v1/find?capability={server}.echo&one=true");
    get(&node.socket(), &path).is_ok_and(|answer| answer.status == 200)
}

#[test]
fn a_tool_is_called_through_every_node() {
    let cluster = shared_cluster();
    for number in cluster.all() {
        let server = unique("hosted");
        host(cluster.node(number), &server);
        for caller in cluster.all() {
            let node = cluster.node(caller);
            eventually("it is routed to", || {
                expect(routes(node, &server), || format!("not by {}", name(caller)))
            });
            let line = format!(r#"tool call {server}.echo '{{"text":"through {caller}"}}'"#);
            let answer = node.ctl.ok(&line).stdout;
            assert_eq!(answer.trim(), format!("through {caller}"));
            let object = node.ctl.json(&format!("mcp get {server}"));
            assert_eq!(object["status"]["node"], name(number), "{object}");
        }
        // One process, and not one for each node.
        let log = cluster.node(number).ctl.ok(&format!("mcp logs {server}")).stdout;
        assert_eq!(log.matches("started with").count(), 1, "{log}");
    }
}

#[test]
fn what_a_dead_node_hosted_is_routed_to_no_more() {
    let mut cluster = shared_cluster();
    let leader = cluster.wait_leader();
    // A follower dies, and then whoever leads.
    for host_is_leader in [false, true] {
        let number = match host_is_leader {
            true => cluster.wait_leader(),
            false => cluster.others(leader)[0],
        };
        let server = unique("doomed");
        host(cluster.node(number), &server);
        let others = cluster.others(number);
        for other in &others {
            let node = cluster.node(*other);
            eventually("it is routed to", || expect(routes(node, &server), || name(*other)));
        }
        cluster.kill(number);
        let killed = Instant::now();
        let mut left = others.clone();
        while !left.is_empty() {
            left.retain(|other| routes(cluster.node(*other), &server));
            let took = killed.elapsed();
            assert!(took < ROUTE_MAX, "{left:?} route to {} after {took:?}", name(number));
            std::thread::sleep(Duration::from_millis(50));
        }
        let kept = (ROUTE_MAX - killed.elapsed()).as_secs_f64();
        measure("a dead node, of 3 s until nobody routes to it left", kept, 0.0, "s");
        others.iter().for_each(|other| wait_node_down(cluster.node(*other), &server));
        let took = killed.elapsed();
        assert!(took < TOLD_MAX, "{} was declared down after {took:?}", name(number));
        for other in others {
            let line = format!(r#"tool call {server}.echo '{{"text":"gone"}}' --timeout 5s"#);
            let refused = cluster.node(other).ctl.run(&line);
            assert_ne!(refused.status, 0, "{refused}");
        }
        // It comes back with its node.
        cluster.restart(number);
        cluster.wait_whole();
        for other in cluster.all() {
            let node = cluster.node(other);
            eventually("it is routed to again", || expect(routes(node, &server), || name(other)));
            wait_ready(&node.ctl, &server, "True");
        }
        let line = format!(r#"tool call {server}.echo '{{"text":"back"}}'"#);
        assert_eq!(cluster.node(leader).ctl.ok(&line).stdout.trim(), "back");
    }
}

#[test]
fn who_was_taken_for_dead_says_that_its_servers_live() {
    let mut cluster = shared_cluster();
    let leader = cluster.wait_leader();
    let followers = cluster.others(leader);
    let (number, through) = (followers[0], followers[1]);
    let server = unique("asleep");
    host(cluster.node(number), &server);
    cluster.pause(number);
    wait_node_down(cluster.node(through), &server);
    cluster.resume(number);
    cluster.wait_whole();
    for other in cluster.all() {
        wait_ready(&cluster.node(other).ctl, &server, "True");
    }
    let line = format!(r#"tool call {server}.echo '{{"text":"awake"}}'"#);
    assert_eq!(cluster.node(through).ctl.ok(&line).stdout.trim(), "awake");
    // It is the same process: nobody started it anew.
    let log = cluster.node(number).ctl.ok(&format!("mcp logs {server}")).stdout;
    assert_eq!(log.matches("started with").count(), 1, "{log}");
}

#[test]
fn a_command_that_others_may_run_starts_elsewhere() {
    let program = programs::path("fake-mcp").display().to_string();
    let allow = format!("[exec]\nallow = [[\"{program}\"]]\n");
    // Its own: what one node may run from now on is no other case's business.
    let mut cluster = Cluster::start(3);
    let number = cluster.followers()[0];
    let heir = cluster.others(number)[0];
    assert_eq!(cluster.node_mut(heir).terminate(), 0);
    cluster.node_mut(heir).configure(&allow);
    cluster.node_mut(heir).plan.config = Some(allow);
    cluster.restart(heir);
    cluster.wait_whole();
    let server = unique("moving");
    host(cluster.node(number), &server);
    cluster.kill(number);
    eventually("it runs elsewhere", || {
        let object = cluster.node(heir).ctl.json(&format!("mcp get {server}"));
        expect(object["status"]["node"] == name(heir), || object["status"].to_string())
    });
    let third = cluster.others(number).into_iter().find(|other| *other != heir).expect("a third");
    for other in [heir, third] {
        let node = cluster.node(other);
        eventually("it is routed to", || expect(routes(node, &server), || name(other)));
        let line = format!(r#"tool call {server}.echo '{{"text":"moved"}}'"#);
        assert_eq!(node.ctl.ok(&line).stdout.trim(), "moved");
    }
    // Who comes back leaves it there.
    cluster.restart(number);
    cluster.wait_whole();
    std::thread::sleep(Duration::from_secs(2));
    let object = cluster.node(number).ctl.json(&format!("mcp get {server}"));
    assert_eq!(object["status"]["node"], name(heir), "{object}");
}
