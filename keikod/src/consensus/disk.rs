//! Room on the disk: writes are refused before it is used up, so that a full node can still delete.

use keiko_core::refusal::{Code, Refusal, Result};
use nix::sys::statvfs::statvfs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a look at the disk holds. At 200 MB/s that is 200 MB, less than half of what is kept.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// When a disk is nearly full, and when no longer.
#[derive(Clone, Copy, Debug)]
pub struct DiskWatermarks {
    /// Nearly full below this part of the disk, in percent.
    pub full_percent: u64,
    /// Nearly full below this many bytes.
    pub full_bytes: u64,
    /// No longer above this part of the disk, in percent.
    pub clear_percent: u64,
}

impl Default for DiskWatermarks {
    fn default() -> Self {
        Self { full_percent: 5, full_bytes: 512 << 20, clear_percent: 10 }
    }
}

impl DiskWatermarks {
    /// Whether the disk is nearly full now, if it was so before or not.
    fn is_full(&self, was_full: bool, free: u64, total: u64) -> bool {
        let percent = if was_full { self.clear_percent } else { self.full_percent };
        let part = u128::from(total) * u128::from(percent) / 100;
        free < self.full_bytes || u128::from(free) < part
    }

    /// Whether `bytes` of `free` can be used without making the disk nearly full.
    fn fits(&self, bytes: u64, free: u64, total: u64) -> bool {
        free.checked_sub(bytes).is_some_and(|left| !self.is_full(false, left, total))
    }
}

/// Watches the disk that the data folder lies on.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    watermarks: DiskWatermarks,
    started: Instant,
    looked_ms: AtomicU64,
    full: AtomicBool,
}

impl Disk {
    pub(super) fn new(folder: PathBuf, watermarks: DiskWatermarks) -> Self {
        let disk = Self {
            folder,
            watermarks,
            started: Instant::now(),
            looked_ms: AtomicU64::new(0),
            full: AtomicBool::new(false),
        };
        disk.look();
        disk
    }

    /// Refuses while the disk is nearly full.
    pub(super) fn check(&self) -> Result<()> {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let looked = self.looked_ms.load(Ordering::Relaxed);
        let due = now.saturating_sub(looked) >= LOOK_EVERY.as_millis() as u64;
        let relaxed = Ordering::Relaxed;
        if due && self.looked_ms.compare_exchange(looked, now, relaxed, relaxed).is_ok() {
            self.look();
        }
        if !self.full.load(Ordering::Relaxed) {
            return Ok(());
        }
        let DiskWatermarks { full_percent, full_bytes, clear_percent } = self.watermarks;
        let message = format!("the disk of {} is nearly full", self.folder.display());
        Err(Refusal::new(Code::DiskFull, message)
            .cause(format!(
                "writes stop below {full_percent} % or {} MiB of free space and go on above \
                 {clear_percent} %; reads and deletes work",
                full_bytes >> 20
            ))
            .hint("free space on that disk, or delete what is not needed"))
    }

    /// Whether `bytes` more can be written without making the disk nearly full.
    pub(super) fn fits(&self, bytes: u64) -> bool {
        self.room().is_none_or(|(free, total)| self.watermarks.fits(bytes, free, total))
    }

    fn look(&self) {
        let Some((free, total)) = self.room() else {
            return;
        };
        let was_full = self.full.load(Ordering::Relaxed);
        let full = self.watermarks.is_full(was_full, free, total);
        self.full.store(full, Ordering::Relaxed);
        if full != was_full {
            tracing::warn!(full, free, total, "the disk's room changed");
        }
    }

    /// Free and total bytes. Not to know them is no reason to refuse: a disk that fails is found by
    /// the next sync.
    fn room(&self) -> Option<(u64, u64)> {
        let found = statvfs(&self.folder)
            .inspect_err(|error| tracing::warn!(%error, "can't ask for the disk's room"))
            .ok()?;
        let block = wide(found.fragment_size());
        let bytes = |blocks: u64| blocks.saturating_mul(block);
        Some((bytes(wide(found.blocks_available())), bytes(wide(found.blocks()))))
    }
}

/// These numbers are narrower on some systems.
fn wide(number: impl Into<u64>) -> u64 {
    number.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn check(was_full: bool, free: u64, total: u64, expect: bool) {
        let full = DiskWatermarks::default().is_full(was_full, free, total);
        assert_eq!(full, expect, "{free} of {total}, full before: {was_full}");
    }

    #[test]
    fn watermarks() {
        check(false, 6 * GIB, 100 * GIB, false);
        check(false, 4 * GIB, 100 * GIB, true);
        check(true, 6 * GIB, 100 * GIB, true);
        check(true, 11 * GIB, 100 * GIB, false);
        check(false, GIB / 2, 4 * GIB, false);
        check(false, GIB / 2 - 1, 4 * GIB, true);
        check(true, GIB / 2 - 1, GIB, true);
    }

    #[test]
    fn what_fits_leaves_the_watermark() {
        let default = DiskWatermarks::default();
        let none = DiskWatermarks { full_percent: 0, full_bytes: 0, clear_percent: 0 };
        for (watermarks, bytes, free, total, expect) in [
            (default, GIB, 6 * GIB, 100 * GIB, true),
            (default, GIB + 1, 6 * GIB, 100 * GIB, false),
            (default, GIB / 2, GIB, 4 * GIB, true),
            (default, GIB / 2 + 1, GIB, 4 * GIB, false),
            (none, GIB, GIB, GIB, true),
            (none, GIB + 1, GIB, GIB, false),
        ] {
            assert_eq!(watermarks.fits(bytes, free, total), expect, "{bytes} of {free}");
        }
    }

    #[test]
    fn a_real_disk_answers() {
        let temporary = tempfile::tempdir().unwrap();
        let all = DiskWatermarks { full_percent: 101, full_bytes: 0, clear_percent: 101 };
        let none = DiskWatermarks { full_percent: 0, full_bytes: 0, clear_percent: 0 };
        let disk = |watermarks| Disk::new(temporary.path().to_owned(), watermarks);
        assert_eq!(disk(all).check().unwrap_err().code, Code::DiskFull);
        assert_eq!(disk(none).check(), Ok(()));
    }
}
