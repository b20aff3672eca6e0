//! The handle of one group: propose, wait, ask how it is.

use super::clock::LeaderClock;
use super::frees::frees;
use super::log::Log;
use super::machine::{Machine, Shared};
use super::monitor::{self, Health};
use super::peer::{Links, Network};
use super::recent::Recent;
use super::types::{Command, LogId, Member, Outcome, Types, Vote};
use super::{Context, check_open, stopped};
use bytes::Bytes;
use keiko_core::hash::Hash;
use keiko_core::house::Head;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::{features, limits};
use keiko_proto::v1 as words;
use openraft::ServerState;
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::{ClientWriteError, Fatal, ForwardToLeader, RaftError};
use openraft::impls::ProgressResponder;
use openraft::raft::ClientWriteResult;
use openraft::type_config::alias::OneshotReceiverOf;
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

pub(super) type Raft = openraft::Raft<Types, Machine>;

/// Between two looks for a leader.
const LEADER_PAUSE: Duration = Duration::from_millis(25);

/// How long somebody waits for a leader: an election and its repetition, at the default times. Who
/// has no quorum hears it then, not after a whole deadline.
pub(super) const LEADER_PATIENCE: Duration = Duration::from_secs(4);

/// A group of this node. A cheap clone, for any runtime.
#[derive(Clone)]
pub struct Group {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) raft: Raft,
    pub(super) shared: Arc<Shared>,
    pub(super) health: watch::Receiver<Health>,
    pub(super) election_max: Duration,
    pub(super) links: Links,
    clock: Mutex<LeaderClock>,
    closing: Arc<AtomicBool>,
    /// That of consensus; its blocking threads are left behind at the end, not waited for.
    pub(super) runtime: Handle,
    started: Instant,
    /// When the leader was heard last, in milliseconds after the start; zero: not yet.
    heard_ms: AtomicU64,
    /// The highest feature level that every voter understands.
    level: AtomicU32,
    /// Set while this node hears no other member.
    isolated: AtomicBool,
    /// Set while the replicas disagree and nobody can tell who is right.
    disagreed: AtomicBool,
}

/// How a group is, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Which.
    pub group: GroupId,
    /// `leader`, `follower`, `candidate`, `learner` or `ended`.
    pub state: &'static str,
    /// Who leads.
    pub leader: Option<u64>,
    /// Who led last, as far as this node saw it.
    pub last_leader: Option<u64>,
    /// False if this node knows no leader, or leads and hears too few voters.
    pub quorum: bool,
    /// The term.
    pub term: u64,
    /// Who votes: node id and name.
    pub voters: Vec<(u64, String)>,
    /// The end of the log here.
    pub last_log_index: Option<u64>,
    /// How far it is applied here.
    pub applied_index: Option<u64>,
    /// The group's revision here.
    pub revision: u64,
    /// The stamp clock here.
    pub unix_ms: u64,
    /// The chained state hash at the last entry that changed it.
    pub state_hash: Hash,
}

