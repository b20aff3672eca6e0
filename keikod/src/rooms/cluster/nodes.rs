//! The members as this node sees them.

use super::beats::to_ms;
use super::service::Service;
use crate::consensus::{Group, MemberView, Status};
use crate::net::{Identity, Permission, Resource};
use keiko_core::hash::hex;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1::{
    self as wire, GetNodeRequest, ListNodesRequest, ListNodesResponse, NodeInfo,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tonic::Request;

/// A silence that is too long in any rhythm: whoever is silent for that long is not counted on.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// What every member is described from, read once for all of them.
pub(super) struct Scene {
    pub(super) status: Status,
    members: Vec<MemberView>,
    /// How many commands each node runs.
    hosted: BTreeMap<Arc<str>, u32>,
}

/// Who asks, if that one may.
pub(super) fn allowed(request: &Request<impl Sized>, permission: Permission) -> Result<Identity> {
    let caller = Identity::of(request)?;
    caller.require(permission, &Resource::All("cluster"))?;
    Ok(caller.clone())
}

impl Service {
    pub(super) fn list(&self, request: &Request<ListNodesRequest>) -> Result<ListNodesResponse> {
        allowed(request, Permission::ClusterRead)?;
        let group = self.control.group()?;
        let scene = self.scene(&group);
        let nodes = self.neighbours.read_nodes()?;
        let items = nodes.into_iter().map(|node| self.info(node, &group, &scene)).collect();
        Ok(ListNodesResponse { items, revision: scene.status.revision })
    }

    pub(super) fn get(&self, request: &Request<GetNodeRequest>) -> Result<NodeInfo> {
        allowed(request, Permission::ClusterRead)?;
        let group = self.control.group()?;
        let node = self.named(&request.get_ref().name)?;
        Ok(self.info(node, &group, &self.scene(&group)))
    }

    pub(super) fn named(&self, name: &str) -> Result<wire::Node> {
        let mut nodes = self.neighbours.read_nodes()?;
        if let Some(at) = nodes.iter().position(|node| node.name == name) {
            return Ok(nodes.swap_remove(at));
        }
        let known: Vec<_> = nodes.into_iter().map(|node| node.name).collect();
        Err(Refusal::new(Code::NotFound, format!("no node {name:?}"))
            .hint(format!("the members are {}", known.join(", "))))
    }

    pub(super) fn scene(&self, group: &Group) -> Scene {
        let feed = self.neighbours.inner.feed.get();
        let hosted = feed.map(|feed| feed.soft().hosted()).unwrap_or_default();
        Scene { status: group.status(), members: group.members(), hosted }
    }

    /// All that is known of one member.
    pub(super) fn info(&self, node: wire::Node, group: &Group, scene: &Scene) -> NodeInfo {
        let neighbours = &self.neighbours.inner;
        let own = node.id == neighbours.own_id();
        let status = &scene.status;
        let member = scene.members.iter().find(|member| member.id == node.id);
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
        let about = &neighbours.about;
        let millis = |since: Duration| u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let version = beat.map(|beat| beat.version.clone()).filter(|text| !text.is_empty());
        NodeInfo {
            id: node.id,
            state: state.to_owned(),
            api_address: node.api_address,
            version: version.unwrap_or(node.version),
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
            lag: group.lag(node.id).unwrap_or(0),
            certificate_expires_ms: match own {
                true => to_ms(about.certificates.expires()),
                false => beat.map_or(0, |beat| beat.certificate_expires_ms),
            },
            down_since_ms: node.down_since_ms,
            joined_ms: node.joined_ms,
            hosted: scene.hosted.get(node.name.as_str()).copied().unwrap_or(0),
            settings_hash: match own {
                true => about.settings_hash.clone(),
                false => beat.map_or_else(String::new, |beat| beat.settings_hash.clone()),
            },
            answering: own,
            ca_hash: match own {
                true => about.certificates.ca_hash().unwrap_or_default(),
                false => beat.and_then(|beat| beat.ca_hashes.first().cloned()).unwrap_or_default(),
            },
            name: node.name,
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
}
