//! The store as a whole: what comes back after a restart, and what a start refuses.

use super::flusher::{Change, Flusher};
use super::note::{Note, Noted};
use super::record::{Applied, Kind, LogId, Record, Vote};
use super::*;
use crate::store::counters::Counters;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::mpsc::channel;

const GROUP: GroupId = GroupId::CONTROL;

fn open(root: &Path) -> Database {
    Database::open(Folder::open(root).unwrap()).unwrap()
}

fn records(term: u64, range: std::ops::Range<u64>) -> Vec<Record> {
    let record = |index| Record {
        id: LogId { term, index },
        kind: Kind::Normal,
        payload: Bytes::from(format!("entry {index}")),
    };
    range.map(record).collect()
}

fn vote(term: u64) -> Vote {
    Vote { term, node_id: 1, committed: true }
}

#[test]
fn logs_of_groups_keep_apart_and_survive_a_restart() {
    let temporary = tempfile::tempdir().unwrap();
    let database = open(temporary.path());
    for group in [0, 1, 7, u16::MAX].map(GroupId) {
        database.append(group, &records(1, 0..10)).unwrap();
        database.save_vote(group, vote(u64::from(group.0) + 1)).unwrap();
    }
    database.truncate(GroupId(1), 5).unwrap();
    database.purge(GroupId(7), LogId { term: 1, index: 9 }).unwrap();
    database.sync().unwrap();
    drop(database);

    let database = open(temporary.path());
    assert_eq!(database.groups().unwrap(), [0, 1, 7, u16::MAX].map(GroupId));
    for (group, expect) in [(0, 10), (1, 5), (7, 0), (u16::MAX, 10)] {
        let group = GroupId(group);
        let found = database.records(group, 0..u64::MAX, usize::MAX).unwrap();
        assert_eq!(found, records(1, 0..expect), "group {group}");
        assert_eq!(database.vote(group).unwrap(), Some(vote(u64::from(group.0) + 1)));
    }
    assert_eq!(database.log_end(GroupId(7)).unwrap(), Some(LogId { term: 1, index: 9 }));
    assert_eq!(database.log_end(GroupId(2)).unwrap(), None);
    let some = database.records(GROUP, 2..9, 10).unwrap();
    assert_eq!(some, records(1, 2..4), "stops when it holds ten bytes");
}

