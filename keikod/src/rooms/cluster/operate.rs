//! What an operator does with a member: leadership elsewhere, drained, removed.

use super::super::peers::Peers as _;
use super::super::{Caller, control};
use super::nodes::allowed;
use super::service::Service;
use crate::consensus::{Group, MemberView};
use crate::net::{Identity, Permission};
use keiko_core::limits::REASON_CHARS_MAX;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    self as wire, ClusterOp, DrainNodeRequest, DrainNodeResponse, RemoveNode, RemoveNodeRequest,
    RemoveNodeResponse, SetNodeState, TransferLeaderRequest, TransferLeaderResponse, cluster_op,
};
use std::time::{Duration, Instant};
use tonic::Request;

/// What leadership may take to move: a few elections.
const MOVE_DEADLINE: Duration = Duration::from_secs(6);
/// What a removed node may take to leave the group.
const LEAVE_DEADLINE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);

const TRANSFER: &str = "/keiko.v1.Cluster/TransferLeader";

impl Service {
    pub(super) async fn transfer(
        &self,
        request: Request<TransferLeaderRequest>,
    ) -> Result<TransferLeaderResponse> {
        let caller = allowed(&request, Permission::ClusterOperate)?;
        self.move_leader(&caller, request.into_inner().to).await
    }

