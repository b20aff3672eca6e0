use super::super::record::LogId;
use super::*;
use crate::store::folder::Folder;
use keiko_core::store::{Store as _, Write};

pub(in crate::store) fn database(root: &Path) -> Database {
    Database::open(Folder::open(root).unwrap()).unwrap()
}

pub(in crate::store) fn fill(
    database: &Database,
    group: GroupId,
    index: u64,
    keys: std::ops::Range<u32>,
) {
    let write = |number: u32| Write {
        space: Space::ALL[number as usize % 3],
        key: [&group.prefix()[..], &number.to_be_bytes()].concat(),
        value: Some(vec![number as u8; 100]),
    };
    let writes: Vec<Write> = keys.map(write).collect();
    let applied = Applied { last: LogId { term: 1, index }, membership: b"members".to_vec() };
    database.apply(group, &writes, &applied).unwrap();
}

fn pairs(database: &Database, group: GroupId) -> usize {
    let (start, end) = group.range();
    let view = database.view();
    Space::ALL.iter().map(|space| view.scan(*space, &start, &end).count()).sum()
}

/// The first file of a snapshot that holds pairs.
fn a_file(folder: &Path) -> PathBuf {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().find(|path| path.extension().is_some_and(|name| name == "sst")).unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_snapshot_replaces_one_group_and_no_other() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let group = GroupId(3);
    let leader = database(source.path());
    fill(&leader, group, 7, 0..500);
    fill(&leader, GroupId(4), 9, 0..10);
    let built = leader.build_snapshot(group).unwrap();
    assert_eq!(built.last(), Some(LogId { term: 1, index: 7 }));
    assert_eq!(leader.current_snapshot(group).unwrap(), Some(built.clone()));
    assert_eq!(leader.current_snapshot(GroupId(4)).unwrap(), None);

    let follower = database(target.path());
    fill(&follower, group, 2, 400..900);
    fill(&follower, GroupId(2), 1, 0..20);
    fill(&follower, GroupId(4), 1, 0..30);
    let received = target.path().join("received");
    copy(&built.folder, &received);
    let installed = follower.install_snapshot(group, &received).unwrap();
    assert_eq!(installed.applied, built.applied);
    drop(follower);

    let follower = database(target.path());
    assert_eq!(pairs(&follower, group), 500);
    assert_eq!((pairs(&follower, GroupId(2)), pairs(&follower, GroupId(4))), (20, 30));
    assert_eq!(follower.applied(group).unwrap(), built.applied);
    assert_eq!(follower.current_snapshot(group).unwrap(), Some(installed));
}

#[test]
fn one_flipped_byte_is_refused_and_nothing_is_touched() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let group = GroupId::CONTROL;
    let leader = database(source.path());
    fill(&leader, group, 7, 0..500);
    let built = leader.build_snapshot(group).unwrap();
    let follower = database(target.path());
    fill(&follower, group, 2, 0..50);
    let received = target.path().join("received");
    for damaged in [a_file(&built.folder), built.folder.join(MANIFEST)] {
        copy(&built.folder, &received);
        let path = received.join(damaged.file_name().unwrap());
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        let refusal = follower.install_snapshot(group, &received).unwrap_err();
        assert_eq!(refusal.code, Code::ChecksumMismatch, "{}", path.display());
        assert_eq!(pairs(&follower, group), 50);
        assert_eq!(follower.applied(group).unwrap().unwrap().last.index, 2);
    }
}

#[test]
fn a_start_repeats_an_interrupted_install() {
    let temporary = tempfile::tempdir().unwrap();
    let group = GroupId::CONTROL;
    let node = database(temporary.path());
    fill(&node, group, 7, 0..500);
    let built = node.build_snapshot(group).unwrap();
    // As a crash leaves it: the marker is there, a part of the range is gone.
    fs::write(node.install_marker(group), built.folder.file_name().unwrap().to_str().unwrap())
        .unwrap();
    let (start, end) = group.range();
    let mut batch = WriteBatch::default();
    batch.delete_range_cf(node.family(Family::State), &start, &end);
    node.write(batch).unwrap();
    node.sync().unwrap();
    assert!(pairs(&node, group) < 500);
    drop(node);

    let node = database(temporary.path());
    assert_eq!(pairs(&node, group), 500);
    assert!(!node.install_marker(group).exists());
}