#[test]
fn what_was_not_synced_dies_with_the_process() {
    let temporary = tempfile::tempdir().unwrap();
    let database = open(temporary.path());
    database.append(GROUP, &records(1, 0..3)).unwrap();
    database.sync().unwrap();
    let copy = tempfile::tempdir().unwrap();
    database.append(GROUP, &records(1, 3..6)).unwrap();
    copy_folder(temporary.path(), copy.path());
    assert_eq!(open(copy.path()).log_end(GROUP).unwrap(), Some(LogId { term: 1, index: 2 }));
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

/// A store with a log of ten entries in term 2 and a vote in term 2.
fn check_note(noted: Option<Noted>, expect: Option<Code>) {
    let temporary = tempfile::tempdir().unwrap();
    let database = open(temporary.path());
    let mut note = database.checked_note().unwrap();
    database.append(GROUP, &records(2, 0..10)).unwrap();
    database.save_vote(GROUP, vote(2)).unwrap();
    database.sync().unwrap();
    if let Some(noted) = noted {
        note.groups.insert(GROUP, noted);
        note.write().unwrap();
    } else {
        std::fs::remove_file(database.folder().durable()).unwrap();
    }
    let found = database.checked_note().err();
    assert_eq!(found.as_ref().map(|refusal| refusal.code), expect, "{noted:?}: {found:?}");
}

#[test]
fn a_start_below_the_note_is_refused() {
    let noted = |vote_term, term, index| {
        Some(Noted { vote: Some(vote(vote_term)), last: Some(LogId { term, index }) })
    };
    check_note(noted(2, 2, 9), None);
    check_note(noted(2, 2, 4), None);
    check_note(noted(1, 2, 9), None);
    check_note(Some(Noted::default()), None);
    check_note(noted(2, 2, 10), Some(Code::StoreDamaged));
    check_note(noted(2, 3, 9), Some(Code::StoreDamaged));
    check_note(noted(2, 1, 4), Some(Code::StoreDamaged));
    check_note(noted(3, 2, 9), Some(Code::StoreDamaged));
    check_note(None, Some(Code::StoreDamaged));
}

#[test]
fn a_hole_or_a_damaged_record_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let database = open(temporary.path());
    database.checked_note().unwrap();
    database.append(GROUP, &records(1, 0..3)).unwrap();
    database.checked_note().unwrap();
    database.append(GROUP, &records(1, 4..6)).unwrap();
    assert_eq!(database.checked_note().unwrap_err().code, Code::StoreDamaged);
    let read = database.records(GROUP, 0..u64::MAX, usize::MAX);
    assert_eq!(read.unwrap_err().code, Code::StoreDamaged);

    let purged = LogId { term: 1, index: 1 };
    database.append(GROUP, &records(1, 3..4)).unwrap();
    database.checked_note().unwrap();
    database.purge(GROUP, purged).unwrap();
    assert_eq!(database.checked_note().unwrap_err().code, Code::StoreDamaged);
    database.apply(GROUP, &[], &Applied { last: purged, membership: Vec::new() }).unwrap();
    database.checked_note().unwrap();

    let key = record::log_key(GROUP, 3);
    let mut bytes = records(1, 3..4)[0].encode(&key);
    *bytes.last_mut().unwrap() ^= 1;
    database.rocks.put_cf(database.family(Family::RaftLog), key, bytes).unwrap();
    assert_eq!(database.checked_note().unwrap_err().code, Code::ChecksumMismatch);
}

#[test]
fn damage_in_the_middle_of_the_write_ahead_log_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let database = open(temporary.path());
    for index in 0..2000 {
        database.append(GROUP, &records(1, index..index + 1)).unwrap();
    }
    database.sync().unwrap();
    drop(database);
    let store = temporary.path().join("store");
    let is_wal = |path: &std::path::PathBuf| path.extension().is_some_and(|name| name == "log");
    let wal = std::fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path()).find(is_wal);
    let wal = wal.unwrap();
    let mut bytes = std::fs::read(&wal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&wal, bytes).unwrap();
    let refusal = Database::open(Folder::open(temporary.path()).unwrap()).err().unwrap();
    assert_eq!(refusal.code, Code::StoreDamaged);
}

#[test]
fn one_sync_serves_all_that_queued_and_the_note_follows() {
    let temporary = tempfile::tempdir().unwrap();
    let database = Arc::new(open(temporary.path()));
    let note = database.checked_note().unwrap();
    let counters = Arc::new(Counters::default());
    let flusher = Flusher::start(database.clone(), note, counters.clone()).unwrap();
    let (done, completed) = channel();
    for index in 0..100 {
        database.append(GROUP, &records(1, index..index + 1)).unwrap();
        let done = done.clone();
        let change = Change::Appended { last: LogId { term: 1, index }, entries: 1 };
        flusher.queue().push(GROUP, change, move || done.send(index).unwrap());
    }
    drop(done);
    assert_eq!(completed.iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    assert_eq!(counters.synced_entries.load(std::sync::atomic::Ordering::Relaxed), 100);

    let (done, completed) = channel();
    let lowered = Some(LogId { term: 1, index: 49 });
    flusher.queue().push(GROUP, Change::Lowering(lowered), move || done.send(()).unwrap());
    completed.recv().unwrap();
    flusher.stop();
    let note = Note::open(&database.folder().durable(), false).unwrap().unwrap();
    assert_eq!(note.groups[&GROUP].last, lowered);
}

#[test]
fn an_apply_round_is_one_thing() {
    let temporary = tempfile::tempdir().unwrap();
    let database = open(temporary.path());
    let before = database.view();
    let write = |key: &[u8], value: Option<&[u8]>| Write {
        space: Space::State,
        key: [&GROUP.prefix(), key].concat(),
        value: value.map(<[u8]>::to_vec),
    };
    let applied = Applied { last: LogId { term: 1, index: 3 }, membership: b"members".to_vec() };
    let writes = [write(b"a", Some(b"1")), write(b"b", Some(b"2")), write(b"a", None)];
    database.apply(GROUP, &writes, &applied).unwrap();
    assert_eq!(database.applied(GROUP).unwrap(), Some(applied));

    let (start, end) = GROUP.range();
    let scan = |view: &View<'_>| {
        use keiko_core::store::Store as _;
        let ahead: Vec<_> = view.scan(Space::State, &start, &end).collect();
        let mut back: Vec<_> = view.scan_back(Space::State, &start, &end).collect();
        back.reverse();
        assert_eq!(ahead, back);
        ahead
    };
    assert!(scan(&before).is_empty(), "a view sees nothing that came after it");
    assert_eq!(scan(&database.view()), [(writes[1].key.clone(), b"2".to_vec())]);
}

