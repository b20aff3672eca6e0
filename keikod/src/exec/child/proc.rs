//! What `/proc` tells about a process.
//!
//! Never: trusts a process number alone. A number comes back; a number with its start time does
//! not within one boot.

use std::fs;

/// The part of `/proc/PID/stat` that identifies a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// One letter: `Z` has ended already.
    pub(super) state: u8,
    /// The process group.
    pub(super) group: i32,
    /// When it started, in clock ticks since the boot.
    pub(super) start_ticks: u64,
}

/// The process with this number, if there is one.
pub(super) fn stat(pid: i32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The number of every process that is seen from here.
pub(super) fn pids() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether the process was started with this `NAME=VALUE`.
pub(super) fn has_env(pid: i32, setting: &[u8]) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|word| word == setting))
}

/// The id of this boot; empty where the kernel gives none.
pub(super) fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// The command's name is in parentheses and may hold any byte, so the last one counts.
fn parse(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    // proc_pid_stat(5): state is field 3, pgrp field 5, starttime field 22.
    let state = *fields.next()?.as_bytes().first()?;
    let group = fields.nth(1)?.parse().ok()?;
    let start_ticks = fields.nth(16)?.parse().ok()?;
    Some(Stat { state, group, start_ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_stat_line() {
        let check = |text: &str, expect| assert_eq!(parse(text), expect, "{text}");
        let tail = "S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 0 0";
        let expect = Some(Stat { state: b'S', group: 42, start_ticks: 987_654 });
        check(&format!("42 (cat) {tail}"), expect);
        check(&format!("42 (a) R 9 (b) {tail}"), expect);
        check("42 (cat) S 1 42", None);
        check("", None);
    }

    #[test]
    fn finds_this_process() {
        let pid = std::process::id() as i32;
        assert!(stat(pid).is_some_and(|stat| stat.start_ticks > 0));
        assert!(pids().contains(&pid));
        assert!(!has_env(pid, b"KEIKO_NO_SUCH=1"));
    }
}
