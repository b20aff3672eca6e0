//! Two of three are gone for good: the third goes on, with all that it had, and two new ones join.

use super::{put, value};
use keiko_core::limits::REOPEN_REVISIONS;
use keiko_core::refusal::Code;
use keiko_tests::cluster::{View, name};
use keiko_tests::wait::expect;
use keiko_tests::{Cluster, Node, Output, Plan, eventually};
use std::fs;

/// Runs `keikod recover` with these folders.
fn recover(node: &Node, folders: &[&Node], flags: &str) -> Output {
    let mut words = vec!["recover".to_owned()];
    for folder in folders {
        words.extend(["--data-dir".to_owned(), folder.data().display().to_string()]);
    }
    words.extend(flags.split_whitespace().map(str::to_owned));
    node.run(&words)
}

/// Waits until a node knows an entry.
#[track_caller]
fn wait_value(node: &Node, key: &str, expected: &str) {
    eventually("it is there", || {
        let read =
            node.ctl.run(&format!("agent get {key} --stale -o jsonpath=.metadata.labels.value"));
        expect(read.stdout.trim() == expected, || read.to_string())
    });
}

/// Waits until a voter can sign: it gets the cluster key from another one a moment after its vote.
#[track_caller]
fn wait_key(node: &Node) {
    eventually("it has the cluster key", || {
        let files = fs::read_dir(node.data().join("keys")).map_err(|error| error.to_string())?;
        let mut names = files.flatten().map(|file| file.file_name().to_string_lossy().into_owned());
        let is_there = names.any(|name| name.starts_with("cluster-") && name.ends_with(".key"));
        expect(is_there, || "no file of it".to_owned())
    });
}

#[test]
fn the_third_of_three_goes_on_alone() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.wait_leader();
    let left = cluster.others(leader)[1];
    put(&cluster.node(leader).ctl, "kept", "acknowledged", "").ok();
    wait_value(cluster.node(left), "kept", "acknowledged");
    wait_key(cluster.node(left));
    let cluster_id = cluster.node(left).ctl.json("status")["cluster"]["id"].clone();
    let cluster_id = cluster_id.as_str().expect("an id").to_owned();

    // While it runs nothing is looked at.
    let running = recover(cluster.node(left), &[cluster.node(left)], "--plan");
    running.refused(7, Code::DataFolderLocked);
    for number in cluster.all() {
        cluster.kill(number);
    }
    // Two of three need not give anything up.
    let two = [cluster.node(left), cluster.node(leader)];
    recover(two[0], &two, "--plan").refused(1, Code::RecoveryRefused).says("elect a leader");

    for gone in cluster.others(left) {
        fs::remove_dir_all(cluster.node(gone).data()).expect("it is wiped");
    }
    let node = cluster.node(left);
    let plan = recover(node, &[node], "--plan -o json").ok().json();
    assert_eq!(plan["chosen"], name(left), "{plan}");
    assert_eq!(plan["not_here"].as_array().map(Vec::len), Some(2), "{plan}");
    assert_eq!((&plan["recovered"], &plan["new_authority"]), (&false.into(), &false.into()));
    let text = recover(node, &[node], "--plan").ok().stdout;
    assert!(text.contains("may be lost"), "{text}");
    recover(node, &[node], "").refused(1, Code::RecoveryRefused).says(&cluster_id);
    let wrong = "--yes --confirm 0190b1f0-0000-7000-8000-000000000000";
    recover(node, &[node], wrong).refused(1, Code::RecoveryRefused);
    let done = recover(node, &[node], &format!("--yes --confirm {cluster_id} -o json"));
    let done = done.ok().json();
    let revision = plan["nodes"][0]["revision"].as_u64().expect("a revision");
    assert!(done["goes_on_at"].as_u64() >= Some(revision + REOPEN_REVISIONS), "{done}");

    // It leads at once, as the same cluster, with what it had.
    cluster.restart(left);
    let node = cluster.node(left);
    assert_eq!(value(&node.ctl, "kept", "--consistency linearizable"), "acknowledged");
    let status = node.ctl.json("status");
    assert_eq!(status["cluster"]["id"], *cluster_id, "{status}");
    assert_eq!((&status["quorum"]["voters"], &status["leader"]), (&1.into(), &name(left).into()));
    put(&node.ctl, "kept", "alone", "").ok();
    let told = node.ctl.ok("event tail --from 0 -o jsonl").jsonl();
    let told = told.iter().find(|event| event["type"] == "keiko.cluster.recovered");
    let told = told.expect("the journal says so").to_string();
    for gone in cluster.others(left) {
        assert!(told.contains(&name(gone)), "{told}");
    }

    // Two new ones join.
    let mut fresh = Vec::new();
    for new in ["n7", "n8"] {
        let token = node.ctl.ok("cluster token create --for node -q").stdout;
        let mut node = Node::prepare(Plan::join(new, node.api(), token.trim()));
        node.launch();
        node.wait_ready();
        wait_value(&node, "kept", "alone");
        fresh.push(node);
    }
    eventually("three voters", || {
        let view = View::ask(node)?;
        expect(view.voters == 3 && view.has_quorum, || view.to_string())
    });
    put(&fresh[0].ctl, "kept", "three-again", "").ok();
    wait_value(&fresh[1], "kept", "three-again");
}

