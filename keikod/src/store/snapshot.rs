//! The snapshot of one group: its part of every space as sorted files, with a manifest.
//!
//! Invariants:
//! - A snapshot's folder has its final name only while all of it is on disk; the manifest names
//!   every file with its length and BLAKE3. What ends in `.new` is half written or half removed,
//!   and swept at every start.
//! - Nothing of the group is touched before every file of a snapshot was verified.
//! - An install that was begun is finished: its marker is written before the group's range is
//!   deleted and removed after the new state is synced; a start that finds it repeats the install.
//!
//! Never: holds another group's keys, or anything of the log but the mark how far it is applied.

use super::folder::{fault, sync_parent, write_synced};
use super::record::{Applied, LogId, open, seal};
use super::{Database, Family, Meta, View};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::store::Space;
use prost::Message as _;
use rocksdb::{Direction, IngestExternalFileOptions, SstFileWriter, WriteBatch};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Bytes of keys and values in one file; with its index and filter it stays below 64 MiB, the
/// largest message between nodes.
const FILE_BYTES_MAX: usize = 60 << 20;
pub(super) const MANIFEST: &str = "manifest";
/// In the name of a snapshot of which nothing was applied.
const EMPTY: &str = "empty";
const MANIFEST_MAGIC: &[u8] = b"keiko snapshot manifest 1";

/// What a snapshot holds.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Manifest {
    /// Whose.
    #[prost(uint32, tag = "1")]
    pub group: u32,
    /// The encoded apply mark of the state that it holds; empty if nothing was applied.
    #[prost(bytes = "vec", tag = "2")]
    pub applied: Vec<u8>,
    /// Its files.
    #[prost(message, repeated, tag = "3")]
    pub files: Vec<Part>,
}

/// One file of a snapshot.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Part {
    /// Which column family it fills.
    #[prost(string, tag = "1")]
    pub family: String,
    /// Its name inside the snapshot's folder.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Its length in bytes.
    #[prost(uint64, tag = "3")]
    pub length: u64,
    /// Its BLAKE3.
    #[prost(bytes = "vec", tag = "4")]
    pub blake3: Vec<u8>,
}

/// A complete snapshot on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Its folder.
    pub folder: PathBuf,
    /// How far the state that it holds is applied; `None` if nothing was.
    pub applied: Option<Applied>,
}

impl Snapshot {
    /// Reads the manifest of a snapshot of `group`; looks at no other file.
    pub fn open(folder: &Path, group: GroupId) -> Result<(Self, Manifest)> {
        let path = folder.join(MANIFEST);
        let manifest = Manifest::decode_sealed(&manifest_of(folder)?, group);
        let manifest = manifest.ok_or_else(|| mismatch(&path))?;
        let applied = match &manifest.applied[..] {
            [] => None,
            mark => Some(Applied::decode(mark).ok_or_else(|| mismatch(&path))?),
        };
        Ok((Self { folder: folder.to_owned(), applied }, manifest))
    }
}

impl Snapshot {
    fn last(&self) -> Option<LogId> {
        self.applied.as_ref().map(|applied| applied.last)
    }
}

/// The sealed manifest of the snapshot in `folder`, as it is on disk.
pub fn manifest_of(folder: &Path) -> Result<Vec<u8>> {
    let path = folder.join(MANIFEST);
    fs::read(&path).map_err(|error| fault(&path, "read", error))
}

