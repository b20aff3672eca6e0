//! The disk of the data folder: how fast it syncs, how much room there is.

use super::{finding, ok};
use crate::consensus::DiskWatermarks;
use keiko_proto::v1::Finding;
use nix::sys::statvfs::statvfs;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

const FILE_NAME: &str = "diagnose";
const SYNCS: usize = 20;
/// A small log entry.
const SYNC_BYTES: usize = 512;
/// No more is measured after this, however slow the disk is.
const MEASURE_FOR: Duration = Duration::from_secs(4);
/// A write waits for one sync. Above 10 ms people notice; above 100 ms a sync takes as long as a
/// heartbeat, and elections begin for no reason.
const SLOW: Duration = Duration::from_millis(10);
const TOO_SLOW: Duration = Duration::from_millis(100);

/// Measures small syncs beside the store.
pub(super) fn speed(data: &Path) -> Finding {
    match measure(&data.join(FILE_NAME)) {
        Ok(times) => judge(&times),
        Err(error) => finding(
            "disk-speed",
            "failed",
            format!("{} can't be written: {error}", data.display()),
            "see that the folder belongs to the daemon's user and that there is room",
        ),
    }
}

/// Sorted.
fn measure(path: &Path) -> io::Result<Vec<Duration>> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut write = || -> io::Result<Vec<Duration>> {
        let (began, mut times) = (Instant::now(), Vec::with_capacity(SYNCS));
        while times.len() < SYNCS && began.elapsed() < MEASURE_FOR {
            let start = Instant::now();
            file.write_all(&[0; SYNC_BYTES])?;
            file.sync_data()?;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        Ok(times)
    };
    let times = write();
    fs::remove_file(path)?;
    times
}

fn judge(times: &[Duration]) -> Finding {
    let Some(median) = times.get(times.len() / 2).copied() else {
        return finding("disk-speed", "failed", "nothing was measured", "see the log");
    };
    let slowest = times.last().copied().unwrap_or(median);
    let words = format!(
        "a sync of {SYNC_BYTES} bytes takes {} (slowest of {}: {})",
        shown(median),
        times.len(),
        shown(slowest)
    );
    let remedy = "put the data folder on a local SSD: every acknowledged write waits for one sync";
    if median <= SLOW {
        return ok("disk-speed", words);
    }
    let status = if median <= TOO_SLOW { "warning" } else { "failed" };
    finding("disk-speed", status, words, remedy)
}

fn shown(duration: Duration) -> String {
    let micros = duration.as_micros();
    format!("{}.{:02} ms", micros / 1000, micros % 1000 / 10)
}

/// Where writes will be refused.
pub(super) fn room(data: &Path) -> Finding {
    let found = match statvfs(data) {
        Ok(found) => found,
        Err(error) => {
            return finding(
                "disk-room",
                "failed",
                format!("{}: {error}", data.display()),
                "see the log",
            );
        }
    };
    // The widths differ between systems.
    #[allow(clippy::unnecessary_cast)]
    let (block, free, total) =
        (found.fragment_size() as u64, found.blocks_available() as u64, found.blocks() as u64);
    judge_room(free.saturating_mul(block), total.saturating_mul(block))
}

fn judge_room(free: u64, total: u64) -> Finding {
    let DiskWatermarks { full_percent, full_bytes, clear_percent } = DiskWatermarks::default();
    let percent = u64::try_from(u128::from(free) * 100 / u128::from(total.max(1))).unwrap_or(100);
    let words = format!("{} of {} MiB free ({percent} %)", free >> 20, total >> 20);
    let remedy = "free space on that disk, or keep less: [journal] keep_days, keep_bytes";
    if percent < full_percent || free < full_bytes {
        let words = format!(
            "{words}: writes are refused below {full_percent} % or {} MiB",
            full_bytes >> 20
        );
        return finding("disk-room", "failed", words, remedy);
    }
    if percent < clear_percent || free < full_bytes * 2 {
        return finding("disk-room", "warning", words, remedy);
    }
    ok("disk-room", words)
}

/// The file that lets a full node start.
pub(super) fn ballast(data: &Path) -> Finding {
    match data.join("ballast").metadata() {
        Ok(file) => {
            ok("ballast", format!("{} MiB are kept for a start on a full disk", file.len() >> 20))
        }
        Err(_) => finding(
            "ballast",
            "warning",
            "it is not there: a node on a full disk would not start",
            "free space: it is made within a minute once there is room",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_judged_by_the_median() {
        let check = |micros: [u64; 3], expect: &str| {
            let found = judge(&micros.map(Duration::from_micros));
            assert_eq!(found.status, expect, "{found:?}");
            assert_eq!(found.remedy.is_empty(), expect == "ok", "{found:?}");
        };
        check([90, 117, 250_000], "ok");
        check([90, 20_000, 20_000], "warning");
        check([90, 200_000, 200_000], "failed");
        assert_eq!(judge(&[]).status, "failed");
    }

    #[test]
    fn room_is_judged_as_consensus_does() {
        const GIB: u64 = 1 << 30;
        for (free, total, expect) in [
            (50 * GIB, 100 * GIB, "ok"),
            (8 * GIB, 100 * GIB, "warning"),
            (4 * GIB, 100 * GIB, "failed"),
            (GIB * 3 / 4, 4 * GIB, "warning"),
            (GIB / 4, GIB, "failed"),
            (0, 0, "failed"),
        ] {
            assert_eq!(judge_room(free, total).status, expect, "{free} of {total}");
        }
    }

    #[test]
    fn nothing_is_left_behind() {
        let place = tempfile::tempdir().unwrap();
        assert!(speed(place.path()).message.contains("a sync of 512 bytes"));
        assert_eq!(place.path().read_dir().unwrap().count(), 0);
        assert_eq!(ballast(place.path()).status, "warning");
        assert_eq!(speed(&place.path().join("nowhere")).status, "failed");
    }
}