impl Group {
    /// Starts a group's tasks on the runtime that this is called in.
    pub(super) async fn start(context: Arc<Context>, id: GroupId) -> Result<Self> {
        let Context { settings, config, database, counters, disk, queue, closing, .. } = &*context;
        let log = Log::open(id, database.clone(), queue.clone())?;
        let shared = Arc::new(Shared::new(id, database.clone(), counters.clone(), disk.clone()));
        let machine = Machine::open(shared.clone())?;
        let links = context.links.clone();
        let network = Network { group: id, links: links.clone() };
        let raft = Raft::new(context.node_id(), config.clone(), network, log, machine)
            .await
            .map_err(|fatal| ended(&fatal))?;
        let election_max = Duration::from_millis(settings.election_ms_max);
        let health = monitor::start(id, raft.clone());
        monitor::campaign_if_alone(&raft).await;
        let (clock, closing, runtime) = (Mutex::default(), closing.clone(), Handle::current());
        let inner = Inner {
            raft,
            shared,
            health,
            election_max,
            links,
            clock,
            closing,
            runtime,
            started: Instant::now(),
            heard_ms: AtomicU64::new(0),
            level: AtomicU32::new(features::LEVEL),
            isolated: AtomicBool::new(false),
            disagreed: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(super) async fn initialize(&self, members: BTreeMap<u64, Member>) -> Result<()> {
        self.inner.raft.initialize(members).await.map_err(|error| match error {
            RaftError::Fatal(fatal) => ended(&fatal),
            RaftError::APIError(error) => {
                Refusal::new(Code::AlreadyFounded, "this group already has members").cause(error)
            }
        })
    }

    pub(super) async fn shutdown(self) {
        let _ = self.inner.raft.shutdown().await;
    }

    /// Waits until the group has a leader and this node has applied again all that was committed
    /// before it started.
    pub async fn ready(&self, deadline: Duration) -> Result<()> {
        self.check_open()?;
        let mut health = self.inner.health.clone();
        let ready = health.wait_for(|health| health.recovered);
        match tokio::time::timeout(deadline, ready).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(stopped()),
            Err(_) => Err(self.no_leader(None)),
        }
    }

    /// Proposes an entry, here or at the leader, and waits for what the law answers. Refused while
    /// the leader's disk is nearly full, but for what frees space.
    ///
    /// While there is no leader it waits for one a little; what is lost with a leader is proposed
    /// again if it has a request id, under which it takes effect once. [`Code::OutcomeUnknown`] means
    /// what it says: the entry may still be committed. A retry with the same request id gets the
    /// same reply.
    pub async fn propose(&self, entry: words::Entry, deadline: Duration) -> Result<words::Reply> {
        let begun = Instant::now();
        let repeatable = !entry.request_id.is_empty();
        let (mut entry, mut unsure) = (entry, None);
        loop {
            if let Err(refusal) = self.check_heard() {
                return Err(unsure.unwrap_or(refusal));
            }
            let left = deadline.saturating_sub(begun.elapsed());
            let (refusal, bytes) = match self.submit(entry, left).await {
                Ok(proposal) => {
                    let bytes = proposal.entry.clone();
                    match proposal.reply().await {
                        Ok(reply) => return Ok(reply),
                        Err(refusal) => (refusal, bytes),
                    }
                }
                Err((refusal, bytes)) => (refusal, bytes),
            };
            let again = match refusal.code {
                Code::NoLeader => begun.elapsed() < LEADER_PATIENCE,
                Code::OutcomeUnknown => repeatable,
                _ => false,
            };
            if refusal.code == Code::OutcomeUnknown {
                unsure = Some(refusal.clone());
            }
            let late = begun.elapsed() + LEADER_PAUSE >= deadline;
            if !again || late || self.check_open().is_err() {
                // An attempt that may have been carried out is not undone by a later one.
                return Err(unsure.unwrap_or(refusal));
            }
            tokio::time::sleep(LEADER_PAUSE).await;
            entry = words::Entry::decode(bytes).map_err(|error| {
                Refusal::new(Code::Internal, "an entry can't be proposed again").cause(error)
            })?;
        }
    }

    /// Proposes an entry, here or at the leader, behind all that were submitted before, without
    /// waiting for the answer. With the refusal comes the encoded entry.
    pub async fn submit(
        &self,
        entry: words::Entry,
        deadline: Duration,
    ) -> std::result::Result<Proposal, (Refusal, Bytes)> {
        let begun = Instant::now();
        match self.leader() {
            Some(leader) if leader != *self.inner.raft.node_id() => {
                let bytes = Bytes::from(entry.encode_to_vec());
                match self.forward(leader, bytes.clone(), deadline).await {
                    Ok(answer) => {
                        let way = Way::Forwarded { group: self.clone(), answer, begun, deadline };
                        Ok(Proposal { entry: bytes, way })
                    }
                    Err(refusal) => Err((refusal, bytes)),
                }
            }
            // Whether this node really leads is found out by who takes the entry.
            _ => self.submit_own(entry, deadline).await,
        }
    }

    async fn submit_own(
        &self,
        mut entry: words::Entry,
        deadline: Duration,
    ) -> std::result::Result<Proposal, (Refusal, Bytes)> {
        let ready = self.prepare(&mut entry);
        let entry_bytes = Bytes::from(entry.encode_to_vec());
        let own = match ready {
            Ok(()) => self.hand_in(entry_bytes.clone(), deadline).await,
            Err(refusal) => Err(refusal),
        };
        match own {
            Ok(own) => Ok(Proposal { entry: entry_bytes, way: Way::Own(own) }),
            Err(refusal) => Err((refusal, entry_bytes)),
        }
    }

    /// Proposes an entry here, for a peer that takes this node for the leader.
    pub(super) async fn submit_here(
        &self,
        mut entry: words::Entry,
        deadline: Duration,
    ) -> Result<Own> {
        self.prepare(&mut entry)?;
        self.hand_in(entry.encode_to_vec().into(), deadline).await
    }

    /// Puts in what the leader says.
    fn prepare(&self, entry: &mut words::Entry) -> Result<()> {
        self.check_open()?;
        if !frees(entry.room.as_ref()) {
            self.inner.shared.disk.check()?;
        }
        self.check_agreed()?;
        entry.format = features::FORMAT;
        entry.feature_level = self.inner.level.load(Ordering::Relaxed);
        entry.proposed_ms = self.now_ms()?;
        Ok(())
    }

    async fn hand_in(&self, bytes: Bytes, deadline: Duration) -> Result<Own> {
        let begun = Instant::now();
        if bytes.len() > limits::ENTRY_BYTES_MAX {
            let most = limits::ENTRY_BYTES_MAX;
            let message = format!("the request takes {} bytes in the log", bytes.len());
            return Err(Refusal::new(Code::LimitExceeded, message)
                .cause(format!("an entry may take {most} bytes")));
        }
        if deadline.is_zero() {
            let message = "no time was left to carry the request out";
            return Err(Refusal::new(Code::DeadlineExceeded, message)
                .cause("nothing was done")
                .hint("give it a longer deadline"));
        }
        let (responder, answer) = Responder::complete_only();
        let sent = self.inner.raft.client_write_ff(Command(bytes), Some(responder));
        match tokio::time::timeout(deadline, sent).await {
            Ok(Ok(())) => Ok(Own { group: self.clone(), answer, begun, deadline }),
            Ok(Err(fatal)) => Err(ended(&fatal)),
            Err(_) => Err(unknown("the deadline passed")),
        }
    }

    async fn forward(
        &self,
        leader: u64,
        entry: Bytes,
        deadline: Duration,
    ) -> Result<oneshot::Receiver<Result<Bytes>>> {
        self.check_open()?;
        let link = self.link(leader)?;
        let forward = link.forward(&self.inner.runtime);
        forward.send(self.inner.shared.group, entry, deadline).await
    }

    /// The way to a member.
    pub(super) fn link(&self, id: u64) -> Result<Arc<super::peer::Link>> {
        let member = {
            let metrics = self.inner.raft.metrics();
            let metrics = metrics.borrow_watched();
            metrics.membership_config.membership().get_node(&id).cloned()
        };
        let member = member.ok_or_else(|| self.no_leader(None))?;
        self.inner.links.to(id, &member.name, &member.addr)
    }

    /// Who leads, as far as this node knows: itself, or somebody whom it hears. A follower that
    /// finds nobody to elect keeps its last leader in mind, but that says nothing.
    pub fn leader(&self) -> Option<u64> {
        let known = self.inner.raft.metrics().borrow_watched().current_leader;
        known.filter(|known| {
            let silence = self.leader_silence();
            *known == *self.inner.raft.node_id()
                || silence.is_some_and(|silence| silence < 2 * self.inner.election_max)
        })
    }

    /// The leader said something.
    pub(super) fn heard_leader(&self) {
        let since = self.inner.started.elapsed().as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX).max(1);
        self.inner.heard_ms.store(since, Ordering::Relaxed);
    }

