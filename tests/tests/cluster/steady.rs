//! A steady hand: a write every few milliseconds through one node, whatever happens meanwhile.

use keiko_client::proto::v1 as wire;
use keiko_client::{Client, Endpoint, Identity};
use keiko_tests::journal::{connect, journal};
use keiko_tests::{Node, declaration};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

/// What one write may take, with all repetitions.
const PATIENCE: Duration = Duration::from_secs(10);
/// Writes under way at once; where nothing is answered, no more are begun.
const UNDER_WAY_MAX: usize = 512;
/// Names that are written in turn.
const AGENTS: u64 = 16;

/// An acknowledged write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) id: Uuid,
    pub(crate) revision: u64,
    /// When the answer was there.
    pub(crate) at: Instant,
}

/// A steady hand at work.
pub(crate) struct Steady {
    stop: Arc<AtomicBool>,
    running: JoinHandle<Vec<Written>>,
}

impl Steady {
    /// Writes through this node from now on, one every so often.
    pub(crate) fn start(node: &Node, every: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let running = tokio::spawn(run(node.socket(), every, Arc::clone(&stop)));
        Self { stop, running }
    }

    /// Ends it; what was acknowledged, in the order of the answers.
    pub(crate) async fn end(self) -> Vec<Written> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = tokio::time::timeout(keiko_tests::DEADLINE, self.running).await;
        let mut written = ended.expect("it ends").expect("it ends");
        written.sort_by_key(|written| written.at);
        written
    }
}

async fn run(socket: PathBuf, every: Duration, stop: Arc<AtomicBool>) -> Vec<Written> {
    let client = Client::connect(Endpoint::Unix(socket), Identity::Process).await;
    let client = client.expect("the node is ready").within(PATIENCE);
    let (mut written, mut under_way) = (Vec::new(), JoinSet::new());
    let mut number = 0;
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        while let Some(done) = under_way.try_join_next() {
            written.extend(done.expect("a write ends"));
        }
        if under_way.len() < UNDER_WAY_MAX {
            under_way.spawn(write(client.clone(), number));
            number += 1;
        }
    }
    while let Some(done) = under_way.join_next().await {
        written.extend(done.expect("a write ends"));
    }
    written
}

/// Declares one of a few agents with another label. None: not acknowledged.
async fn write(client: Client, number: u64) -> Option<Written> {
    let id = client.request_id();
    let metadata = wire::Metadata {
        name: format!("steady-{}", number % AGENTS),
        namespace: "steady".to_owned(),
        // Of this process and this run: a label that is there already would change nothing.
        labels: [("write".to_owned(), id.simple().to_string())].into(),
        ..Default::default()
    };
    let message = wire::ApplyRequest { brief: true, ..declaration::apply(metadata) };
    let call = |client: Client, request| async move { client.registry().apply(request).await };
    let made = client.write(Some(id), message, call).await.ok()?;
    let revision = made.write.unwrap_or_default().revision;
    Some(Written { id, revision, at: Instant::now() })
}

/// The longest time without an answer, between the first and the last.
pub(crate) fn longest_gap(written: &[Written]) -> Duration {
    let gaps = written.windows(2).map(|pair| pair[1].at - pair[0].at);
    gaps.max().unwrap_or(Duration::MAX)
}

/// Every node has every acknowledged write at its revision.
pub(crate) async fn nothing_is_lost(nodes: impl IntoIterator<Item = &Node>, written: &[Written]) {
    for node in nodes {
        let events = journal(&connect(node).await, 0).await;
        for Written { id, revision, .. } in written {
            let found = events.get(&id.to_string());
            assert_eq!(found, Some(revision), "LOST at {}: {id}", node.plan.name);
        }
    }
}
