//! Who votes in a group, changed one safe step at a time, and the way to each.

use super::group::{Group, ended};
use super::peer::Link;
use super::types::{Member, Membership};
use keiko_core::refusal::{Code, Refusal, Result};
use openraft::ChangeMembers;
use openraft::errors::{ClientWriteError, RaftError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
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

impl MemberView {
    /// Voters and learners, by id.
    pub(super) fn all(members: &Membership) -> Vec<Self> {
        let voters: BTreeSet<u64> = members.voter_ids().collect();
        let view = |(id, member): (&u64, &Member)| Self {
            id: *id,
            name: member.name.clone(),
            address: member.addr.clone(),
            votes: voters.contains(id),
        };
        members.nodes().map(view).collect()
    }
}

impl Group {
    /// Voters and learners, by id.
    pub fn members(&self) -> Vec<MemberView> {
        MemberView::all(self.metrics().membership_config.membership())
    }

    /// True while a change of the voters is under way.
    pub fn is_changing(&self) -> bool {
        let metrics = self.metrics();
        let effective = &metrics.membership_config;
        let joint = effective.membership().get_joint_config().len() > 1;
        joint || effective.log_id() != metrics.committed_membership_config.log_id()
    }

    /// How many entries a member lags behind this node's log; known to the leader only.
    pub fn lag(&self, id: u64) -> Option<u64> {
        let metrics = self.metrics();
        let matched = metrics.replication.as_ref()?.get(&id)?.as_ref().map_or(0, |id| id.index);
        Some(metrics.last_log_index.unwrap_or(0).saturating_sub(matched))
    }

    /// The way to a member.
    pub(super) fn link(&self, id: u64) -> Result<Arc<Link>> {
        let link = {
            let metrics = self.metrics();
            let member = metrics.membership_config.membership().get_node(&id);
            member.map(|member| self.inner.links.member(id, member))
        };
        link.unwrap_or_else(|| Err(self.no_leader_now()))
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
                Err(self.no_leader(leader.leader_id))
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
}
