//! The way between nodes: messages take their time, overtake each other, get lost, and find a
//! node dead.
//!
//! A stream of entries is as `keikod`'s: in order, answered as it goes, and dead for ever once it
//! lost something, which its sender finds out by pings. Invariants: a message that is on its way
//! arrives even if its sender died; what it makes a node do is done by that node's own tasks, and
//! ends with them.

use super::bugs::Bug;
use super::disk::Snapshot;
use super::node::Host;
use super::runtime::{Instant, Life, now, roll, sleep, spawn, timeout};
use super::seen::{Event, Seen};
use super::types::{SnapshotWith, Types, Vote};
use futures::{FutureExt as _, Stream, StreamExt as _};
use openraft::base::{BoxFuture, BoxStream, OptionalSend};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::impls::EmptyNode;
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

/// After how long a sender's pings tell that a stream is dead; as in `keikod`.
const KEEPALIVE: Duration = Duration::from_secs(2);
/// After a stream that failed; as in `keikod`.
const PAUSE: Duration = Duration::from_millis(200);
/// What a stream may take to open at least; as in `keikod`.
const OPEN_MIN: Duration = Duration::from_secs(1);
/// Messages of a stream that are on their way at once.
const UNDER_WAY_MAX: usize = 64;

type Rpc<T> = Result<T, RPCError<Types>>;
type Appended = Rpc<StreamAppendResult<Types>>;

/// The network; a cheap clone.
#[derive(Clone)]
pub(super) struct Net {
    state: Arc<Mutex<State>>,
    /// Of the messages on their way.
    wire: Life,
    seen: Seen,
    bug: Option<Bug>,
}

#[derive(Default)]
struct State {
    hosts: BTreeMap<u64, Host>,
    /// From whom to whom nothing goes.
    cut: BTreeSet<(u64, u64)>,
    /// Messages that are lost, of a thousand.
    loss: u64,
    /// Who hears of the next vote: who asked for it, and whose it is.
    voted: Option<oneshot::Sender<(u64, u64)>>,
}

impl Net {
    pub(super) fn new(seen: Seen, bug: Option<Bug>) -> Self {
        Self { state: Arc::default(), wire: Life::begin(), seen, bug }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node answers from now on.
    pub(super) fn open(&self, host: Host) {
        self.state().hosts.insert(host.id, host);
    }

    /// It answers no more.
    pub(super) fn close(&self, node: u64) {
        let closed = self.state().hosts.remove(&node);
        drop(closed);
    }

    pub(super) fn host(&self, node: u64) -> Option<Host> {
        self.state().hosts.get(&node).cloned()
    }

    pub(super) fn hosts(&self) -> Vec<Host> {
        self.state().hosts.values().cloned().collect()
    }

    /// Nothing goes from one to the other.
    pub(super) fn cut(&self, from: u64, to: u64) {
        self.state().cut.insert((from, to));
    }

    /// Everything goes everywhere.
    pub(super) fn heal(&self) {
        let mut state = self.state();
        state.cut.clear();
        (state.loss, state.voted) = (0, None);
    }

    /// Hears of the next vote that is given, unless all is healed before.
    pub(super) fn next_vote(&self) -> oneshot::Receiver<(u64, u64)> {
        let (sender, receiver) = oneshot::channel();
        self.state().voted = Some(sender);
        receiver
    }

    pub(super) fn lose(&self, of_a_thousand: u64) {
        self.state().loss = of_a_thousand;
    }

    /// Takes the time of a message; false if it does not arrive.
    async fn carry(&self, from: u64, to: u64) -> bool {
        let loss = self.state().loss;
        if roll(1000) < loss {
            return false;
        }
        sleep(match roll(64) {
            0 => Duration::from_millis(20 + roll(400)),
            1..=4 => Duration::from_millis(2 + roll(30)),
            _ => Duration::from_micros(50 + roll(1000)),
        })
        .await;
        !self.state().cut.contains(&(from, to))
    }

    /// Lets another node do something, and waits this long for its answer.
    pub(super) async fn ask<T, F, Fut>(
        &self,
        (from, to): (u64, u64),
        patience: Duration,
        act: F,
    ) -> Result<T, Unreachable<Types>>
    where
        T: Send + 'static,
        F: FnOnce(Host) -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let net = self.clone();
        drop(self.wire.spawn(async move {
            if !net.carry(from, to).await {
                // Nobody tells the sender that it is lost.
                return sleep(patience * 2).await;
            }
            let Some(host) = net.host(to) else { return };
            let life = host.life.clone();
            let Ok(done) = life.spawn(act(host)).await else { return };
            match net.carry(to, from).await {
                true => drop(answer.send(done)),
                false => sleep(patience * 2).await,
            }
        }));
        match timeout(patience, answered).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) => Err(away("the connection was refused or broke")),
            Err(_) => Err(away("no answer in time")),
        }
    }
}

/// Makes one node's ways.
pub(super) struct Network {
    pub(super) node: u64,
    pub(super) net: Net,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Remote;

    async fn new_client(&mut self, target: u64, _: &EmptyNode) -> Remote {
        let (net, way) = (self.net.clone(), (self.node, target));
        Remote { net, way, again: Arc::default() }
    }
}

/// The way from one node to another.
pub(super) struct Remote {
    net: Net,
    way: (u64, u64),
    /// Not before this a stream is opened again.
    again: Arc<Mutex<Option<Instant>>>,
}