impl Manifest {
    /// Seals it into the folder of its files.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let mut bytes = vec![0; 4];
        bytes.extend(self.encode_to_vec());
        seal(MANIFEST_MAGIC, &mut bytes);
        let path = folder.join(MANIFEST);
        write_synced(&path, &bytes).map_err(|error| fault(&path, "write", error))
    }

    fn decode_sealed(sealed: &[u8], group: GroupId) -> Option<Self> {
        let manifest = open(MANIFEST_MAGIC, sealed).and_then(|body| Self::decode(body).ok());
        manifest.filter(|manifest| manifest.group == u32::from(group.0))
    }

    /// The manifest of a snapshot of `group` that another node has; every file of it may lie in
    /// `folder`.
    pub(super) fn received(sealed: &[u8], group: GroupId, folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let manifest = Self::decode_sealed(sealed, group).ok_or_else(|| mismatch(&path))?;
        manifest.check_names(folder)?;
        Ok(manifest)
    }

    fn check_names(&self, folder: &Path) -> Result<()> {
        let known = |part: &Part| {
            let named = |family: &Space| Family::from(*family).name() == part.family;
            let plain = !part.name.contains(['/', '\\']) && part.name.ends_with(".sst");
            Space::ALL.iter().any(named) && plain
        };
        match self.files.iter().all(known) {
            true => Ok(()),
            false => Err(mismatch(&folder.join(MANIFEST))),
        }
    }

    /// Compares every file in `folder` with what the manifest says of it.
    pub fn verify(&self, folder: &Path) -> Result<()> {
        self.check_names(folder)?;
        for part in &self.files {
            let path = folder.join(&part.name);
            let (length, blake3) = digest(&path)?;
            if (length, &blake3[..]) != (part.length, &part.blake3[..]) {
                return Err(mismatch(&path));
            }
        }
        Ok(())
    }
}

impl Database {
    /// Writes the group's state of now into a snapshot.
    pub fn build_snapshot(&self, group: GroupId) -> Result<Snapshot> {
        let view = self.view();
        let applied = view.applied(group);
        let folder = self.snapshot_folder(group, applied.as_ref());
        if let Ok((snapshot, _)) = Snapshot::open(&folder, group) {
            return Ok(snapshot);
        }
        // A damaged one of the same name would be in the way of the new one.
        remove_folder(&folder)?;
        let fresh = folder.with_extension("new");
        self.write_group(&view, group, &fresh)?;
        self.adopt(&fresh, &folder)?;
        let built = Snapshot { folder, applied };
        self.forget_older(group, built.last())?;
        Ok(built)
    }

    /// Writes the group as a view shows it into files of a folder, with their manifest. The folder
    /// is the caller's: it is no snapshot of this store.
    pub fn write_group(&self, view: &View<'_>, group: GroupId, folder: &Path) -> Result<Manifest> {
        fs::create_dir_all(folder).map_err(|error| fault(folder, "create", error))?;
        let mut files = Vec::new();
        for space in Space::ALL {
            self.export(view, group, space.into(), folder, &mut files)?;
        }
        let applied = view.applied(group).as_ref().map(Applied::encode).unwrap_or_default();
        let manifest = Manifest { group: u32::from(group.0), applied, files };
        manifest.write(folder)?;
        Ok(manifest)
    }

    /// The group's newest complete snapshot. A folder without a readable manifest is none: it holds
    /// only what can be derived from the state again, so it is no reason to stop. Nor is a damaged
    /// one that is ahead of the state, which a start would install: the log has the same, because
    /// it is purged only behind the state.
    pub fn current_snapshot(&self, group: GroupId) -> Result<Option<Snapshot>> {
        let state = self.applied(group)?.map(|applied| applied.last);
        let mut newest: Option<Snapshot> = None;
        for folder in self.snapshot_folders(group)? {
            let opened = Snapshot::open(&folder, group).and_then(|(snapshot, manifest)| {
                if snapshot.last() > state {
                    manifest.verify(&folder)?;
                }
                Ok(snapshot)
            });
            let snapshot = match opened {
                Ok(snapshot) => snapshot,
                Err(refusal) => {
                    let causes = &refusal.causes;
                    tracing::warn!(%group, ?causes, "a snapshot is passed over: {refusal}");
                    continue;
                }
            };
            if newest.as_ref().is_none_or(|newest| newest.last() < snapshot.last()) {
                newest = Some(snapshot);
            }
        }
        Ok(newest)
    }

