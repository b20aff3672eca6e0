//! What the folder of a stopped node has that can be believed. Each thing is looked at by itself: what
//! is damaged counts as missing, and is told with its reason where somebody needs it.

use super::chain::Log;
use super::refused;
use crate::lifecycle::Membership;
use crate::store::folder::{Folder, fault};
use crate::store::note::{Note, Noted};
use crate::store::record::{Applied, LogId, Record};
use crate::store::snapshot::{Part, Snapshot};
use crate::store::{Database, Family};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Refusal, Result};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What a group's state lies in.
const STATE: [Family; 4] = [Family::RaftMeta, Family::State, Family::History, Family::Journal];

/// A stopped node.
pub(super) struct Source {
    pub(super) folder: PathBuf,
    /// Which node of which cluster, if its note of that is whole.
    pub(super) membership: Option<Membership>,
    group: GroupId,
    /// What was noted as durable, if the note is whole.
    noted: Option<Noted>,
    /// Its store, if it can be opened at all.
    database: Option<Database>,
    /// Where its log ended, if that is beyond doubt: the store opens, holds the end, and that is not
    /// below what was called durable.
    pub(super) end: Option<LogId>,
    /// What of this can't be read, and why.
    pub(super) damages: Vec<String>,
}

/// A whole state.
pub(super) struct Base {
    /// Up to which entry, and who was a member then.
    pub(super) applied: Applied,
    /// The folder of the snapshot that it is; else it is that of the store.
    snapshot: Option<PathBuf>,
}

impl Source {
    /// Looks at a folder that nobody uses, and changes nothing.
    pub(super) fn look(folder: &Path, group: GroupId) -> Result<Self> {
        let mut damages = Vec::new();
        let mut tell = |what: &str, why: &dyn std::fmt::Display| {
            damages.push(format!("{}: {what}: {why}", folder.display()));
        };
        let membership = Membership::read(folder).unwrap_or_else(|refusal| {
            tell("who it is is not known", &reason(&refusal));
            None
        });
        let opened = Folder::existing(folder).and_then(Database::open_to_read);
        let database = opened.map_err(|refusal| tell("its store can't be read", &reason(&refusal)));
        let noted = match Note::open(&folder.join("durable"), false) {
            Ok(note) => note.map(|note| note.groups.get(&group).copied().unwrap_or_default()),
            Err(refusal) => {
                tell("what was durable is not known", &reason(&refusal));
                None
            }
        };
        let (folder, database) = (folder.to_owned(), database.ok());
        let end = database.as_ref().and_then(|database| end(database, group, noted?));
        Ok(Self { folder, membership, group, noted, database, end, damages })
    }

    pub(super) fn id(&self) -> Option<u64> {
        self.membership.as_ref().map(|membership| membership.node_id)
    }

    /// The highest term that it is known to have seen.
    pub(super) fn term(&self) -> u64 {
        let kept = self.database.as_ref().and_then(|database| database.vote(self.group).ok()?);
        let noted = self.noted.unwrap_or_default();
        let votes = [kept, noted.vote].into_iter().flatten().map(|vote| vote.term);
        let ends = [noted.last, self.end].into_iter().flatten().map(|end| end.term);
        votes.chain(ends).max().unwrap_or(0)
    }

    /// Every whole state that it has.
    pub(super) fn bases(&self) -> Vec<Base> {
        let state = self.database.as_ref().and_then(|database| self.state(database));
        let snapshots = fs::read_dir(self.folder.join("snapshots")).into_iter().flatten();
        let snapshots = snapshots.flatten().filter_map(|entry| self.snapshot(&entry.path()));
        state.into_iter().chain(snapshots).collect()
    }

    /// Every block of it is read, so that what is taken from it later is whole.
    fn state(&self, database: &Database) -> Option<Base> {
        if database.unfinished_installs().ok().is_none_or(|markers| !markers.is_empty()) {
            return None;
        }
        if STATE.iter().any(|family| database.count(*family).is_err()) {
            return None;
        }
        let applied = database.applied(self.group).ok()??;
        Some(Base { applied, snapshot: None })
    }

    fn snapshot(&self, folder: &Path) -> Option<Base> {
        let name = folder.file_name()?.to_str()?;
        if !name.starts_with(&format!("{:05}-", self.group.0)) || name.ends_with(".new") {
            return None;
        }
        let (snapshot, manifest) = Snapshot::open(folder, self.group).ok()?;
        manifest.verify(folder).ok()?;
        Some(Base { applied: snapshot.applied?, snapshot: Some(folder.to_owned()) })
    }

    /// Writes a whole state as the files of a snapshot.
    pub(super) fn write(&self, base: &Base, to: &Path) -> Result<()> {
        match (&base.snapshot, &self.database) {
            (Some(from), _) => copy(from, self.group, to),
            (None, Some(database)) => {
                database.write_group(&database.view(), self.group, to).map(drop)
            }
            (None, None) => Err(refused("a state without a store can't be written")),
        }
    }

    /// The good copy of an entry.
    pub(super) fn record(&self, index: u64) -> Option<Record> {
        self.database.as_ref()?.record(self.group, index).ok()?
    }

    /// Why there is none.
    pub(super) fn why_not(&self, index: u64) -> String {
        let why = match &self.database {
            None => "its store can't be read".to_owned(),
            Some(database) => match database.record(self.group, index) {
                Ok(Some(_)) => "it has one, and was not found to agree with the others".to_owned(),
                Ok(None) => "it has none".to_owned(),
                Err(refusal) => reason(&refusal),
            },
        };
        format!("{}: {why}", self.folder.display())
    }
}

impl Log for Source {
    fn term_at(&self, index: u64) -> Option<u64> {
        self.record(index).map(|record| record.id.term)
    }

    fn had(&self, id: LogId) -> bool {
        self.end == Some(id) || self.noted.is_some_and(|noted| noted.last == Some(id))
    }
}

fn end(database: &Database, group: GroupId, noted: Noted) -> Option<LogId> {
    let end = database.log_end(group).ok()??;
    let reaches = |last: LogId| end.index >= last.index && end.term >= last.term;
    noted.last.is_none_or(reaches).then_some(end)
}

fn copy(from: &Path, group: GroupId, to: &Path) -> Result<()> {
    let (_, manifest) = Snapshot::open(from, group)?;
    let copy = |part: &Part| {
        let to = to.join(&part.name);
        fs::copy(from.join(&part.name), &to).and_then(|_| File::open(&to)?.sync_all())
    };
    fs::create_dir_all(to)
        .and_then(|()| manifest.files.iter().try_for_each(copy))
        .map_err(|error| fault(to, "write", error))?;
    manifest.write(to)
}

fn reason(refusal: &Refusal) -> String {
    refusal.causes.first().unwrap_or(&refusal.message).clone()
}
