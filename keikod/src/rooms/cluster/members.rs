//! What the leader does about the members: one safe step at a time.
//!
//! Who was admitted follows the log first and votes once it has caught up; who was removed loses its
//! vote; who moved is called where it is now. Each look takes one step and waits for its outcome, so
//! that no two changes are under way.

use super::neighbours::{Neighbours, Seen};
use crate::consensus::{Group, MemberView};
use keiko_core::features;
use keiko_core::refusal::Result;
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{self as wire, ClusterOp, NoteNode, NoteReach, cluster_op};

/// A learner that lags by fewer entries has caught up: less than one message to a follower.
const LAG_MAX: u64 = 1000;
/// More voters cost every write and guard against no likely failure; the others follow the log.
pub(super) const VOTERS_MAX: usize = 7;

enum Step {
    Remove(u64),
    Follow(wire::Node),
    Move(wire::Node),
    Promote(u64),
}

impl Neighbours {
    /// What a leader without others does. True if the level is to rise.
    pub(super) fn lead_alone(group: &Group, seen: &Seen) -> bool {
        group.set_level(level(&group.members(), seen))
    }

    /// One look of the leader.
    pub(super) async fn lead(&self, group: &Group, seen: &Seen, may_lead: bool) {
        let members = group.members();
        if group.set_level(level(&members, seen)) {
            self.raise_level(seen).await;
        }
        if !may_lead || self.is_removed(seen) {
            self.hand_over(group, seen, &members).await;
            return;
        }
        if !seen.isolated {
            self.note_reach(seen).await;
        }
        if group.is_changing() {
            return;
        }
        let Some(step) = self.step(group, seen, &members) else { return };
        if let Err(refusal) = take(group, step).await {
            tracing::warn!(code = %refusal.code, causes = ?refusal.causes, "{refusal}");
        }
    }

    /// True if the state has members and this node is none of them.
    fn is_removed(&self, seen: &Seen) -> bool {
        !seen.nodes.is_empty() && !seen.nodes.contains_key(&self.inner.own_id())
    }

    fn step(&self, group: &Group, seen: &Seen, members: &[MemberView]) -> Option<Step> {
        let own = self.inner.own_id();
        let gone = members.iter().find(|member| !seen.nodes.contains_key(&member.id));
        if let Some(gone) = gone.filter(|gone| gone.id != own) {
            return Some(Step::Remove(gone.id));
        }
        for node in seen.nodes.values().filter(|node| !node.peer_address.is_empty()) {
            let Some(member) = members.iter().find(|member| member.id == node.id) else {
                return Some(Step::Follow(node.clone()));
            };
            if member.address != node.peer_address || member.name != node.name {
                return Some(Step::Move(node.clone()));
            }
        }
        let voters = members.iter().filter(|member| member.votes).count();
        let caught_up = |member: &&MemberView| {
            !member.votes
                && !seen.down.contains(&member.id)
                && self.is_heard(member.id)
                && group.lag(member.id).is_some_and(|lag| lag < LAG_MAX)
        };
        let learner = members.iter().find(caught_up).filter(|_| voters < VOTERS_MAX)?;
        Some(Step::Promote(learner.id))
    }

    /// Takes the state to the level that all voters understand by now. Any entry does that; without
    /// one, nobody could tell by the state that the last of them is upgraded.
    pub(super) async fn raise_level(&self, seen: &Seen) {
        let Some(node) = seen.nodes.get(&self.inner.own_id()) else { return };
        let note = NoteNode { node: Some(node.clone()) };
        let room = Room::Cluster(ClusterOp { op: Some(cluster_op::Op::NoteNode(note)) });
        let control = &self.inner.control;
        match control.write(control.as_node(), room).await {
            Ok(_) => tracing::info!("all voters understand a higher feature level: it rises"),
            Err(refusal) => {
                tracing::warn!(code = %refusal.code, "the feature level does not rise: {refusal}");
            }
        }
    }

    fn is_heard(&self, id: u64) -> bool {
        self.inner.lock().peers.get(&id).is_some_and(|heard| heard.at.is_some())
    }

    /// Tells who can't be heard any more, and who can again.
    async fn note_reach(&self, seen: &Seen) {
        let own = self.inner.own_id();
        for node in seen.nodes.values() {
            let is_down = seen.down.contains(&node.id);
            let was_down = node.down_since_ms != 0;
            let is_heard = node.id == own || self.is_heard(node.id);
            if is_down == was_down || (!is_down && !is_heard) {
                continue;
            }
            let note = NoteReach { id: node.id, down: is_down };
            let room = Room::Cluster(ClusterOp { op: Some(cluster_op::Op::NoteReach(note)) });
            let control = &self.inner.control;
            if let Err(refusal) = control.write(control.as_node(), room).await {
                tracing::warn!(node = node.name, code = %refusal.code, "not noted: {refusal}");
            }
        }
    }

    /// Asks the voter that is furthest and may lead.
    pub(super) async fn hand_over(&self, group: &Group, seen: &Seen, members: &[MemberView]) {
        let Some(to) = self.successor(group, seen, members) else {
            return tracing::warn!("leadership is to be handed over, and nobody can take it");
        };
        match group.hand_over(to).await {
            Ok(()) => tracing::info!(to, "leadership is handed over"),
            Err(refusal) => tracing::warn!(code = %refusal.code, "{refusal}"),
        }
    }

    /// Who would lead best instead of this node.
    pub(super) fn successor(
        &self,
        group: &Group,
        seen: &Seen,
        members: &[MemberView],
    ) -> Option<u64> {
        let own = self.inner.own_id();
        let fits = |member: &&MemberView| {
            let node = seen.nodes.get(&member.id);
            member.votes
                && member.id != own
                && !seen.down.contains(&member.id)
                && node.is_some_and(|node| node.admin_state.is_empty())
        };
        let lag = |member: &&MemberView| group.lag(member.id).unwrap_or(u64::MAX);
        members.iter().filter(fits).min_by_key(lag).map(|member| member.id)
    }
}

async fn take(group: &Group, step: Step) -> Result<()> {
    match step {
        Step::Remove(id) => {
            tracing::info!(id, "a removed node leaves the group");
            group.remove(id).await
        }
        Step::Follow(node) => {
            tracing::info!(node = node.name, id = node.id, "a new node follows the log");
            group.add_learner(node.id, &node.name, &node.peer_address).await
        }
        Step::Move(node) => {
            tracing::info!(node = node.name, address = node.peer_address, "a node moved");
            group.readdress(node.id, &node.name, &node.peer_address).await
        }
        Step::Promote(id) => {
            tracing::info!(id, "a node has caught up and votes from now on");
            group.promote(id).await
        }
    }
}

/// The highest level that every voter understands.
fn level(members: &[MemberView], seen: &Seen) -> u32 {
    let levels = members.iter().filter(|member| member.votes).map(|member| {
        let node = seen.nodes.get(&member.id);
        // One that is not known yet, or is older than the field, has not said more.
        node.map_or(features::FIRST, |node| node.feature_level.max(features::FIRST))
    });
    levels.min().unwrap_or(features::FIRST)
}
