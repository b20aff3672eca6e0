//! The last lines that each child wrote to its stderr.
//!
//! Keeps: per id a ring of whole lines, at most 256 KiB of text, with the time at which each was
//! read. The ring belongs to the id, so it survives a restart of the child.
//!
//! Invariants: a line is at most 8 KiB, a longer one is cut into several; every line of the values
//! of the named environment is blotted out where it appears as it is. Never: waits for a reader: one who
//! follows too slowly is told how many lines it missed and finds them in the ring. Nor reads a flood
//! as fast as it comes ([`Pace`]).

use super::super::secret::Secret;
use super::pace::Pace;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::broadcast;

/// Text kept per child.
pub const RING_BYTES_MAX: usize = 256 * 1024;
/// The longest line; the longest that common loggers write.
pub const LINE_BYTES_MAX: usize = 8 * 1024;
/// What a line costs besides its text, so that empty lines are bounded too.
const LINE_OVERHEAD_BYTES: usize = 64;
/// Lines that a follower may lag behind: 256 lines of 100 bytes are what a terminal shows at once.
const FOLLOW_LINES_MAX: usize = 256;
/// Rings kept at once: twice the children that live, 512 × 256 KiB at worst is 128 MiB.
const RINGS_MAX: usize = 512;
/// A shorter secret would blot out ordinary words.
const BLOTTED_BYTES_MIN: usize = 6;

/// One line of a child's stderr.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Counts the lines of this id from 0, over restarts.
    pub number: u64,
    /// When it was read.
    pub unix_ms: u64,
    /// Without its end; bytes that are no UTF-8 are replaced.
    pub text: String,
}

/// The lines so far and those to come, without a gap between them.
#[derive(Debug)]
pub struct Follow {
    /// What the ring held.
    pub lines: Vec<LogLine>,
    /// What comes after it.
    pub next: broadcast::Receiver<LogLine>,
}

#[derive(Debug)]
struct Ring {
    lines: VecDeque<LogLine>,
    bytes: usize,
    next_number: u64,
    /// A count of all rings' lines when this one was last written, to find the oldest ring.
    touched: u64,
    followers: broadcast::Sender<LogLine>,
}

impl Ring {
    fn new() -> Self {
        let (followers, _) = broadcast::channel(FOLLOW_LINES_MAX);
        Self { lines: VecDeque::new(), bytes: 0, next_number: 0, touched: 0, followers }
    }

    fn push(&mut self, text: String) {
        let line = LogLine { number: self.next_number, unix_ms: unix_ms(), text };
        self.next_number += 1;
        self.bytes += cost(&line);
        self.lines.push_back(line.clone());
        while self.bytes > RING_BYTES_MAX {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= cost(&oldest);
        }
        // No follower is no error.
        let _ = self.followers.send(line);
    }

    fn tail(&self, lines: usize) -> Vec<LogLine> {
        let skipped = self.lines.len().saturating_sub(lines);
        self.lines.iter().skip(skipped).cloned().collect()
    }
}

/// The rings of all children.
#[derive(Debug, Default)]
pub(super) struct Logs {
    rings: Mutex<Rings>,
}

#[derive(Debug, Default)]
struct Rings {
    by_id: BTreeMap<String, Ring>,
    written: u64,
}

impl Logs {
    /// The last `lines` lines, oldest first, with what comes next.
    pub(super) fn follow(&self, id: &str, lines: usize) -> Follow {
        let mut rings = self.lock();
        let ring = rings.ring(id);
        Follow { lines: ring.tail(lines), next: ring.followers.subscribe() }
    }

    /// Removes the ring; its followers see the end.
    pub(super) fn forget(&self, id: &str) {
        self.lock().by_id.remove(id);
    }

    /// Adds a line that a child wrote.
    pub(super) fn push(&self, id: &str, line: &[u8], blotted: &[&str]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = blot(line, blotted);
        let mut rings = self.lock();
        rings.written += 1;
        let written = rings.written;
        let ring = rings.ring(id);
        ring.touched = written;
        ring.push(text);
    }

    fn lock(&self) -> MutexGuard<'_, Rings> {
        // Each change is whole before the lock goes, so a panic elsewhere spoils nothing.
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rings {
    /// The ring of this id; a new one may push out the one that was silent longest.
    fn ring(&mut self, id: &str) -> &mut Ring {
        if !self.by_id.contains_key(id) && self.by_id.len() >= RINGS_MAX {
            let oldest = self.by_id.iter().min_by_key(|(_, ring)| ring.touched);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                self.by_id.remove(&oldest);
            }
        }
        self.by_id.entry(id.to_owned()).or_insert_with(Ring::new)
    }
}

