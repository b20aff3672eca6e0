//! The scan of a data folder that no daemon uses: `keikod verify`.
//!
//! Reads everything and changes nothing. Where a log reaches back to its first entry, the law is
//! run over it again and must end at the stored state hash. Snapshots come last: a damaged one holds
//! nothing that the state does not, so what is said of it depends on whether the state is in order.

use crate::store::folder::Folder;
use crate::store::note::{Groups, Note, Noted};
use crate::store::record::{Kind, LogId};
use crate::store::snapshot::Snapshot;
use crate::store::{Database, Family, damage};
use keiko_core::hash::Hash;
use keiko_core::house::{Head, Round};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::store::MemoryStore;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Entries that are replayed between two commits to the memory store.
const ROUND_ENTRIES_MAX: u64 = 1024;

/// What was found to be in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Each group.
    pub groups: Vec<GroupReport>,
    /// Each column family with the number of its keys and the bytes of its keys and values.
    pub families: Vec<FamilyReport>,
    /// Each snapshot.
    pub snapshots: Vec<SnapshotReport>,
}

/// One snapshot whose files are what its manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotReport {
    /// Whose.
    pub group: GroupId,
    /// How far the state that it holds is applied.
    pub applied: Option<LogId>,
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One column family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyReport {
    /// Its name.
    pub name: &'static str,
    /// How many keys.
    pub keys: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupReport {
    /// Which.
    pub group: GroupId,
    /// How many log records have the right checksum and no hole between them.
    pub records: u64,
    /// The log's end.
    pub log_end: Option<LogId>,
    /// What the durable note says that it must reach.
    pub noted: Option<LogId>,
    /// How far the state is applied.
    pub applied: Option<LogId>,
    /// The state's revision.
    pub revision: u64,
    /// The state's chained hash.
    pub state_hash: Hash,
    /// True if the law was run again from the first entry and came to the same hash; false if the
    /// log's beginning is purged, so that it can't be.
    pub replayed: bool,
}

/// Scans a data folder. The first thing that is not in order is the error.
pub fn verify(folder: &Path) -> Result<Report> {
    let database = Database::open_to_read(Folder::existing(folder)?)?;
    if let Some(marker) = database.unfinished_installs()?.first() {
        let message =
            "the install of a snapshot was interrupted, so a part of the state is missing";
        return Err(Refusal::new(Code::NotReady, message)
            .cause(format!("{} is there", marker.display()))
            .hint("start keikod: it finishes the install; then stop it and verify again"));
    }
    let path = database.folder().durable();
    let noted = match Note::open(&path, false)? {
        Some(note) => note.groups,
        None if database.groups()?.is_empty() => Groups::new(),
        None => return Err(damage(&path, "the durable note is missing beside a log")),
    };
    database.check_note(&noted)?;
    let report = |group: &GroupId| {
        let noted = noted.get(group).copied().unwrap_or_default();
        verify_group(&database, *group, noted)
    };
    let groups = database.groups()?.iter().map(report).collect::<Result<_>>()?;
    let families = Family::ALL.iter().map(|family| {
        let (keys, bytes) = database.count(*family)?;
        Ok(FamilyReport { name: family.name(), keys, bytes })
    });
    let families = families.collect::<Result<_>>()?;
    Ok(Report { groups, families, snapshots: verify_snapshots(database.folder())? })
}

/// Every snapshot that a start would look at; what ends in `.new` is half written, and swept then.
fn verify_snapshots(folder: &Folder) -> Result<Vec<SnapshotReport>> {
    let root = folder.snapshots();
    let unreadable = |error: std::io::Error| {
        Refusal::new(Code::DiskFault, format!("can't read {}", root.display()))
            .cause(error)
            .hint("look at the disk: dmesg, df -h, the mount options")
    };
    let entries = match fs::read_dir(&root) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut reports = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let group = name.split_once('-').and_then(|(group, _)| group.parse().ok()).map(GroupId);
        if let Some(group) = group.filter(|_| !name.ends_with(".new")) {
            reports.push(verify_snapshot(&path, group)?);
        }
    }
    reports.sort_by_key(|report| (report.group, report.applied));
    Ok(reports)
}

fn verify_snapshot(path: &Path, group: GroupId) -> Result<SnapshotReport> {
    let checked = Snapshot::open(path, group)
        .and_then(|(snapshot, manifest)| manifest.verify(path).map(|()| (snapshot, manifest)));
    let (snapshot, manifest) = checked.map_err(|mut refusal| {
        if refusal.code == Code::ChecksumMismatch {
            // Its own hint is for whoever is about to install it.
            refusal.hints.clear();
        }
        refusal
            .hint(format!("the state is in order without it: remove {}", path.display()))
            .hint("keikod takes another one by itself")
    })?;
    Ok(SnapshotReport {
        group,
        applied: snapshot.applied.map(|applied| applied.last),
        files: manifest.files.len() as u64,
        bytes: manifest.files.iter().map(|file| file.length).sum(),
    })
}

