//! A snapshot that is arriving: its files grow until they are what the manifest says.
//!
//! Invariants: at most one for each group; a file is never longer than the manifest says; a folder
//! of this kind is no snapshot until every file was verified and synced.

use super::Database;
use super::folder::{fault, write_synced};
use super::snapshot::{MANIFEST, Manifest, Snapshot};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// The first part of such a folder's name; no snapshot's name begins so.
const PREFIX: &str = "incoming-";
/// Files of one snapshot: 8,192 of 60 MiB are 480 GiB.
const FILES_MAX: usize = 8192;

/// One that is arriving.
#[derive(Debug)]
pub struct Incoming {
    group: GroupId,
    folder: PathBuf,
    manifest: Manifest,
}

/// What is lacking of a file: its name, and how many bytes of it are there.
pub type Lacking = (String, u64);

impl Database {
    /// Begins to take a snapshot in, or goes on with it if it is the same as before. `sealed` is the
    /// manifest as it is on the sender's disk.
    pub fn begin_incoming(&self, group: GroupId, sealed: &[u8]) -> Result<Incoming> {
        let root = self.folder().snapshots();
        let hash = blake3::hash(sealed).to_hex();
        let name = format!("{PREFIX}{:05}-{}", group.0, &hash[..16]);
        let folder = root.join(&name);
        let manifest = Manifest::received(sealed, group, &folder)?;
        if manifest.files.len() > FILES_MAX {
            let message = format!("a snapshot has at most {FILES_MAX} files");
            return Err(Refusal::new(Code::LimitExceeded, message));
        }
        forget_others(&root, group, &name)?;
        fs::create_dir_all(&folder).map_err(|error| fault(&folder, "create", error))?;
        let path = folder.join(MANIFEST);
        write_synced(&path, sealed).map_err(|error| fault(&path, "write", error))?;
        Ok(Incoming { group, folder, manifest })
    }
}

impl Incoming {
    /// All its files together, in bytes.
    pub fn bytes(&self) -> u64 {
        self.manifest.files.iter().map(|part| part.length).sum()
    }

    /// What is still to come.
    pub fn lacking(&self) -> Result<Vec<Lacking>> {
        let mut lacking = Vec::new();
        for part in &self.manifest.files {
            let path = self.folder.join(&part.name);
            let there = length(&path)?;
            if there > part.length {
                // Of another transfer, or damaged: from the beginning.
                fs::remove_file(&path).map_err(|error| fault(&path, "remove", error))?;
                lacking.push((part.name.clone(), 0));
            } else if there < part.length || !path.exists() {
                lacking.push((part.name.clone(), there));
            }
        }
        Ok(lacking)
    }

    /// Takes bytes that follow those that are there.
    pub fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<()> {
        let part = self.manifest.files.iter().find(|part| part.name == name);
        let part = part.ok_or_else(|| stray(format!("no file {name:?} is in the manifest")))?;
        let path = self.folder.join(&part.name);
        let there = length(&path)?;
        if there != offset {
            return Err(stray(format!("{name} has {there} bytes, the part begins at {offset}")));
        }
        if there + bytes.len() as u64 > part.length {
            return Err(stray(format!("{name} would be longer than the manifest says")));
        }
        let written = OpenOptions::new().append(true).create(true).open(&path);
        let written = written.and_then(|mut file| file.write_all(bytes));
        written.map_err(|error| fault(&path, "write", error))
    }

    /// Syncs and verifies every file. If one is not as the manifest says all of them are removed, so
    /// that the next transfer brings them again.
    pub fn finish(self) -> Result<Snapshot> {
        for part in &self.manifest.files {
            let path = self.folder.join(&part.name);
            File::open(&path)
                .and_then(|file| file.sync_all())
                .map_err(|error| fault(&path, "sync", error))?;
        }
        if let Err(refusal) = self.manifest.verify(&self.folder) {
            fs::remove_dir_all(&self.folder)
                .map_err(|error| fault(&self.folder, "remove", error))?;
            return Err(refusal);
        }
        Ok(Snapshot::open(&self.folder, self.group)?.0)
    }
}

