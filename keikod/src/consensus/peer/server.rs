//! What another node asks of this one.
//!
//! Who it is was proven by its certificate. Entries, votes and snapshots are answered to whoever
//! consensus knows, because a node that lags may not know a new member yet; what goes beyond that is
//! for members only, as far as this node knows.

use super::super::Groups;
use super::super::group::Group;
use super::super::types::Types;
use super::client::GROUP;
use super::forward::UNDER_WAY_MAX;
use super::{Host, MESSAGE_BYTES_MAX, convert, to_wire};
use crate::net::peer::{From, Incoming, Marks};
use crate::net::status::to_status;
use crate::store::incoming::Incoming as Arriving;
use futures::stream::{BoxStream, FuturesUnordered};
use futures::{FutureExt as _, StreamExt as _};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::peer::peer_server::{Peer, PeerServer};
use keiko_proto::peer::{self as words, propose_response, read_index_response};
use keiko_proto::v1;
use openraft::raft::VoteResponse;
use openraft::type_config::alias::SnapshotOf;
use prost::Message as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Mutex, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

type Answer<T> = std::result::Result<Response<T>, Status>;

/// What an entry of a peer may take if it says nothing.
const PROPOSE_DEADLINE: Duration = Duration::from_secs(10);
/// Between two parts of a snapshot.
const PART_DEADLINE: Duration = Duration::from_secs(10);
/// Signs of life that wait to be answered.
const BEATS_AHEAD: usize = 16;
/// A peer that says nothing for that long has another stream, or is gone.
const BEAT_SILENCE_MAX: Duration = Duration::from_secs(30);

/// The service on the peers' port.
#[derive(Clone)]
pub(in crate::consensus) struct Server {
    groups: Arc<Groups>,
    host: Arc<dyn Host>,
    own: Arc<Own>,
    /// One snapshot arrives at a time.
    arriving: Arc<Mutex<Option<Offered>>>,
}

/// What arrives, by the hash of its manifest.
type Offered = ([u8; 32], Arriving);

struct Own {
    cluster_id: String,
    id: u64,
}

