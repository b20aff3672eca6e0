//! What openraft asks of another node.

use super::super::types::{Member, Types};
use super::{Link, Links, convert, number, snapshot};
use crate::store::snapshot::Snapshot;
use futures::StreamExt as _;
use keiko_core::id::GroupId;
use keiko_core::refusal::Refusal;
use keiko_proto::peer as words;
use openraft::base::OptionalSend;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias::{SnapshotOf, VoteOf};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tonic::metadata::MetadataValue;

/// After a stream that failed: a leader hears within this of a follower that is back.
const PAUSE: Duration = Duration::from_millis(200);
/// In the metadata of a stream of entries: which group's they are.
pub(super) const GROUP: &str = "keiko-group";
/// openraft gives a stream as long to open as lies between two heartbeats, which a handshake on a
/// busy machine does not keep. A peer that is away is found out by the connection's own deadline.
const OPEN_MIN: Duration = Duration::from_secs(1);

type Rpc<T> = Result<T, RPCError<Types>>;

/// Makes the ways of one group.
pub(in crate::consensus) struct Network {
    pub(in crate::consensus) group: GroupId,
    pub(in crate::consensus) links: Links,
}

/// The way of one group to one node.
pub(in crate::consensus) struct Remote {
    group: GroupId,
    links: Links,
    id: u64,
    member: Member,
    /// Not before this a stream is opened again. openraft's own pause is inside the stream, which
    /// nobody reads where there is no connection.
    again: Arc<Mutex<Option<Instant>>>,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Remote;

    async fn new_client(&mut self, target: u64, node: &Member) -> Remote {
        let (group, links) = (self.group, self.links.clone());
        Remote { group, links, id: target, member: node.clone(), again: Arc::default() }
    }
}

impl Remote {
    fn link(&self) -> Result<Arc<Link>, Unreachable<Types>> {
        self.links.member(self.id, &self.member).map_err(|refusal| unreachable(&refusal))
    }

    /// Waits after a failure.
    async fn pause(&self) {
        let again = self.again.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(again) = again {
            tokio::time::sleep_until(again).await;
        }
    }

    async fn ask_vote(
        &self,
        pre: bool,
        asked: VoteRequest<Types>,
        ttl: Duration,
    ) -> Rpc<VoteResponse<Types>> {
        let request = convert::vote_request_to(number(self.group), pre, &asked);
        let link = self.link()?;
        let answer =
            link.ask(ttl, |mut client| async move { client.request_vote(request).await }).await;
        let voted = answer.map_err(Refusal::from).and_then(convert::voted_from);
        voted.map_err(|refusal| unreachable(&refusal).into())
    }

    fn stream<S>(
        &self,
        link: &Arc<Link>,
        input: S,
    ) -> tonic::Request<impl futures::Stream<Item = words::AppendRequest> + Send + 'static>
    where
        S: futures::Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
    {
        let (group, link) = (number(self.group), Arc::clone(link));
        // A cut stream ends, so that the next one begins where the peer really is.
        let open = input.take_while(move |_| std::future::ready(!link.is_cut_out()));
        let requests = open.map(move |request| convert::append_to(group, &request));
        let mut request = tonic::Request::new(requests);
        request.metadata_mut().insert(GROUP, MetadataValue::from(group));
        request
    }
}

impl RaftNetworkV2<Types> for Remote {
    type SnapshotData = Snapshot;

    /// Asked for by openraft's own `stream_append` only, which is replaced below.
    async fn append_entries(
        &mut self,
        _request: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Rpc<AppendEntriesResponse<Types>> {
        Err(away("entries travel by streams").into())
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Rpc<BoxStream<'s, Rpc<StreamAppendResult<Types>>>>>
    where
        S: futures::Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            self.pause().await;
            let link = self.link().inspect_err(|_| failed(&self.again))?;
            if link.is_cut() {
                failed(&self.again);
                return Err(cut().into());
            }
            let request = self.stream(&link, input);
            let mut client = link.client();
            let deadline = option.hard_ttl().max(OPEN_MIN);
            let opened = tokio::time::timeout(deadline, client.append(request)).await;
            let again = Arc::clone(&self.again);
            let answers = match opened {
                Ok(Ok(opened)) => opened.into_inner(),
                Ok(Err(status)) => {
                    failed(&again);
                    return Err(unreachable(&link.refusal(&status)).into());
                }
                Err(_) => {
                    failed(&again);
                    return Err(away("the stream did not open in time").into());
                }
            };
            let answers = answers.map(move |answer| {
                if link.is_cut_in() {
                    failed(&again);
                    return Err(cut().into());
                }
                let answer = answer.map_err(|status| link.refusal(&status));
                let appended = answer.and_then(convert::appended_from);
                appended.map_err(|refusal| {
                    failed(&again);
                    unreachable(&refusal).into()
                })
            });
            let answers: BoxStream<'s, _> = Box::pin(answers);
            Ok(answers)
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<Types>> {
        self.ask_vote(false, request, option.hard_ttl()).await
    }

    // openraft's default would grant.
    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<Types>> {
        self.ask_vote(true, request, option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Types>,
        snapshot: SnapshotOf<Types, Snapshot>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let link = self.link()?;
        let sent = snapshot::send(&link, self.group, &vote, &snapshot.snapshot);
        let sent = tokio::select! {
            sent = tokio::time::timeout(option.hard_ttl(), sent) => sent,
            closed = cancel => return Err(closed.into()),
        };
        match sent {
            Ok(Ok(vote)) => Ok(SnapshotResponse::new(vote)),
            Ok(Err(refusal)) => {
                tracing::warn!(node = link.name(), "a snapshot was not sent: {refusal}");
                Err(unreachable(&refusal).into())
            }
            Err(_) => Err(away("the snapshot took too long").into()),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Rpc<TransferLeaderResponse<Types>> {
        let request = convert::transfer_to(number(self.group), &request);
        let link = self.link()?;
        let asked =
            link.ask(option.hard_ttl(), |mut client| async move {
                client.transfer_leader(request).await
            })
            .await
            .map_err(|failed| unreachable(&failed.refusal))?;
        match asked.accepted {
            true => Ok(Ok(())),
            false => Err(away(&asked.reason).into()),
        }
    }
}

/// The next stream is not opened at once.
fn failed(again: &Mutex<Option<Instant>>) {
    let mut again = again.lock().unwrap_or_else(PoisonError::into_inner);
    *again = Some(Instant::now() + PAUSE);
}

fn unreachable(refusal: &Refusal) -> Unreachable<Types> {
    let causes = refusal.causes.join(", ");
    Unreachable::from_string(format!("{refusal}: {causes}"))
}

fn away(why: &str) -> Unreachable<Types> {
    Unreachable::from_string(why)
}

fn cut() -> Unreachable<Types> {
    away("cut by a test")
}
