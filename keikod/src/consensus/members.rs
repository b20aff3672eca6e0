//! Who votes in a group, changed one safe step at a time, and who leads it.

use super::group::{Group, ended};
use super::machine::announce;
use super::types::{Member, SnapshotMeta};
use crate::store::snapshot::Snapshot;
use keiko_core::hash::Hash;
use keiko_core::refusal::{Code, Refusal, Result};
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::{ChangeMembers, Instant as _};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What one change may take: two entries, each on a quorum.
const CHANGE_DEADLINE: Duration = Duration::from_secs(10);

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// The node.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Where its peers reach it.
    pub address: String,
    /// False for a learner.
    pub votes: bool,
}

impl Group {
    /// Voters and learners, by id.
    pub fn members(&self) -> Vec<MemberView> {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let members = metrics.membership_config.membership();
        let voters: BTreeSet<u64> = members.voter_ids().collect();
        let view = |(id, member): (&u64, &Member)| MemberView {
            id: *id,
            name: member.name.clone(),
            address: member.addr.clone(),
            votes: voters.contains(id),
        };
        members.nodes().map(view).collect()
    }

    /// True while a change of the voters is under way.
    pub fn is_changing(&self) -> bool {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let effective = &metrics.membership_config;
        let joint = effective.membership().get_joint_config().len() > 1;
        joint || effective.log_id() != metrics.committed_membership_config.log_id()
    }

    /// How many entries a member lags behind this node's log; known to the leader only.
    pub fn lag(&self, id: u64) -> Option<u64> {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let matched = metrics.replication.as_ref()?.get(&id)?.as_ref().map_or(0, |id| id.index);
        Some(metrics.last_log_index.unwrap_or(0).saturating_sub(matched))
    }

    /// How long ago a quorum answered this node, if it leads.
    pub fn quorum_age(&self) -> Option<Duration> {
        let metrics = self.inner.raft.metrics();
        let acked = metrics.borrow_watched().last_quorum_acked;
        acked.map(|acked| acked.elapsed())
    }

    /// Lets a node follow the log without a vote.
    pub async fn add_learner(&self, id: u64, name: &str, address: &str) -> Result<()> {
        let member = Member { name: name.to_owned(), addr: address.to_owned() };
        self.change(ChangeMembers::AddNodes(BTreeMap::from([(id, member)]))).await
    }

    /// Takes over where a member is reached.
    pub async fn readdress(&self, id: u64, name: &str, address: &str) -> Result<()> {
        let member = Member { name: name.to_owned(), addr: address.to_owned() };
        self.change(ChangeMembers::SetNodes(BTreeMap::from([(id, member)]))).await
    }

    /// Gives a learner its vote.
    pub async fn promote(&self, id: u64) -> Result<()> {
        self.change(ChangeMembers::AddVoterIds(BTreeSet::from([id]))).await
    }

    /// Takes a member out. This node's own vote is not taken while it leads.
    pub async fn remove(&self, id: u64) -> Result<()> {
        if self.members().iter().any(|member| member.id == id && member.votes) {
            return self.change(ChangeMembers::RemoveVoters(BTreeSet::from([id]))).await;
        }
        self.change(ChangeMembers::RemoveNodes(BTreeSet::from([id]))).await
    }

    async fn change(&self, change: ChangeMembers<u64, Member>) -> Result<()> {
        self.check_open()?;
        let changed = self.inner.raft.change_membership(change, false);
        match tokio::time::timeout(CHANGE_DEADLINE, changed).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(RaftError::Fatal(fatal))) => Err(ended(&fatal)),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(leader)))) => {
                Err(self.no_leader(Some(&leader)))
            }
            Ok(Err(RaftError::APIError(error))) => {
                Err(Refusal::new(Code::MembershipRefused, "the members were not changed")
                    .cause(error))
            }
            Err(_) => Err(Refusal::new(Code::OutcomeUnknown, "the change of members takes long")
                .cause("too few voters answer")),
        }
    }

    /// Asks a voter to take over; it does so within an election's time, or not at all.
    pub async fn hand_over(&self, to: u64) -> Result<()> {
        self.check_open()?;
        self.inner.raft.trigger().transfer_leader(to).await.map_err(|fatal| ended(&fatal))
    }

    /// Whether this node stands for election when it hears no leader.
    pub fn set_campaigns(&self, campaigns: bool) {
        self.inner.raft.runtime_config().elect(campaigns);
    }

    /// The chained state hash at every 1,024th entry behind `after`, as far as it is kept.
    pub fn checkpoints(&self, after: u64) -> Vec<(u64, Hash)> {
        self.inner.shared.checkpoints.behind(after)
    }

    /// The end of the log here.
    pub fn last_log_index(&self) -> u64 {
        self.inner.raft.metrics().borrow_watched().last_log_index.unwrap_or(0)
    }

    /// Under which mark openraft knows a snapshot.
    pub(super) fn announced(&self, snapshot: Snapshot) -> Result<(SnapshotMeta, Snapshot)> {
        let announced = announce(snapshot).map_err(|error| {
            Refusal::new(Code::ChecksumMismatch, "a snapshot's mark can't be read").cause(error)
        })?;
        Ok((announced.meta, announced.snapshot))
    }
}
