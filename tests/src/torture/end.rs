//! The end of a round: everybody is there again, and all of them say the same.

use super::check::order::told;
use super::check::watched::Watched;
use super::history::{Op, Outcome};
use super::watch::Watching;
use crate::DEADLINE;
use crate::cluster::{Cluster, name};
use crate::node::Node;
use keiko_client::proto::v1::{self as wire, tail_response::Item};
use keiko_client::{Client, Endpoint, Identity};
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// How it ended.
#[derive(Default)]
pub(super) struct Ended {
    /// What was not as it must be.
    pub(super) findings: Vec<String>,
    /// What each watcher saw.
    pub(super) watched: Vec<Watched>,
    /// Of the writes in doubt, those that took effect.
    pub(super) done_in_doubt: usize,
}

/// Waits until everything has come to rest, compares, and ends the cluster.
pub(super) async fn settle(mut cluster: Cluster, ops: &[Op], watching: Watching) -> Ended {
    let mut ended = Ended::default();
    if let Err(last) = cluster.agree_within(DEADLINE) {
        ended.findings.push(format!("the nodes' states differ: {last}"));
    }
    let last = ops.iter().filter_map(Op::acknowledged).max().unwrap_or_default();
    let end = Instant::now() + DEADLINE;
    while !watching.behind(last).is_empty() && Instant::now() < end {
        tokio::time::sleep(PAUSE).await;
    }
    for (number, reached) in watching.behind(last) {
        let words = format!("the watcher of {} is at {reached}, not at {last}", name(number));
        ended.findings.push(words);
    }
    ended.watched = watching.end().await;
    match journals(&cluster).await {
        Ok(journals) => {
            ended.findings.extend(unlike(&journals));
            ended.findings.extend(missing(&journals, ops));
            ended.done_in_doubt = done_in_doubt(&journals, ops);
        }
        Err(why) => ended.findings.push(why),
    }
    if let Err(why) = cluster.end() {
        ended.findings.push(why);
    }
    ended
}

/// What one node remembers.
#[derive(Default)]
struct Journal {
    node: String,
    /// Each event, by its revision and its place in it.
    events: BTreeMap<(u64, u32), blake3::Hash>,
    /// At which revisions a request is.
    requests: BTreeMap<String, BTreeSet<u64>>,
}

async fn journals(cluster: &Cluster) -> Result<Vec<Journal>, String> {
    let mut journals = Vec::new();
    for number in cluster.all() {
        let journal = journal(cluster.node(number)).await;
        journals
            .push(journal.map_err(|error| format!("the journal of {}: {error}", name(number)))?);
    }
    Ok(journals)
}

async fn journal(node: &Node) -> keiko_client::Result<Journal> {
    let mut journal = Journal { node: node.plan.name.clone(), ..Journal::default() };
    let client = Client::connect(Endpoint::Unix(node.socket()), Identity::Process).await?;
    let mut tail = client.tail(wire::TailRequest::default()).await?;
    while let Some(item) = tail.next().await? {
        let Item::Event(event) = item else { continue };
        let hash = blake3::hash(&event.encode_to_vec());
        journal.events.insert((event.revision, event.sequence), hash);
        if !event.request_id.is_empty() {
            journal.requests.entry(event.request_id).or_default().insert(event.revision);
        }
    }
    Ok(journal)
}

/// The first place at which two journals differ, as far as both go.
fn unlike(journals: &[Journal]) -> Vec<String> {
    let ends = journals.iter().map(|one| one.events.keys().next_back().map_or(0, |at| at.0));
    // The last revision may not be there in full.
    let end = ends.min().unwrap_or_default();
    let Some((first, others)) = journals.split_first() else { return Vec::new() };
    let known: Vec<_> = first.events.range(..(end, 0)).collect();
    let differs = |other: &Journal| {
        let theirs: Vec<_> = other.events.range(..(end, 0)).collect();
        let at = known.iter().zip(&theirs).position(|(one, other)| one != other);
        let at =
            at.or_else(|| (known.len() != theirs.len()).then_some(known.len().min(theirs.len())))?;
        let of = |events: &[(&(u64, u32), &blake3::Hash)]| events.get(at).map(|(at, _)| **at);
        let (ours, theirs) = (of(&known), of(&theirs));
        Some(format!(
            "the journals of {} and {} differ at {ours:?} and {theirs:?}",
            first.node, other.node
        ))
    };
    others.iter().filter_map(differs).collect()
}

/// Acknowledged writes that are not there, or not where they were said to be; refused ones that are
/// there, and those in doubt that are there twice.
fn missing(journals: &[Journal], ops: &[Op]) -> Vec<String> {
    const TOLD_MAX: usize = 8;
    let mut findings = Vec::new();
    for journal in journals {
        for op in ops {
            let Some(id) = op.request_id else { continue };
            let found = journal.requests.get(&id.to_string());
            let fits = match op.outcome {
                Outcome::Written { revision } => found.is_some_and(|at| at.iter().eq([&revision])),
                Outcome::Unknown => found.is_none_or(|at| at.len() == 1),
                Outcome::Refused | Outcome::Seen(_) => found.is_none(),
            };
            if !fits && findings.len() < TOLD_MAX {
                let word = if found.is_some() { "NOT AS TOLD" } else { "LOST" };
                let at = found.cloned().unwrap_or_default();
                findings.push(format!("{word} at {}: {} is at {at:?}", journal.node, told(op)));
            }
        }
    }
    findings
}

fn done_in_doubt(journals: &[Journal], ops: &[Op]) -> usize {
    let Some(journal) = journals.first() else { return 0 };
    let is_there =
        |op: &&Op| op.request_id.is_some_and(|id| journal.requests.contains_key(&id.to_string()));
    ops.iter().filter(|op| op.is_in_doubt()).filter(is_there).count()
}
