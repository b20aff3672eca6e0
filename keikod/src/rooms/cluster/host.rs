//! What peers ask of this node's rooms.

use super::neighbours::Neighbours;
use crate::consensus::peer::Host;
use crate::net::transcode::behalf::on_behalf;
use crate::net::{Authority, Bound, Identity, Keys, called_from, csr_key_hash};
use crate::store::View;
use keiko_core::cluster;
use keiko_core::hash::Hash;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::peer;
use keiko_proto::v1::Actor;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;

/// A call that names no deadline.
const CALL_DEADLINE: Duration = Duration::from_secs(60);

/// What bindings hand to an actor, as a view has it.
pub(super) type BoundOf = dyn Fn(&View<'_>, &Actor) -> Bound + Send + Sync;

/// What peers are answered from.
pub struct Hosting {
    /// Who is a member, and where signs of life go.
    pub neighbours: Neighbours,
    /// The same services that the API has; set once they are built.
    pub routes: OnceLock<Routes>,
    /// Where they run: not on the thread of consensus.
    pub runtime: Handle,
    /// What other voters may have.
    pub keys: Keys,
    /// Who signs.
    pub authority: watch::Receiver<Option<Arc<Authority>>>,
    /// What bindings hand to callers of other nodes, as the room below keeps them.
    pub bound: Arc<BoundOf>,
}

#[tonic::async_trait]
impl Host for Hosting {
    fn beat(&self, from: &str, beat: peer::PeerBeat) -> Result<()> {
        self.check_member(from)?;
        let inner = &self.neighbours.inner;
        let seen = inner.seen.load();
        let Some(node) = seen.named(from) else { return Ok(()) };
        let links = inner.control.consensus().links();
        links.told(from, &beat.peer_address);
        let mut beat = beat;
        for heard in std::mem::take(&mut beat.heard) {
            // Its own word wins.
            let unheard = seen.named(&heard.name).filter(|node| !inner.lock().hears(node.id));
            if unheard.is_some() {
                links.told(&heard.name, &heard.peer_address);
            }
        }
        let agents = std::mem::take(&mut beat.agents);
        let checkpoints = beat.groups.iter().flat_map(|group| &group.checkpoints);
        let hash = |checkpoint: &peer::Checkpoint| {
            Some((checkpoint.index, Hash::try_from(&checkpoint.hash[..]).ok()?))
        };
        let checkpoints: Vec<(u64, Hash)> = checkpoints.filter_map(hash).collect();
        {
            let now_ms = inner.now_ms();
            let mut state = inner.lock();
            state.detector.heard(node.id, now_ms);
            let heard = state.peers.entry(node.id).or_default();
            heard.at = Some(Instant::now());
            let began_anew = heard.beat.incarnation != beat.incarnation;
            heard.beat = beat;
            if began_anew {
                state.agreement.forget(node.id);
            }
            for (index, hash) in checkpoints {
                state.agreement.note(node.id, index, hash);
            }
        }
        if let Some(feed) = inner.feed.get().filter(|_| !agents.is_empty()) {
            feed.take_beats(from, agents);
        }
        Ok(())
    }

    async fn call(&self, from: &str, call: peer::PeerCall) -> Result<Vec<u8>> {
        let routes = self.routes.get().cloned().ok_or_else(|| {
            Refusal::new(Code::NotReady, "this node is not ready yet").hint("try again in a moment")
        })?;
        let caller = call.caller.unwrap_or_default();
        let actor = caller.actor.ok_or_else(|| {
            Refusal::new(Code::Unauthenticated, format!("node {from} does not say who asks"))
        })?;
        // Told by this node's own state: bindings are the cluster's, and not the caller's to bring.
        let (known, asked) = (Arc::clone(&self.bound), actor.clone());
        let query = move |view: &View<'_>| known(view, &asked);
        let bound = self.neighbours.inner.control.read_local(query).await?;
        // What is refused or changed here is told with it.
        let address = caller.address.parse().ok();
        let caller = Identity::on_behalf(actor, caller.role, caller.scope, bound);
        let timeout = match call.timeout_ms {
            0 => CALL_DEADLINE,
            timeout_ms => Duration::from_millis(timeout_ms),
        };
        let (method, message, trace) = (call.method, call.message, call.traceparent);
        let carried = self.runtime.spawn(async move {
            let carried = on_behalf(routes, &method, caller, &message, timeout, &trace);
            called_from(address, carried).await
        });
        // Who asked and went away cancels what it asked for.
        AbortOnDropHandle::new(carried).await.map_err(|error| {
            Refusal::new(Code::Internal, "a call of another node broke off").cause(error)
        })?
    }

    async fn cluster_key(&self, from: &str, key_id: &str) -> Result<Vec<u8>> {
        let members = self.neighbours.inner.control.group()?.members();
        let votes = members.iter().any(|member| member.votes && member.name == from);
        if !votes {
            let message = format!("node {from} has no vote, so it gets no cluster key");
            return Err(Refusal::new(Code::PermissionDenied, message));
        }
        Ok(self.keys.reveal(key_id)?.to_vec())
    }

    async fn renew(&self, from: &str, request: peer::RenewRequest) -> Result<String> {
        let authority = self.authority.borrow().clone().ok_or_else(|| {
            Refusal::new(Code::NotReady, "this node can't sign").hint("ask a voter")
        })?;
        let seen = self.neighbours.inner.seen.load();
        let pinned = seen.named(from).map(|node| node.key_hash.clone()).unwrap_or_default();
        if csr_key_hash(&request.csr)? != pinned {
            let message = format!("node {from} asks with a key that is not the known one");
            return Err(Refusal::new(Code::CertificateInvalid, message));
        }
        Ok(authority.sign_node(&request.csr, from, &request.names)?.pem_chain)
    }

    fn check_member(&self, from: &str) -> Result<()> {
        let seen = self.neighbours.inner.seen.load();
        if seen.nodes.is_empty() || seen.named(from).is_some() {
            return Ok(());
        }
        // Who was removed takes part until the group has let it go: its vote may be needed for that.
        let group = self.neighbours.inner.control.group()?;
        if group.members().iter().any(|member| member.name == from) {
            return Ok(());
        }
        Err(Refusal::new(Code::NotAMember, format!("node {from} is no member of this cluster"))
            .hint("to join it needs an empty data folder and a new token"))
    }

    fn check_not_gone(&self, id: u64) -> Result<()> {
        let group = self.neighbours.inner.control.group()?;
        let of_state = |view: &crate::store::View<'_>| {
            let known = cluster::node(view, GroupId::CONTROL, id).is_some();
            known || cluster::next_id(view, GroupId::CONTROL).is_none_or(|next| id >= next)
        };
        // A state that is just being replaced says nothing.
        let is_known = group.read_now(of_state).unwrap_or(true);
        if is_known || group.members().iter().any(|member| member.id == id) {
            return Ok(());
        }
        Err(Refusal::new(Code::NotAMember, format!("node {id} is no member any more"))
            .cause("it was removed, or given up with its vote when the quorum was lost")
            .hint("to join it needs an empty data folder and a new token"))
    }
}