#[test]
fn who_was_given_up_is_answered_no_more() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.wait_leader();
    let (left, other) = (cluster.others(leader)[0], cluster.others(leader)[1]);
    put(&cluster.node(leader).ctl, "kept", "acknowledged", "").ok();
    wait_value(cluster.node(left), "kept", "acknowledged");
    for number in cluster.all() {
        cluster.kill(number);
    }
    let node = cluster.node(left);
    let plan = recover(node, &[node], "--plan -o json").ok().json();
    let id = plan["cluster_id"].as_str().expect("an id").to_owned();
    recover(node, &[node], &format!("--yes --confirm {id}")).ok();
    cluster.restart(left);
    put(&cluster.node(left).ctl, "kept", "alone", "").ok();
    // What must never be done: the others start again with what they had, and elect a leader.
    cluster.launch(leader);
    cluster.launch(other);
    eventually("they are a quorum of their own", || {
        let view = View::ask(cluster.node(other))?;
        let leads = [name(leader), name(other)].contains(&view.leader);
        expect(leads && view.has_quorum, || view.to_string())
    });
    put(&cluster.node(other).ctl, "kept", "theirs", "").ok();
    let view = View::ask(cluster.node(left)).expect("it answers");
    assert_eq!((view.leader, view.voters), (name(left), 1));
    assert_eq!(value(&cluster.node(left).ctl, "kept", "--consistency linearizable"), "alone");
    put(&cluster.node(left).ctl, "kept", "still-alone", "").ok();
    assert_eq!(value(&cluster.node(left).ctl, "kept", ""), "still-alone");
}

#[test]
fn who_has_no_cluster_key_makes_an_authority_anew() {
    let mut cluster = Cluster::start(2);
    put(&cluster.node(0).ctl, "kept", "acknowledged", "").ok();
    wait_value(cluster.node(1), "kept", "acknowledged");
    cluster.kill(0);
    cluster.kill(1);
    // As a learner is, which never had it.
    let node = cluster.node(1);
    for entry in fs::read_dir(node.data().join("keys")).expect("keys").flatten() {
        if entry.file_name().to_string_lossy().starts_with("cluster-") {
            fs::remove_file(entry.path()).expect("it is removed");
        }
    }
    let before = node.ca_pem();
    let plan = recover(node, &[node], "--plan -o json").ok().json();
    assert_eq!(plan["new_authority"], true, "{plan}");
    let id = plan["cluster_id"].as_str().expect("an id").to_owned();
    recover(node, &[node], &format!("--yes --confirm {id}")).ok();
    for _ in 0..2 {
        cluster.restart(1);
        let node = cluster.node(1);
        assert_eq!(value(&node.ctl, "kept", "--consistency linearizable"), "acknowledged");
        assert_ne!(node.ca_pem(), before);
        assert_eq!(node.ctl.json("status")["cluster"]["id"], *id);
        cluster.kill(1);
    }
}