fn length(path: &Path) -> Result<u64> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(fault(path, "read", error)),
    }
}

/// Removes what arrived of other snapshots of the group.
fn forget_others(root: &Path, group: GroupId, kept: &str) -> Result<()> {
    let of_group = format!("{PREFIX}{:05}-", group.0);
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| fault(root, "read", error))?,
    };
    for entry in entries {
        let entry = entry.map_err(|error| fault(root, "read", error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&of_group) && name != kept {
            let path = entry.path();
            fs::remove_dir_all(&path).map_err(|error| fault(&path, "remove", error))?;
        }
    }
    Ok(())
}

fn stray(cause: String) -> Refusal {
    Refusal::new(Code::ChecksumMismatch, "a part of a snapshot does not fit").cause(cause)
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::manifest_of;
    use super::super::snapshot::tests::{database, fill};
    use super::*;

    #[test]
    fn a_transfer_goes_on_where_it_was_cut() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (from, to) = (database(here.path()), database(there.path()));
        let group = GroupId::CONTROL;
        fill(&from, group, 7, 0..500);
        let snapshot = from.build_snapshot(group).unwrap();
        let sealed = manifest_of(&snapshot.folder).unwrap();
        let incoming = to.begin_incoming(group, &sealed).unwrap();
        let lacking = incoming.lacking().unwrap();
        assert!(!lacking.is_empty());
        let file = |name: &str| fs::read(snapshot.folder.join(name)).unwrap();
        let (name, _) = &lacking[0];
        let bytes = file(name);
        let half = bytes.len() / 2;
        incoming.write(name, 0, &bytes[..half]).unwrap();
        assert!(incoming.write(name, 0, &bytes).is_err(), "it does not follow");
        assert!(incoming.write("../x", 0, b"").is_err());
        assert!(incoming.write(name, half as u64, &vec![0; bytes.len()]).is_err(), "too long");
        drop(incoming);

        let incoming = to.begin_incoming(group, &sealed).unwrap();
        let lacking = incoming.lacking().unwrap();
        assert_eq!(lacking[0], (name.clone(), half as u64));
        for (name, offset) in lacking {
            let at = usize::try_from(offset).unwrap();
            incoming.write(&name, offset, &file(&name)[at..]).unwrap();
        }
        assert!(incoming.lacking().unwrap().is_empty());
        let arrived = incoming.finish().unwrap();
        assert_eq!(arrived.applied, snapshot.applied);
        to.install_snapshot(group, &arrived.folder).unwrap();
        assert_eq!(to.applied(group).unwrap(), from.applied(group).unwrap());
    }

    #[test]
    fn what_is_damaged_on_the_way_is_not_kept() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (from, to) = (database(here.path()), database(there.path()));
        let group = GroupId::CONTROL;
        fill(&from, group, 7, 0..500);
        let snapshot = from.build_snapshot(group).unwrap();
        let sealed = manifest_of(&snapshot.folder).unwrap();
        let incoming = to.begin_incoming(group, &sealed).unwrap();
        for (name, _) in incoming.lacking().unwrap() {
            let mut bytes = fs::read(snapshot.folder.join(&name)).unwrap();
            bytes[0] ^= 1;
            incoming.write(&name, 0, &bytes).unwrap();
        }
        let folder = incoming.folder.clone();
        assert_eq!(incoming.finish().unwrap_err().code, Code::ChecksumMismatch);
        assert!(!folder.exists());
        let mut flipped = sealed.clone();
        flipped[9] ^= 1;
        assert!(to.begin_incoming(group, &flipped).is_err());
        assert!(to.begin_incoming(GroupId(7), &sealed).is_err());
    }
}
