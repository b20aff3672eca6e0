//! `children.json`: the children that live, for the daemon that comes after a killed one.
//!
//! Invariants: the file is replaced as a whole, so it is never half written; it holds no argument,
//! no environment and no value of a credential. It is not synced: what it names dies with the
//! machine. Never: a reason to signal a process whose start time differs.

use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One child as it was when it started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) pid: i32,
    /// When it started, in clock ticks since the boot.
    pub(super) start_ticks: u64,
    /// Its process group.
    pub(super) group: i32,
    /// Its private home, which its descendants have in their environment.
    pub(super) home: PathBuf,
    pub(super) cgroup: Option<PathBuf>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    /// Numbers and ticks mean nothing after another boot.
    boot: String,
    children: Vec<Entry>,
}

/// Replaces the file.
pub(super) fn write(data: &Path, boot: &str, children: Vec<Entry>) -> io::Result<()> {
    let text = serde_json::to_vec(&Record { boot: boot.to_owned(), children })?;
    let (path, new) = (path(data), data.join("children.json.new"));
    fs::write(&new, text)?;
    fs::rename(new, path)
}

/// What an earlier daemon noted during this boot; nothing if there is no such file.
///
/// # Errors
/// The file is there and can't be read or understood.
pub(super) fn read(data: &Path, boot: &str) -> io::Result<Vec<Entry>> {
    let text = match fs::read(path(data)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let record: Record = serde_json::from_slice(&text)?;
    Ok(if record.boot == boot { record.children } else { Vec::new() })
}

fn path(data: &Path) -> PathBuf {
    data.join("children.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote_in_the_same_boot_only() {
        let data = tempfile::tempdir().unwrap();
        let entry = Entry {
            id: "a".into(),
            pid: 7,
            start_ticks: 9,
            group: 7,
            home: "/home".into(),
            cgroup: None,
        };
        assert_eq!(read(data.path(), "b1").unwrap(), []);
        write(data.path(), "b1", vec![entry.clone()]).unwrap();
        assert_eq!(read(data.path(), "b1").unwrap(), [entry]);
        assert_eq!(read(data.path(), "b2").unwrap(), []);
        fs::write(path(data.path()), "{").unwrap();
        assert!(read(data.path(), "b1").is_err());
    }
}
