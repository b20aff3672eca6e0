//! What a node knows of its own place in a cluster, before it can read its state: `D/node.json`.
//!
//! Written when the node founds or joins, and once more when it has the state; a node without the file is the founder of a cluster
//! that is older than the file, or no member. Invariant: what fails its checksum is never served.

use keiko_core::refusal::{Code, Refusal, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

const FILE_NAME: &str = "node.json";
/// A UUID, a name of 63 characters and two numbers are under 300 bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// Which node of which cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// UUID, text.
    pub cluster_id: String,
    /// Never another node's.
    pub node_id: u64,
    /// As it joined.
    pub name: String,
    /// True once it had the cluster's state. From then on it may have voted, and confirmed entries:
    /// a start that finds nothing of that is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub had_state: bool,
}

#[derive(Serialize, Deserialize)]
struct Noted {
    #[serde(flatten)]
    membership: Membership,
    crc32c: u32,
}

impl Membership {
    /// Of a node that has nothing yet.
    pub fn new(cluster_id: String, node_id: u64, name: String) -> Self {
        Self { cluster_id, node_id, name, had_state: false }
    }

    /// Notes that the node of this data folder has the cluster's state.
    pub fn note_state(data_dir: &Path) -> Result<()> {
        match Self::read(data_dir)? {
            Some(noted) if !noted.had_state => Self { had_state: true, ..noted }.write(data_dir),
            Some(_) | None => Ok(()),
        }
    }

    /// Of the node of this data folder, if it is a member.
    ///
    /// # Errors
    /// [`Code::StoreDamaged`] for a file that is not as it was written.
    pub fn read(data_dir: &Path) -> Result<Option<Self>> {
        let path = data_dir.join(FILE_NAME);
        let damaged = |cause: &dyn std::fmt::Display| {
            Refusal::new(Code::StoreDamaged, format!("{} is damaged", path.display()))
                .cause(cause)
                .hint("on a member that serves: keikoctl node repair NAME")
        };
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(file) => file.take(FILE_BYTES_MAX).read_to_end(&mut bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => Err(error),
        }
        .map_err(|error| damaged(&error))?;
        let noted: Noted = serde_json::from_slice(&bytes).map_err(|error| damaged(&error))?;
        if noted.crc32c != noted.membership.checksum() {
            return Err(damaged(&"it fails its checksum"));
        }
        Ok(Some(noted.membership))
    }

    /// Notes it, on disk when this returns.
    pub fn write(&self, data_dir: &Path) -> Result<()> {
        let (path, draft) = (data_dir.join(FILE_NAME), data_dir.join("node.json.new"));
        let noted = Noted { membership: self.clone(), crc32c: self.checksum() };
        let write = || {
            let mut text = serde_json::to_string_pretty(&noted)?;
            text.push('\n');
            let mut options = std::fs::OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&draft, &path)?;
            File::open(data_dir)?.sync_all()
        };
        write().map_err(|error: std::io::Error| {
            let message = format!("{} can't be written", path.display());
            Refusal::new(Code::DataFolderUnwritable, message).cause(error)
        })
    }

    fn checksum(&self) -> u32 {
        let Self { cluster_id, node_id, name, had_state } = self;
        // As it was before there was the mark, where it is not set.
        let mark = if *had_state { " had state" } else { "" };
        crc32c::crc32c(format!("{cluster_id} {node_id} {name}{mark}").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_and_no_flipped_bit_is_served() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Membership::read(folder.path()), Ok(None));
        let cluster_id = "0190b1f0-0000-7000-8000-000000000000".to_owned();
        let membership = Membership::new(cluster_id, 7, "n7".to_owned());
        membership.write(folder.path()).unwrap();
        assert_eq!(Membership::read(folder.path()), Ok(Some(membership.clone())));
        for _ in 0..2 {
            Membership::note_state(folder.path()).unwrap();
        }
        let membership = Membership { had_state: true, ..membership };
        assert_eq!(Membership::read(folder.path()), Ok(Some(membership.clone())));
        let path = folder.path().join(FILE_NAME);
        let text = std::fs::read(&path).unwrap();
        for bit in 0..text.len() * 8 {
            let mut flipped = text.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, flipped).unwrap();
            let read = Membership::read(folder.path());
            assert!(read.is_err() || read == Ok(Some(membership.clone())), "bit {bit}");
        }
    }
}
