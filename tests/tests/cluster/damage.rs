//! Members that can't be trusted any more: a log that is damaged, a state that is another one. Such
//! a node stops and says so, the others go on, and an empty node takes its place.

use super::steady::{Steady, nothing_is_lost};
use super::{put, value};
use keiko_core::house::Head;
use keiko_core::id::GroupId;
use keiko_core::key::Key;
use keiko_core::store::{Space, Store as _, Write};
use keiko_core::table::RoomByte;
use keiko_tests::cluster::name;
use keiko_tests::shared::unique;
use keiko_tests::wait::expect;
use keiko_tests::{Cluster, DEADLINE, Node, eventually, shared_cluster};
use keikod::store::Database;
use keikod::store::folder::Folder;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a damaged store is refused as.
const CODES: [&str; 3] = ["KEIKO-0066", "KEIKO-0067", "KEIKO-0068"];
/// What a node says when it opens the way to the others, which it does before it votes.
const MEETS: &str = "peers can be met";
/// The house's table in which each group has its head.
const HEAD: u8 = 0;

/// A member that does not lead and is not the first: that one makes the tokens here.
#[track_caller]
pub(super) fn some_follower(cluster: &mut Cluster) -> usize {
    *cluster.followers().last().expect("two follow")
}

/// Every member, or all but one.
pub(super) fn nodes_but(cluster: &Cluster, left_out: Option<usize>) -> Vec<&Node> {
    let numbers = cluster.all().filter(|number| Some(*number) != left_out);
    numbers.map(|number| cluster.node(number)).collect()
}

#[track_caller]
pub(super) fn id_of(cluster: &Cluster, name: &str) -> u64 {
    cluster.node(0).ctl.json(&format!("node get {name}"))["id"].as_u64().expect("an id")
}

/// Takes a member out that does not come back, and lets an empty node in under its name.
#[track_caller]
fn replace(cluster: &mut Cluster, number: usize) {
    let name = name(number);
    let before = id_of(cluster, &name);
    cluster.node(0).ctl.ok(&format!("node remove {name} --yes"));
    let mut fresh = cluster.newcomer(&name);
    fresh.launch();
    *cluster.node_mut(number) = fresh;
    cluster.wait_whole();
    let after = id_of(cluster, &name);
    assert!(after > before, "ids are for ever: {after} follows {before}");
    cluster.agree_within(DEADLINE).expect("the same state everywhere");
}

/// Turns every bit over in a part of a file; done twice it is as before.
pub(super) fn turn_over(path: &Path, part: Range<usize>) {
    let mut bytes = fs::read(path).expect("it is there");
    bytes[part].iter_mut().for_each(|byte| *byte ^= 0xff);
    fs::write(path, bytes).expect("it is written");
}

pub(super) fn length(path: &Path) -> usize {
    let length = fs::metadata(path).expect("it is there").len();
    usize::try_from(length).expect("it fits")
}

/// The longest of RocksDB's logs: a start reads all that are there.
pub(super) fn longest_log(node: &Node) -> PathBuf {
    let entries = fs::read_dir(node.data().join("store")).expect("the store");
    let paths = entries.map(|entry| entry.expect("a name").path());
    let logs = paths.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.max_by_key(|path| length(path)).expect("a log")
}

/// Starts it: it ends, says why, and met nobody before.
#[track_caller]
pub(super) fn refuses(node: &mut Node) {
    let from = node.log().len();
    node.launch();
    let status = node.wait_end();
    let log = node.log();
    let said = log.get(from..).unwrap_or_default();
    let is_told = CODES.iter().any(|code| said.contains(&format!("error[{code}]")));
    assert!(is_told, "no code of damage:\n{said}");
    assert_eq!(status, 1, "{said}");
    assert!(!said.contains(MEETS), "it met the others:\n{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_with_a_damaged_log_never_votes_and_is_replaced() {
    let mut cluster = shared_cluster();
    let damaged = some_follower(&mut cluster);
    let steady = Steady::start(cluster.node(0), Duration::from_millis(5));
    tokio::time::sleep(Duration::from_secs(2)).await;
    cluster.kill(damaged);
    let written = steady.end().await;
    assert!(written.len() > 50, "only {} writes", written.len());
    let log = longest_log(cluster.node(damaged));
    let middle = length(&log) / 2;
    assert!(middle > 4096, "{} holds next to nothing", log.display());
    // What it had; and then, with that as it was, the note of how much it had.
    turn_over(&log, middle..middle + 64);
    refuses(cluster.node_mut(damaged));
    refuses(cluster.node_mut(damaged));
    turn_over(&log, middle..middle + 64);
    let note = cluster.node(damaged).data().join("durable");
    turn_over(&note, 0..length(&note));
    refuses(cluster.node_mut(damaged));

    let key = unique("without-it");
    put(&cluster.node(0).ctl, &key, "there", "").ok();
    nothing_is_lost(nodes_but(&cluster, Some(damaged)), &written).await;
    replace(&mut cluster, damaged);
    let ctl = &cluster.node(damaged).ctl;
    assert_eq!(value(ctl, &key, "--consistency linearizable"), "there");
    nothing_is_lost(nodes_but(&cluster, None), &written).await;
}

/// Lets a node that does not run believe in another past than the others': whatever it applies from
/// now on, its chained hash is another one.
fn plant(data: &Path) {
    let folder = Folder::existing(data).expect("a node's folder");
    let database = Database::open(folder).expect("a store that nobody uses");
    let group = GroupId::CONTROL;
    let before = Head::read(&database.view(), group);
    let key = Key::new(group, RoomByte::House as u8, HEAD).into_bytes();
    let mut head = database.view().get(Space::State, &key).expect("a head");
    *head.last_mut().expect("a head ends with the hash") ^= 1;
    let applied = database.applied(group).expect("a mark that can be read").expect("a mark");
    let write = Write { space: Space::State, key, value: Some(head) };
    database.apply(group, &[write], &applied).expect("it is written");
    database.sync().expect("it is durable");
    let after = Head::read(&database.view(), group);
    assert_ne!(after.hash, before.hash);
    assert_eq!(Head { hash: before.hash, ..after }, before, "only the hash is another one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_another_state_finds_out_and_stops() {
    let mut cluster = shared_cluster();
    let odd = some_follower(&mut cluster);
    assert_eq!(cluster.node_mut(odd).terminate(), 0);
    plant(&cluster.node(odd).data());
    cluster.restart(odd);
    cluster.wait_whole();
    // Hashes are compared at each 1,024th entry.
    let steady = Steady::start(cluster.node(0), Duration::from_millis(2));
    eventually("it stops by itself", || {
        expect(!cluster.is_running(odd), || format!("{:?}", cluster.views()))
    });
    let written = steady.end().await;
    let node = cluster.node_mut(odd);
    assert_eq!(node.wait_end(), -1, "it aborts: nothing that it says could be trusted");
    let log = node.log();
    assert!(log.contains("KEIKO-0045") && log.contains("this node ends"), "{log}");
    for other in cluster.others(odd) {
        assert!(cluster.is_running(other), "{} ended, too", name(other));
        let log = cluster.node(other).log();
        assert!(!log.contains("KEIKO-0045"), "{} takes itself for wrong:\n{log}", name(other));
        let key = unique("without-the-odd-one");
        put(&cluster.node(other).ctl, &key, "there", "").ok();
    }
    super::agree(&nodes_but(&cluster, Some(odd)));
    nothing_is_lost(nodes_but(&cluster, Some(odd)), &written).await;
    replace(&mut cluster, odd);
    nothing_is_lost(nodes_but(&cluster, None), &written).await;
}
