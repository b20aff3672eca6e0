//! The handle of one group: propose, wait, ask how it is.

use super::clock::LeaderClock;
use super::log::Log;
use super::machine::{Machine, Shared};
use super::monitor::{self, Health};
use super::network::Network;
use super::recent::Recent;
use super::types::{Command, Member, Outcome, Types};
use super::{Context, check_open, stopped};
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
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::watch;

pub(super) type Raft = openraft::Raft<Types, Machine>;

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
    clock: Mutex<LeaderClock>,
    closing: Arc<AtomicBool>,
    /// That of consensus; its blocking threads are left behind at the end, not waited for.
    runtime: Handle,
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
        let Context { settings, config, database, counters, disk, queue, closing } = &*context;
        let log = Log::open(id, database.clone(), queue.clone())?;
        let shared = Arc::new(Shared::new(id, database.clone(), counters.clone(), disk.clone()));
        let machine = Machine::open(shared.clone())?;
        let raft = Raft::new(settings.node_id, config.clone(), Network, log, machine)
            .await
            .map_err(|fatal| ended(&fatal))?;
        let election_max = Duration::from_millis(settings.election_ms_max);
        let health = monitor::start(id, raft.clone());
        monitor::campaign_if_alone(&raft).await;
        let (clock, closing, runtime) = (Mutex::default(), closing.clone(), Handle::current());
        let inner = Inner { raft, shared, health, election_max, clock, closing, runtime };
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

    /// Proposes an entry and waits for what the law answers. Refused while the disk is nearly full.
    ///
    /// [`Code::OutcomeUnknown`] means what it says: the entry may still be committed. A retry with
    /// the same request id gets the same reply.
    pub async fn propose(&self, entry: words::Entry, deadline: Duration) -> Result<words::Reply> {
        self.submit(entry, deadline).await?.reply().await
    }

    /// Proposes an entry behind all that were submitted before, without waiting for the answer.
    /// Refused while the disk is nearly full.
    pub async fn submit(&self, entry: words::Entry, deadline: Duration) -> Result<Proposal> {
        self.check_open()?;
        self.inner.shared.disk.check()?;
        self.submit_freeing(entry, deadline).await
    }

    /// The same for an entry that frees space: it is taken even while the disk is nearly full.
    pub async fn submit_freeing(
        &self,
        mut entry: words::Entry,
        deadline: Duration,
    ) -> Result<Proposal> {
        let begun = Instant::now();
        entry.format = features::FORMAT;
        entry.feature_level = features::LEVEL;
        entry.proposed_ms = self.now_ms()?;
        let bytes = entry.encode_to_vec();
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
        let sent = self.inner.raft.client_write_ff(Command(bytes.into()), Some(responder));
        match tokio::time::timeout(deadline, sent).await {
            Ok(Ok(())) => Ok(Proposal { group: self.clone(), answer, begun, deadline }),
            Ok(Err(fatal)) => Err(ended(&fatal)),
            Err(_) => Err(unknown("the deadline passed")),
        }
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
            leader: metrics.current_leader,
            term: metrics.current_term,
            voters: members.voter_ids().map(|id| (id, name(&id))).collect(),
            last_log_index: metrics.last_log_index.max(applied_index),
            applied_index,
            revision: head.revision,
            unix_ms: head.unix_ms,
            state_hash: head.hash,
        }
    }

    pub(super) fn no_leader(&self, leader: Option<&ForwardToLeader<Types>>) -> Refusal {
        let known = match leader {
            Some(leader) => leader.leader_id,
            None => self.inner.raft.metrics().borrow_watched().current_leader,
        };
        let id = self.inner.shared.group;
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
    group: Group,
    answer: OneshotReceiverOf<Types, ClientWriteResult<Types>>,
    begun: Instant,
    deadline: Duration,
}

impl Proposal {
    /// What the law answers.
    pub async fn reply(self) -> Result<words::Reply> {
        let Self { group, answer, begun, deadline } = self;
        let end = tokio::time::Instant::from_std(begun) + deadline;
        let outcome = match tokio::time::timeout_at(end, answer).await {
            Ok(answer) => group.outcome(answer.ok())?,
            Err(_) => return Err(unknown("the deadline passed")),
        };
        group.inner.shared.counters.count_proposal(begun.elapsed());
        words::Reply::decode(&outcome.reply[..]).map_err(|error| {
            Refusal::new(Code::Internal, "the law's reply is not readable").cause(error)
        })
    }
}

/// Why a group takes nothing more.
pub(super) fn ended(fatal: &Fatal<Types>) -> Refusal {
    match fatal {
        Fatal::Stopped => stopped(),
        fatal => Refusal::new(Code::Internal, "the group's consensus has failed").cause(fatal),
    }
}

fn unknown(cause: &str) -> Refusal {
    Refusal::new(Code::OutcomeUnknown, "nobody can tell whether the request was carried out")
        .cause(cause)
        .hint("send it again with the same request id: it takes effect once and answers the same")
}