    /// How long ago a leader was heard; `None` if none was since the start.
    pub(super) fn leader_silence(&self) -> Option<Duration> {
        let heard_ms = self.inner.heard_ms.load(Ordering::Relaxed);
        let heard = (heard_ms > 0).then(|| Duration::from_millis(heard_ms))?;
        Some(self.inner.started.elapsed().saturating_sub(heard))
    }

    /// True if this node leads, as far as it knows.
    pub fn leads(&self) -> bool {
        self.inner.raft.metrics().borrow_watched().state == ServerState::Leader
    }

    /// The leader writes entries of this level at most.
    pub fn set_level(&self, level: u32) {
        self.inner.level.store(level.min(features::LEVEL), Ordering::Relaxed);
    }

    /// The replicas disagree and nobody can tell who is right, or they agree again.
    pub fn set_disagreed(&self, disagreed: bool) {
        self.inner.disagreed.store(disagreed, Ordering::Relaxed);
    }

    /// This node hears no other member, or does again.
    pub fn set_isolated(&self, isolated: bool) {
        self.inner.isolated.store(isolated, Ordering::Relaxed);
    }

    /// Refuses at once where waiting for a leader is of no use: the others can't be heard.
    pub(super) fn check_heard(&self) -> Result<()> {
        if !self.inner.isolated.load(Ordering::Relaxed) || self.status().quorum {
            return Ok(());
        }
        let voters = self.inner.raft.voter_ids().count();
        let message =
            format!("NO QUORUM: this node hears none of the other members ({voters} vote)");
        Err(Refusal::new(Code::Isolated, message)
            .cause("it is the one that is cut off, or the others are down")
            .hint("ask another node; what is here can be read with --stale"))
    }

