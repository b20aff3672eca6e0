//! How long after a write the last of a thousand watchers has seen it.
//!
//! The time runs from before the write is sent, so its own commit is part of it; the same from its
//! acknowledgement on is given beside it.

use super::Node;
use super::figures::{Goal, Point, Times};
use anyhow::{Context as _, Result, bail};
use keiko_client::{Client, rooms};
use keiko_proto::v1 as wire;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// Watches of one connection.
pub(super) const OF_CONNECTION: usize = 20;
/// Writes that are timed.
const WRITES: u32 = 200;
/// Between two of them: a watcher that is behind shows.
const PAUSE: Duration = Duration::from_millis(10);
/// What the last watcher may take before the run counts as failed.
const LATE: Duration = Duration::from_secs(20);
/// Sightings that wait to be counted: those of some writes.
pub(super) const QUEUE: usize = 16_384;
const NAMESPACE: &str = "watched";

/// A revision, and when it came.
pub(super) type Seen = (u64, Instant);

/// In place of a revision: the watch is open.
pub(super) const WATCHING: u64 = 0;

/// Opens the watches and measures.
pub(super) async fn run(node: &Node<'_>) -> Result<Vec<Point>> {
    let mut writer = node.client.registry();
    let request_id = || node.client.request_id().as_bytes().to_vec();
    node.client.status().await?;
    let first = write(&mut writer, 0, request_id()).await.context("the watched agent")?;
    let (sender, mut seen) = mpsc::channel(QUEUE);
    let mut watches = JoinSet::new();
    let count = node.settings.watchers;
    for begin in (0..count).step_by(OF_CONNECTION) {
        let client = node.connect().await?;
        for _ in begin..count.min(begin + OF_CONNECTION) {
            let request = wire::WatchRequest {
                kind: wire::Kind::Agent.into(),
                namespace: NAMESPACE.to_owned(),
                after_revision: first,
                ..Default::default()
            };
            watches.spawn(follow(client.clone(), request, sender.clone()));
        }
    }
    drop(sender);
    last_of(&mut seen, WATCHING, count).await.context("opening the watches")?;
    let (mut from_sent, mut from_acked) = (Times::default(), Times::default());
    for round in 1..=WRITES {
        let sent = Instant::now();
        let revision = write(&mut writer, round, request_id()).await?;
        let acked = Instant::now();
        let last = last_of(&mut seen, revision, count).await?;
        from_sent.push(last - sent);
        from_acked.push(last.saturating_duration_since(acked));
        sleep(PAUSE).await;
    }
    watches.shutdown().await;
    let what = |which: &str| format!("{count} watchers, write to last: {which}");
    let acked = format!("{count} watchers, acknowledged to last: p99");
    Ok(vec![
        Point::new("watchers", what("p50"), from_sent.percentile_ms(50.0), "ms"),
        Point::new("watchers", what("p99"), from_sent.percentile_ms(99.0), "ms")
            .goal(Goal::AtMost(100.0)),
        Point::new("watchers", acked, from_acked.percentile_ms(99.0), "ms"),
    ])
}

/// Declares an agent that never answers with another label; gives the revision.
async fn write(registry: &mut rooms::Registry, round: u32, request_id: Vec<u8>) -> Result<u64> {
    let metadata = wire::Metadata {
        name: "watched".to_owned(),
        namespace: NAMESPACE.to_owned(),
        labels: [("round".to_owned(), round.to_string())].into(),
        ..Default::default()
    };
    let request = wire::ApplyRequest { request_id, ..crate::declaration::apply(metadata) };
    let reply = registry.apply(request).await?.into_inner();
    Ok(reply.write.context("a write without a revision")?.revision)
}

/// Says when each revision came, and first that it watches.
pub(super) async fn follow(
    client: Client,
    request: wire::WatchRequest,
    seen: mpsc::Sender<Seen>,
) -> Result<()> {
    let watch = |client: Client, request| async move { client.registry().watch(request).await };
    let mut stream = client.open(request, watch).await?;
    seen.send((WATCHING, Instant::now())).await?;
    while let Some(response) = stream.message().await? {
        if response.object.is_some() {
            seen.send((response.revision, Instant::now())).await?;
        }
    }
    Ok(())
}

/// When the last watcher saw this revision.
pub(super) async fn last_of(
    seen: &mut mpsc::Receiver<Seen>,
    revision: u64,
    count: usize,
) -> Result<Instant> {
    let (end, mut last) = (Instant::now() + LATE, None);
    let mut left = count;
    while left > 0 {
        match timeout_at(end, seen.recv()).await {
            Ok(Some((of, at))) if of == revision => {
                left -= 1;
                last = last.max(Some(at));
            }
            // The prober says that the agent does not answer.
            Ok(Some(_)) => {}
            Ok(None) => bail!("every watch ended"),
            Err(_) => bail!("{left} of {count} watchers have not seen revision {revision}"),
        }
    }
    last.context("nobody watches")
}
