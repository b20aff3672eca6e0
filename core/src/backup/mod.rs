//! How backups lie in a place, a folder or a bucket: pure, as the law is, so that whoever writes one
//! and whoever reads one agree.
//!
//! ```text
//! PLACE/pieces/ab/ab12…        rows of one table space, named by their BLAKE3
//! PLACE/backups/NAME.manifest  which pieces a backup consists of, written last
//! PLACE/restored/NAME.json     what came of the rehearsal of its restore
//! PLACE/writing                who writes there now
//! ```
//!
//! Invariants: a piece's name is the hash of its bytes, so what is there is never written again, and
//! what is damaged is noticed; where a row is cut off from the next depends on the rows alone, so two
//! backups of nearly the same state have nearly the same pieces; a backup is there once its manifest
//! is.
//!
//! Never: touches a file. Nothing here is in replicated state.

mod ladder;
mod manifest;
mod name;
mod piece;

pub use ladder::{Ladder, kept};
pub use manifest::{MANIFEST_BYTES_MAX, open, seal};
pub use name::{Name, name_of};
pub use piece::{Cutter, PIECE_BYTES_READ_MAX, hash_of, rows};

use crate::hash::{Hash, hex};

/// Below it lie the pieces.
pub const PIECES: &str = "pieces";
/// Below it lie the manifests.
pub const BACKUPS: &str = "backups";
/// Below it lies what came of rehearsals.
pub const RESTORED: &str = "restored";
/// Who writes there now.
pub const WRITING: &str = "writing";
/// The end of a manifest's name.
pub const MANIFEST_SUFFIX: &str = ".manifest";
/// The end of the name of what came of a rehearsal.
pub const RESTORED_SUFFIX: &str = ".json";
/// Pieces that one request may name as known: 100,000 of 34 bytes are 3.4 MB, below the 4 MiB that a
/// server takes. They stand for about 25 GB; what is beyond is sent again, and not written again.
pub const KNOWN_PIECES_MAX: usize = 100_000;

/// Where a piece lies.
pub fn piece_path(hash: &Hash) -> String {
    let name = hex(hash);
    format!("{PIECES}/{}/{name}", &name[..2])
}

/// Which piece lies at this path; none if it is no piece's.
pub fn piece_at(path: &str) -> Option<Hash> {
    let name = path.rsplit('/').next()?;
    let hash = *blake3::Hash::from_hex(name).ok()?.as_bytes();
    (piece_path(&hash) == path).then_some(hash)
}

/// Where a manifest lies.
pub fn manifest_path(name: &str) -> String {
    format!("{BACKUPS}/{name}{MANIFEST_SUFFIX}")
}

/// Whose manifest lies at this path; none if it is none.
pub fn manifest_at(path: &str) -> Option<Name> {
    let name = path.strip_prefix(BACKUPS)?.strip_prefix('/')?.strip_suffix(MANIFEST_SUFFIX)?;
    name.parse().ok()
}

/// Where it lies what came of the rehearsal of a backup.
pub fn restored_path(name: &str) -> String {
    format!("{RESTORED}/{name}{RESTORED_SUFFIX}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_there_and_back() {
        let hash = hash_of(b"rows");
        let path = piece_path(&hash);
        assert_eq!(piece_at(&path), Some(hash));
        for wrong in ["", "pieces/ab/x", &path[1..], &path.replace("pieces", "peaces")] {
            assert_eq!(piece_at(wrong), None, "{wrong}");
        }
        let name = name_of(1_795_162_500_123, "0199a1b2-0000-7000-8000-0123456789ab");
        let path = manifest_path(&name.to_string());
        assert_eq!(manifest_at(&path), Some(name));
        assert_eq!(manifest_at("backups/x.manifest"), None);
        assert_eq!(manifest_at("backups/../x.manifest"), None);
    }
}
