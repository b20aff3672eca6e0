//! The plan as people and scripts read it: what there is, what may be lost, and what would happen.

use super::plan::{Candidate, Plan};
use crate::moment;
use crate::store::record::LogId;
use keiko_core::hash::hex;
use serde_json::{Value, json};
use std::fmt::Write as _;

const HEADINGS: [&str; 9] =
    ["NODE", "ID", "ROLE", "TERM", "INDEX", "APPLIED", "VOTE", "REVISION", "STATE"];

pub(super) fn as_text(plan: &Plan) -> String {
    let mut text = table(plan);
    let chosen = plan.chosen();
    let (name, end) = (&chosen.name, entry(chosen.standing.log_end));
    let lost = names(plan.lost.iter().map(|member| member.name.as_str()));
    // Writing to a text can't fail.
    let _ = writeln!(text, "furthest       {name}, at {end}: none of these holds more");
    let _ = writeln!(text, "not here       {lost}");
    let _ = writeln!(
        text,
        "may be lost    what only {lost} hold: writes that they acknowledged behind {end}; nothing else"
    );
    let _ = writeln!(
        text,
        "may come true  up to {end}, also what nobody was told was done: writes under way at the end"
    );
    let _ = writeln!(
        text,
        "is there       revision {}, of {}",
        chosen.standing.head.revision,
        moment::text(chosen.standing.head.unix_ms)
    );
    let _ =
        writeln!(text, "then           {name} is the only member of cluster {}", chosen.cluster_id);
    for other in plan.set_aside() {
        let _ = writeln!(
            text,
            "               {} is no member any more: it joins anew, with an empty folder",
            other.name
        );
    }
    if !chosen.has_key {
        let _ = writeln!(
            text,
            "               it has no cluster key, so the authority is made anew: tokens and people are \
             let in anew, too"
        );
    }
    let _ = writeln!(text, "make sure      {lost} never start again with the data they had");
    text
}

fn table(plan: &Plan) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(plan.candidates.iter().map(|candidate| row(candidate, plan)));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}

fn row(candidate: &Candidate, plan: &Plan) -> [String; HEADINGS.len()] {
    let standing = &candidate.standing;
    let dash = || "-".to_owned();
    let vote = standing.vote.map(|vote| format!("{} in {}", vote.node_id, vote.term));
    [
        candidate.name.clone(),
        candidate.id.to_string(),
        candidate.role(plan.members()).to_owned(),
        standing.log_end.map_or_else(dash, |end| end.term.to_string()),
        standing.log_end.map_or_else(dash, |end| end.index.to_string()),
        standing.applied.map_or_else(dash, |applied| applied.index.to_string()),
        vote.unwrap_or_else(dash),
        standing.head.revision.to_string(),
        hex(&standing.head.hash)[..16].to_owned(),
    ]
}

/// `goes_on_at`: the revision behind it, once it was done.
pub(super) fn as_json(plan: &Plan, goes_on_at: Option<u64>) -> Value {
    let node = |candidate: &Candidate| {
        let standing = &candidate.standing;
        json!({
            "name": candidate.name,
            "id": candidate.id,
            "role": candidate.role(plan.members()),
            "folder": candidate.folder.display().to_string(),
            "term": standing.log_end.map(|end| end.term),
            "index": standing.log_end.map(|end| end.index),
            "applied_index": standing.applied.map(|applied| applied.index),
            "vote": standing.vote.map(|vote| json!({"node_id": vote.node_id, "term": vote.term})),
            "revision": standing.head.revision,
            "state_hash": hex(&standing.head.hash),
            "has_cluster_key": candidate.has_key,
        })
    };
    let chosen = plan.chosen();
    let set_aside: Vec<_> = plan.set_aside().iter().map(|other| other.name.clone()).collect();
    json!({
        "cluster_id": chosen.cluster_id,
        "nodes": plan.candidates.iter().map(node).collect::<Vec<_>>(),
        "chosen": chosen.name,
        "not_here": plan.lost.iter().map(|member| &member.name).collect::<Vec<_>>(),
        "set_aside": set_aside,
        "new_authority": !chosen.has_key,
        "recovered": goes_on_at.is_some(),
        "goes_on_at": goes_on_at,
    })
}

pub(super) fn entry(end: Option<LogId>) -> String {
    end.map_or_else(
        || "the beginning".to_owned(),
        |end| format!("entry {} of term {}", end.index, end.term),
    )
}

pub(super) fn names<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<_> = names.collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}
