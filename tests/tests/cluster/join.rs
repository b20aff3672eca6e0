//! A fourth node comes in with one command and one token, and nobody else does.

use super::{members, put, says, status, value, wait_voter};
use keiko_core::refusal::Code;
use keiko_tests::shared::unique;
use keiko_tests::wait::expect;
use keiko_tests::{Cluster, Node, Plan, eventually, shared_cluster};
use std::time::{Duration, Instant};

/// Takes a newcomer out again, so that the next case finds three.
#[track_caller]
fn remove(cluster: &mut Cluster, mut node: Node) {
    let name = node.plan.name.clone();
    cluster.node(0).ctl.ok(&format!("node remove {name} --yes"));
    if node.is_running() {
        node.kill_9();
    }
    eventually("there are three again", || {
        let views = cluster.views();
        let three = views.iter().all(|(_, view)| view.voters == 3 && view.members.len() == 3);
        expect(three, || format!("{views:?}"))
    });
}

#[test]
fn a_fourth_node_becomes_a_voter_by_itself() {
    let mut cluster = shared_cluster();
    let key = unique("before-four");
    put(&cluster.node(0).ctl, &key, "there", "").ok();
    let name = unique("fourth");
    // Any member lets it in, also one that does not lead.
    let follower = cluster.followers()[0];
    let token = cluster.token("--for node");
    let mut node = Node::prepare(Plan::join(&name, cluster.node(follower).api(), &token));
    node.launch();
    node.wait_ready();
    wait_voter(&mut cluster, &name);
    assert_eq!(value(&node.ctl, &key, "--consistency linearizable"), "there");
    put(&node.ctl, &key, "through-the-fourth", "").ok();
    assert_eq!(value(&cluster.node(0).ctl, &key, ""), "through-the-fourth");
    let status = status(&node.ctl);
    assert_eq!((&status["quorum"]["voters"], &status["quorum"]["needed"]), (&4.into(), &3.into()));
    // Its folder knows where it belongs: the token is not needed again, nor the address.
    assert_eq!(node.terminate(), 0, "{}", node.log());
    node.plan.join = None;
    node.restart();
    wait_voter(&mut cluster, &name);
    // And a start with the same words changes nothing.
    let tokens = cluster.node(0).ctl.json("cluster token list");
    let used = tokens["items"].as_array().into_iter().flatten();
    let used = used.filter(|token| token["usedFor"] == format!("node/{name}")).count();
    assert_eq!(used, 1, "{tokens}");
    remove(&mut cluster, node);
}

#[test]
fn a_waiting_node_joins_over_its_socket() {
    let mut cluster = shared_cluster();
    let name = unique("waiting");
    let plan = Plan { init: false, name: name.clone(), ..Plan::default() };
    let mut node = Node::prepare(plan);
    node.launch();
    node.wait_live();
    let (address, token) = (cluster.node(0).api(), cluster.token("--for node"));
    let joined = node.ctl.json(&format!("cluster join {address} --token {token}"));
    let id = joined["nodeId"].as_u64().expect("an id");
    node.wait_ready();
    wait_voter(&mut cluster, &name);
    assert_eq!(cluster.node(0).ctl.json(&format!("node get {name}"))["id"], id);
    let again = format!("cluster join {address} --token {token}");
    node.ctl.refused(&again, 7, Code::AlreadyFounded);
    remove(&mut cluster, node);
    // Ids are for ever.
    let (name, token) = (unique("next"), cluster.token("--for node"));
    let mut next = Node::start(Plan::join(&name, address, &token));
    wait_voter(&mut cluster, &name);
    let later = cluster.node(0).ctl.json(&format!("node get {name}"))["id"].as_u64();
    assert!(later > Some(id), "{later:?} behind {id}");
    assert!(next.is_running());
    remove(&mut cluster, next);
}

/// Starts a node with this token; it must end, refused.
#[track_caller]
fn refused(cluster: &Cluster, token: &str, code: Code) {
    let mut node = Node::prepare(Plan::join(&unique("refused"), cluster.node(0).api(), token));
    node.launch();
    let status = node.wait_end();
    let log = node.log();
    assert!(log.contains(&format!("error[{code}]")), "no {code}:\n{log}");
    assert_eq!(status, i32::from(code.class().exit_code()), "{log}");
    assert!(!node.is_member(), "it took itself for a member");
}

