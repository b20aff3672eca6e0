//! Writers that note what was acknowledged, and the check that all of it is there.

pub(crate) use keiko_tests::journal::{connect, journal};

use keiko_client::Client;
use keiko_client::proto::v1 as wire;
use keiko_tests::Node;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// At a time: enough that one sync serves many.
const WRITERS: usize = 8;
/// What one write may take; a daemon that is killed or whose disk fails answers no more.
const PATIENCE: Duration = Duration::from_secs(2);

/// An acknowledged write.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    /// Under which it was sent.
    pub(crate) id: Uuid,
    /// At which the journal must have it.
    pub(crate) revision: u64,
    /// The token that it made.
    pub(crate) token: String,
}

/// Writers at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    writers: Vec<tokio::task::JoinHandle<Writer>>,
}

/// What a writer knows at its end.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    /// In order.
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// Sent and not answered: the id, and the token that was to be taken back, if it was that.
    pub(crate) in_flight: Vec<(Uuid, Option<String>)>,
    /// The last refusal.
    pub(crate) refusal: Option<keiko_client::Refusal>,
}

/// Makes a token: an entry, an event, a record for repetition, and a key in the state.
pub(crate) async fn write(client: &Client, id: Uuid) -> keiko_client::Result<Acknowledged> {
    let message =
        wire::CreateAgentTokenRequest { name: "under-load".to_owned(), ..Default::default() };
    let call = |client: Client, request| async move {
        client.security().create_agent_token(request).await
    };
    let made = client.write(Some(id), message, call).await?;
    let revision = made.write.unwrap_or_default().revision;
    Ok(Acknowledged { id, revision, token: made.id })
}

/// Takes a token back, so that the state does not only grow.
pub(crate) async fn revoke(
    client: &Client,
    id: Uuid,
    token: String,
) -> keiko_client::Result<Acknowledged> {
    let message = wire::RevokeTokenRequest { id: token, ..Default::default() };
    let call =
        |client: Client, request| async move { client.security().revoke_token(request).await };
    let revoked = client.write(Some(id), message, call).await?;
    let revision = revoked.write.unwrap_or_default().revision;
    Ok(Acknowledged { id, revision, token: String::new() })
}

/// Takes this token back or, without one, makes one.
pub(crate) async fn send(
    client: &Client,
    id: Uuid,
    revoked: Option<String>,
) -> keiko_client::Result<Acknowledged> {
    match revoked {
        Some(token) => revoke(client, id, token).await,
        None => write(client, id).await,
    }
}

impl Load {
    /// Starts the writers.
    pub(crate) async fn start(node: &Node) -> Self {
        let client = connect(node).await.within(PATIENCE);
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let writers = (0..WRITERS)
            .map(|_| tokio::spawn(work(client.clone(), Arc::clone(&stop), Arc::clone(&count))));
        Self { writers: writers.collect(), stop, count }
    }

    /// Writes that were acknowledged so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits until so many writes were acknowledged.
    pub(crate) async fn reach(&self, count: u64) {
        let end = tokio::time::Instant::now() + keiko_tests::DEADLINE;
        while self.count() < count {
            assert!(tokio::time::Instant::now() < end, "only {} writes", self.count());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends them, and gives what they know.
    pub(crate) async fn end(self) -> Writer {
        self.stop.store(true, Ordering::Relaxed);
        self.ended().await
    }

    /// Waits until each of them was refused or not answered, and gives what they know.
    pub(crate) async fn ended(self) -> Writer {
        let mut all = Writer::default();
        for writer in self.writers {
            let ended = tokio::time::timeout(keiko_tests::DEADLINE, writer).await;
            let one = ended.expect("a writer ends").expect("a writer ends");
            all.acknowledged.extend(one.acknowledged);
            all.in_flight.extend(one.in_flight);
            all.refusal = all.refusal.or(one.refusal);
        }
        all
    }
}

/// Writes until it is told to stop or something is not answered.
async fn work(client: Client, stop: Arc<AtomicBool>, count: Arc<AtomicU64>) -> Writer {
    let mut known = Writer::default();
    let mut token = None;
    while !stop.load(Ordering::Relaxed) {
        let (id, revoked) = (client.request_id(), token.take());
        let done = send(&client, id, revoked.clone()).await;
        match done {
            Ok(done) => {
                token = Some(done.token.clone()).filter(|token| !token.is_empty());
                known.acknowledged.push(done);
                count.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                known.in_flight.push((id, revoked));
                known.refusal = Some(*error.refusal);
                break;
            }
        }
    }
    known
}

/// The acknowledged writes that the journal does not have where they were said to be.
pub(crate) fn missing(
    events: &BTreeMap<String, u64>,
    acknowledged: &[Acknowledged],
) -> Vec<Acknowledged> {
    let is_missing =
        |write: &&Acknowledged| events.get(&write.id.to_string()) != Some(&write.revision);
    acknowledged.iter().filter(is_missing).cloned().collect()
}