impl Server {
    pub(in crate::consensus) fn new(
        groups: Arc<Groups>,
        host: Arc<dyn Host>,
        cluster_id: String,
        id: u64,
    ) -> Self {
        let own = Arc::new(Own { cluster_id, id });
        Self { groups, host, own, arriving: Arc::default() }
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
    fn from<T>(&self, request: &Request<T>) -> std::result::Result<String, Status> {
        let from = request.extensions().get::<From>().map(|from| from.name.clone());
        let from = from.ok_or_else(|| Status::unauthenticated("no certificate"))?;
        let meant = Marks::check(request.metadata(), &self.own.cluster_id, self.own.id);
        meant.map_err(|refusal| to_status(&refusal))?;
        Ok(from)
    }

    fn member<T>(&self, request: &Request<T>) -> std::result::Result<String, Status> {
        let from = self.from(request)?;
        self.host.check_member(&from).map_err(|refusal| to_status(&refusal))?;
        Ok(from)
    }

    fn group(&self, number: u32) -> std::result::Result<Group, Status> {
        group(&self.groups, number).map_err(|refusal| to_status(&refusal))
    }

    async fn take_parts(
        &self,
        mut parts: Streaming<words::SnapshotPart>,
    ) -> Result<words::SnapshotInstalled> {
        let broken = |why: &dyn std::fmt::Display| {
            Refusal::new(Code::PeerUnreachable, "the snapshot broke off").cause(why)
        };
        let mut arriving = self.arriving.lock().await;
        let mut head: Option<words::SnapshotPart> = None;
        loop {
            let part = match tokio::time::timeout(PART_DEADLINE, parts.message()).await {
                Ok(Ok(Some(part))) => part,
                Ok(Ok(None)) => break,
                Ok(Err(status)) => return Err(broken(&status)),
                Err(_) => return Err(broken(&"no part came in time")),
            };
            let Some((hash, incoming)) = arriving.as_ref() else {
                return Err(broken(&"it was not offered"));
            };
            if hash[..] != part.manifest_hash[..] {
                return Err(broken(&"another one arrives"));
            }
            if !part.bytes.is_empty() {
                // Some hundred KiB into the page cache: shorter than a switch of threads.
                incoming.write(&part.name, part.offset, &part.bytes)?;
            }
            head.get_or_insert(words::SnapshotPart { bytes: bytes::Bytes::new(), ..part });
        }
        let head = head.ok_or_else(|| broken(&"it has no part"))?;
        let Some((_, incoming)) = arriving.take() else {
            return Err(broken(&"it was not offered"));
        };
        if !incoming.lacking()?.is_empty() {
            return Err(broken(&"parts are lacking"));
        }
        let finished = tokio::task::spawn_blocking(move || incoming.finish()).await;
        let snapshot = finished.map_err(|error| broken(&error))??;
        let group = group(&self.groups, head.group)?;
        let vote = convert::vote_from(head.vote)?;
        let (meta, snapshot) = group.announced(snapshot)?;
        let snapshot = SnapshotOf::<Types, _> { meta, snapshot };
        let installed = group.inner.raft.install_full_snapshot(vote, snapshot).await;
        let installed = installed.map_err(|fatal| super::super::group::ended(&fatal))?;
        Ok(words::SnapshotInstalled { vote: Some(convert::vote_to(&installed.vote)) })
    }
}

fn group(groups: &Groups, number: u32) -> Result<Group> {
    let id = u16::try_from(number).ok().map(GroupId);
    let found = id.and_then(|id| groups.get(id));
    found.ok_or_else(|| {
        Refusal::new(Code::NotReady, format!("this node does not hold group {number} yet"))
    })
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
        let hearing = (request.into_inner(), group.clone());
        let asked = futures::stream::unfold(hearing, |(mut asked, group)| async {
            // A stream that breaks ends: the leader begins another one.
            let request = asked.message().await.ok().flatten()?;
            let request = convert::append_from(request).ok()?;
            group.heard_leader();
            Some((request, (asked, group)))
        });
        let answers = group.inner.raft.stream_append(asked).map(|result| match result {
            Ok(result) => Ok(convert::appended_to(&result)),
            Err(fatal) => Err(to_status(&super::super::group::ended(&fatal))),
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn request_vote(
        &self,
        request: Request<words::VoteRequest>,
    ) -> Answer<words::VoteResponse> {
        self.from(&request)?;
        let request = request.into_inner();
        let group = self.group(request.group)?;
        let (pre, transfer) = (request.pre, request.transfer);
        let asked = convert::vote_request_from(request).map_err(|refusal| to_status(&refusal))?;
        if !transfer && let Some((vote, last)) = group.abstains() {
            let refused = VoteResponse::new(vote, last, false);
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
        let offer = request.into_inner();
        let group = self.group(offer.group)?;
        let begin = async {
            let mut arriving = self
                .arriving
                .try_lock()
                .map_err(|_| Refusal::new(Code::NotReady, "another snapshot arrives just now"))?;
            *arriving = None;
            let shared = &group.inner.shared;
            let incoming = shared.database.begin_incoming(shared.group, &offer.manifest)?;
            let bytes = incoming.bytes();
            if !shared.disk.fits(bytes) {
                let message = format!("the disk has no room for a snapshot of {bytes} bytes");
                return Err(Refusal::new(Code::DiskFull, message));
            }
            let lacking = incoming.lacking()?;
            let there: u64 = lacking.iter().map(|(_, there)| there).sum();
            tracing::info!(from, bytes, files = lacking.len(), there, "a snapshot arrives");
            *arriving = Some((*blake3::hash(&offer.manifest).as_bytes(), incoming));
            Ok::<_, Refusal>(lacking)
        };
        let lacking = begin.await.map_err(|refusal| to_status(&refusal))?;
        let need = |(name, offset)| words::FileNeed { name, offset };
        let files = lacking.into_iter().map(need).collect();
        Ok(Response::new(words::SnapshotNeed { vote: offer.vote, files }))
    }

    async fn send_snapshot(
        &self,
        request: Request<Streaming<words::SnapshotPart>>,
    ) -> Answer<words::SnapshotInstalled> {
        self.from(&request)?;
        let installed = self.take_parts(request.into_inner()).await;
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
            Err(refusal) => read_index_response::Result::Refusal(to_wire(&refusal)),
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
            Err(refusal) => words::peer_call_answer::Result::Refusal(to_wire(&refusal)),
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
        let from = self.member(&request)?;
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
                let reply = match submit(&groups, request).await {
                    Ok(proposal) => proposal.encoded_reply().boxed(),
                    Err(refusal) => std::future::ready(Err(refusal)).boxed(),
                };
                replies.push(async move { (number, reply.await) });
            }
            Some((number, reply)) = replies.next(), if !replies.is_empty() => {
                let result = match reply {
                    Ok(reply) => propose_response::Result::Reply(reply.into()),
                    Err(refusal) => propose_response::Result::Refusal(to_wire(&refusal)),
                };
                let response = words::ProposeResponse { number, result: Some(result) };
                if sender.send(Ok(response)).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn submit(
    groups: &Groups,
    request: words::ProposeRequest,
) -> Result<super::super::group::Own> {
    let entry = v1::Entry::decode(request.entry)
        .map_err(|_| convert::malformed("an entry can't be read"))?;
    let deadline = match request.timeout_ms {
        0 => PROPOSE_DEADLINE,
        timeout_ms => Duration::from_millis(timeout_ms).min(PROPOSE_DEADLINE),
    };
    group(groups, request.group)?.submit_here(entry, deadline).await
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
