//! The members as this node sees them, and what an operator does with one.

use super::super::peers::Peers as _;
use super::super::{Caller, control};
use super::service::Service;
use crate::consensus::{Group, MemberView, Status};
use crate::net::{Identity, Permission, Resource};
use crate::store::View;
use keiko_core::cluster;
use keiko_core::hash::hex;
use keiko_core::id::GroupId;
use keiko_core::limits::REASON_CHARS_MAX;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    self as wire, ClusterOp, DrainNodeRequest, DrainNodeResponse, GetNodeRequest, ListNodesRequest,
    ListNodesResponse, NodeInfo, RemoveNode, RemoveNodeRequest, RemoveNodeResponse, SetNodeState,
    TransferLeaderRequest, TransferLeaderResponse, cluster_op,
};
use std::time::{Duration, Instant};
use tonic::Request;

/// What leadership may take to move: a few elections.
const MOVE_DEADLINE: Duration = Duration::from_secs(6);
/// What a removed node may take to leave the group.
const LEAVE_DEADLINE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);

const TRANSFER: &str = "/keiko.v1.Cluster/TransferLeader";

fn operates(request: &Request<impl Sized>, permission: Permission) -> Result<Identity> {
    let caller = Identity::of(request)?;
    caller.require(permission, &Resource::All("cluster"))?;
    Ok(caller.clone())
}

impl Service {
    pub(super) async fn list(
        &self,
        request: Request<ListNodesRequest>,
    ) -> Result<ListNodesResponse> {
        operates(&request, Permission::ClusterRead)?;
        let group = self.control.group()?;
        let status = group.status();
        let nodes = group.read_now(|view| cluster::nodes(view, GroupId::CONTROL))?;
        let items = nodes.into_iter().map(|node| self.info(node, &group, &status)).collect();
        Ok(ListNodesResponse { items, revision: status.revision })
    }

    pub(super) async fn get(&self, request: Request<GetNodeRequest>) -> Result<NodeInfo> {
        operates(&request, Permission::ClusterRead)?;
        let group = self.control.group()?;
        let node = self.named(&request.get_ref().name)?;
        Ok(self.info(node, &group, &group.status()))
    }

    fn named(&self, name: &str) -> Result<wire::Node> {
        let nodes = |view: &View<'_>| cluster::nodes(view, GroupId::CONTROL);
        let nodes = self.control.group()?.read_now(nodes)?;
        let known: Vec<_> = nodes.iter().map(|node| node.name.clone()).collect();
        nodes.into_iter().find(|node| node.name == name).ok_or_else(|| {
            Refusal::new(Code::NotFound, format!("no node {name:?}"))
                .hint(format!("the members are {}", known.join(", ")))
        })
    }

    /// All that is known of one member.
    pub(super) fn info(&self, node: wire::Node, group: &Group, status: &Status) -> NodeInfo {
        let neighbours = &self.neighbours.inner;
        let own = node.id == neighbours.own_id();
        let members = group.members();
        let member = members.iter().find(|member| member.id == node.id);
        let role = match member {
            Some(member) if member.votes => "voter",
            Some(_) => "learner",
            None => "",
        };
        let now_ms = neighbours.now_ms();
        let seen = neighbours.seen.load();
        let heard = neighbours.lock();
        let peer = heard.peers.get(&node.id);
        let beat = peer.map(|peer| &peer.beat);
        let of_group = beat.and_then(|beat| beat.groups.first());
        let is_down = !own && (node.down_since_ms != 0 || seen.down.contains(&node.id));
        let state = match (own, member) {
            (true, _) => status.state,
            _ if is_down => "down",
            (_, None) => "joining",
            _ if status.leader == Some(node.id) => "leader",
            (_, Some(member)) if member.votes => "follower",
            (_, Some(_)) => "learner",
        };
        let lag = group.lag(node.id).unwrap_or(0);
        let hosted = group.read_now(|view| (self.hosted)(view, &node.name)).unwrap_or_default();
        let about = &neighbours.about;
        let ends = |time: std::time::SystemTime| {
            let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        };
        let millis = |since: Duration| u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let told = |text: &String| text.clone();
        NodeInfo {
            id: node.id,
            name: node.name,
            state: state.to_owned(),
            api_address: node.api_address,
            version: beat
                .map(|beat| &beat.version)
                .filter(|text| !text.is_empty())
                .map_or(node.version, told),
            applied_index: match own {
                true => status.applied_index.unwrap_or_default(),
                false => of_group.map_or(0, |group| group.applied_index),
            },
            state_hash: if own { hex(&status.state_hash) } else { String::new() },
            peer_address: node.peer_address,
            role: role.to_owned(),
            admin_state: node.admin_state,
            admin_reason: node.admin_reason,
            feature_level: node.feature_level,
            last_heard_ms: peer.and_then(|peer| peer.at).map_or(0, |at| millis(at.elapsed())),
            phi: heard.detector.phi(node.id, now_ms).unwrap_or(0.0),
            clock_offset_ms: heard.offsets.offset_ms(node.id, now_ms).unwrap_or(0),
            round_trip_us: peer.map_or(0, |peer| peer.round_trip_us),
            lag,
            certificate_expires_ms: match own {
                true => ends(about.certificates.expires()),
                false => beat.map_or(0, |beat| beat.certificate_expires_ms),
            },
            down_since_ms: node.down_since_ms,
            joined_ms: node.joined_ms,
            hosted: u32::try_from(hosted.len()).unwrap_or(u32::MAX),
            settings_hash: match own {
                true => (about.settings_hash)(),
                false => beat.map_or_else(String::new, |beat| beat.settings_hash.clone()),
            },
            answering: own,
        }
    }

