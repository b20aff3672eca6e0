//! Removing what a child left on the disk.
//!
//! A child may nest folders as deep as it likes, and what it forked may still be moving them
//! about, while a daemon that is root removes them. So nothing here recurses, no path leads
//! through a folder of the child, and at most three descriptors are open at once.
//!
//! Each folder below the top is emptied through its own descriptor; folders within it that are not
//! empty are moved up to the top and have their turn there. Every step removes something or makes
//! something shallower, so the work grows with the number of entries, not with their depth.
//!
//! Invariants: ends at its deadline. Never: follows a link, or leaves the file system.

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::OsStr;
use std::fs::{self, DirEntry, ReadDir};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

/// Opens a folder and nothing else.
pub(super) const FOLDER: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Removes a folder with all in it, or whatever else is there; nothing there is no error.
/// The folder above must be out of the child's reach.
///
/// # Errors
/// `TimedOut` if the deadline was met first; some of it is gone then.
pub(super) fn remove(path: &Path, deadline: Instant) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(meta) if !meta.is_dir() => return fs::remove_file(path),
        Ok(_) => {}
    }
    let mut top = Top { folder: open(path, FOLDER, Mode::empty())?, moved: 0, deadline };
    while !top.pass()? {}
    fs::remove_dir(path)
}

/// The entries of an open folder.
pub(super) fn entries(folder: &OwnedFd) -> io::Result<ReadDir> {
    // The link of /proc leads to the open folder itself, wherever it was moved.
    fs::read_dir(format!("/proc/self/fd/{}", folder.as_raw_fd()))
}

struct Top {
    folder: OwnedFd,
    /// Counts the folders that were moved here, to name them.
    moved: u64,
    deadline: Instant,
}

impl Top {
    /// Removes what can be removed; true if there was nothing.
    fn pass(&mut self) -> io::Result<bool> {
        let mut empty = true;
        for entry in entries(&self.folder)? {
            let entry = entry?;
            empty = false;
            self.in_time()?;
            if is_folder(&entry)? {
                self.empty(&entry.file_name())?;
            } else {
                gone(unlinkat(
                    &self.folder,
                    entry.file_name().as_os_str(),
                    UnlinkatFlags::NoRemoveDir,
                ))?;
            }
        }
        Ok(empty)
    }

    /// Empties one folder of the top and removes it; its own folders may move to the top.
    fn empty(&mut self, name: &OsStr) -> io::Result<()> {
        let folder = match openat(&self.folder, name, FOLDER, Mode::empty()) {
            Ok(folder) => folder,
            // Something else took its place meanwhile; the next pass sees what.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for entry in entries(&folder)? {
            let entry = entry?;
            self.in_time()?;
            let name = entry.file_name();
            if !is_folder(&entry)? {
                gone(unlinkat(&folder, name.as_os_str(), UnlinkatFlags::NoRemoveDir))?;
            } else if !gone(unlinkat(&folder, name.as_os_str(), UnlinkatFlags::RemoveDir))? {
                self.take_up(&folder, &name)?;
            }
        }
        gone(unlinkat(&self.folder, name, UnlinkatFlags::RemoveDir))?;
        Ok(())
    }

    /// Moves a folder to the top, under a name that is free there.
    fn take_up(&mut self, from: &OwnedFd, name: &OsStr) -> io::Result<()> {
        loop {
            self.in_time()?;
            self.moved += 1;
            let free = format!(".keiko-{}", self.moved);
            match renameat(from, name, &self.folder, free.as_str()) {
                Ok(()) | Err(Errno::ENOENT) => return Ok(()),
                // The child may have used the name itself.
                Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn in_time(&self) -> io::Result<()> {
        if Instant::now() < self.deadline {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "there is more to remove than time allows"))
    }
}

fn is_folder(entry: &DirEntry) -> io::Result<bool> {
    match entry.file_type() {
        Ok(kind) => Ok(kind.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// False if a folder is not empty. What changed its kind meanwhile waits for the next pass.
fn gone(removed: nix::Result<()>) -> io::Result<bool> {
    match removed {
        Ok(()) | Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EISDIR) => Ok(true),
        Err(Errno::ENOTEMPTY | Errno::EEXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::mkdirat;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// Folders one in the other, deeper than any path can say, each with a file beside the next.
    fn nest(path: &Path, levels: usize) {
        fs::create_dir(path).unwrap();
        let mut at = open(path, FOLDER, Mode::empty()).unwrap();
        for _ in 0..levels {
            mkdirat(&at, "d", Mode::S_IRWXU).unwrap();
            let file = OFlag::O_CREAT | OFlag::O_WRONLY;
            openat(&at, "f", file, Mode::S_IRUSR).unwrap();
            at = openat(&at, "d", FOLDER, Mode::empty()).unwrap();
        }
    }

    #[test]
    fn depth_takes_no_stack() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tmp");
        nest(&path, 3_000);
        // A name that the child took, with something in it.
        fs::create_dir_all(path.join(".keiko-1/x/y")).unwrap();
        fs::write(path.join(".keiko-2"), "").unwrap();
        let waiter = std::thread::Builder::new().stack_size(64 * 1024);
        let there = path.clone();
        waiter.spawn(move || remove(&there, soon())).unwrap().join().unwrap().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, kept) = (folder.path().join("tmp"), folder.path().join("kept"));
        fs::create_dir_all(path.join("a/b")).unwrap();
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "").unwrap();
        for link in [path.join("link"), path.join("a/link"), path.join("a/b/link")] {
            symlink(&kept, link).unwrap();
        }
        remove(&path, soon()).unwrap();
        assert!(!path.exists() && kept.join("file").exists());
        symlink(&kept, &path).unwrap();
        remove(&path, soon()).unwrap();
        assert!(fs::symlink_metadata(&path).is_err() && kept.join("file").exists());
        remove(&path, soon()).unwrap();
    }

    #[test]
    fn ends_at_its_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tmp");
        nest(&path, 3);
        let error = remove(&path, Instant::now()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        remove(&path, soon()).unwrap();
    }
}