fn verify_group(database: &Database, group: GroupId, noted: Noted) -> Result<GroupReport> {
    let applied = database.applied(group)?.map(|applied| applied.last);
    let head = Head::read(&database.view(), group);
    let first = database.first_record(group)?.map(|record| record.id.index);
    let mut replay = Replay::new(group, first == Some(0) && applied.is_some());
    let mut records = 0;
    for record in database.scan_log(group, 0..u64::MAX) {
        let record = record?;
        if record.id.index != first.unwrap_or(0) + records {
            let cause = format!("group {group}'s log has a hole before entry {}", record.id);
            return Err(damage(&database.folder().store(), cause));
        }
        records += 1;
        if record.kind == Kind::Normal && Some(record.id.index) <= applied.map(|id| id.index) {
            replay.apply(record.id.index, &record.payload)?;
        }
    }
    let replayed = replay.finish()?;
    if let Some(found) = &replayed
        && *found != head
    {
        let cause = format!(
            "the law, run again over group {group}'s log, comes to revision {} and hash {}; \
             the store has revision {} and hash {}",
            found.revision,
            keiko_core::hash::hex(&found.hash),
            head.revision,
            keiko_core::hash::hex(&head.hash),
        );
        return Err(damage(&database.folder().store(), cause));
    }
    Ok(GroupReport {
        group,
        records,
        log_end: database.log_end(group)?,
        noted: noted.last,
        applied,
        revision: head.revision,
        state_hash: head.hash,
        replayed: replayed.is_some(),
    })
}

/// The law, run over a log again, in memory.
struct Replay {
    group: GroupId,
    store: Option<MemoryStore>,
    pending: Vec<(u64, bytes::Bytes)>,
}

impl Replay {
    fn new(group: GroupId, possible: bool) -> Self {
        Self { group, store: possible.then(MemoryStore::default), pending: Vec::new() }
    }

    fn apply(&mut self, index: u64, payload: &bytes::Bytes) -> Result<()> {
        if self.store.is_some() {
            self.pending.push((index, payload.clone()));
        }
        match self.pending.len() as u64 >= ROUND_ENTRIES_MAX {
            true => self.commit(),
            false => Ok(()),
        }
    }

    fn commit(&mut self) -> Result<()> {
        let Some(store) = &mut self.store else {
            return Ok(());
        };
        let mut round = Round::new(store, self.group);
        for (index, payload) in self.pending.drain(..) {
            round.apply(index, &payload).map_err(Refusal::from)?;
        }
        let writes = round.into_writes();
        store.commit(writes);
        Ok(())
    }

    /// Where it ended, if it could be run.
    fn finish(mut self) -> Result<Option<Head>> {
        self.commit()?;
        Ok(self.store.map(|store| Head::read(&store, self.group)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::Applied;
    use keiko_core::store::{Space, Write};

    #[test]
    fn a_damaged_snapshot_is_named_with_its_remedy() {
        let temporary = tempfile::tempdir().unwrap();
        let group = GroupId::CONTROL;
        let database = Database::open(Folder::open(temporary.path()).unwrap()).unwrap();
        database.checked_note().unwrap();
        let key = [&group.prefix()[..], b"key"].concat();
        let write = Write { space: Space::State, key, value: Some(vec![7; 100]) };
        let last = LogId { term: 1, index: 7 };
        database.apply(group, &[write], &Applied { last, membership: Vec::new() }).unwrap();
        let folder = database.build_snapshot(group).unwrap().folder;
        database.sync().unwrap();
        drop(database);
        fs::create_dir(folder.with_extension("new")).unwrap();
        let found = verify(temporary.path()).unwrap().snapshots;
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].applied, found[0].files), (Some(last), 1));
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let whole = fs::read(&path).unwrap();
            let mut bytes = whole.clone();
            bytes[whole.len() / 2] ^= 4;
            fs::write(&path, bytes).unwrap();
            let refusal = verify(temporary.path()).unwrap_err();
            assert_eq!(refusal.code, Code::ChecksumMismatch);
            assert!(refusal.message.contains(&path.display().to_string()), "{refusal:?}");
            let remedy = format!(": remove {}", folder.display());
            assert!(refusal.hints[0].ends_with(&remedy), "{refusal:?}");
            fs::write(&path, whole).unwrap();
        }
        fs::remove_dir_all(&folder).unwrap();
        assert!(verify(temporary.path()).unwrap().snapshots.is_empty());
    }
}
