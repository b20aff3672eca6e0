//! The control group as rooms see it: propose on somebody's account, read as fresh as asked for.

use super::clock;
use crate::consensus::peer::faults;
use crate::consensus::{Consensus, Consistency, Group, Proposal, Read};
use crate::net::{Identity, TraceContext, caller_address, fence};
use crate::store::View;
use keiko_core::features;
use keiko_core::house::{Head, Round};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::store::Store;
use keiko_proto::v1 as wire;
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::reply;
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What a write may take before its outcome is unknown.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// On whose account something is asked.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// As it stands in the entry.
    pub actor: wire::Actor,
    /// W3C trace id, or empty.
    pub trace_id: Vec<u8>,
    /// The request id for retries, or empty.
    pub request_id: Vec<u8>,
    /// BLAKE3 of the request as it was sent, or empty.
    pub request_hash: Vec<u8>,
    /// Where the call came from, or empty.
    pub peer: String,
    /// What must be held for what is proposed to count.
    pub fence: Option<wire::Fence>,
}

impl Caller {
    /// Whoever sent this request.
    pub fn of<T: Message>(request: &tonic::Request<T>, request_id: &[u8]) -> Result<Self> {
        Ok(Self::of_call(request)?.with(request.get_ref(), request_id))
    }

    /// Whoever sent this call, whose messages are still to come.
    pub fn of_call<T>(request: &tonic::Request<T>) -> Result<Self> {
        let actor = Identity::of(request)?.actor();
        let trace = request.extensions().get::<TraceContext>();
        let trace_id = trace.map(|trace| trace.trace_id.to_vec()).unwrap_or_default();
        let peer = caller_address().map(|address| address.to_string()).unwrap_or_default();
        Ok(Self { actor, trace_id, peer, fence: fence::of(request)?, ..Self::default() })
    }

    /// The same for one message of the call.
    #[must_use]
    pub fn with<T: Message>(self, message: &T, request_id: &[u8]) -> Self {
        let asked = blake3::hash(&message.encode_to_vec());
        let (request_id, request_hash) = (request_id.to_vec(), asked.as_bytes().to_vec());
        Self { request_id, request_hash, ..self }
    }
}

/// The control group of this node.
#[derive(Clone)]
pub struct Control {
    consensus: Arc<Consensus>,
    node: String,
    closing: CancellationToken,
}

impl Control {
    /// `node` is this node's name; `closing` ends the streams that would never end by themselves.
    pub fn new(consensus: Arc<Consensus>, node: String, closing: CancellationToken) -> Self {
        Self { consensus, node, closing }
    }

    /// Cancelled when the node takes nothing new: streams end, and their readers resume elsewhere.
    pub fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// This node's name.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// All groups of this node.
    pub fn consensus(&self) -> &Consensus {
        &self.consensus
    }

    /// The daemon itself as the caller.
    pub fn as_node(&self) -> Caller {
        let who = wire::actor::Who::Node(self.node.clone());
        let actor = wire::Actor { who: Some(who) };
        Caller { actor, ..Caller::default() }
    }

    /// The group; refused before the cluster is founded.
    pub fn group(&self) -> Result<Group> {
        self.consensus.group(GroupId::CONTROL).ok_or_else(|| {
            Refusal::new(Code::NotFounded, "this node holds no cluster yet")
                .hint("keikoctl cluster init, or start keikod with --init")
        })
    }

    /// The clock that requests are judged by: the leader's, and never behind what is applied here.
    /// Before the cluster is founded, this node's.
    pub(super) fn now_ms(&self) -> u64 {
        let Ok(group) = self.group() else { return clock::unix_ms() };
        group.now_ms().unwrap_or_else(|_| {
            let applied = group.read_now(|view| Head::read(view, GroupId::CONTROL).unix_ms);
            clock::unix_ms().max(applied.unwrap_or_default())
        })
    }

    /// True if this node leads the group: only then do its drivers propose.
    pub fn is_leader(&self) -> bool {
        self.group().is_ok_and(|group| group.leads())
    }

    /// Proposes one command and waits for its reply. A refusal of the law is an error here.
    pub async fn write(&self, caller: Caller, room: Room) -> Result<Done> {
        settled(self.group()?.propose(entry(caller, room), WRITE_DEADLINE).await?)
    }

    /// Proposes one command behind all that were submitted before; its reply may be waited for
    /// while the next ones are submitted.
    pub async fn submit(&self, caller: Caller, room: Room) -> Result<Submitted> {
        let mut entry = entry(caller, room);
        self.group()?.submit(&mut entry, WRITE_DEADLINE).await.map(Submitted)
    }

