//! The store: one RocksDB for all groups of a node.
//!
//! Keeps, in column families: the consensus logs, what consensus must remember (votes, how far a
//! log is purged, how far it is applied), and the three spaces of the law. Every key starts with
//! its group.
//!
//! Invariants:
//! - Writes here are never synced; the [`flusher`] syncs the one write-ahead log for everybody, and
//!   only what it synced is called durable.
//! - What the law wrote and how far it applied go into one batch, so they can't disagree.
//! - Every log record and everything consensus remembers carries a CRC32C; what fails it is
//!   refused, never skipped and never deleted.
//! - A start whose log ends below the [durable note](note) is refused: the store is damaged.
//!
//! Never: retries a failed write or sync. A node whose disk fails ends ([`abort`]), because what it
//! would say next could be wrong. Knows nothing of openraft; nobody else knows RocksDB.

mod check;
pub mod counters;
pub mod flusher;
pub mod folder;
pub mod incoming;
mod log;
pub mod note;
mod options;
pub mod record;
pub mod snapshot;
mod view;

pub use view::View;

use folder::Folder;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::store::{Space, Write};
use record::{Applied, LogId, Vote};
use rocksdb::{ColumnFamily, ColumnFamilyDescriptor, DB, ErrorKind, WriteBatch};
use std::path::Path;
use std::time::Duration;

/// A column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Log records by group and index.
    RaftLog,
    /// Votes, purge and apply marks by group.
    RaftMeta,
    /// [`Space::State`].
    State,
    /// [`Space::History`].
    History,
    /// [`Space::Journal`].
    Journal,
    /// Large values in chunks.
    Blobs,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 6] =
        [Self::RaftLog, Self::RaftMeta, Self::State, Self::History, Self::Journal, Self::Blobs];

    /// Its name in RocksDB.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RaftLog => "raft_log",
            Self::RaftMeta => "raft_meta",
            Self::State => "state",
            Self::History => "history",
            Self::Journal => "journal",
            Self::Blobs => "blobs",
        }
    }
}

impl From<Space> for Family {
    fn from(space: Space) -> Self {
        match space {
            Space::State => Self::State,
            Space::History => Self::History,
            Space::Journal => Self::Journal,
        }
    }
}

/// How RocksDB says ENOSPC; its errors come as text.
const NO_ROOM: &str = "No space left on device";

/// How long the thread that has the disk's own words may take to end the process with them.
const FIRST_WORDS: Duration = Duration::from_secs(2);

/// The spaces that a group's past lies in.
const PAST: [Space; 2] = [Space::History, Space::Journal];

/// What consensus remembers of a group beside its log.
#[derive(Clone, Copy)]
enum Meta {
    Vote,
    Purged,
    Applied,
}

impl Meta {
    const fn key(self, group: GroupId) -> [u8; 3] {
        let [high, low] = group.prefix();
        let tag = match self {
            Self::Vote => b'v',
            Self::Purged => b'p',
            Self::Applied => b'a',
        };
        [high, low, tag]
    }
}

/// The open store.
pub struct Database {
    rocks: DB,
    folder: Folder,
}

impl Database {
    /// Opens or creates the store and repeats installs of snapshots that a crash interrupted. The
    /// caller holds the data folder's lock.
    pub fn open(folder: Folder) -> Result<Self> {
        // First, because to open the store takes space, and a half-written snapshot may have all.
        snapshot::sweep(&folder.snapshots())?;
        let path = folder.store();
        let rocks = DB::open_cf_descriptors(&options::database(), &path, descriptors())
            .map_err(|error| open_refusal(&path, &error))?;
        let database = Self { rocks, folder };
        database.finish_installs()?;
        Ok(database)
    }

    /// Opens the store of a node that does not run, without writing to it.
    pub fn open_to_read(folder: Folder) -> Result<Self> {
        let path = folder.store();
        let mut settings = options::database();
        settings.create_if_missing(false);
        settings.create_missing_column_families(false);
        let rocks = DB::open_cf_descriptors_read_only(&settings, &path, descriptors(), false)
            .map_err(|error| open_refusal(&path, &error))?;
        Ok(Self { rocks, folder })
    }