#[test]
fn tokens_that_let_no_node_in() {
    let cluster = shared_cluster();
    let expired = cluster.token("--for node --ttl 1s");
    let made = Instant::now();
    let viewer = cluster.token(&format!("--for viewer --name {}", unique("viewer")));
    refused(&cluster, &viewer, Code::PermissionDenied);
    let revoked = cluster.token("--for node");
    let id = revoked.split('.').nth(1).expect("a token has parts");
    cluster.node(0).ctl.ok(&format!("cluster token revoke {id}"));
    refused(&cluster, &revoked, Code::TokenInvalid);
    // Of another cluster: noticed before the secret is sent.
    let (front, hash) = revoked.rsplit_once('.').expect("a token has parts");
    let other: String = hash.chars().map(|c| if c == '0' { '1' } else { '0' }).collect();
    refused(&cluster, &format!("{front}.{other}"), Code::WrongCluster);
    std::thread::sleep(Duration::from_millis(1500).saturating_sub(made.elapsed()));
    refused(&cluster, &expired, Code::TokenExpired);
    assert_eq!(members(&cluster.node(0).ctl), ["node/n1", "node/n2", "node/n3"]);
}

#[test]
fn a_token_is_traded_once() {
    let mut cluster = shared_cluster();
    let (name, token) = (unique("first"), cluster.token("--for node"));
    let node = Node::start(Plan::join(&name, cluster.node(0).api(), &token));
    wait_voter(&mut cluster, &name);
    refused(&cluster, &token, Code::TokenUsed);
    // Nor is it good for anything else.
    let ctl = keiko_tests::Ctl::new(Some(format!("https://{}", cluster.node(0).api())));
    let mut command = ctl.command("agent list");
    command.env("KEIKO_TOKEN", &token);
    let listed = keiko_tests::ctl::run(command, "KEIKO_TOKEN=… keikoctl agent list", "");
    assert_eq!(listed.status, 4, "{listed}");
    remove(&mut cluster, node);
}

#[test]
fn of_two_that_race_with_one_token_one_wins() {
    let mut cluster = shared_cluster();
    for _ in 0..3 {
        let token = cluster.token("--for node");
        // Through two nodes, so that no lock of one process decides it.
        let racer = |number: usize| {
            Node::prepare(Plan::join(&unique("racer"), cluster.node(number).api(), &token))
        };
        let mut racers = [racer(1), racer(2)];
        racers.iter_mut().for_each(Node::launch);
        let loser = eventually("one of them ends", || {
            let ended = racers.iter_mut().position(|node| !node.is_running());
            ended.ok_or_else(|| "both run".to_owned())
        });
        let [mut first, mut second] = racers;
        let (lost, won) = match loser {
            0 => (&mut first, &mut second),
            _ => (&mut second, &mut first),
        };
        assert_eq!(lost.wait_end(), 4, "{}", lost.log());
        assert!(lost.log().contains("KEIKO-0027"), "{}", lost.log());
        won.wait_ready();
        let name = won.plan.name.clone();
        wait_voter(&mut cluster, &name);
        let members = cluster.node(0).ctl.json("node list")["items"].as_array().map(Vec::len);
        assert_eq!(members, Some(4));
        remove(&mut cluster, if loser == 0 { second } else { first });
    }
}

#[test]
fn a_folder_of_another_cluster_stays_there() {
    let mut cluster = shared_cluster();
    let mut node = Node::start(Plan { name: unique("other"), ..Plan::default() });
    let own = node.ctl.json("status")["cluster"]["id"].clone();
    assert_eq!(node.terminate(), 0);
    let mut words = node.arguments();
    let token = cluster.token("--for node");
    let join = ["--join", &cluster.node(0).api().to_string(), "--token", &token].map(str::to_owned);
    words.extend(join);
    let output = node.run(&words);
    let told = ["KEIKO-0012", "KEIKO-0038", "KEIKO-0042"];
    let said = told.iter().any(|code| output.stderr.contains(code));
    assert!(said && output.status != 0, "{output}");
    // The token is still good, and the folder is what it was.
    node.restart();
    assert_eq!(node.ctl.json("status")["cluster"]["id"], own);
    let mut joiner = Node::prepare(Plan::join(&unique("late"), cluster.node(0).api(), &token));
    joiner.launch();
    joiner.wait_ready();
    let name = joiner.plan.name.clone();
    wait_voter(&mut cluster, &name);
    remove(&mut cluster, joiner);
}

#[test]
fn who_was_removed_does_not_come_back_with_the_old_folder() {
    let mut cluster = shared_cluster();
    let (name, token) = (unique("removed"), cluster.token("--for node"));
    let mut node = Node::start(Plan::join(&name, cluster.node(0).api(), &token));
    wait_voter(&mut cluster, &name);
    assert_eq!(node.terminate(), 0, "{}", node.log());
    cluster.node(0).ctl.ok(&format!("node remove {name} --yes"));
    node.launch();
    says(&node, &["KEIKO-0038"]);
    let names = cluster.node(0).ctl.ok("node list -o name").stdout;
    assert!(!names.contains(&name), "{names}");
    // Three go on as if it were not there.
    let key = unique("without");
    put(&cluster.node(1).ctl, &key, "there", "").ok();
    let term = cluster.views()[0].1.term;
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(cluster.views()[0].1.term, term, "it unsettles those who threw it out");
}
