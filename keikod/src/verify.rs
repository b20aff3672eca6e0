//! `keikod verify`: the report of the scan, for people or as JSON.

use crate::cli::{Output, print};
use crate::consensus;
use crate::consensus::verify::{FamilyReport, GroupReport, Report, SnapshotReport};
use crate::lifecycle::folder;
use keiko_core::hash::hex;
use keiko_core::refusal::{Code, Refusal, Result};
use serde_json::{Value, json};
use std::path::Path;

/// Scans and reports on stdout. A running daemon is refused: it writes while one reads.
pub(crate) fn run(data_dir: &Path, output: Output) -> Result<()> {
    refuse_running(data_dir)?;
    let report = consensus::verify(data_dir)?;
    let text = match output {
        Output::Json => format!("{}\n", as_json(&report)),
        Output::Text => as_text(&report),
    };
    print(&text);
    Ok(())
}

/// Refuses a folder that a daemon holds.
pub(crate) fn refuse_running(data_dir: &Path) -> Result<()> {
    let Some(holder) = folder::holder(data_dir) else { return Ok(()) };
    let pid = holder.pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
    let message = format!("a daemon runs on {}{pid}", data_dir.display());
    Err(Refusal::new(Code::DataFolderLocked, message)
        .hint("stop it first, or ask it: keikoctl status"))
}

fn as_json(report: &Report) -> Value {
    let group = |group: &GroupReport| {
        json!({
            "group": group.group.0,
            "records": group.records,
            "applied_index": group.applied.map(|id| id.index),
            "revision": group.revision,
            "state_hash": hex(&group.state_hash),
            "replayed": group.replayed,
        })
    };
    let family = |family: &FamilyReport| json!({ "name": family.name, "keys": family.keys, "bytes": family.bytes });
    let snapshot = |snapshot: &SnapshotReport| {
        json!({
            "group": snapshot.group.0,
            "applied_index": snapshot.applied.map(|id| id.index),
            "files": snapshot.files,
            "bytes": snapshot.bytes,
        })
    };
    json!({
        "groups": report.groups.iter().map(group).collect::<Vec<_>>(),
        "families": report.families.iter().map(family).collect::<Vec<_>>(),
        "snapshots": report.snapshots.iter().map(snapshot).collect::<Vec<_>>(),
    })
}

fn as_text(report: &Report) -> String {
    let mut text = String::new();
    for group in &report.groups {
        let replayed = match group.replayed {
            true => "replayed from the first entry to the same hash",
            false => "the log's beginning is purged, so the state was not replayed",
        };
        text.push_str(&format!(
            "group {}: {} log records, revision {}, state {}\n  {replayed}\n",
            group.group,
            group.records,
            group.revision,
            &hex(&group.state_hash)[..16],
        ));
    }
    for family in &report.families {
        let FamilyReport { name, keys, bytes } = family;
        text.push_str(&format!("{name:<10} {keys:>10} keys {bytes:>14} bytes\n"));
    }
    for SnapshotReport { group, applied, files, bytes } in &report.snapshots {
        let applied =
            applied.map_or_else(|| "nothing".to_owned(), |id| format!("entry {}", id.index));
        text.push_str(&format!(
            "snapshot of group {group} up to {applied}: {files} files, {bytes} bytes\n"
        ));
    }
    text.push_str("everything is in order\n");
    text
}
