//! How a group stands: who leads it, whether that one and a quorum are heard, and what is refused
//! because of it.
//!
//! Invariant: a leader is somebody who is heard. A follower that finds nobody to elect keeps its
//! last leader in mind, but that says nothing.
//!
//! Never: asks another node. What is said here is what this one knows now.

use super::group::Group;
use super::machine::Shared;
use super::peer::faults;
use super::types::{Types, Vote};
use keiko_core::hash::Hash;
use keiko_core::house::Head;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use openraft::{Instant as _, RaftMetrics, ServerState};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Between two looks for a leader.
pub(super) const LEADER_PAUSE: Duration = Duration::from_millis(25);

/// How long somebody waits for a leader: an election and its repetition, at the default times. Who
/// has no quorum hears it then, not after a whole deadline.
pub(super) const LEADER_PATIENCE: Duration = Duration::from_secs(4);

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
    /// The feature level that the state here needs.
    pub level: u32,
}

impl Group {
    /// Who leads, as far as this node knows: itself, or somebody whom it hears.
    pub fn leader(&self) -> Option<u64> {
        self.leader_in(&self.metrics())
    }

    /// True if this node leads, as far as it knows.
    pub fn leads(&self) -> bool {
        self.metrics().state == ServerState::Leader
    }

    /// The term that this node is in.
    pub fn term(&self) -> u64 {
        self.metrics().current_term
    }

    /// False if this node knows no leader, or leads and hears too few voters.
    pub fn has_quorum(&self) -> bool {
        self.quorum_in(&self.metrics())
    }

    /// All of it at once. It reads the store, so it is not for every call.
    pub fn status(&self) -> Status {
        let Shared { group, database, .. } = &*self.inner.shared;
        let view = database.view();
        let head = Head::read(&view, *group);
        // The metrics are told a moment after an apply was answered.
        let applied_index = view.applied(*group).map(|applied| applied.last.index);
        let last_leader = self.inner.health.borrow().last_leader;
        let metrics = self.metrics();
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
            leader: self.leader_in(&metrics),
            last_leader,
            quorum: self.quorum_in(&metrics),
            term: metrics.current_term,
            voters: members.voter_ids().map(|id| (id, name(&id))).collect(),
            last_log_index: metrics.last_log_index.max(applied_index),
            applied_index,
            revision: head.revision,
            unix_ms: head.unix_ms,
            state_hash: head.hash,
            level: head.level,
        }
    }

    fn leader_in(&self, metrics: &RaftMetrics<Types>) -> Option<u64> {
        metrics.current_leader.filter(|leader| *leader == metrics.id || self.hears_leader())
    }

    fn quorum_in(&self, metrics: &RaftMetrics<Types>) -> bool {
        match (metrics.state, metrics.last_quorum_acked) {
            (ServerState::Leader, _) if is_alone(metrics) => true,
            // Followers that hear nothing elect another one after twice as long.
            (ServerState::Leader, Some(acked)) => acked.elapsed() < 2 * self.inner.election_max,
            (ServerState::Leader, None) => false,
            _ => self.leader_in(metrics).is_some(),
        }
    }

    fn hears_leader(&self) -> bool {
        let most = 2 * self.inner.election_max;
        self.leader_silence().is_some_and(|silence| silence < most)
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

    /// The leader writes entries of the level that all voters understand, and never below that of
    /// the state: whoever does not understand that can't follow anyway. True if the state is to rise
    /// to it yet, with the next entry.
    pub fn set_level(&self, understood: u32) -> bool {
        let Shared { group, database, .. } = &*self.inner.shared;
        let held = Head::read(&database.view(), *group).level;
        let level = understood.max(held).min(faults::level());
        self.inner.level.store(level, Ordering::Relaxed);
        level > held
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
        if !self.inner.isolated.load(Ordering::Relaxed) || self.has_quorum() {
            return Ok(());
        }
        let voters = self.inner.raft.voter_ids().count();
        let message =
            format!("NO QUORUM: this node hears none of the other members ({voters} vote)");
        Err(Refusal::new(Code::Isolated, message)
            .cause("it is the one that is cut off, or the others are down")
            .hint("ask another node; what is here can be read with --stale"))
    }

    /// Refuses writes while the replicas disagree.
    pub(super) fn check_agreed(&self) -> Result<()> {
        match self.inner.disagreed.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Refusal::new(Code::StateDiverged, "the nodes' states differ")
                .cause("no state hash has a majority, so nobody can tell which is right")
                .hint("stop all nodes and compare their data folders: keikod verify")),
        }
    }

    /// With which vote this node refuses its own just after its start: it does not remember which
    /// leader's lease it vouched for. `None` if it need not.
    pub(super) fn abstains(&self) -> Option<Vote> {
        if self.inner.started.elapsed() >= self.inner.election_max {
            return None;
        }
        let metrics = self.metrics();
        (!is_alone(&metrics)).then_some(metrics.vote)
    }

    /// That this node does not lead, with who does.
    pub fn no_leader_now(&self) -> Refusal {
        self.no_leader(self.leader())
    }

    /// The same, where `known` leads.
    pub(super) fn no_leader(&self, known: Option<u64>) -> Refusal {
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

/// True if this node is the only one that votes.
pub(super) fn is_alone(metrics: &RaftMetrics<Types>) -> bool {
    metrics.membership_config.membership().voter_ids().eq([metrics.id])
}