    fn check_agreed(&self) -> Result<()> {
        match self.inner.disagreed.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Refusal::new(Code::StateDiverged, "the nodes' states differ")
                .cause("no state hash has a majority, so nobody can tell which is right")
                .hint("stop all nodes and compare their data folders: keikod verify")),
        }
    }

    /// What this node answers to a request for its vote just after its start: it does not remember
    /// which leader's lease it vouched for.
    pub(super) fn abstains(&self) -> Option<(Vote, Option<LogId>)> {
        let alone = self.inner.raft.voter_ids().eq([*self.inner.raft.node_id()]);
        if alone || self.inner.started.elapsed() >= self.inner.election_max {
            return None;
        }
        Some((self.inner.raft.metrics().borrow_watched().vote, None))
    }

    fn outcome(&self, answer: Option<ClientWriteResult<Types>>) -> Result<Outcome> {
        match answer {
            Some(Ok(response)) => Ok(response.data),
            Some(Err(ClientWriteError::ForwardToLeader(leader))) => {
                Err(self.no_leader(Some(&leader)))
            }
            Some(Err(ClientWriteError::LogEntryDiscarded(_))) => {
                Err(unknown("another leader was elected"))
            }
            Some(Err(error)) => {
                Err(Refusal::new(Code::Internal, "consensus refused an entry").cause(error))
            }
            None => Err(unknown("the node is shutting down")),
        }
    }

    /// The leader's clock, which stamps are made of; refused if this node does not lead.
    pub fn now_ms(&self) -> Result<u64> {
        self.check_open()?;
        let term = {
            let metrics = self.inner.raft.metrics();
            let metrics = metrics.borrow_watched();
            (metrics.state == ServerState::Leader).then_some(metrics.current_term)
        };
        let term = term.ok_or_else(|| self.no_leader(None))?;
        let Shared { group, database, .. } = &*self.inner.shared;
        let last_stamp_ms = || Head::read(&database.view(), *group).unix_ms;
        let mut clock = self.inner.clock.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(clock.now_ms(term, last_stamp_ms))
    }

    /// By how many milliseconds the wall clock was stepped away from the leader's clock, if it was.
    pub fn clock_alarm(&self) -> Option<i64> {
        self.now_ms().ok()?;
        self.inner.clock.lock().unwrap_or_else(PoisonError::into_inner).alarm()
    }

    /// The latest applied revision.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.inner.shared.revisions.subscribe()
    }

    /// The newest events; never behind what [`revisions`](Self::revisions) tells.
    pub fn recent(&self) -> &Recent {
        &self.inner.shared.recent
    }

    /// About how many bytes the group's history and journal take on the disk.
    pub fn past_bytes(&self) -> u64 {
        self.inner.shared.database.past_bytes(self.inner.shared.group)
    }

    /// Gives back the disk space of what was deleted from the group's history and journal, which
    /// [`past_bytes`](Self::past_bytes) counts until then. Rewrites what is kept of them, so it may
    /// take a minute; the group goes on meanwhile.
    pub async fn reclaim_past(&self) -> Result<()> {
        self.check_open()?;
        let shared = self.inner.shared.clone();
        let reclaim = move || shared.database.reclaim_past(shared.group);
        self.inner.runtime.spawn_blocking(reclaim).await.map_err(|_| stopped())
    }

    /// Refuses once the node ends.
    pub(super) fn check_open(&self) -> Result<()> {
        check_open(&self.inner.closing)
    }

    /// How the group is.
    pub fn status(&self) -> Status {
        let Shared { group, database, .. } = &*self.inner.shared;
        let view = database.view();
        let head = Head::read(&view, *group);
        // The metrics are told a moment after an apply was answered.
        let applied_index = view.applied(*group).map(|applied| applied.last.index);
        // Before the borrow: a second one inside it could wait for a writer for ever.
        let leader = self.leader();
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let members = metrics.membership_config.membership();
        let name =
            |id: &u64| members.get_node(id).map(|node| node.name.clone()).unwrap_or_default();
        Status {
            group: *group,
            state: match metrics.state {
                ServerState::Leader => "leader",
                ServerState::Follower => "follower",
                ServerState::Candidate => "candidate",
                ServerState::Learner => "learner",
                ServerState::Shutdown => "ended",
            },
            leader,
            last_leader: self.inner.health.borrow().last_leader,
            quorum: self.has_quorum(&metrics, leader),
            term: metrics.current_term,
            voters: members.voter_ids().map(|id| (id, name(&id))).collect(),
            last_log_index: metrics.last_log_index.max(applied_index),
            applied_index,
            revision: head.revision,
            unix_ms: head.unix_ms,
            state_hash: head.hash,
        }
    }

    fn has_quorum(&self, metrics: &openraft::RaftMetrics<Types>, leader: Option<u64>) -> bool {
        let members = metrics.membership_config.membership();
        let alone = members.voter_ids().eq([metrics.id]);
        match (metrics.state, metrics.last_quorum_acked) {
            (ServerState::Leader, _) if alone => true,
            // Followers that hear nothing elect another one after twice as long.
            (ServerState::Leader, Some(acked)) => {
                openraft::Instant::elapsed(&*acked) < 2 * self.inner.election_max
            }
            (ServerState::Leader, None) => false,
            _ => leader.is_some(),
        }
    }

    /// That this node does not lead, with who does.
    pub fn no_leader_now(&self) -> Refusal {
        self.no_leader(None)
    }

    pub(super) fn no_leader(&self, leader: Option<&ForwardToLeader<Types>>) -> Refusal {
        let known = match leader {
            Some(leader) => leader.leader_id,
            None => self.leader(),
        };
        let id = self.inner.shared.group;
        // One that leads and hears too few of the others is none either.
        match known.filter(|known| known != self.inner.raft.node_id()) {
            Some(node) => {
                Refusal::new(Code::NoLeader, format!("this node does not lead group {id}"))
                    .cause(format!("node {node} does"))
                    .hint("send the request there")
            }
            None => Refusal::new(Code::NoLeader, format!("group {id} has no leader"))
                .cause("an election is under way, or too few of its voters are up")
                .hint("try again in a moment"),
        }
    }
}

