//! A folder. Readable by its owner only: it holds all that a cluster knows but its keys.

use super::{Found, unusable};
use keiko_core::refusal::Result;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The end of the name of what is being written.
const PART: &str = "part";
/// `pieces/ab/NAME` is three deep.
const DEPTH_MAX: usize = 4;

/// The folder.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(path: &str) -> Self {
        Self(PathBuf::from(path))
    }

    pub(super) fn list(&self, below: &str) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        self.walk(below, DEPTH_MAX, &mut found)?;
        Ok(found)
    }

    fn walk(&self, below: &str, depth: usize, found: &mut Vec<Found>) -> Result<()> {
        let path = self.0.join(below);
        let refused = |error| failed(&path, "read", &error);
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(refused)?,
        };
        for entry in entries {
            let entry = entry.map_err(refused)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            let about = match entry.metadata() {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                about => about.map_err(refused)?,
            };
            match about.is_dir() {
                true if depth > 0 => self.walk(&path, depth - 1, found)?,
                false if about.is_file() => found.push(Found { path, length: about.len() }),
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, path: &str, most: usize) -> Result<Option<Vec<u8>>> {
        let path = self.0.join(path);
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|error| failed(&path, "read", &error))?,
        };
        let mut bytes = Vec::new();
        let read = file.take(most as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| failed(&path, "read", &error))?;
        if bytes.len() > most {
            return Err(unusable(
                &format!("{} is too large", path.display()),
                "it is none of ours",
            ));
        }
        Ok(Some(bytes))
    }

    pub(super) fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let path = self.0.join(path);
        let fresh = path.with_extension(PART);
        let put = || {
            let folder = parent(&path);
            make(folder)?;
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(folder)?.sync_all()
        };
        put().map_err(|error| failed(&path, "write", &error))
    }

    pub(super) fn put_new(&self, path: &str, bytes: &[u8]) -> Result<bool> {
        let path = self.0.join(path);
        let put = || {
            make(parent(&path))?;
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600).open(&path)?.write_all(bytes)
        };
        match put() {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            put => put.map(|()| true).map_err(|error| failed(&path, "write", &error)),
        }
    }

    pub(super) fn remove(&self, path: &str) -> Result<()> {
        let path = self.0.join(path);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(failed(&path, "remove", &error))
            }
            _ => Ok(()),
        }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// With what lies above it.
fn make(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn failed(path: &Path, verb: &str, error: &std::io::Error) -> keiko_core::refusal::Refusal {
    unusable(&format!("can't {verb} {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_found() {
        let here = tempfile::tempdir().unwrap();
        let folder = Folder::new(&here.path().join("place").display().to_string());
        assert_eq!(folder.list("").unwrap(), []);
        assert_eq!(folder.get("a/b", 9).unwrap(), None);
        folder.put("a/b", b"one").unwrap();
        folder.put("a/b", b"other").unwrap();
        assert!(!folder.put_new("a/b", b"third").unwrap());
        assert!(folder.put_new("c", b"").unwrap());
        assert_eq!(folder.get("a/b", 5).unwrap().as_deref(), Some(&b"other"[..]));
        assert!(folder.get("a/b", 4).is_err());
        let found = Found { path: "a/b".to_owned(), length: 5 };
        assert_eq!(folder.list("a").unwrap(), [found]);
        assert_eq!(folder.list("").unwrap().len(), 2);
        folder.remove("a/b").unwrap();
        folder.remove("a/b").unwrap();
        assert_eq!(folder.list("a").unwrap(), []);
    }
}
