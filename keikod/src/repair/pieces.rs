//! From the folders of all voters, stopped: what one lacks another may have.
//!
//! A piece is a whole state (a store's, or a snapshot's), or one entry of the log. Sorted files are
//! none: no two nodes have the same. The newest whole state is taken from whoever has it, and each
//! entry behind it from whoever has a good copy that is [surely the log's](super::chain).
//!
//! Why the node may keep its id: of most voters it is beyond doubt where their logs end, so the
//! furthest of these has all that was ever acknowledged, and so has this node then. And its vote is
//! its own, in a term above all that any of them has seen: it can't vote a second time in one that it
//! forgot. All voters are named, so that none of them runs meanwhile and counts on it.

use super::aside::{HELD, move_to, set_aside};
use super::chain::trace;
use super::sources::{Base, Source};
use super::{Repaired, refused};
use crate::consensus::offline::{Offline, voters_of};
use crate::lifecycle::Membership;
use crate::store::folder::fault;
use crate::store::record::{Kind, LogId, Record, Vote};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Refusal, Result};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where it is made; nothing in it is anybody's yet.
const SCRATCH: &str = "repair.unfinished";
/// Moved before the marker, without which every start is refused.
const PARTS: [&str; 3] = ["durable", "snapshots", "store"];
const MARKER: &str = "format";
/// Terms that may have gone by unnoted: a note that a power cut took was at most 35 s old, and
/// elections are 300 ms apart, so 120; eight times that.
const TERMS_UNNOTED: u64 = 1024;
/// Entries that are appended at once: at 4 MiB each still less than a machine has.
const ENTRIES_AT_ONCE: usize = 64;
/// Folders whose reason is told.
const REASONS_MAX: usize = 8;

/// What was put together.
pub(super) struct Found {
    /// Whose state; nobody's if the log reaches back to its first entry.
    pub(super) state_of: Option<PathBuf>,
    /// At which entry.
    pub(super) state: Option<LogId>,
    /// Where the log ends.
    pub(super) end: LogId,
    /// Entries behind the state.
    pub(super) entries: usize,
}

impl Found {
    pub(super) fn as_text(&self) -> String {
        let Self { state_of, state, end, entries } = self;
        match (state_of, state) {
            (Some(folder), Some(state)) => format!(
                "its state is that of {} at entry {state}, with {entries} entries up to {end}\n",
                folder.display()
            ),
            _ => format!("its state is made anew from {entries} entries up to {end}\n"),
        }
    }
}

/// Which copies are taken.
struct Plan {
    /// A source and its state.
    base: Option<(usize, Base)>,
    end: LogId,
    /// For each entry behind the state, whose.
    copies: Vec<usize>,
}

pub(super) fn repair(data_dir: &Path, with: &[PathBuf]) -> Result<Repaired> {
    let group = GroupId::CONTROL;
    let folders = std::iter::once(data_dir).chain(with.iter().map(PathBuf::as_path));
    let sources: Vec<Source> =
        folders.map(|folder| Source::look(folder, group)).collect::<Result<_>>()?;
    let own = own_membership(&sources)?;
    let plan = Plan::make(&sources)?;
    check_voters(&sources, &plan)?;
    let seen = sources.iter().map(Source::term).max().unwrap_or(0).max(plan.end.term);
    let vote = Vote { term: seen + TERMS_UNNOTED, node_id: own.node_id, committed: false };
    let scratch = data_dir.join(SCRATCH);
    remove(&scratch)?;
    let root = scratch.join("node");
    plan.build(&sources, group, &scratch, vote)?;
    let found = plan.found(&sources);
    // RocksDB must let go of its files before they move.
    drop(sources);
    let set_aside = set_aside(data_dir, HELD)?;
    for part in PARTS.into_iter().chain([MARKER]) {
        move_to(&root.join(part), &data_dir.join(part))?;
    }
    remove(&scratch)?;
    let Membership { cluster_id, node_id, name, .. } = own;
    Ok(Repaired { node: name, node_id, cluster_id, set_aside, pieces: Some(found) })
}

/// Who the first of them is; refused if the others do not belong to it.
fn own_membership(sources: &[Source]) -> Result<Membership> {
    let known: Vec<_> = sources.iter().filter_map(|source| source.membership.as_ref()).collect();
    let own = sources.first().and_then(|source| source.membership.clone());
    let own = own.ok_or_else(|| {
        with_reasons(refused("which node this folder is of is not known"), sources)
            .hint("let most of the others serve, and on one: keikoctl node repair NAME")
    })?;
    let ids: BTreeSet<u64> = known.iter().map(|known| known.node_id).collect();
    if ids.len() != known.len() {
        return Err(refused("two of these folders are the same node's").hint("name each node once"));
    }
    match known.iter().find(|known| known.cluster_id != own.cluster_id) {
        Some(other) => Err(refused("these folders are of two clusters")
            .cause(format!("{} and {}", own.cluster_id, other.cluster_id))
            .hint("name the folders of one cluster")),
        None => Ok(own),
    }
}

