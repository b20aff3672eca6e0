//! Consensus as a whole: openraft's own suite over the store, and one node that lives and dies.

use super::log::Log;
use super::machine::{Machine, Shared};
use super::types::Types;
use super::*;
use crate::store;
use keiko_core::house::Head;
use keiko_proto::v1 as words;
use openraft::StorageError;
use openraft::storage::RaftStateMachine as _;
use openraft::testing::log::{StoreBuilder, Suite};
use std::path::Path;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(30);

/// What a case of the suite holds until it ends.
struct Guard {
    _flusher: Flusher,
    _folder: tempfile::TempDir,
}

struct Fresh;

impl StoreBuilder<Types, Log, Machine, Guard> for Fresh {
    async fn build(&self) -> std::result::Result<(Guard, Log, Machine), StorageError<Types>> {
        let folder = tempfile::tempdir().unwrap();
        let database = Arc::new(Database::open(Folder::open(folder.path()).unwrap()).unwrap());
        let counters = Arc::new(Counters::default());
        let note = database.checked_note().unwrap();
        let flusher = Flusher::start(database.clone(), note, counters.clone()).unwrap();
        let group = GroupId::CONTROL;
        let log = Log::open(group, database.clone(), flusher.queue()).unwrap();
        let disk = Arc::new(Disk::new(folder.path().to_owned(), room_for(0)));
        let shared = Arc::new(Shared::new(group, database, counters, disk));
        let machine = Machine::open(shared).unwrap();
        Ok((Guard { _flusher: flusher, _folder: folder }, log, machine))
    }
}

#[tokio::test]
async fn openrafts_suite_passes() {
    Suite::test_all(Fresh).await.unwrap();
}

fn settings(folder: &Path) -> Settings {
    let mut settings = Settings::new(folder, 1, "n1");
    settings.full = room_for(0);
    settings
}

fn room_for(full_percent: u64) -> DiskWatermarks {
    DiskWatermarks { full_percent, full_bytes: 0, clear_percent: 0 }
}

/// An entry that changes a node's address to `number`.
fn entry(number: u128) -> words::Entry {
    let node = words::Node { id: 1, name: "n1".to_owned(), ..words::Node::default() };
    let node = words::Node { api_address: format!("127.0.0.1:{number}"), ..node };
    let note = words::NoteNode { node: Some(node) };
    let op = words::ClusterOp { op: Some(words::cluster_op::Op::NoteNode(note)) };
    let request_id = request_id(number);
    let room = Some(words::entry::Room::Cluster(op));
    words::Entry { request_id, room, ..words::Entry::default() }
}

fn request_id(number: u128) -> Vec<u8> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let id = (now.as_millis() << 80) | (7 << 76) | (2 << 62) | number;
    id.to_be_bytes().to_vec()
}

fn head(group: &Group) -> Head {
    Head::read(&group.inner.shared.database.view(), GroupId::CONTROL)
}

#[tokio::test]
async fn a_node_is_founded_once_and_answers_again_after_a_restart() {
    let temporary = tempfile::tempdir().unwrap();
    let node = Consensus::open(settings(temporary.path())).unwrap();
    assert!(!node.is_founded() && node.group(GroupId::CONTROL).is_none());
    node.found().await.unwrap();
    assert_eq!(node.found().await.unwrap_err().code, Code::AlreadyFounded);
    let group = node.group(GroupId::CONTROL).unwrap();
    let retried = entry(1);
    let first = group.propose(retried.clone(), DEADLINE).await.unwrap();
    for number in 2..20 {
        let reply = group.propose(entry(number), DEADLINE).await.unwrap();
        assert_eq!(u128::from(reply.revision), number, "{reply:?}");
    }
    let status = group.status();
    assert_eq!((status.state, status.leader), ("leader", Some(1)));
    assert_eq!(status.voters, [(1, "n1".to_owned())]);
    assert_eq!(status.last_log_index, status.applied_index);
    assert!(status.quorum && group.has_quorum() && group.leads());
    assert_eq!(group.term(), status.term);
    let before = head(&group);
    for after in 0..=before.revision {
        let view = group.inner.shared.database.view();
        let journal = Behind::read(&view, GroupId::CONTROL, after, usize::MAX);
        assert_eq!(group.recent().behind(after, usize::MAX), Some(journal), "behind {after}");
    }
    assert!(node.alive());
    node.shutdown().await;
    answers_draining(&node, &group).await;
    node.shutdown().await;
    drop((group, node));

    let report = verify(temporary.path()).unwrap();
    assert!(report.groups[0].replayed);
    assert_eq!(report.groups[0].state_hash, before.hash);

    let node = Consensus::open(settings(temporary.path())).unwrap();
    let group = node.group(GroupId::CONTROL).unwrap();
    group.ready(DEADLINE).await.unwrap();
    for consistency in [Consistency::Linearizable, Consistency::Lease, Consistency::Stale] {
        let read = group.read(consistency, |view| Head::read(view, GroupId::CONTROL)).await;
        let read = read.unwrap();
        assert_eq!(read.value, before, "{consistency:?}");
        assert_eq!((read.revision, read.unix_ms), (before.revision, before.unix_ms));
    }
    let stale = group.read(Consistency::Stale, |_| ()).await.unwrap();
    assert_eq!(stale.staleness_ms, 0, "the only voter is a quorum");
    assert_eq!(group.propose(retried, DEADLINE).await.unwrap(), first);
    assert!(group.term() > status.term, "a new start is a new term");
    drop(group);
    node.shutdown().await;
}