    /// The layout of the data folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// A consistent view of now.
    pub fn view(&self) -> View<'_> {
        View::new(self)
    }

    /// The groups that have a log, a vote or a state here, ascending.
    pub fn groups(&self) -> Result<Vec<GroupId>> {
        let mut groups = Vec::new();
        for family in [Family::RaftLog, Family::RaftMeta] {
            let mut iterator = self.rocks.raw_iterator_cf(self.family(family));
            let mut next = Some(0u16);
            while let Some(from) = next {
                iterator.seek(GroupId(from).prefix());
                let found = iterator.key().and_then(|key| key.first_chunk().copied());
                next = found.and_then(|prefix| {
                    let group = u16::from_be_bytes(prefix);
                    groups.push(GroupId(group));
                    group.checked_add(1)
                });
            }
            iterator.status().map_err(|error| self.fault("read", &error))?;
        }
        groups.sort_unstable();
        groups.dedup();
        Ok(groups)
    }

    /// About how many bytes the group's past takes on the disk: its history and its journal, as
    /// far as they left the memory tables.
    pub fn past_bytes(&self, group: GroupId) -> u64 {
        PAST.iter().map(|space| self.file_bytes(group, *space)).sum()
    }

    /// Drops what was deleted of the group's past from the disk, where it is counted and takes
    /// space until then. Blocks while it rewrites the rest.
    pub fn reclaim_past(&self, group: GroupId) {
        let (start, end) = group.range();
        for space in PAST {
            self.rocks.compact_range_cf(self.family(space.into()), Some(&start), Some(&end));
        }
    }

    /// At most about how many bytes a snapshot of the group would take: its files in every space,
    /// and all memory tables, of which nobody knows the group's part.
    pub fn group_bytes(&self, group: GroupId) -> u64 {
        let memory = |space: Space| {
            let name = rocksdb::properties::CUR_SIZE_ALL_MEM_TABLES;
            let found = self.rocks.property_int_value_cf(self.family(space.into()), name);
            found.ok().flatten().unwrap_or(0)
        };
        Space::ALL.iter().map(|space| self.file_bytes(group, *space) + memory(*space)).sum()
    }

    fn file_bytes(&self, group: GroupId, space: Space) -> u64 {
        let (start, end) = group.range();
        let ranges = [rocksdb::Range::new(&start, &end)];
        self.rocks.get_approximate_sizes_cf(self.family(space.into()), &ranges).iter().sum()
    }

    /// The vote that was saved last.
    pub fn vote(&self, group: GroupId) -> Result<Option<Vote>> {
        self.meta(group, Meta::Vote, Vote::decode)
    }

    /// Saves a vote, unsynced.
    pub fn save_vote(&self, group: GroupId, vote: Vote) -> Result<()> {
        let mut batch = WriteBatch::default();
        self.put_meta(&mut batch, group, Meta::Vote, &vote.encode());
        self.write(batch)
    }

    /// The last entry that was purged.
    pub fn purged(&self, group: GroupId) -> Result<Option<LogId>> {
        self.meta(group, Meta::Purged, LogId::decode)
    }

    /// How far the group is applied.
    pub fn applied(&self, group: GroupId) -> Result<Option<Applied>> {
        self.meta(group, Meta::Applied, Applied::decode)
    }

    /// One apply round: what the law wrote and how far it came, in one batch, unsynced.
    pub fn apply(&self, group: GroupId, writes: &[Write], applied: &Applied) -> Result<()> {
        let mut batch = WriteBatch::default();
        for Write { space, key, value } in writes {
            debug_assert!(key.starts_with(&group.prefix()), "a write of another group");
            let family = self.family((*space).into());
            match value {
                Some(value) => batch.put_cf(family, key, value),
                None => batch.delete_cf(family, key),
            }
        }
        self.put_meta(&mut batch, group, Meta::Applied, &applied.encode());
        self.write(batch)
    }

    /// Makes everything that was written so far durable.
    pub fn sync(&self) -> Result<()> {
        self.rocks.flush_wal(true).map_err(|error| self.fault("sync", &error))
    }

    fn meta<T>(
        &self,
        group: GroupId,
        meta: Meta,
        decode: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>> {
        let key = meta.key(group);
        let bytes = self.rocks.get_cf(self.family(Family::RaftMeta), key);
        let Some(bytes) = bytes.map_err(|error| self.fault("read", &error))? else {
            return Ok(None);
        };
        match record::open(&key, &bytes).and_then(decode) {
            Some(value) => Ok(Some(value)),
            None => Err(self.damage(format!(
                "the {:?} mark of group {group} fails its checksum",
                char::from(key[2])
            ))),
        }
    }

    fn put_meta(&self, batch: &mut WriteBatch, group: GroupId, meta: Meta, value: &[u8]) {
        let key = meta.key(group);
        let mut bytes = [&[0; 4], value].concat();
        record::seal(&key, &mut bytes);
        batch.put_cf(self.family(Family::RaftMeta), key, bytes);
    }

    fn write(&self, batch: WriteBatch) -> Result<()> {
        self.rocks.write(batch).map_err(|error| self.fault("write", &error))
    }

    fn family(&self, family: Family) -> &ColumnFamily {
        match self.rocks.cf_handle(family.name()) {
            Some(handle) => handle,
            // Every family is created at open, so its absence is a defect of this module.
            None => unreachable!("the store was opened without {}", family.name()),
        }
    }

    fn fault(&self, action: &str, error: &rocksdb::Error) -> Refusal {
        if error.kind() == ErrorKind::Corruption {
            return self.damage(error);
        }
        if is_echo(error) {
            std::thread::sleep(FIRST_WORDS);
        }
        folder::fault(&self.folder.store(), &format!("{action} the store in"), error)
    }

    fn damage(&self, cause: impl std::fmt::Display) -> Refusal {
        damage(&self.folder.store(), cause)
    }
}