/// Reads until the end of the stream and adds each line.
pub(super) async fn keep(
    logs: &Logs,
    id: &str,
    mut stderr: impl AsyncRead + Unpin,
    blotted: &[Secret],
) {
    let blotted = blotted_lines(blotted);
    let mut line = Vec::with_capacity(LINE_BYTES_MAX);
    let mut read = vec![0; LINE_BYTES_MAX];
    let (mut cut, mut pace) = (false, Pace::new(Instant::now()));
    loop {
        let count = match stderr.read(&mut read).await {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        let pause = pace.pause(Instant::now(), count);
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        for byte in &read[..count] {
            let ends = *byte == b'\n';
            if ends && cut && line.is_empty() {
                // The end of a line that was cut at its very end is no empty line.
                cut = false;
                continue;
            }
            if !ends {
                line.push(*byte);
            }
            if ends || line.len() == LINE_BYTES_MAX {
                logs.push(id, &line, &blotted);
                cut = !ends;
                line.clear();
            }
        }
    }
    if !line.is_empty() {
        logs.push(id, &line, &blotted);
    }
}

/// The lines of the values that nobody may see, as a log shows them one by one: a key in PEM is
/// never in one piece there. The longest first, or a shorter one within it would leave its rest.
fn blotted_lines(secrets: &[Secret]) -> Vec<&str> {
    let lines = secrets.iter().flat_map(|secret| secret.expose().split(|byte| *byte == b'\n'));
    let mut lines: Vec<&str> = lines
        .filter_map(|line| std::str::from_utf8(line.trim_ascii()).ok())
        .filter(|line| line.len() >= BLOTTED_BYTES_MIN)
        .collect();
    lines.sort_unstable_by_key(|line| (std::cmp::Reverse(line.len()), *line));
    lines.dedup();
    lines
}

/// The line as text without what nobody may see.
fn blot(line: &[u8], blotted: &[&str]) -> String {
    let mut text = String::from_utf8_lossy(line).into_owned();
    for value in blotted {
        if text.contains(value) {
            text = text.replace(value, "***");
        }
    }
    text
}

fn cost(line: &LogLine) -> usize {
    line.text.len() + LINE_OVERHEAD_BYTES
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(logs: &Logs, id: &str, lines: usize) -> Vec<LogLine> {
        logs.lock().by_id.get(id).map(|ring| ring.tail(lines)).unwrap_or_default()
    }

    async fn kept(input: &[u8]) -> Vec<String> {
        let logs = Logs::default();
        keep(&logs, "a", input, &[Secret::new(b"hunter2".to_vec()), Secret::new(b"on".to_vec())])
            .await;
        tail(&logs, "a", usize::MAX).into_iter().map(|line| line.text).collect()
    }

    #[tokio::test]
    async fn cuts_lines() {
        let check = async |input: &[u8], expect: &[&str]| assert_eq!(kept(input).await, expect);
        check(b"", &[]).await;
        check(b"a\nb\r\n\nc", &["a", "b", "", "c"]).await;
        check(b"bad \xff byte\n", &["bad \u{fffd} byte"]).await;
        check(b"password is hunter2, on hunter2\n", &["password is ***, on ***"]).await;
        let long = "x".repeat(LINE_BYTES_MAX + 10);
        check(long.as_bytes(), &[&long[..LINE_BYTES_MAX], &long[LINE_BYTES_MAX..]]).await;
        let exact = format!("{}\n\nb\n", &long[..LINE_BYTES_MAX]);
        check(exact.as_bytes(), &[&long[..LINE_BYTES_MAX], "", "b"]).await;
    }

    #[tokio::test]
    async fn blots_every_line_of_a_value() {
        let key =
            b"-----BEGIN KEY-----\r\n  MIIEvQIBADAN\nMIIEvQ\nab==\n-----END KEY-----".to_vec();
        let check = async |input: &str, expect: &[&str]| {
            let logs = Logs::default();
            keep(&logs, "a", input.as_bytes(), &[Secret::new(key.clone())]).await;
            let lines: Vec<_> = tail(&logs, "a", 9).into_iter().map(|line| line.text).collect();
            assert_eq!(lines, expect);
        };
        check("-----BEGIN KEY-----\nMIIEvQIBADAN\nMIIEvQ\nab==\n", &["***", "***", "***", "ab=="])
            .await;
        check(r"key: MIIEvQIBADAN\nMIIEvQ", &[r"key: ***\n***"]).await;
    }

    #[test]
    fn keeps_the_last_whole_lines_within_its_size() {
        let logs = Logs::default();
        for number in 0..2_000 {
            logs.push("a", format!("{number:0>300}").as_bytes(), &[]);
        }
        let lines = tail(&logs, "a", usize::MAX);
        let bytes: usize = lines.iter().map(cost).sum();
        assert!(bytes <= RING_BYTES_MAX && bytes + 400 > RING_BYTES_MAX, "{bytes}");
        assert_eq!(lines.last().unwrap().number, 1_999);
        assert!(lines.windows(2).all(|pair| pair[0].number + 1 == pair[1].number));
        assert_eq!(tail(&logs, "a", 3).len(), 3);
        assert!(tail(&logs, "b", 3).is_empty());
    }

    #[tokio::test]
    async fn follows_without_a_gap() {
        let logs = Logs::default();
        logs.push("a", b"before", &[]);
        let mut follow = logs.follow("a", 10);
        logs.push("a", b"after", &[]);
        assert_eq!(follow.lines[0].text, "before");
        assert_eq!(follow.next.recv().await.unwrap().text, "after");
        logs.forget("a");
        assert!(follow.next.recv().await.is_err());
    }

    #[test]
    fn the_number_of_rings_is_bounded() {
        let logs = Logs::default();
        for id in 0..RINGS_MAX + 10 {
            logs.push(&id.to_string(), b"x", &[]);
        }
        assert_eq!(logs.lock().by_id.len(), RINGS_MAX);
        assert!(tail(&logs, "9", 1).is_empty() && tail(&logs, "10", 1).len() == 1);
    }
}