    /// That the leader was lost on the way, for who sends all of it again.
    pub(super) fn no_leader(&self, why: &Refusal) -> Refusal {
        let lost = Refusal::new(Code::NoLeader, "leadership moved meanwhile").cause(why);
        lost.hint("send what was not answered again, with the same request ids")
    }

    /// Refuses a revision that is not there yet. A node that lags behind the one that told it asks
    /// the leader first, and catches up.
    pub(super) async fn reached(&self, revision: u64) -> Result<()> {
        if revision <= *self.group()?.revisions().borrow() {
            return Ok(());
        }
        let newest = self.read(wire::Consistency::Lease.into(), |_| ()).await?.revision;
        if revision <= newest {
            return Ok(());
        }
        let text = format!("revision {revision} is not there yet, the newest is {newest}");
        Err(Refusal::new(Code::FutureRevision, text))
    }

    /// What the law would answer now. Nothing is proposed, and nothing kept.
    pub async fn dry_run(&self, caller: Caller, room: Room) -> Result<reply::Result> {
        self.dry_run_then(caller, room, |_, _| ()).await.map(|(result, ())| result)
    }

    /// The same, and what a query would find then in the state and at the revision that follow.
    pub async fn dry_run_then<R: Send + 'static>(
        &self,
        caller: Caller,
        room: Room,
        query: impl FnOnce(&dyn Store, u64) -> R + Send + 'static,
    ) -> Result<(reply::Result, R)> {
        // A retry of a request that was carried out is to be asked anew.
        let caller = Caller { request_id: Vec::new(), ..caller };
        let bytes = entry(caller, room).encode_to_vec();
        let asked = move |view: &View<'_>| {
            let index = Head::read(view, GroupId::CONTROL).index + 1;
            let mut round = Round::new(view, GroupId::CONTROL).understanding(faults::level());
            let applied = round.apply(index, &bytes)?;
            let reply = wire::Reply::decode(applied.reply.as_slice()).map_err(|error| {
                Refusal::new(Code::Internal, "the law's reply is not readable").cause(error)
            })?;
            Ok::<_, Refusal>((reply, query(round.store(), round.revision())))
        };
        let (reply, found) = self.read_local(asked).await??;
        Ok((settled(reply)?.0, found))
    }

    /// Runs a query on a consistent view.
    pub async fn read<R: Send + 'static>(
        &self,
        consistency: i32,
        query: impl FnOnce(&View<'_>) -> R + Send + 'static,
    ) -> Result<Read<R>> {
        let consistency = match wire::Consistency::try_from(consistency) {
            Ok(wire::Consistency::Linearizable) => Consistency::Linearizable,
            Ok(wire::Consistency::Stale) => Consistency::Stale,
            Ok(wire::Consistency::Lease | wire::Consistency::Unspecified) => Consistency::Lease,
            Err(_) => {
                return Err(Refusal::new(Code::InvalidArgument, "no such consistency")
                    .hint("one of linearizable, lease, stale"));
            }
        };
        self.group()?.read(consistency, query).await
    }

    /// The same from this node's own state, for drivers and watches that follow revisions.
    pub async fn read_local<R: Send + 'static>(
        &self,
        query: impl FnOnce(&View<'_>) -> R + Send + 'static,
    ) -> Result<R> {
        Ok(self.group()?.read(Consistency::Stale, query).await?.value)
    }
}

/// A command's result, and where it stands.
pub(super) type Done = (reply::Result, wire::WriteInfo);

/// A command that was proposed.
pub struct Submitted(Proposal);

impl Submitted {
    /// Its reply. A refusal of the law is an error here.
    pub async fn done(self) -> Result<Done> {
        settled(self.0.reply().await?)
    }
}

fn settled(reply: wire::Reply) -> Result<Done> {
    let info = wire::WriteInfo { revision: reply.revision, unix_ms: reply.unix_ms };
    match reply.result {
        Some(reply::Result::Refusal(refusal)) => Err(Refusal::from_wire(refusal)),
        Some(result) => Ok((result, info)),
        None => Err(unexpected()),
    }
}

fn entry(caller: Caller, room: Room) -> wire::Entry {
    wire::Entry {
        format: features::FORMAT,
        feature_level: features::LEVEL,
        actor: Some(caller.actor),
        request_id: caller.request_id,
        request_hash: caller.request_hash,
        trace_id: caller.trace_id,
        fence: caller.fence,
        peer: caller.peer,
        room: Some(room),
        ..Default::default()
    }
}

/// A reply of another op than the one that was proposed.
pub(super) fn unexpected() -> Refusal {
    Refusal::new(Code::Internal, "the reply does not belong to the request")
}