fn descriptors() -> Vec<ColumnFamilyDescriptor> {
    let cache = options::cache();
    let describe = |family: Family| {
        ColumnFamilyDescriptor::new(family.name(), options::family(family, &cache))
    };
    Family::ALL.map(describe).into()
}

/// True for what RocksDB says to whoever uses a file after it gave the disk's error to another
/// thread: "Seen error", "Writer has previous error". The disk's own errors name a file.
fn is_echo(error: &rocksdb::Error) -> bool {
    error.kind() == ErrorKind::IOError && !error.as_ref().contains('/')
}

fn open_refusal(path: &Path, error: &rocksdb::Error) -> Refusal {
    if error.kind() == ErrorKind::Corruption {
        return damage(path, error);
    }
    if error.as_ref().contains(NO_ROOM) {
        return folder::no_room(path, error);
    }
    Refusal::new(Code::DiskFault, format!("can't open the store in {}", path.display()))
        .cause(error)
        .hint("free space, permissions and limits on open files are the usual reasons")
}

/// The refusal of a store that lacks or garbles what was acknowledged.
pub(crate) fn damage(path: &Path, cause: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::StoreDamaged, format!("the store in {} is damaged", path.display()))
        .cause(cause)
        .hint("nothing was changed; keep a copy of the data folder before you try anything")
        .hint("of several nodes, on one that serves: keikoctl node repair NAME")
        .hint("else put back a copy of the whole data folder, not of single files")
}

/// Ends the process: a fault of the disk, after which nothing that this node says could be trusted.
pub fn abort(refusal: &Refusal) -> ! {
    tracing::error!(
        code = %refusal.code,
        causes = ?refusal.causes,
        hints = ?refusal.hints,
        "{}; this node ends",
        refusal.message
    );
    std::process::abort()
}

/// Ends the process if the code that holds it panics: half of a step was done, and whoever waits for
/// the other half would wait for ever.
pub(crate) struct Fuse(pub(crate) &'static str);

impl Drop for Fuse {
    fn drop(&mut self) {
        if std::thread::panicking() {
            abort(&Refusal::new(Code::Internal, self.0));
        }
    }
}

/// The value, or the end of the process.
pub fn or_abort<T>(result: Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(refusal) => abort(&refusal),
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod agree;

#[cfg(test)]
mod fuzz;