type Responder = ProgressResponder<Types, ClientWriteResult<Types>>;

/// An entry that was proposed: dropped, it may be committed all the same.
pub struct Proposal {
    /// Encoded, to be proposed again.
    entry: Bytes,
    way: Way,
}

enum Way {
    Own(Own),
    Forwarded {
        group: Group,
        answer: oneshot::Receiver<Result<Bytes>>,
        begun: Instant,
        deadline: Duration,
    },
}

/// An entry that was proposed at this node.
pub(super) struct Own {
    group: Group,
    answer: OneshotReceiverOf<Types, ClientWriteResult<Types>>,
    begun: Instant,
    deadline: Duration,
}

impl Proposal {
    /// What the law answers. This node's own state holds what it did.
    pub async fn reply(self) -> Result<words::Reply> {
        let (group, answer, begun, deadline) = match self.way {
            Way::Own(own) => return decode(&own.encoded_reply().await?),
            Way::Forwarded { group, answer, begun, deadline } => (group, answer, begun, deadline),
        };
        let end = tokio::time::Instant::from_std(begun) + deadline;
        let reply = match tokio::time::timeout_at(end, answer).await {
            Ok(Ok(answer)) => decode(&answer?)?,
            Ok(Err(_)) => return Err(unknown("the connection to the leader broke")),
            Err(_) => return Err(unknown("the deadline passed")),
        };
        let mut revisions = group.revisions();
        let seen = revisions.wait_for(|revision| *revision >= reply.revision);
        match tokio::time::timeout_at(end, seen).await {
            Ok(Ok(_)) => Ok(reply),
            Ok(Err(_)) => Err(stopped()),
            Err(_) => Err(unknown("it was carried out, and this node does not see it yet")),
        }
    }
}

impl Own {
    /// What the law answers, encoded.
    pub(super) async fn encoded_reply(self) -> Result<Vec<u8>> {
        let Self { group, answer, begun, deadline } = self;
        let end = tokio::time::Instant::from_std(begun) + deadline;
        let outcome = match tokio::time::timeout_at(end, answer).await {
            Ok(answer) => group.outcome(answer.ok())?,
            Err(_) => return Err(unknown("the deadline passed")),
        };
        group.inner.shared.counters.count_proposal(begun.elapsed());
        Ok(outcome.reply)
    }
}

fn decode(reply: &[u8]) -> Result<words::Reply> {
    words::Reply::decode(reply).map_err(|error| {
        Refusal::new(Code::Internal, "the law's reply is not readable").cause(error)
    })
}

/// Why a group takes nothing more.
pub(super) fn ended(fatal: &Fatal<Types>) -> Refusal {
    match fatal {
        Fatal::Stopped => stopped(),
        fatal => Refusal::new(Code::Internal, "the group's consensus has failed").cause(fatal),
    }
}

pub(super) fn unknown(cause: &str) -> Refusal {
    Refusal::new(Code::OutcomeUnknown, "nobody can tell whether the request was carried out")
        .cause(cause)
        .hint("send it again with the same request id: it takes effect once and answers the same")
}
