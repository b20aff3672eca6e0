//! What a server cost so far: by the kernel's account, and by its own.

use super::super::machine;
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What a page of metrics may take.
const PAGE_MAX: Duration = Duration::from_secs(10);

/// What a server cost since it began; all of it only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::load) struct Spent {
    /// CPU time, all threads.
    pub(in crate::load) cpu: Duration,
    /// Bytes that it caused to be sent to the disk.
    pub(in crate::load) written: u64,
    /// Syncs of its log.
    pub(in crate::load) syncs: u64,
    /// Log entries that they made durable; zero if it does not count them.
    pub(in crate::load) entries: u64,
}

impl Spent {
    /// By the kernel's account.
    pub(in crate::load) fn of(pid: u32) -> Result<Self> {
        let io = fs::read_to_string(format!("/proc/{pid}/io")).context("the server is gone")?;
        let written = io.lines().find_map(|line| line.strip_prefix("write_bytes:"));
        let written = written.and_then(|text| text.trim().parse().ok());
        let written = written.context("no write_bytes of a process")?;
        Ok(Self { cpu: machine::cpu_time(pid)?, written, ..Self::default() })
    }

    /// What was spent from `before` to this.
    pub(in crate::load) fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            written: self.written.saturating_sub(before.written),
            syncs: self.syncs.saturating_sub(before.syncs),
            entries: self.entries.saturating_sub(before.entries),
        }
    }

    /// Both together.
    pub(in crate::load) fn plus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            written: self.written + other.written,
            syncs: self.syncs + other.syncs,
            entries: self.entries + other.entries,
        }
    }
}

/// How often the threads of a process went to sleep by themselves: each time something woke them.
pub(in crate::load) fn wake_ups(pid: u32) -> Result<u64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).context("the server is gone")?;
    let of = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|count| count.trim().parse::<u64>().ok())
    };
    // A thread that ended meanwhile no longer counts.
    let statuses = threads.flatten().map(|thread| fs::read_to_string(thread.path().join("status")));
    Ok(statuses.flatten().filter_map(of).sum())
}

/// The value of one metric without labels on a page of OpenMetrics.
pub(in crate::load) fn metric(page: &str, name: &str) -> Result<u64> {
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = value.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    // Both servers write counters as floats; below 2^53 nothing is lost.
    value.map(|value| value as u64).with_context(|| format!("there is no metric {name}"))
}

/// A page of a listener without TLS on this machine.
pub(in crate::load) fn page(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PAGE_MAX)?;
    stream.set_read_timeout(Some(PAGE_MAX))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.split(' ').nth(1) == Some("200"), "{path}: {head}");
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let page = "# TYPE a counter\na_total_of 1\na_total 12\na_total{x=\"y\"} 5\nb 1.5e+03 9\n";
        assert_eq!(metric(page, "a_total").unwrap(), 12);
        assert_eq!(metric(page, "b").unwrap(), 1500);
        assert!(metric(page, "a").is_err());
    }

    #[test]
    fn a_process_has_its_account() {
        let pid = std::process::id();
        let before = Spent::of(pid).unwrap();
        // This thread goes to sleep by itself once at least.
        std::thread::sleep(Duration::from_millis(1));
        assert!(wake_ups(pid).unwrap() > 0);
        assert_eq!(before.since(before), Spent::default());
        assert_eq!(before.since(Spent::default()), before);
        assert_eq!(before.plus(Spent::default()), before);
    }
}