    /// Replaces the group's state by the snapshot in `folder`. Refused without a change if a file
    /// of it is not as its manifest says. Durable when this returns. `folder` must not end in
    /// `.new`, which is swept.
    pub fn install_snapshot(&self, group: GroupId, folder: &Path) -> Result<Snapshot> {
        let (snapshot, manifest) = Snapshot::open(folder, group)?;
        manifest.verify(folder)?;
        let kept = self.snapshot_folder(group, snapshot.applied.as_ref());
        if kept != folder {
            remove_folder(&kept)?;
            self.adopt(folder, &kept)?;
        }
        let marker = self.install_marker(group);
        let name = kept.file_name().unwrap_or_default().as_encoded_bytes();
        write_synced(&marker, name).map_err(|error| fault(&marker, "write", error))?;
        self.ingest(group, &kept, &manifest)?;
        fs::remove_file(&marker).map_err(|error| fault(&marker, "remove", error))?;
        sync_parent(&marker).map_err(|error| fault(&marker, "sync", error))?;
        self.forget_older(group, snapshot.last())?;
        Ok(Snapshot { folder: kept, applied: snapshot.applied })
    }

    /// Repeats every install that a crash interrupted.
    pub(super) fn finish_installs(&self) -> Result<()> {
        let root = self.folder().snapshots();
        for marker in self.unfinished_installs()? {
            let stem = marker.file_stem().and_then(|stem| stem.to_str());
            let Some(group) = stem.and_then(|stem| stem.parse().ok()).map(GroupId) else {
                return Err(mismatch(&marker));
            };
            let name =
                fs::read_to_string(&marker).map_err(|error| fault(&marker, "read", error))?;
            tracing::warn!(%group, snapshot = name, "repeating an interrupted install");
            // What it replaces may be gone already, so it is the only copy there was.
            self.install_snapshot(group, &root.join(name)).map_err(|refusal| {
                match refusal.code {
                    Code::ChecksumMismatch => self.damage(refusal.message),
                    _ => refusal,
                }
            })?;
        }
        Ok(())
    }

    /// The markers of installs that were begun and not finished.
    pub fn unfinished_installs(&self) -> Result<Vec<PathBuf>> {
        let mut paths = list(&self.folder().snapshots())?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "installing"));
        Ok(paths)
    }

    fn export(
        &self,
        view: &View<'_>,
        group: GroupId,
        family: Family,
        folder: &Path,
        files: &mut Vec<Part>,
    ) -> Result<()> {
        let (start, end) = group.range();
        let mut pairs = view.scan_family(family, &start, &end, Direction::Forward).peekable();
        let options = super::options::family(family, &super::options::cache());
        for number in 0.. {
            if pairs.peek().is_none() {
                break;
            }
            let name = format!("{}-{number:04}.sst", family.name());
            let path = folder.join(&name);
            let mut writer = SstFileWriter::create(&options);
            let mut wrote = writer.open(&path);
            let mut bytes = 0;
            while let Some((key, value)) = pairs.next_if(|_| bytes < FILE_BYTES_MAX) {
                bytes += key.len() + value.len();
                wrote = wrote.and_then(|()| writer.put(&key, &value));
            }
            wrote
                .and_then(|()| writer.finish())
                .map_err(|error| self.fault("write a snapshot of", &error))?;
            let (length, blake3) = digest(&path)?;
            let blake3 = blake3.to_vec();
            files.push(Part { family: family.name().to_owned(), name, length, blake3 });
        }
        Ok(())
    }

    fn ingest(&self, group: GroupId, folder: &Path, manifest: &Manifest) -> Result<()> {
        let (start, end) = group.range();
        let mut batch = WriteBatch::default();
        for space in Space::ALL {
            batch.delete_range_cf(self.family(space.into()), &start, &end);
        }
        self.write(batch)?;
        let options = IngestExternalFileOptions::default();
        for space in Space::ALL {
            let family = Family::from(space);
            let of_family = |part: &&Part| part.family == family.name();
            let paths: Vec<PathBuf> = manifest
                .files
                .iter()
                .filter(of_family)
                .map(|part| folder.join(&part.name))
                .collect();
            if !paths.is_empty() {
                self.rocks
                    .ingest_external_file_cf_opts(self.family(family), &options, paths)
                    .map_err(|error| self.fault("install a snapshot into", &error))?;
            }
        }
        let mut batch = WriteBatch::default();
        match &manifest.applied[..] {
            [] => batch.delete_cf(self.family(Family::RaftMeta), Meta::Applied.key(group)),
            mark => self.put_meta(&mut batch, group, Meta::Applied, mark),
        }
        self.write(batch)?;
        self.sync()
    }

    fn snapshot_folder(&self, group: GroupId, applied: Option<&Applied>) -> PathBuf {
        let name = match applied.map(|applied| applied.last) {
            Some(LogId { term, index }) => format!("{:05}-{term:020}-{index:020}", group.0),
            None => format!("{:05}-{EMPTY}", group.0),
        };
        self.folder().snapshots().join(name)
    }

    fn install_marker(&self, group: GroupId) -> PathBuf {
        self.folder().snapshots().join(format!("{:05}.installing", group.0))
    }

    /// Gives a folder whose files are synced its final name.
    fn adopt(&self, fresh: &Path, folder: &Path) -> Result<()> {
        let renamed = File::open(fresh)
            .and_then(|opened| opened.sync_all())
            .and_then(|()| fs::rename(fresh, folder))
            .and_then(|()| sync_parent(folder));
        renamed.map_err(|error| fault(folder, "write", error))
    }

    /// Removes the snapshots before the one that holds the state of `last`. A newer one may have been
    /// installed while that was built, and what does not say how old it is is nobody's to remove.
    fn forget_older(&self, group: GroupId, last: Option<LogId>) -> Result<()> {
        for folder in self.snapshot_folders(group)? {
            if position(&folder).is_some_and(|older| older < last) {
                remove_folder(&folder)?;
            }
        }
        Ok(())
    }

    fn snapshot_folders(&self, group: GroupId) -> Result<Vec<PathBuf>> {
        let mut paths = list(&self.folder().snapshots())?;
        paths.retain(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let complete = name.starts_with(&format!("{:05}-", group.0)) && !name.ends_with(".new");
            complete && path.is_dir()
        });
        Ok(paths)
    }
}

