//! What another node asks of this one.
//!
//! Who it is was proven by its certificate. Entries, votes and snapshots are answered to whoever
//! consensus knows, because a node that lags may not know a new member yet, but to nobody who was a
//! member and is none any more: ids are never given again, so that can be told. What goes beyond that
//! is for members only, as far as this node knows.

use super::super::Groups;
use super::super::group::{Group, ended};
use super::super::propose::Own;
use super::arriving::Arrivals;
use super::client::GROUP;
use super::forward::UNDER_WAY_MAX;
use super::{Host, MESSAGE_BYTES_MAX, convert};
use crate::net::peer::{From, Incoming, Marks};
use crate::net::status::to_status;
use futures::StreamExt as _;
use futures::stream::{BoxStream, FuturesUnordered};
use keiko_core::refusal::Result;
use keiko_proto::peer::peer_server::{Peer, PeerServer};
use keiko_proto::peer::{self as words, propose_response, read_index_response};
use keiko_proto::v1;
use openraft::raft::VoteResponse;
use prost::Message as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

type Answer<T> = std::result::Result<Response<T>, Status>;

/// What an entry of a peer may take if it says nothing.
const PROPOSE_DEADLINE: Duration = Duration::from_secs(10);
/// Signs of life that wait to be answered.
const BEATS_AHEAD: usize = 16;
/// A peer that says nothing for that long has another stream, or is gone.
const BEAT_SILENCE_MAX: Duration = Duration::from_secs(30);

/// The service on the peers' port.
pub(in crate::consensus) struct Server {
    groups: Arc<Groups>,
    host: Arc<dyn Host>,
    cluster_id: String,
    /// Of this node.
    id: u64,
    arrivals: Arrivals,
}

impl Server {
    pub(in crate::consensus) fn new(
        groups: Arc<Groups>,
        host: Arc<dyn Host>,
        cluster_id: String,
        id: u64,
    ) -> Self {
        Self { groups, host, cluster_id, id, arrivals: Arrivals::default() }
    }

    /// Serves until shutdown.
    pub(in crate::consensus) async fn run(self, incoming: Incoming, shutdown: CancellationToken) {
        let service = PeerServer::new(self)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let served = tonic::transport::Server::builder()
            .initial_stream_window_size(super::STREAM_WINDOW_BYTES)
            .initial_connection_window_size(super::CONNECTION_WINDOW_BYTES)
            .http2_keepalive_interval(Some(Duration::from_secs(5)))
            .http2_keepalive_timeout(Some(Duration::from_secs(5)))
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, shutdown.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "the listener for peers ended");
        }
    }

    /// Who asks; refused if they mean another node or another cluster.
    fn shown<'r, T>(&self, request: &'r Request<T>) -> std::result::Result<&'r From, Status> {
        let from = request.extensions().get::<From>();
        let from = from.ok_or_else(|| Status::unauthenticated("no certificate"))?;
        let meant = Marks::check(request.metadata(), &self.cluster_id, self.id);
        meant.map_err(|refusal| to_status(&refusal))?;
        Ok(from)
    }

    /// The same; refused, too, if their certificate expired.
    fn from<T>(&self, request: &Request<T>) -> std::result::Result<String, Status> {
        let from = self.shown(request)?;
        from.check_holds().map_err(|refusal| to_status(&refusal))?;
        Ok(from.name.clone())
    }

    fn member<T>(&self, request: &Request<T>) -> std::result::Result<String, Status> {
        let from = self.from(request)?;
        self.host.check_member(&from).map_err(|refusal| to_status(&refusal))?;
        Ok(from)
    }

    /// Refuses whoever speaks for a node that is gone.
    fn not_gone(&self, vote: Option<&words::Vote>) -> std::result::Result<(), Status> {
        let checked = vote.map_or(Ok(()), |vote| self.host.check_not_gone(vote.node));
        checked.map_err(|refusal| to_status(&refusal))
    }

    fn group(&self, number: u32) -> std::result::Result<Group, Status> {
        self.groups.numbered(number).map_err(|refusal| to_status(&refusal))
    }
}

#[tonic::async_trait]
impl Peer for Server {
    type AppendStream = BoxStream<'static, std::result::Result<words::AppendResponse, Status>>;
    type ProposeStream = ReceiverStream<std::result::Result<words::ProposeResponse, Status>>;
    type BeatStream = ReceiverStream<std::result::Result<words::PeerBeatAnswer, Status>>;