    /// Moves leadership to the voter with this name, or to whoever fits best.
    async fn move_leader(&self, caller: &Identity, to: String) -> Result<TransferLeaderResponse> {
        let target = match to.as_str() {
            "" => None,
            name => Some(self.named(name)?),
        };
        let group = self.control.group()?;
        if !group.leads() {
            let leader = self.leader_name(&group)?;
            if caller.is_remote() {
                return Err(group.no_leader_now());
            }
            let asked = TransferLeaderRequest { to };
            return self.neighbours.ask(&leader, TRANSFER, caller, &asked, MOVE_DEADLINE).await;
        }
        let members = group.members();
        let own = self.neighbours.inner.own_id();
        let before = self.control.node().to_owned();
        let id = match target {
            Some(node) if node.id == own => {
                let (leader, term) = (before.clone(), group.term());
                return Ok(TransferLeaderResponse { leader, before, term, took_ms: 0 });
            }
            Some(node) => self.able(&node, &members)?,
            None => {
                let seen = self.neighbours.inner.seen.load();
                let fit = self.neighbours.successor(&group, &seen, &members);
                fit.ok_or_else(|| nobody("no other voter can lead"))?
            }
        };
        let begun = Instant::now();
        group.hand_over(id).await?;
        let leader =
            self.led_by(&group, |leader| leader != own, MOVE_DEADLINE).await.ok_or_else(|| {
                nobody("leadership did not move in time")
                    .cause("the voter that was asked did not win its election")
                    .hint("try again; keikoctl cluster status shows who lags")
            })?;
        let name = members.iter().find(|member| member.id == leader);
        Ok(TransferLeaderResponse {
            leader: name.map(|member| member.name.clone()).unwrap_or_default(),
            before,
            term: group.term(),
            took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// A node that may lead.
    fn able(&self, node: &wire::Node, members: &[MemberView]) -> Result<u64> {
        let name = &node.name;
        if !members.iter().any(|member| member.id == node.id && member.votes) {
            return Err(nobody(&format!("node {name} has no vote")));
        }
        if self.neighbours.is_down(name) {
            return Err(nobody(&format!("node {name} is down")));
        }
        if !node.admin_state.is_empty() {
            return Err(nobody(&format!("node {name} is {}", node.admin_state)));
        }
        Ok(node.id)
    }

    fn leader_name(&self, group: &Group) -> Result<String> {
        let leader = group.leader();
        let members = group.members();
        let name = members.iter().find(|member| Some(member.id) == leader);
        name.map(|member| member.name.clone()).ok_or_else(|| group.no_leader_now())
    }

    async fn led_by(
        &self,
        group: &Group,
        fits: impl Fn(u64) -> bool,
        deadline: Duration,
    ) -> Option<u64> {
        let until = Instant::now() + deadline;
        loop {
            if let Some(leader) = group.leader().filter(|leader| fits(*leader)) {
                return Some(leader);
            }
            if Instant::now() >= until {
                return None;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    pub(super) async fn drain(
        &self,
        request: Request<DrainNodeRequest>,
    ) -> Result<DrainNodeResponse> {
        allowed(&request, Permission::ClusterOperate)?;
        let caller = Caller::of(&request, &request.get_ref().request_id)?;
        let asked = request.into_inner();
        let node = self.named(&asked.name)?;
        let group = self.control.group()?;
        let admin_state = if asked.undo { "" } else { "draining" };
        let reason: String = asked.reason.chars().take(REASON_CHARS_MAX).collect();
        let state = SetNodeState { id: node.id, admin_state: admin_state.to_owned(), reason };
        let room = Room::Cluster(ClusterOp { op: Some(cluster_op::Op::SetNodeState(state)) });
        let (_, write) = self.control.write(caller, room).await?;
        if !asked.undo {
            // It hands over as soon as it sees the entry; alone it goes on leading.
            let voters = group.members().iter().filter(|member| member.votes).count();
            if voters > 1 {
                let _moved = self.led_by(&group, |leader| leader != node.id, MOVE_DEADLINE).await;
            }
        }
        let node = self.named(&asked.name)?;
        let info = self.info(node, &group, &self.scene(&group));
        Ok(DrainNodeResponse { node: Some(info), write: Some(write) })
    }

    pub(super) async fn remove(
        &self,
        request: Request<RemoveNodeRequest>,
    ) -> Result<RemoveNodeResponse> {
        let identity = allowed(&request, Permission::ClusterAdmin)?;
        let caller = Caller::of(&request, &request.get_ref().request_id)?;
        let asked = request.into_inner();
        let node = self.named(&asked.name)?;
        let group = self.control.group()?;
        let members = group.members();
        let (before, after) = self.check_removal(&node, &members)?;
        let hosted = group.read_now(|view| (self.hosted)(view, &node.name))?;
        let info = self.info(node.clone(), &group, &self.scene(&group));
        let votes = before != after;
        if asked.revoke && !votes {
            return Err(Refusal::new(
                Code::InvalidArgument,
                format!("node {} has no vote, so it knows no key that could be revoked", node.name),
            )
            .hint(format!("keikoctl node remove {}", node.name))
            .hint("to change the keys all the same: keikoctl cluster ca rotate"));
        }
        let response = RemoveNodeResponse {
            node: Some(info),
            write: None,
            voters_before: before,
            voters_after: after,
            hosted,
            rotation: String::new(),
        };
        if asked.dry_run {
            return Ok(response);
        }
        if group.leader() == Some(node.id) {
            let moved = self.move_leader(&identity, String::new()).await?;
            tracing::info!(leader = moved.leader, "leadership moved for a removal");
        }
        let (write, rotation) = self.leave(&group, caller, &node, (votes, asked.revoke)).await?;
        Ok(RemoveNodeResponse { write: Some(write), rotation, ..response })
    }

    /// Writes down that a node is gone, and waits until it has left the group and, if it had a vote,
    /// the keys that it knew are changed. How far that is, in words.
    async fn leave(
        &self,
        group: &Group,
        caller: Caller,
        node: &wire::Node,
        (votes, revoke): (bool, bool),
    ) -> Result<(wire::WriteInfo, String)> {
        let room = match votes {
            true => Self::expulsion(node.id, revoke),
            false => {
                let op = cluster_op::Op::RemoveNode(RemoveNode { id: node.id });
                Room::Cluster(ClusterOp { op: Some(op) })
            }
        };
        let (result, write) = self.control.write(caller, room).await?;
        if !matches!(result, wire::reply::Result::Cluster(_) | wire::reply::Result::Security(_)) {
            return Err(control::unexpected());
        }
        let until = Instant::now() + LEAVE_DEADLINE;
        while group.members().iter().any(|member| member.id == node.id) && Instant::now() < until {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        // Who was removed hears nothing of what follows, not even where it was asked itself.
        let is_own = node.id == self.neighbours.inner.own_id();
        let rotation = match votes && !is_own {
            true => self.turned(group, revoke).await?,
            false => String::new(),
        };
        Ok((write, rotation))
    }

    /// Voters before and after; refused if what is left could decide nothing.
    fn check_removal(&self, node: &wire::Node, members: &[MemberView]) -> Result<(u32, u32)> {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let before = members.iter().filter(|member| member.votes).count();
        let votes = members.iter().any(|member| member.id == node.id && member.votes);
        if !votes {
            return Ok((count(before), count(before)));
        }
        let name = &node.name;
        let after = before - 1;
        if after == 0 {
            return Err(Refusal::new(
                Code::MembershipRefused,
                format!("node {name} is the only voter: without it there is no cluster"),
            ));
        }
        let left: Vec<MemberView> =
            members.iter().filter(|member| member.id != node.id).cloned().collect();
        let (reachable, needed) = (self.reachable(&left), after / 2 + 1);
        if reachable < needed {
            return Err(Refusal::new(
                Code::MembershipRefused,
                format!("without node {name} there would be no quorum"),
            )
            .cause(format!(
                "{reachable} of the {after} voters that stay are heard, {needed} are needed"
            ))
            .hint("bring the others back first, or remove one that is down instead"));
        }
        if !self.can_sign_without(node.id, members) {
            return Err(Refusal::new(
                Code::MembershipRefused,
                format!("without node {name} nobody would hold the cluster key"),
            )
            .cause("a voter gets the key from another one as soon as it votes")
            .hint("try again in a moment; keikoctl doctor shows who is not ready"));
        }
        Ok((count(before), count(after)))
    }

    /// True if another voter that is heard holds the cluster key.
    fn can_sign_without(&self, gone: u64, members: &[MemberView]) -> bool {
        let neighbours = &self.neighbours.inner;
        let (own, seen) = (neighbours.own_id(), neighbours.seen.load());
        let state = neighbours.lock();
        let signs = |id: u64| match id == own {
            true => !(neighbours.about.signs_with)().is_empty(),
            false => {
                let signs = state.peers.get(&id).is_some_and(|peer| peer.beat.signs);
                signs && !seen.down.contains(&id)
            }
        };
        members.iter().any(|member| member.votes && member.id != gone && signs(member.id))
    }
}

fn nobody(why: &str) -> Refusal {
    Refusal::new(Code::MembershipRefused, "leadership can't move there").cause(why)
}