    /// How many voters this node hears, itself among them.
    pub(super) fn reachable(&self, members: &[MemberView]) -> usize {
        let neighbours = &self.neighbours.inner;
        let seen = neighbours.seen.load();
        let own = neighbours.own_id();
        let state = neighbours.lock();
        let hears = |id: u64| {
            let at = state.peers.get(&id).and_then(|peer| peer.at);
            at.is_some_and(|at| at.elapsed() < HEARD_WITHIN) && !seen.down.contains(&id)
        };
        members
            .iter()
            .filter(|member| member.votes && (member.id == own || hears(member.id)))
            .count()
    }

    pub(super) async fn transfer(
        &self,
        request: Request<TransferLeaderRequest>,
    ) -> Result<TransferLeaderResponse> {
        let caller = operates(&request, Permission::ClusterOperate)?;
        let to = request.into_inner().to;
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
            return self.neighbours.ask(&leader, TRANSFER, &caller, &asked, MOVE_DEADLINE).await;
        }
        let members = group.members();
        let own = self.neighbours.inner.own_id();
        let before = self.control.node().to_owned();
        let id = match target {
            Some(node) if node.id == own => {
                let term = group.status().term;
                return Ok(TransferLeaderResponse {
                    leader: before.clone(),
                    before,
                    term,
                    took_ms: 0,
                });
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
            term: group.status().term,
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
        operates(&request, Permission::ClusterOperate)?;
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
        let info = self.info(node, &group, &group.status());
        Ok(DrainNodeResponse { node: Some(info), write: Some(write) })
    }

    pub(super) async fn remove(
        &self,
        request: Request<RemoveNodeRequest>,
    ) -> Result<RemoveNodeResponse> {
        let identity = operates(&request, Permission::ClusterAdmin)?;
        let caller = Caller::of(&request, &request.get_ref().request_id)?;
        let asked = request.into_inner();
        let node = self.named(&asked.name)?;
        let group = self.control.group()?;
        let members = group.members();
        let (before, after) = self.check_removal(&node, &members)?;
        let hosted = group.read_now(|view| (self.hosted)(view, &node.name))?;
        let info = self.info(node.clone(), &group, &group.status());
        let response = RemoveNodeResponse {
            node: Some(info),
            write: None,
            voters_before: before,
            voters_after: after,
            hosted,
        };
        if asked.dry_run {
            return Ok(response);
        }
        if group.leader() == Some(node.id) {
            let transfer = TransferLeaderRequest::default();
            match group.leads() {
                true => {
                    let mut request = Request::new(transfer);
                    request.extensions_mut().insert(identity);
                    self.transfer(request).await?;
                }
                false => {
                    let moved: TransferLeaderResponse = self
                        .neighbours
                        .ask(&node.name, TRANSFER, &identity, &transfer, MOVE_DEADLINE)
                        .await?;
                    tracing::info!(leader = moved.leader, "leadership moved for a removal");
                }
            }
        }
        let op = cluster_op::Op::RemoveNode(RemoveNode { id: node.id });
        let (result, write) =
            self.control.write(caller, Room::Cluster(ClusterOp { op: Some(op) })).await?;
        if !matches!(result, wire::reply::Result::Cluster(_)) {
            return Err(control::unexpected());
        }
        let until = Instant::now() + LEAVE_DEADLINE;
        while group.members().iter().any(|member| member.id == node.id) && Instant::now() < until {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(RemoveNodeResponse { write: Some(write), ..response })
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
        let own = neighbours.own_id();
        let state = neighbours.lock();
        let signs = |id: u64| match id == own {
            true => (neighbours.about.signs)(),
            false => state.peers.get(&id).is_some_and(|peer| peer.beat.signs),
        };
        members.iter().any(|member| member.votes && member.id != gone && signs(member.id))
    }
}

/// Three beats and some.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

fn nobody(why: &str) -> Refusal {
    Refusal::new(Code::MembershipRefused, "leadership can't move there").cause(why)
}