    async fn append(
        &self,
        request: Request<Streaming<words::AppendRequest>>,
    ) -> Answer<Self::AppendStream> {
        self.from(&request)?;
        let number = request.metadata().get(GROUP).and_then(|group| group.to_str().ok());
        let number = number.and_then(|number| number.parse().ok());
        let number = number.ok_or_else(|| Status::invalid_argument("no group is named"))?;
        let group = self.group(number)?;
        let (host, leader) = (Arc::clone(&self.host), None);
        let hearing = (request.into_inner(), group.clone(), host, leader);
        let asked =
            futures::stream::unfold(hearing, |(mut asked, group, host, leader)| async move {
                // A stream that breaks ends: the leader begins another one.
                let request = asked.message().await.ok().flatten()?;
                let speaks_for = request.vote.as_ref().map(|vote| vote.node);
                if let Some(id) = speaks_for.filter(|_| speaks_for != leader) {
                    host.check_not_gone(id)
                        .inspect_err(|refusal| tracing::debug!("entries are refused: {refusal}"))
                        .ok()?;
                }
                let request = convert::append_from(request)
                    .inspect_err(|refusal| tracing::warn!(causes = ?refusal.causes, "{refusal}"))
                    .ok()?;
                group.heard_leader();
                Some((request, (asked, group, host, speaks_for)))
            });
        let answers = group.inner.raft.stream_append(asked).map(|result| match result {
            Ok(result) => Ok(convert::appended_to(&result)),
            Err(fatal) => Err(to_status(&ended(&fatal))),
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn request_vote(
        &self,
        request: Request<words::VoteRequest>,
    ) -> Answer<words::VoteResponse> {
        self.from(&request)?;
        let request = request.into_inner();
        self.not_gone(request.vote.as_ref())?;
        let group = self.group(request.group)?;
        let (pre, transfer) = (request.pre, request.transfer);
        let asked = convert::vote_request_from(request).map_err(|refusal| to_status(&refusal))?;
        if !transfer && let Some(vote) = group.abstains() {
            let refused = VoteResponse::new(vote, None, false);
            return Ok(Response::new(convert::voted_to(&refused)));
        }
        let raft = &group.inner.raft;
        let voted = if pre { raft.pre_vote(asked).await } else { raft.vote(asked).await };
        let voted = voted.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(Response::new(convert::voted_to(&voted)))
    }

    async fn transfer_leader(
        &self,
        request: Request<words::TransferRequest>,
    ) -> Answer<words::TransferResponse> {
        self.from(&request)?;
        let request = request.into_inner();
        self.not_gone(request.from.as_ref())?;
        let group = self.group(request.group)?;
        let asked = convert::transfer_from(request).map_err(|refusal| to_status(&refusal))?;
        let handled = group.inner.raft.handle_transfer_leader(asked).await;
        let handled = handled.map_err(|fatal| Status::unavailable(fatal.to_string()))?;
        let reason = handled.as_ref().err().map(ToString::to_string).unwrap_or_default();
        Ok(Response::new(words::TransferResponse { accepted: handled.is_ok(), reason }))
    }

    async fn offer_snapshot(
        &self,
        request: Request<words::SnapshotOffer>,
    ) -> Answer<words::SnapshotNeed> {
        let from = self.from(&request)?;
        let words::SnapshotOffer { vote, manifest, group } = request.into_inner();
        self.not_gone(vote.as_ref())?;
        let group = self.group(group)?;
        let lacking = self.arrivals.begin(&from, group, manifest).await;
        let lacking = lacking.map_err(|refusal| to_status(&refusal))?;
        let need = |(name, offset)| words::FileNeed { name, offset };
        let files = lacking.into_iter().map(need).collect();
        Ok(Response::new(words::SnapshotNeed { vote, files }))
    }

    async fn send_snapshot(
        &self,
        request: Request<Streaming<words::SnapshotPart>>,
    ) -> Answer<words::SnapshotInstalled> {
        self.from(&request)?;
        let installed = self.arrivals.take(&self.groups, request.into_inner()).await;
        installed.map(Response::new).map_err(|refusal| to_status(&refusal))
    }

    async fn propose(
        &self,
        request: Request<Streaming<words::ProposeRequest>>,
    ) -> Answer<Self::ProposeStream> {
        self.member(&request)?;
        let (sender, answers) = mpsc::channel(UNDER_WAY_MAX);
        tokio::spawn(propose(self.groups.clone(), request.into_inner(), sender));
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn read_index(
        &self,
        request: Request<words::ReadIndexRequest>,
    ) -> Answer<words::ReadIndexResponse> {
        self.member(&request)?;
        let words::ReadIndexRequest { group, quorum } = request.into_inner();
        let result = match self.group(group)?.read_index_here(quorum).await {
            Ok(id) => read_index_response::Result::LogId(convert::id_to(&id)),
            Err(refusal) => read_index_response::Result::Refusal(refusal.to_wire()),
        };
        Ok(Response::new(words::ReadIndexResponse { result: Some(result) }))
    }

    async fn beat(&self, request: Request<Streaming<words::PeerBeat>>) -> Answer<Self::BeatStream> {
        let from = self.from(&request)?;
        let mut beats = request.into_inner();
        let (sender, answers) = mpsc::channel(BEATS_AHEAD);
        let host = Arc::clone(&self.host);
        tokio::spawn(async move {
            loop {
                let beat = tokio::time::timeout(BEAT_SILENCE_MAX, beats.message()).await;
                let Ok(Ok(Some(beat))) = beat else { return };
                let number = beat.number;
                let answer = match host.beat(&from, beat) {
                    Ok(()) => Ok(words::PeerBeatAnswer { number, unix_ms: unix_ms() }),
                    Err(refusal) => Err(to_status(&refusal)),
                };
                let refused = answer.is_err();
                if sender.send(answer).await.is_err() || refused {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn call(&self, request: Request<words::PeerCall>) -> Answer<words::PeerCallAnswer> {
        let from = self.member(&request)?;
        let result = match self.host.call(&from, request.into_inner()).await {
            Ok(message) => words::peer_call_answer::Result::Message(message.into()),
            Err(refusal) => words::peer_call_answer::Result::Refusal(refusal.to_wire()),
        };
        Ok(Response::new(words::PeerCallAnswer { result: Some(result) }))
    }

    async fn cluster_key(
        &self,
        request: Request<words::ClusterKeyRequest>,
    ) -> Answer<words::ClusterKeyResponse> {
        let from = self.member(&request)?;
        let key = self.host.cluster_key(&from, &request.get_ref().key_id).await;
        let key = key.map_err(|refusal| to_status(&refusal))?;
        Ok(Response::new(words::ClusterKeyResponse { key: key.into() }))
    }

    async fn renew(&self, request: Request<words::RenewRequest>) -> Answer<words::RenewResponse> {
        // An expired certificate is good for this one call.
        let from = self.shown(&request)?.name.clone();
        self.host.check_member(&from).map_err(|refusal| to_status(&refusal))?;
        let renewed = self.host.renew(&from, request.into_inner()).await;
        let certificate = renewed.map_err(|refusal| to_status(&refusal))?;
        Ok(Response::new(words::RenewResponse { certificate }))
    }
}

type Proposed = std::result::Result<words::ProposeResponse, Status>;

/// Submits in the order of the stream, and answers in that of the log.
async fn propose(
    groups: Arc<Groups>,
    mut asked: Streaming<words::ProposeRequest>,
    sender: mpsc::Sender<Proposed>,
) {
    let mut replies = FuturesUnordered::new();
    loop {
        let room = replies.len() < UNDER_WAY_MAX;
        tokio::select! {
            request = asked.message(), if room => {
                let Ok(Some(request)) = request else { return };
                let number = request.number;
                let submitted = submit(&groups, request).await;
                replies.push(async move {
                    let reply = match submitted {
                        Ok(own) => own.encoded_reply().await,
                        Err(refusal) => Err(refusal),
                    };
                    (number, reply)
                });
            }
            Some((number, reply)) = replies.next(), if !replies.is_empty() => {
                let result = match reply {
                    Ok(reply) => propose_response::Result::Reply(reply.into()),
                    Err(refusal) => propose_response::Result::Refusal(refusal.to_wire()),
                };
                let response = words::ProposeResponse { number, result: Some(result) };
                if sender.send(Ok(response)).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn submit(groups: &Groups, request: words::ProposeRequest) -> Result<Own> {
    let mut entry = v1::Entry::decode(request.entry)
        .map_err(|_| convert::malformed("an entry can't be read"))?;
    let deadline = match request.timeout_ms {
        0 => PROPOSE_DEADLINE,
        timeout_ms => Duration::from_millis(timeout_ms).min(PROPOSE_DEADLINE),
    };
    groups.numbered(request.group)?.submit_here(&mut entry, deadline).await
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
