//! The data folder's layout, and the marker that says which release's it is.
//!
//! | path | what |
//! |---|---|
//! | `format` | the number of the layout; a newer one is refused and nothing is touched |
//! | `store/` | RocksDB |
//! | `durable` | the [note](super::note) of what was synced |
//! | `snapshots/` | one folder for each group's snapshot, and markers of unfinished installs |

use keiko_core::refusal::{Code, Refusal, Result};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The layout that this release writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// The paths inside a data folder.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Looks at the marker; writes it if the folder holds no store yet.
    pub fn open(root: &Path) -> Result<Self> {
        let folder = Self { root: root.to_owned() };
        if !folder.check()? {
            fs::create_dir_all(root).map_err(|error| unwritable(root, error))?;
            write_synced(&folder.format(), format!("{FORMAT}\n").as_bytes())
                .map_err(|error| unwritable(root, error))?;
        }
        fs::create_dir_all(folder.snapshots()).map_err(|error| unwritable(root, error))?;
        Ok(folder)
    }

    /// Looks at the marker of a folder that must hold a store already; writes nothing.
    pub fn existing(root: &Path) -> Result<Self> {
        let folder = Self { root: root.to_owned() };
        if !folder.check()? || !folder.store().exists() {
            let message = format!("{} holds no data of a node", root.display());
            return Err(Refusal::new(Code::NotFounded, message)
                .hint("name the folder that keikod runs with as --data-dir"));
        }
        Ok(folder)
    }

    /// True if the marker is there and readable for this release.
    fn check(&self) -> Result<bool> {
        let path = self.format();
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8(bytes).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return match self.store().exists() {
                    false => Ok(false),
                    true => Err(damaged(&path, "it is missing beside a store")),
                };
            }
            Err(error) => return Err(fault(&path, "read", error)),
        };
        match text.trim().parse::<u32>() {
            Ok(number) if (1..=FORMAT).contains(&number) => Ok(true),
            Ok(number) if number > FORMAT => {
                let message = format!("{} was written by a newer release", self.root.display());
                Err(Refusal::new(Code::DataFolderNewer, message)
                    .cause(format!("its format is {number}; this release knows {FORMAT}"))
                    .hint("start the newer release; nothing was touched"))
            }
            _ => Err(damaged(&path, "it holds no format number")),
        }
    }

    /// Where the marker is.
    pub fn format(&self) -> PathBuf {
        self.root.join("format")
    }

    /// Where RocksDB lives.
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// Where the note is.
    pub fn durable(&self) -> PathBuf {
        self.root.join("durable")
    }

    /// Where snapshots are.
    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }
}

/// The disk refused to do something with a file.
pub(crate) fn fault(path: &Path, action: &str, error: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::DiskFault, format!("can't {action} {}", path.display()))
        .cause(error)
        .hint("look at the disk: dmesg, df -h, the mount options")
        .hint("then start again: it checks that everything acknowledged is there")
}

/// A start that finds the disk full. While the node runs, that is a [`fault`] as any other.
pub(super) fn no_room(path: &Path, error: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::DiskFull, format!("no room to open {}", path.display()))
        .cause(error)
        .hint("free some space on its file system")
}

/// Writes a whole file so that after a power cut it is there entirely or not at all.
pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    sync_parent(path)
}

/// Makes a name in a folder durable.
pub(super) fn sync_parent(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

fn unwritable(root: &Path, error: std::io::Error) -> Refusal {
    if error.kind() == std::io::ErrorKind::StorageFull {
        return no_room(root, error);
    }
    Refusal::new(Code::DataFolderUnwritable, format!("can't write to {}", root.display()))
        .cause(error)
}

fn damaged(path: &Path, cause: &str) -> Refusal {
    Refusal::new(Code::StoreDamaged, format!("{} is damaged", path.display()))
        .cause(cause)
        .hint(format!("if you know that the data is of this release, write {FORMAT} into it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(marker: Option<&str>, with_store: bool, expect: Option<Code>) {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path();
        if let Some(marker) = marker {
            fs::write(root.join("format"), marker).unwrap();
        }
        if with_store {
            fs::create_dir(root.join("store")).unwrap();
        }
        let opened = Folder::open(root);
        assert_eq!(opened.as_ref().err().map(|refusal| refusal.code), expect, "{marker:?}");
        match opened {
            Ok(_) => assert_eq!(fs::read_to_string(root.join("format")).unwrap().trim(), "1"),
            Err(_) => assert!(!root.join("snapshots").exists(), "{marker:?}: touched"),
        }
    }

    #[test]
    fn markers() {
        check(None, false, None);
        check(Some("1\n"), false, None);
        check(Some("1"), true, None);
        check(Some("2\n"), true, Some(Code::DataFolderNewer));
        check(Some("0"), true, Some(Code::StoreDamaged));
        check(Some("one"), true, Some(Code::StoreDamaged));
        check(Some(""), true, Some(Code::StoreDamaged));
        check(None, true, Some(Code::StoreDamaged));
    }

    #[test]
    fn an_empty_folder_is_no_store() {
        let temporary = tempfile::tempdir().unwrap();
        let refusal = Folder::existing(temporary.path()).unwrap_err();
        assert_eq!(refusal.code, Code::NotFounded);
        assert!(fs::read_dir(temporary.path()).unwrap().next().is_none());
    }
}
