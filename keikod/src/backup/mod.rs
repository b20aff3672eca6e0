//! The backup, in one file or in pieces: made by a node that serves, checked and taken in where none
//! runs.
//!
//! ```text
//! format.rs   what the file looks like, and reading it: nothing is believed unchecked
//! source.rs   the bytes of a new one, in order
//! place/      a folder or a bucket that holds many, in pieces
//! pieces.rs   the pieces of a new one           placed.rs   reading one in pieces
//! writer.rs   a new one into a place, and what goes then     opened.rs   either of both
//! load.rs     its groups in a store of their own
//! verify.rs   `keikod verify FILE`        restore.rs  `keikod restore`
//! ```
//!
//! Invariants: a backup holds no key and no clear secret, because the state holds none; every byte
//! is below a BLAKE3; what was restored is a cluster of its own, with another id and authority, so
//! that no member of the old one is taken for one of it, and the other way round.
//!
//! Never: writes into a folder that holds anything.

mod format;
mod load;
mod opened;
pub mod pieces;
pub mod place;
pub mod placed;
pub mod restore;
mod source;
pub mod verify;
pub mod writer;

pub use format::{Backup, prelude};
pub use source::Source;

use keiko_core::refusal::{Code, Refusal};
use std::path::{Path, PathBuf};

/// A folder that is removed with all that is in it when this is dropped.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    /// Makes it; there must be nothing of this name yet.
    fn make(path: PathBuf) -> keiko_core::refusal::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        match std::fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(unusable(&path, &error)),
        }
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is in the way of nothing but the next restore, which names it.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> Refusal {
    let code = match error.kind() {
        std::io::ErrorKind::StorageFull => Code::DiskFull,
        _ => Code::DataFolderUnwritable,
    };
    Refusal::new(code, format!("can't write {}", path.display())).cause(error)
}