async fn answers_draining(node: &Consensus, group: &Group) {
    let refusals = [
        node.found().await.err(),
        group.ready(DEADLINE).await.err(),
        group.propose(entry(99), DEADLINE).await.err(),
        group.submit(&mut entry(99), DEADLINE).await.err(),
        group.read(Consistency::Linearizable, |_| ()).await.err(),
        group.read(Consistency::Stale, |_| ()).await.err(),
        group.reclaim_past().await.err(),
        group.now_ms().err(),
    ];
    for (number, refusal) in refusals.into_iter().enumerate() {
        assert_eq!(refusal.map(|refusal| refusal.code), Some(Code::Draining), "call {number}");
    }
    assert!(node.is_founded() && node.group(GroupId::CONTROL).is_some());
}

#[tokio::test]
async fn a_snapshot_that_would_fill_the_disk_is_put_off() {
    let temporary = tempfile::tempdir().unwrap();
    let database = Arc::new(Database::open(Folder::open(temporary.path()).unwrap()).unwrap());
    for (full_percent, force, expect) in [(0, false, true), (101, false, false), (101, true, true)]
    {
        let disk = Arc::new(Disk::new(temporary.path().to_owned(), room_for(full_percent)));
        let shared = Shared::new(GroupId::CONTROL, database.clone(), Arc::default(), disk);
        let mut machine = Machine::open(Arc::new(shared)).unwrap();
        let builder = machine.try_create_snapshot_builder(force).await;
        assert_eq!(builder.is_some(), expect, "full at {full_percent} %, forced: {force}");
    }
}

#[test]
fn an_interrupted_install_is_not_verified() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::open(temporary.path()).unwrap();
    drop(Database::open(folder.clone()).unwrap());
    verify(temporary.path()).unwrap();
    let marker = folder.snapshots().join("00000.installing");
    std::fs::write(&marker, "00000-empty").unwrap();
    assert_eq!(verify(temporary.path()).unwrap_err().code, Code::NotReady);
    assert!(marker.exists());
}

#[tokio::test]
async fn proposals_share_syncs_and_are_all_there() {
    let temporary = tempfile::tempdir().unwrap();
    let node = Consensus::open(settings(temporary.path())).unwrap();
    node.found().await.unwrap();
    let group = node.group(GroupId::CONTROL).unwrap();
    let write = |number| {
        let group = group.clone();
        tokio::spawn(async move { group.propose(entry(number), DEADLINE).await.unwrap() })
    };
    for written in (0..500).map(write).collect::<Vec<_>>() {
        written.await.unwrap();
    }
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    let counters = node.counters();
    let (syncs, entries) = (counters.syncs.load(relaxed), counters.synced_entries.load(relaxed));
    assert!(entries >= 500 && syncs < entries, "{entries} entries in {syncs} syncs");
    assert_eq!(counters.proposals.load(relaxed), 500);
    assert_eq!(head(&group).index, group.status().applied_index.unwrap());
    assert_eq!(head(&group).revision, 500);
    assert_eq!(*group.revisions().borrow(), 500);
}

#[tokio::test]
async fn what_is_too_large_or_has_no_room_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let mut settings = settings(temporary.path());
    settings.full.full_percent = 101;
    let node = Consensus::open(settings).unwrap();
    node.found().await.unwrap();
    let group = node.group(GroupId::CONTROL).unwrap();
    let large = words::Entry { tenant: "x".repeat(4 << 20), ..words::Entry::default() };
    for (entry, expect) in [(entry(0), Code::DiskFull), (large.clone(), Code::DiskFull)] {
        assert_eq!(group.propose(entry, DEADLINE).await.unwrap_err().code, expect);
    }
    // What may free space is taken.
    let op = words::cluster_op::Op::RemoveNode(words::RemoveNode { id: 9 });
    let op = words::ClusterOp { op: Some(op) };
    let mut freeing =
        words::Entry { room: Some(words::entry::Room::Cluster(op)), ..words::Entry::default() };
    group.propose(freeing.clone(), DEADLINE).await.unwrap();
    let mut large = words::Entry { tenant: large.tenant, ..freeing.clone() };
    let refused = group.submit(&mut large, DEADLINE).await;
    assert_eq!(refused.err().unwrap().code, Code::LimitExceeded);
    let late = group.submit(&mut freeing, Duration::ZERO).await;
    assert_eq!(late.err().unwrap().code, Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_snapshot_of_a_running_group_is_complete() {
    let temporary = tempfile::tempdir().unwrap();
    let node = Consensus::open(settings(temporary.path())).unwrap();
    node.found().await.unwrap();
    let group = node.group(GroupId::CONTROL).unwrap();
    for number in 0..10 {
        group.propose(entry(number), DEADLINE).await.unwrap();
    }
    let raft = &group.inner.raft;
    raft.trigger().snapshot().await.unwrap();
    let last = group.status().applied_index.unwrap();
    raft.wait(Some(DEADLINE))
        .metrics(|metrics| metrics.snapshot.map(|id| id.index) == Some(last), "a snapshot")
        .await
        .unwrap();
    let database = &group.inner.shared.database;
    let snapshot = database.current_snapshot(GroupId::CONTROL).unwrap().unwrap();
    let (_, manifest) =
        store::snapshot::Snapshot::open(&snapshot.folder, GroupId::CONTROL).unwrap();
    manifest.verify(&snapshot.folder).unwrap();
    assert!(!manifest.files.is_empty());
}
