//! Nodes that lost their data, or whose data is damaged, come back: from members that serve, and from
//! the folders of all where none does.

use super::damage::{id_of, length, longest_log, nodes_but, refuses, some_follower, turn_over};
use super::steady::{Steady, nothing_is_lost};
use super::{put, value};
use keiko_core::refusal::Code;
use keiko_tests::cluster::name;
use keiko_tests::shared::unique;
use keiko_tests::{Cluster, DEADLINE, Node, Output, shared_cluster};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LOAD_EVERY: Duration = Duration::from_millis(5);

/// `keikod repair` on a node's folder.
fn repair(node: &Node, flags: &[String]) -> Output {
    let ports = "--listen 127.0.0.1:0 --listen-peer 127.0.0.1:0 --metrics-listen 127.0.0.1:0";
    let line = format!("repair {ports} --node-name {}", node.plan.name);
    let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    words.extend(["--data-dir".to_owned(), node.data().display().to_string()]);
    words.extend_from_slice(flags);
    node.run(&words)
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// What an admin types for it, on another node, and what that prints.
#[track_caller]
fn from_members(cluster: &Cluster, number: usize) -> Vec<String> {
    let other = cluster.node(cluster.others(number)[0]);
    let token = other.ctl.ok(&format!("node repair {} -q", name(number))).stdout;
    words(&format!("--from {} --token {}", other.api(), token.trim()))
}

/// Repairs it while the others serve, starts it, and waits until it is a voter like any other.
#[track_caller]
fn comes_back(cluster: &mut Cluster, number: usize) {
    let asked = cluster.others(number)[0];
    let before = cluster.node(asked).ctl.json(&format!("node get {}", name(number)))["id"].clone();
    let flags = from_members(cluster, number);
    let done = repair(cluster.node(number), &flags).ok();
    assert!(done.stdout.contains("it gets the state from the others"), "{done}");
    cluster.restart(number);
    cluster.wait_whole();
    let after = cluster.node(asked).ctl.json(&format!("node get {}", name(number)))["id"].clone();
    assert!(after.as_u64() > before.as_u64(), "ids are for ever: {after} follows {before}");
    cluster.agree_within(DEADLINE).expect("the same state everywhere");
}

/// The folders that hold what was damaged.
fn set_aside(data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data).expect("the data folder").flatten().map(|entry| entry.path());
    let is_aside = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("damaged-")
    };
    entries.filter(is_aside).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_node_gets_everything_back() {
    let mut cluster = shared_cluster();
    let lost = some_follower(&mut cluster);
    let steady = Steady::start(cluster.node(0), LOAD_EVERY);
    let running = repair(cluster.node(lost), &words("--from 127.0.0.1:1 --token keiko.x"));
    running.refused(7, Code::DataFolderLocked);
    cluster.kill(lost);
    // Who finds that it held a state and has none does not go on under its id.
    let data = cluster.node(lost).data();
    for part in ["format", "durable"] {
        fs::remove_file(data.join(part)).expect("it is there");
    }
    for part in ["store", "snapshots"] {
        fs::remove_dir_all(data.join(part)).expect("it is there");
    }
    refuses(cluster.node_mut(lost));
    fs::remove_dir_all(&data).expect("it is wiped");
    comes_back(&mut cluster, lost);
    let written = steady.end().await;
    assert!(written.len() > 50, "only {} writes", written.len());
    nothing_is_lost(nodes_but(&cluster, None), &written).await;
    assert!(set_aside(&data).is_empty(), "there was nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_leader_is_repaired_while_the_others_serve() {
    let mut cluster = shared_cluster();
    let damaged = some_follower(&mut cluster);
    let handed =
        cluster.node(0).ctl.run(&format!("cluster transfer-leader --to {}", name(damaged)));
    handed.ok();
    let steady = Steady::start(cluster.node(0), LOAD_EVERY);
    tokio::time::sleep(Duration::from_secs(2)).await;
    cluster.kill(damaged);
    let log = longest_log(cluster.node(damaged));
    let middle = length(&log) / 2;
    assert!(middle > 4096, "{} holds next to nothing", log.display());
    turn_over(&log, middle..middle + 1);
    refuses(cluster.node_mut(damaged));
    // The note of who it is, and its key: neither is needed.
    let data = cluster.node(damaged).data();
    turn_over(&data.join("node.json"), 20..21);
    turn_over(&data.join("keys/node.key"), 60..61);
    comes_back(&mut cluster, damaged);
    let written = steady.end().await;
    assert!(written.len() > 50, "only {} writes", written.len());
    nothing_is_lost(nodes_but(&cluster, None), &written).await;
    let kept = set_aside(&data);
    let is_kept = kept.iter().any(|folder| folder.join("store").is_dir());
    assert!(is_kept, "nothing is deleted: {kept:?}");
}

#[test]
fn a_token_is_for_one_member_and_a_member_for_one_token() {
    let mut cluster = shared_cluster();
    let here = some_follower(&mut cluster);
    let node = cluster.node(0);
    node.ctl.refused("node repair n99", 6, Code::NotFound);
    let made = node.ctl.json(&format!("node repair {}", name(here)));
    assert_eq!(made["scope"], format!("node/{}", name(here)), "{made}");
    let id = id_of(&cluster, &name(here));
    // A node of another name can't use it, and nothing changes.
    let mut plan = keiko_tests::Plan::join("n77", node.api(), made["token"].as_str().expect("one"));
    plan.env.clone_from(&node.plan.env);
    let stranger = Node::prepare(plan);
    let flags = format!("--from {} --token {}", node.api(), made["token"].as_str().expect("one"));
    repair(&stranger, &words(&flags)).refused(4, Code::PermissionDenied);
    assert_eq!(id_of(&cluster, &name(here)), id);
}

/// Turns a byte over near the beginning of each sorted file of a family.
#[track_caller]
fn damage_family(node: &Node, family: &str) {
    // RocksDB's own words in the properties of the file.
    let mark = format!("name{family}");
    let entries = fs::read_dir(node.data().join("store")).expect("the store").flatten();
    let mut count = 0;
    for path in entries.map(|entry| entry.path()) {
        if path.extension().is_none_or(|extension| extension != "sst") {
            continue;
        }
        let bytes = fs::read(&path).expect("it is there");
        if bytes.windows(mark.len()).any(|window| window == mark.as_bytes()) {
            turn_over(&path, 24..25);
            count += 1;
        }
    }
    assert!(count > 0, "{} has no sorted file of {family}", node.plan.name);
}

#[test]
fn what_all_lost_in_other_places_is_put_together() {
    let mut cluster = Cluster::start(3);
    let key = unique("kept");
    // Several blocks of the log, so that one can be damaged and not the newest.
    for number in 0..40 {
        put(&cluster.node(0).ctl, &format!("{key}-{number}"), &"x".repeat(60), "").ok();
    }
    put(&cluster.node(0).ctl, &key, "in-a-sorted-file", "").ok();
    for number in cluster.all() {
        // A start leaves sorted files.
        cluster.kill(number);
        cluster.restart(number);
    }
    cluster.wait_whole();
    put(&cluster.node(0).ctl, &key, "in-a-log", "").ok();
    cluster.agree_within(DEADLINE).expect("the same state everywhere");
    for number in cluster.all() {
        cluster.kill(number);
    }
    let log = longest_log(cluster.node(0));
    turn_over(&log, length(&log) / 2..length(&log) / 2 + 1);
    damage_family(cluster.node(1), "state");
    damage_family(cluster.node(2), "raft_log");
    refuses(cluster.node_mut(0));

    let data = |number: usize| cluster.node(number).data().display().to_string();
    let with = |others: [usize; 2]| {
        words(&format!("--with {} --with {}", data(others[0]), data(others[1])))
    };
    // Without every voter nobody knows what was acknowledged.
    let one = repair(cluster.node(0), &words(&format!("--with {}", data(1))));
    one.refused(1, Code::RepairRefused).says("voter");
    assert!(set_aside(&cluster.node(0).data()).is_empty(), "nothing was changed");
    for (number, others) in [(0, [1, 2]), (1, [0, 2])] {
        let mut flags = with(others);
        flags.extend(words("-o json"));
        let done = repair(cluster.node(number), &flags).ok().json();
        assert_eq!(done["node"], name(number), "{done}");
        assert!(done["pieces"]["log_end"].as_u64() > Some(0), "{done}");
        let data = data(number);
        cluster.node(number).run(&words(&format!("verify --data-dir {data}"))).ok();
    }
    // Two of three are enough; the third gets what it lost from them.
    for number in [0, 1] {
        cluster.launch(number);
    }
    for number in [0, 1] {
        cluster.node_mut(number).wait_ready();
        let ctl = &cluster.node(number).ctl;
        assert_eq!(value(ctl, &key, "--consistency linearizable"), "in-a-log");
    }
    put(&cluster.node(1).ctl, &key, "after-that", "").ok();
    comes_back(&mut cluster, 2);
    assert_eq!(value(&cluster.node(2).ctl, &key, "--consistency linearizable"), "after-that");
    cluster.end().expect("everything is in order");
}