#[test]
fn an_older_snapshot_is_forgotten() {
    let temporary = tempfile::tempdir().unwrap();
    let node = database(temporary.path());
    assert_eq!(node.build_snapshot(GroupId::CONTROL).unwrap().applied, None);
    fill(&node, GroupId::CONTROL, 7, 0..5);
    let first = node.build_snapshot(GroupId::CONTROL).unwrap();
    fill(&node, GroupId::CONTROL, 8, 5..10);
    let second = node.build_snapshot(GroupId::CONTROL).unwrap();
    assert!(!first.folder.exists() && second.folder.exists());
    assert_eq!(list(&node.folder().snapshots()).unwrap(), [second.folder]);
}

/// A build that began before an install and ends after it.
#[test]
fn a_newer_snapshot_and_what_is_not_understood_are_kept() {
    let temporary = tempfile::tempdir().unwrap();
    let group = GroupId::CONTROL;
    let node = database(temporary.path());
    fill(&node, group, 7, 0..5);
    let older = node.build_snapshot(group).unwrap();
    let received = temporary.path().join("received");
    copy(&older.folder, &received);
    fill(&node, group, 12, 5..10);
    let newer = node.build_snapshot(group).unwrap();
    let strange = node.folder().snapshots().join("00000-strange");
    fs::create_dir(&strange).unwrap();
    assert!(!older.folder.exists());

    node.install_snapshot(group, &received).unwrap();
    for folder in [&older.folder, &newer.folder, &strange] {
        assert!(folder.exists(), "{}", folder.display());
    }
    assert_eq!(node.current_snapshot(group).unwrap(), Some(newer.clone()));
    node.forget_older(group, newer.last()).unwrap();
    assert!(!older.folder.exists() && newer.folder.exists() && strange.exists());
}

#[test]
fn a_start_sweeps_what_is_half_written() {
    let temporary = tempfile::tempdir().unwrap();
    let group = GroupId::CONTROL;
    let node = database(temporary.path());
    fill(&node, group, 7, 0..50);
    let built = node.build_snapshot(group).unwrap();
    node.sync().unwrap();
    let root = node.folder().snapshots();
    drop(node);
    copy(&built.folder, &root.join("00000-half.new"));
    fs::write(root.join("00000.new"), "half a marker").unwrap();
    let node = database(temporary.path());
    assert_eq!(list(&root).unwrap(), std::slice::from_ref(&built.folder));
    assert_eq!(node.current_snapshot(group).unwrap(), Some(built));
}

#[test]
fn a_folder_without_a_manifest_is_passed_over_and_built_again() {
    let temporary = tempfile::tempdir().unwrap();
    let group = GroupId::CONTROL;
    let node = database(temporary.path());
    fill(&node, group, 7, 0..50);
    let built = node.build_snapshot(group).unwrap();
    fs::remove_file(built.folder.join(MANIFEST)).unwrap();
    assert_eq!(node.current_snapshot(group).unwrap(), None);
    assert_eq!(node.build_snapshot(group).unwrap(), built);
    assert_eq!(node.current_snapshot(group).unwrap(), Some(built.clone()));
    assert_eq!(list(&node.folder().snapshots()).unwrap(), [built.folder]);
}

#[test]
fn a_damaged_snapshot_ahead_of_the_state_is_passed_over() {
    let temporary = tempfile::tempdir().unwrap();
    let group = GroupId::CONTROL;
    let node = database(temporary.path());
    fill(&node, group, 7, 0..50);
    let built = node.build_snapshot(group).unwrap();
    let path = a_file(&built.folder);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    // A start that has all that it holds does not read it; one that would install it does.
    assert_eq!(node.current_snapshot(group).unwrap(), Some(built));
    fill(&node, group, 6, 0..0);
    assert_eq!(node.current_snapshot(group).unwrap(), None);
}
