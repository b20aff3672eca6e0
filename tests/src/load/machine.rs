//! The machine that the figures are of, and what a process costs it.

use super::figures::{Point, Times};
use anyhow::{Context as _, Result};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Syncs that are timed.
const SYNCS: usize = 200;
/// What one of them writes: a log record of a small entry.
const SYNC_BYTES: usize = 512;
/// `USER_HZ`: what `/proc/PID/stat` counts in, whatever the kernel's own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// What stands in front of every run: the disk, then the machine and the date.
pub(super) fn describe(folder: &Path) -> Result<Vec<Point>> {
    let mut syncs = sync_times(folder).context("measuring the disk")?;
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let gib = memory_kib("/proc/meminfo", "MemTotal:").unwrap_or_default() / 1024.0 / 1024.0;
    let date = Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]).output();
    let date = date.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let machine = format!(
        "{cores} cores, {gib:.0} GiB, {} {}, {}",
        std::env::consts::OS,
        kernel.trim(),
        std::env::consts::ARCH
    );
    Ok(vec![
        Point::new("machine", "fdatasync of 512 B p50", syncs.percentile_ms(50.0), "ms"),
        Point::new("machine", "fdatasync of 512 B p99", syncs.percentile_ms(99.0), "ms"),
        Point::fact("machine", machine),
        Point::fact("date", date.unwrap_or_default()),
    ])
}

fn sync_times(folder: &Path) -> Result<Times> {
    let path = folder.join("sync-probe");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let mut times = Times::default();
    for _ in 0..SYNCS {
        file.write_all(&[b'x'; SYNC_BYTES])?;
        let start = Instant::now();
        file.sync_data()?;
        times.push(start.elapsed());
    }
    fs::remove_file(path)?;
    Ok(times)
}

/// What a process holds in memory now.
pub(super) fn resident_kib(pid: u32) -> Result<f64> {
    memory_kib(&format!("/proc/{pid}/status"), "VmRSS:").context("the node is gone")
}

fn memory_kib(path: &str, field: &str) -> Option<f64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The time that a process has used of all cores, since it began.
pub(super) fn cpu_time(pid: u32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("the node is gone")?;
    // The command's name is in parentheses and may hold anything.
    let rest = text.rsplit_once(')').context("no stat of a process")?.1;
    let mut words = rest.split_whitespace().skip(11).map_while(|word| word.parse::<u32>().ok());
    let (user, system) = (words.next().context("no times")?, words.next().context("no times")?);
    Ok(Duration::from_secs_f64(f64::from(user + system) / TICKS_PER_SECOND))
}