impl Remote {
    async fn pause(&self) {
        let again = self.again.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(again) = again {
            sleep(again - now()).await;
        }
    }

    async fn ask_vote(
        &self,
        pre: bool,
        request: VoteRequest<Types>,
        patience: Duration,
    ) -> Rpc<VoteResponse<Types>> {
        let act = move |host: Host| async move { host.vote(pre, request).await };
        match self.net.ask(self.way, patience, act).await? {
            Some(voted) => {
                let is_given = !pre && voted.vote_granted;
                if let Some(watched) = self.net.state().voted.take_if(|_| is_given) {
                    let _nobody_hears = watched.send(self.way);
                }
                Ok(voted)
            }
            None => Err(away("the node is ending").into()),
        }
    }
}

impl RaftNetworkV2<Types> for Remote {
    type SnapshotData = Arc<Snapshot>;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Rpc<AppendEntriesResponse<Types>> {
        let act = move |host: Host| async move { host.raft.append_entries(request).await };
        let appended = self.net.ask(self.way, option.hard_ttl(), act).await?;
        appended.map_err(|_| away("the node is ending").into())
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Rpc<BoxStream<'s, Appended>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        async move {
            self.pause().await;
            let (requests, arriving) = mpsc::channel(UNDER_WAY_MAX);
            let (answers, answered) = mpsc::channel(UNDER_WAY_MAX);
            let (net, back, (from, _)) = (self.net.clone(), answers.clone(), self.way);
            let act = move |host: Host| async move {
                let life = host.life.clone();
                drop(life.spawn(serve(net, host, from, arriving, back)));
            };
            let patience = option.hard_ttl().max(OPEN_MIN);
            let opened = self.net.ask(self.way, patience, act).await;
            opened.inspect_err(|_| failed(&self.again))?;
            drop(spawn(pump(self.net.clone(), self.way, input, requests, answers)));
            let again = self.again.clone();
            let answered = ReceiverStream::new(answered);
            let answered: BoxStream<'s, Appended> = answered
                .inspect(move |answer| {
                    if answer.is_err() {
                        failed(&again);
                    }
                })
                .boxed();
            Ok(answered)
        }
        .boxed()
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<Types>> {
        self.ask_vote(false, request, option.hard_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<Types>> {
        self.ask_vote(true, request, option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotWith<Arc<Snapshot>>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let (net, way) = (self.net.clone(), self.way);
        let send = async move {
            sleep(Duration::from_millis(5 + roll(200))).await;
            let act = move |host: Host| async move {
                host.raft.install_full_snapshot(vote, snapshot).await
            };
            // A whole one takes three minutes at most; what is lost here is found out by pings.
            let patience = option.hard_ttl().min(KEEPALIVE);
            net.ask(way, patience, act).await
        };
        let sent = tokio::select! {
            biased;
            closed = cancel => return Err(closed.into()),
            sent = send => sent?,
        };
        self.net.seen.count("snapshots sent");
        sent.map_err(|_| away("the node is ending").into())
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Rpc<TransferLeaderResponse<Types>> {
        let act = move |host: Host| async move { host.raft.handle_transfer_leader(request).await };
        let asked = self.net.ask(self.way, option.hard_ttl(), act).await?;
        asked.map_err(|_| away("the node is ending").into())
    }
}

/// What a leader sends of one stream, until nobody waits for the answers.
async fn pump<S>(
    net: Net,
    (from, to): (u64, u64),
    mut input: S,
    requests: mpsc::Sender<AppendEntriesRequest<Types>>,
    answers: mpsc::Sender<Appended>,
) where
    S: Stream<Item = AppendEntriesRequest<Types>> + Unpin,
{
    loop {
        let next = tokio::select! {
            biased;
            () = answers.closed() => return,
            () = requests.closed() => break,
            next = input.next() => next,
        };
        let Some(request) = next else { return };
        net.seen.tell(Event::Leads { node: from, term: request.vote.leader_id.term });
        if !net.carry(from, to).await {
            return die(&net, &answers).await;
        }
        if requests.send(request).await.is_err() {
            break;
        }
    }
    let _nobody_waits = answers.send(Err(away("the connection broke").into())).await;
}

/// What the other node makes of it.
async fn serve(
    net: Net,
    host: Host,
    from: u64,
    arriving: mpsc::Receiver<AppendEntriesRequest<Types>>,
    answers: mpsc::Sender<Appended>,
) {
    let mut done = Box::pin(host.raft.stream_append(ReceiverStream::new(arriving)));
    while let Some(Ok(appended)) = done.next().await {
        if !net.carry(host.id, from).await {
            return die(&net, &answers).await;
        }
        if answers.send(Ok(appended)).await.is_err() {
            return;
        }
    }
}

/// A stream is dead: whoever sent it finds that out by pings.
async fn die(net: &Net, answers: &mpsc::Sender<Appended>) {
    if net.bug == Some(Bug::NoKeepalive) {
        return answers.closed().await;
    }
    sleep(KEEPALIVE).await;
    let _nobody_waits = answers.send(Err(away("no ping was answered").into())).await;
}

/// The next stream is not opened at once.
fn failed(again: &Mutex<Option<Instant>>) {
    *again.lock().unwrap_or_else(PoisonError::into_inner) = Some(now() + PAUSE);
}

fn away(why: &str) -> Unreachable<Types> {
    Unreachable::from_string(why)
}
