//! 64 MiB that are given up when a full disk would keep the daemon from starting.
//!
//! A store that can't write its first log can't delete anything either. So the daemon keeps a
//! file of no content, frees it at such a start, and makes it again once there is room.
//!
//! Invariants: making it never brings the disk to where writes are refused. Never: keeps the
//! daemon from starting.

use nix::sys::statvfs::statvfs;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// One memtable of the store, which its recovery may have to write out.
const BYTES: u64 = 64 << 20;
/// Writes are refused below the larger of these; the ballast stays clear of both.
const FREE_BYTES_MIN: u64 = 512 << 20;
const FREE_PARTS_MIN: u64 = 20;
const LOOK_EACH: Duration = Duration::from_secs(60);

/// The file, there or not.
#[derive(Clone, Debug)]
pub struct Ballast {
    path: PathBuf,
}

/// The file system of the data folder, in bytes.
#[derive(Clone, Copy, Debug)]
struct Room {
    free: u64,
    total: u64,
}

impl Ballast {
    /// The ballast of a data folder.
    pub fn of(data_dir: &Path) -> Self {
        Self { path: data_dir.join("ballast") }
    }

    /// Gives it up where less than its size is free; true if it did.
    ///
    /// Call it once, before the store is opened.
    ///
    /// # Errors
    /// The file system's own.
    pub fn make_way(&self) -> io::Result<bool> {
        let room = self.room()?;
        if room.free >= BYTES || !self.path.exists() {
            return Ok(false);
        }
        std::fs::remove_file(&self.path)?;
        tracing::warn!(
            free_bytes = room.free,
            "the disk is full: the ballast was given up to start"
        );
        Ok(true)
    }

    /// Makes it where it is missing and there is room; true if it is there.
    ///
    /// # Errors
    /// The file system's own; then nothing is left of it.
    pub fn restore(&self) -> io::Result<bool> {
        if self
            .path
            .metadata()
            .is_ok_and(|file| file.len() == BYTES && file.blocks() * 512 >= BYTES)
        {
            return Ok(true);
        }
        if !has_room(self.room()?) {
            return Ok(false);
        }
        let made = self.make();
        if made.is_err() {
            std::fs::remove_file(&self.path)?;
        }
        made.map(|()| true)
    }

    /// Keeps it there until the shutdown, looking once a minute.
    pub async fn keep(self, shutdown: CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EACH);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = look.tick() => {}
            }
            let ballast = self.clone();
            match tokio::task::spawn_blocking(move || ballast.restore()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::debug!(%error, "the ballast can't be made"),
                Err(error) => tracing::debug!(%error, "the ballast was not looked at"),
            }
        }
    }

    fn room(&self) -> io::Result<Room> {
        let stat = statvfs(self.path.parent().unwrap_or(&self.path))?;
        // The widths differ between systems.
        #[allow(clippy::unnecessary_cast)]
        let block = stat.fragment_size() as u64;
        #[allow(clippy::unnecessary_cast)]
        let blocks = (stat.blocks_available() as u64, stat.blocks() as u64);
        Ok(Room { free: blocks.0.saturating_mul(block), total: blocks.1.saturating_mul(block) })
    }

    fn make(&self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
        fill(&file)?;
        file.sync_all()
    }
}

/// A file with holes would hold no room.
#[cfg(target_os = "linux")]
fn fill(file: &File) -> io::Result<()> {
    match nix::fcntl::posix_fallocate(file, 0, i64::try_from(BYTES).unwrap_or(i64::MAX)) {
        Ok(()) => Ok(()),
        Err(nix::Error::EOPNOTSUPP | nix::Error::EINVAL) => write_out(file),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn fill(file: &File) -> io::Result<()> {
    write_out(file)
}

fn write_out(mut file: &File) -> io::Result<()> {
    const PIECE: usize = 1 << 20;
    let zeros = vec![0; PIECE];
    for _ in 0..BYTES / PIECE as u64 {
        file.write_all(&zeros)?;
    }
    Ok(())
}

fn has_room(room: Room) -> bool {
    let kept = FREE_BYTES_MIN.max(room.total / FREE_PARTS_MIN);
    // Twice, so that it does not come and go at the edge.
    room.free >= kept.saturating_add(2 * BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_clear_of_where_writes_are_refused() {
        const GIB: u64 = 1 << 30;
        let check = |free: u64, total: u64, expect: bool| {
            assert_eq!(has_room(Room { free, total }), expect, "{free} of {total}");
        };
        check(GIB, 4 * GIB, true);
        check(GIB / 2, 4 * GIB, false);
        check(GIB / 2 + BYTES, 4 * GIB, false);
        check(GIB / 2 + 2 * BYTES, 4 * GIB, true);
        check(4 * GIB, 100 * GIB, false);
        check(6 * GIB, 100 * GIB, true);
        check(0, 0, false);
    }

    #[test]
    fn is_made_once_and_holds_its_room() {
        let place = tempfile::tempdir().unwrap();
        let ballast = Ballast::of(place.path());
        if ballast.restore().unwrap() {
            let file = ballast.path.metadata().unwrap();
            assert_eq!((file.len(), file.mode() & 0o777), (BYTES, 0o600));
            assert!(file.blocks() * 512 >= BYTES);
            assert!(ballast.restore().unwrap());
            assert!(!ballast.make_way().unwrap(), "there is room, so it stays");
        }
    }
}
