//! The data folder and its lock.
//!
//! Invariants: while a [`Folder`] lives, no other daemon has one of the same path; the kernel
//! takes the lock back when the process dies, however it dies, so a lock file is never stale.
//! Never: changes the permissions of a folder that is already there, or removes the lock file
//! (whoever waits on the old file would not see who locks the new one).

use keiko_core::refusal::{Code, Refusal, Result};
use nix::unistd::{AccessFlags, access};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const LOCK_NAME: &str = "lock";
/// A daemon that was killed while it started a child may hold the lock this long, until that
/// child has become another program.
const LOCK_PATIENCE: Duration = Duration::from_millis(300);
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// A process id has at most ten digits.
const PID_CHARS_MAX: u64 = 10;

/// A data folder that belongs to this process.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Open for as long as the lock is to be held.
    _lock: File,
}

/// The daemon that holds a data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// As it wrote it down; `None` if it could not.
    pub pid: Option<u32>,
}

impl Folder {
    /// Makes the folder where there is none, and locks it.
    ///
    /// # Errors
    /// [`Code::DataFolderUnwritable`], [`Code::DataFolderLocked`], [`Code::DiskFull`].
    pub fn take(path: &Path) -> Result<Self> {
        if !path.exists() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(|error| unwritable(path, &error))?;
        }
        check(path)?;
        let lock_path = path.join(LOCK_NAME);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|error| unwritable(path, &error))?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(TryLockError::WouldBlock) => return Err(locked(path, pid_of(&mut lock))),
                Err(TryLockError::Error(error)) => return Err(unwritable(path, &error)),
            }
        }
        note_pid(&mut lock);
        warn_if_open(path);
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether the folder could be taken, without taking it.
///
/// # Errors
/// [`Code::DataFolderUnwritable`].
pub fn check(path: &Path) -> Result<()> {
    let nearest = path.ancestors().find(|folder| folder.exists()).unwrap_or(path);
    if !nearest.is_dir() {
        return Err(unwritable(path, &Error::from(ErrorKind::NotADirectory)));
    }
    let usable = access(nearest, AccessFlags::W_OK | AccessFlags::X_OK | AccessFlags::R_OK);
    usable.map_err(|errno| unwritable(path, &Error::from(errno)))
}

/// The daemon that holds the folder now.
pub fn holder(path: &Path) -> Option<Holder> {
    let mut lock = File::open(path.join(LOCK_NAME)).ok()?;
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(Holder { pid: pid_of(&mut lock) }),
        _ => None,
    }
}

/// The note helps a person; a full disk must not keep the daemon from starting.
fn note_pid(lock: &mut File) {
    let note = format!("{}\n", std::process::id());
    let written =
        lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(note.as_bytes()));
    if let Err(error) = written {
        tracing::debug!(%error, "the process id is not noted in the lock file");
    }
}

fn pid_of(lock: &mut File) -> Option<u32> {
    let mut note = String::new();
    lock.rewind().ok()?;
    lock.take(PID_CHARS_MAX + 1).read_to_string(&mut note).ok()?;
    note.trim().parse().ok()
}

fn warn_if_open(path: &Path) {
    let Ok(mode) = path.metadata().map(|metadata| metadata.permissions().mode() & 0o7777) else {
        return;
    };
    if mode & 0o077 != 0 {
        let shown = format!("{mode:04o}");
        tracing::warn!(folder = %path.display(), mode = shown, "others may look into the data folder; chmod 0700 it");
    }
}

fn locked(path: &Path, pid: Option<u32>) -> Refusal {
    let who = pid.map_or_else(|| "another daemon".to_owned(), |pid| format!("process {pid}"));
    Refusal::new(Code::DataFolderLocked, format!("data folder {} is in use", path.display()))
        .cause(format!("{who} holds {}", path.join(LOCK_NAME).display()))
        .hint("stop that daemon, or give this one a folder of its own with --data-dir")
}

fn unwritable(path: &Path, error: &Error) -> Refusal {
    if error.kind() == ErrorKind::StorageFull {
        return Refusal::new(Code::DiskFull, format!("no room in data folder {}", path.display()))
            .cause(error)
            .hint("free some space on its file system");
    }
    let refusal = Refusal::new(
        Code::DataFolderUnwritable,
        format!("data folder {} can't be written", path.display()),
    );
    refusal
        .cause(error)
        .hint("give its owner and mode to the daemon's user, or name another with --data-dir")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_refused_and_told_who() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b");
        assert_eq!(holder(&path), None);
        let first = Folder::take(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(holder(&path), Some(Holder { pid: Some(std::process::id()) }));
        let second = Folder::take(&path).unwrap_err();
        assert_eq!(second.code, Code::DataFolderLocked);
        assert!(second.causes[0].contains(&std::process::id().to_string()), "{second:?}");
        drop(first);
        assert_eq!(holder(&path), None);
        Folder::take(&path).unwrap();
    }

    #[test]
    fn what_is_no_folder_is_refused_and_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        std::fs::write(&file, "kept").unwrap();
        for path in [file.clone(), file.join("below")] {
            assert_eq!(Folder::take(&path).unwrap_err().code, Code::DataFolderUnwritable);
            assert_eq!(check(&path).unwrap_err().code, Code::DataFolderUnwritable);
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
        assert_eq!(check(&place.path().join("new/one")), Ok(()));
        assert!(!place.path().join("new").exists());
    }
}