/// How far the state is applied that a snapshot holds, by the name of its folder; `None` if that is
/// not a snapshot's name.
fn position(folder: &Path) -> Option<Option<LogId>> {
    let (_, name) = folder.file_name()?.to_str()?.split_once('-')?;
    if name == EMPTY {
        return Some(None);
    }
    let (term, index) = name.split_once('-')?;
    Some(Some(LogId { term: term.parse().ok()?, index: index.parse().ok()? }))
}

/// Removes what a crash left half written or half removed.
pub(super) fn sweep(root: &Path) -> Result<()> {
    for path in list(root)? {
        if path.extension().is_some_and(|extension| extension == "new") {
            tracing::warn!(path = %path.display(), "removing what a crash left unfinished");
            match path.is_dir() {
                true => delete(&path)?,
                false => fs::remove_file(&path).map_err(|error| fault(&path, "remove", error))?,
            }
        }
    }
    Ok(())
}

/// What lies in a folder; nothing if there is no such folder.
fn list(root: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| fault(root, "read", error))?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<std::io::Result<_>>().map_err(|error| fault(root, "read", error))
}

fn digest(path: &Path) -> Result<(u64, [u8; 32])> {
    let mut hasher = blake3::Hasher::new();
    let read = File::open(path).and_then(|file| std::io::copy(&mut { file }, &mut hasher));
    let length = read.map_err(|error| fault(path, "read", error))?;
    Ok((length, *hasher.finalize().as_bytes()))
}

/// Removes a snapshot. It loses its final name first, so that a crash in the middle leaves nothing
/// that looks like a complete one.
fn remove_folder(folder: &Path) -> Result<()> {
    let unnamed = folder.with_extension("new");
    delete(&unnamed)?;
    match fs::rename(folder, &unnamed).and_then(|()| sync_parent(folder)) {
        Ok(()) => delete(&unnamed),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(fault(folder, "remove", error)),
    }
}

fn delete(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(fault(folder, "remove", error)),
        _ => Ok(()),
    }
}

fn mismatch(path: &Path) -> Refusal {
    Refusal::new(Code::ChecksumMismatch, format!("{} is damaged", path.display()))
        .cause("it is not what the snapshot's manifest says")
        .hint("take the snapshot again; what it was to replace is untouched")
}

mod sorted;

pub use sorted::write_sorted;

#[cfg(test)]
pub(super) mod tests;

#[cfg(test)]
mod fuzz;