/// A flush or a compaction that fails: RocksDB refuses every write from then on, with the words of
/// that error.
#[test]
fn an_error_in_the_background_refuses_writes_and_loses_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let database = open(temporary.path());
    database.append(GROUP, &records(1, 0..3)).unwrap();
    database.sync().unwrap();
    // Where there is a folder, no sorted file can be made.
    let store = database.folder().store();
    let names = (1..100).map(|number| format!("{number:06}.sst"));
    let in_the_way: Vec<_> = names.map(|name| store.join(name)).collect();
    in_the_way.iter().for_each(|path| std::fs::create_dir(path).unwrap());
    database.rocks.flush_cf(database.family(Family::RaftLog)).unwrap_err();
    let refusal = database.append(GROUP, &records(1, 3..4)).unwrap_err();
    assert_eq!(refusal.code, Code::DiskFault);
    assert!(refusal.causes[0].contains(".sst"), "{refusal:?}");
    drop(database);
    in_the_way.iter().for_each(|path| std::fs::remove_dir(path).unwrap());
    let found = open(temporary.path()).records(GROUP, 0..u64::MAX, usize::MAX).unwrap();
    assert_eq!(found, records(1, 0..3));
}

#[test]
fn deleted_past_is_counted_until_it_is_reclaimed() {
    let temporary = tempfile::tempdir().unwrap();
    let database = open(temporary.path());
    let applied = Applied { last: LogId { term: 1, index: 3 }, membership: Vec::new() };
    let noise = |number: u32| {
        let mut bytes = vec![0; 10_000];
        blake3::Hasher::new().update(&number.to_be_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    };
    let write = |number: u32, value: Option<Vec<u8>>| Write {
        space: PAST[number as usize % 2],
        key: [&GROUP.prefix()[..], &number.to_be_bytes()].concat(),
        value,
    };
    let puts: Vec<Write> = (0..200).map(|number| write(number, Some(noise(number)))).collect();
    database.apply(GROUP, &puts, &applied).unwrap();
    assert!(database.group_bytes(GROUP) > 1_900_000, "the memory tables count");
    for space in PAST {
        database.rocks.flush_cf(database.family(space.into())).unwrap();
    }
    let deletes: Vec<Write> = (0..180).map(|number| write(number, None)).collect();
    database.apply(GROUP, &deletes, &applied).unwrap();
    assert!(database.past_bytes(GROUP) > 1_900_000, "deleted keys count");
    database.reclaim_past(GROUP);
    assert!(database.past_bytes(GROUP) < 400_000, "{}", database.past_bytes(GROUP));
    assert_eq!(database.past_bytes(GroupId(1)), 0);
}