impl Plan {
    /// The newest state from which the log can be followed to its end.
    fn make(sources: &[Source]) -> Result<Self> {
        let end = sources.iter().filter_map(|source| source.end).max().ok_or_else(|| {
            with_reasons(
                refused("of none of these folders it is known where its log ends"),
                sources,
            )
            .hint("keikod recover goes on with what one of them has, and says what that costs")
        })?;
        let of_source = |(number, source): (usize, &Source)| {
            source.bases().into_iter().map(move |base| (number, base)).collect::<Vec<_>>()
        };
        let mut bases: Vec<(usize, Base)> =
            sources.iter().enumerate().flat_map(of_source).collect();
        bases.retain(|(_, base)| base.applied.last <= end);
        bases.sort_by_key(|(_, base)| Reverse(base.applied.last));
        let mut missing = None;
        for base in bases.into_iter().map(Some).chain([None]) {
            let last = base.as_ref().map(|(_, base)| base.applied.last);
            match trace(sources, last, end) {
                Ok(copies) => return Ok(Self { base, end, copies }),
                Err(index) => {
                    missing.get_or_insert(index);
                }
            }
        }
        let index = missing.unwrap_or(0);
        let group = GroupId::CONTROL;
        let message =
            format!("entry {index} of the log of group {group} has no good copy in these folders");
        let reasons = sources.iter().take(REASONS_MAX).map(|source| source.why_not(index));
        Err(reasons
            .fold(refused(message), Refusal::cause)
            .hint("name the folder of every voter: --with D"))
    }

    fn first(&self) -> u64 {
        self.base.as_ref().map_or(0, |(_, base)| base.applied.last.index + 1)
    }

    /// The entries behind the state, ascending.
    fn records<'s>(&'s self, sources: &'s [Source]) -> impl Iterator<Item = Result<Record>> + 's {
        let numbered = (self.first()..).zip(&self.copies);
        numbered.map(move |(index, copy)| {
            let record = sources.get(*copy).and_then(|source| source.record(index));
            record.ok_or_else(|| refused(format!("entry {index} can't be read a second time")))
        })
    }

    fn build(&self, sources: &[Source], group: GroupId, scratch: &Path, vote: Vote) -> Result<()> {
        let store = Offline::create(&scratch.join("node"))?;
        if let Some((number, base)) = &self.base {
            let files = scratch.join("files");
            if let Some(source) = sources.get(*number) {
                source.write(base, &files)?;
            }
            store.take_over(group, &files, base.applied.last)?;
        }
        let mut batch = Vec::with_capacity(ENTRIES_AT_ONCE);
        for record in self.records(sources) {
            batch.push(record?);
            if batch.len() == ENTRIES_AT_ONCE {
                store.go_on(group, &batch)?;
                batch.clear();
            }
        }
        store.go_on(group, &batch)?;
        store.seal(group, vote)
    }

    fn found(&self, sources: &[Source]) -> Found {
        let of_source = |(number, _): &(usize, Base)| sources.get(*number);
        let state_of = self.base.as_ref().and_then(of_source).map(|source| source.folder.clone());
        let state = self.base.as_ref().map(|(_, base)| base.applied.last);
        Found { state_of, state, end: self.end, entries: self.copies.len() }
    }
}

/// Refuses unless every voter is here, and of most it is known where its log ends.
fn check_voters(sources: &[Source], plan: &Plan) -> Result<()> {
    let mut sets = Vec::new();
    if let Some((_, base)) = &plan.base {
        sets.extend(voters_of(&base.applied.membership)?);
    }
    for record in plan.records(sources) {
        let record = record?;
        if record.kind == Kind::Membership {
            sets.extend(voters_of(&record.payload)?);
        }
    }
    let here: BTreeSet<u64> = sources.iter().filter_map(Source::id).collect();
    let certain: BTreeSet<u64> =
        sources.iter().filter(|source| source.end.is_some()).filter_map(Source::id).collect();
    if sets.is_empty() {
        return Err(refused("these folders do not say who votes"));
    }
    for set in sets {
        if let Some(missing) = set.difference(&here).next() {
            return Err(with_reasons(refused("the folder of a voter is missing"), sources)
                .cause(format!("it is that of node {missing}"))
                .hint("stop all nodes, and name the folder of every voter: --with D"));
        }
        if set.intersection(&certain).count() * 2 <= set.len() {
            let message = "it is not known of most voters where their logs end";
            return Err(with_reasons(refused(message), sources)
                .cause("what was acknowledged last may be in those alone that can't be read")
                .hint("keikod recover goes on without it, and says what that costs"));
        }
    }
    Ok(())
}

fn with_reasons(refusal: Refusal, sources: &[Source]) -> Refusal {
    let reasons = sources.iter().flat_map(|source| &source.damages).take(REASONS_MAX);
    reasons.fold(refusal, Refusal::cause)
}

fn remove(scratch: &Path) -> Result<()> {
    match fs::remove_dir_all(scratch) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(fault(scratch, "remove", error)),
        _ => Ok(()),
    }
}
