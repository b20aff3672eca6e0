//! Where the damaged goes: a folder beside it, named after the time. Nothing is read or changed.

use crate::moment;
use keiko_core::refusal::{Code, Refusal, Result};
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// What a node is and holds, in the order in which it is moved: without the first a start refuses the
/// last, and without the second nobody finds an empty store under an old id.
pub(super) const ALL: &[&str] =
    &["format", "node.json", "durable", "snapshots", "node.pem", "ca.pem", "store"];
/// What it holds.
pub(super) const HELD: &[&str] = &["format", "durable", "snapshots", "store"];

/// Moves what there is of these into a new folder beside them; `None` if there is nothing.
pub(super) fn set_aside(folder: &Path, parts: &[&str]) -> Result<Option<PathBuf>> {
    let is_there = |part: &&&str| folder.join(part).symlink_metadata().is_ok();
    let there: Vec<&&str> = parts.iter().filter(is_there).collect();
    if there.is_empty() {
        return Ok(None);
    }
    let aside = folder.join(format!("damaged-{}", moment::now_ms()));
    let made = DirBuilder::new().mode(0o700).create(&aside).and_then(|()| sync(folder));
    made.map_err(|error| unwritable(&aside, &error))?;
    for part in there {
        move_to(&folder.join(part), &aside.join(part))?;
    }
    Ok(Some(aside))
}

/// Durable, and in this order, when it returns.
pub(super) fn move_to(from: &Path, to: &Path) -> Result<()> {
    let mut synced = [to, from].into_iter().filter_map(Path::parent);
    fs::rename(from, to)
        .and_then(|()| synced.try_for_each(sync))
        .map_err(|error| unwritable(to, &error))
}

fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

fn unwritable(path: &Path, error: &std::io::Error) -> Refusal {
    let code = match error.kind() {
        std::io::ErrorKind::StorageFull => Code::DiskFull,
        _ => Code::DataFolderUnwritable,
    };
    Refusal::new(code, format!("can't write {}", path.display()))
        .cause(error)
        .hint("once that is put right, the same command goes on where it stopped")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_moves_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        assert_eq!(set_aside(root, ALL).unwrap(), None);
        for part in ["format", "store", "keys", "addresses.json"] {
            fs::write(root.join(part), part).unwrap();
        }
        let aside = set_aside(root, ALL).unwrap().unwrap();
        assert_eq!(fs::read_to_string(aside.join("store")).unwrap(), "store");
        assert!(aside.join("format").exists() && !root.join("store").exists());
        assert!(root.join("keys").exists() && root.join("addresses.json").exists());
        assert_eq!(set_aside(root, ALL).unwrap(), None);
    }
}
