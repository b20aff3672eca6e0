//! The other nodes, as this one knows them at this moment: who is heard, whose clock is where, whose
//! state agrees.
//!
//! ```text
//! beats.rs      says to each what this node is         watch.rs   looks at what was heard
//! members.rs    the leader's steps: who votes           host.rs    what peers ask of the rooms
//! authority.rs  the leader's steps: who signs
//! ```
//!
//! Invariants: nothing here is kept; only transitions are proposed, and by the leader alone. A node
//! that hears nobody thinks badly of itself, not of the others.

use super::super::Control;
use super::super::peers::{PeerCallError, Peers};
use crate::consensus::peer::Link;
use crate::net::peer::{Pinned, Pins};
use crate::net::{Certificates, Identity, RenewBy, caller_address};
use crate::rooms::registry::Feed;
use arc_swap::ArcSwap;
use keiko_core::cluster;
use keiko_core::id::GroupId;
use keiko_core::peers::{Agreement, BEAT_MS, Detector, Offsets};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::{peer, v1 as wire};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Batches of agents' heartbeats that wait for one peer: ten seconds' worth.
const BATCHES_MAX: usize = 40;

/// What one voter may take to sign.
const RENEW_DEADLINE: Duration = Duration::from_secs(5);

/// Who was heard within this is heard now: four beats.
const HEARD_NOW: Duration = Duration::from_millis(4 * BEAT_MS);

/// What this node says of itself in every beat.
pub struct About {
    /// Its name.
    pub name: String,
    /// This release.
    pub version: String,
    /// host:port of its port for peers.
    pub peer_address: String,
    /// What it shows, and when that ends.
    pub certificates: Arc<Certificates>,
    /// BLAKE3 of the CAs that it can sign with, hex; none: it holds no cluster key.
    pub signs_with: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// BLAKE3 of what its configuration said at the start, hex.
    pub settings_hash: String,
}

/// The other nodes; a cheap clone.
#[derive(Clone)]
pub struct Neighbours {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) control: Control,
    pub(super) about: About,
    pub(super) started: Instant,
    pub(super) incarnation: u64,
    state: Mutex<State>,
    /// Who is where, looked at without a lock.
    pub(super) seen: ArcSwap<Seen>,
    pub(super) feed: OnceLock<Feed>,
    /// Why this node must end, once it must.
    pub(super) fatal: watch::Sender<Option<Refusal>>,
    /// Conditions that need an operator.
    alarms: Mutex<BTreeMap<&'static str, String>>,
}

/// What the last look gave.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Every member, by id.
    pub(super) nodes: BTreeMap<u64, wire::Node>,
    /// Who is down, as this node hears it.
    pub(super) down: BTreeSet<u64>,
    pub(super) isolated: bool,
}

/// What was heard.
pub(super) struct State {
    /// Whose clock the offsets are from; zero before this node has an id.
    pub(super) own: u64,
    pub(super) detector: Detector,
    pub(super) offsets: Offsets,
    pub(super) agreement: Agreement,
    pub(super) peers: BTreeMap<u64, Heard>,
}

/// What one node said last.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) at: Option<Instant>,
    pub(super) beat: peer::PeerBeat,
    pub(super) round_trip_us: u64,
    /// Since when it refuses this node as no member.
    pub(super) refused_at: Option<Instant>,
    /// Heartbeats of agents on their way to it.
    pub(super) batches: VecDeque<Arc<Vec<peer::AgentBeat>>>,
}

impl State {
    /// True if a node is heard now.
    pub(super) fn hears(&self, id: u64) -> bool {
        let heard = self.peers.get(&id).and_then(|heard| heard.at);
        heard.is_some_and(|at| at.elapsed() < HEARD_NOW)
    }

    /// Whom this node hears now, but for one.
    pub(super) fn heard_but(&self, but: u64, seen: &Seen) -> Vec<peer::HeardNode> {
        let heard = self.peers.iter().filter(|(id, _)| **id != but && self.hears(**id));
        let heard = heard.filter_map(|(id, heard)| {
            let (name, address) = (&seen.nodes.get(id)?.name, &heard.beat.peer_address);
            Some(peer::HeardNode { name: name.clone(), peer_address: address.clone() })
        });
        heard.collect()
    }
}

impl Neighbours {
    /// Nobody is known yet.
    pub fn new(control: Control, about: About) -> Self {
        let incarnation = super::super::clock::unix_ms();
        let state = State {
            own: 0,
            detector: Detector::default(),
            offsets: Offsets::new(0),
            agreement: Agreement::default(),
            peers: BTreeMap::new(),
        };
        let inner = Inner {
            control,
            about,
            started: Instant::now(),
            incarnation,
            state: Mutex::new(state),
            seen: ArcSwap::default(),
            feed: OnceLock::new(),
            fatal: watch::Sender::new(None),
            alarms: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Where agents' heartbeats go that other nodes received.
    pub fn feed(&self, feed: Feed) {
        let _once = self.inner.feed.set(feed);
    }

    /// Why this node must end, once it must.
    pub fn fatal(&self) -> watch::Receiver<Option<Refusal>> {
        self.inner.fatal.subscribe()
    }

    /// Conditions that need an operator, in words.
    pub fn alarms(&self) -> Vec<String> {
        self.inner.alarms().values().cloned().collect()
    }

    /// The way to a member.
    pub(super) fn link(&self, node: &wire::Node) -> Result<Arc<Link>> {
        let links = self.inner.control.consensus().links();
        links.to(node.id, &node.name, &node.peer_address)
    }

    /// The cluster key, from another voter.
    pub(super) async fn cluster_key(
        &self,
        voter: &crate::consensus::MemberView,
        key_id: &str,
        deadline: Duration,
    ) -> Result<Vec<u8>> {
        let links = self.inner.control.consensus().links();
        let link = links.to(voter.id, &voter.name, &voter.address)?;
        link.cluster_key(key_id, deadline).await
    }

    /// Every member as the local state has it.
    pub(super) fn read_nodes(&self) -> Result<Vec<wire::Node>> {
        let nodes = |view: &crate::store::View<'_>| cluster::nodes(view, GroupId::CONTROL);
        self.inner.control.group()?.read_now(nodes)
    }
}

impl Inner {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alarms(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Raises an alarm, or ends it.
    pub(super) fn alarm(&self, what: &'static str, words: Option<String>) {
        let mut alarms = self.alarms();
        match words {
            Some(words) => {
                if alarms.insert(what, words.clone()).as_ref() != Some(&words) {
                    tracing::warn!(alarm = what, "{words}");
                }
            }
            None => drop(alarms.remove(what)),
        }
    }

    /// This node's monotonic clock.
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn own_id(&self) -> u64 {
        self.control.consensus().node_id()
    }
}

impl Seen {
    pub(super) fn named(&self, name: &str) -> Option<&wire::Node> {
        self.nodes.values().find(|node| node.name == name)
    }
}

impl Heard {
    /// Queues what agents said for this peer; the oldest goes first where it does not listen.
    pub(super) fn queue(&mut self, batch: &Arc<Vec<peer::AgentBeat>>) {
        if self.batches.len() == BATCHES_MAX {
            self.batches.pop_front();
        }
        self.batches.push_back(Arc::clone(batch));
    }
}

impl fmt::Debug for Neighbours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Neighbours").field("name", &self.inner.about.name).finish_non_exhaustive()
    }
}

impl Pins for Neighbours {
    fn pin(&self, name: &str) -> Pinned {
        let seen = self.inner.seen.load();
        // Before the first look, what the state has.
        let read = || self.read_nodes().unwrap_or_default();
        let before = if seen.nodes.is_empty() { read() } else { Vec::new() };
        let mut nodes = seen.nodes.values().chain(&before).peekable();
        if nodes.peek().is_none() {
            return Pinned::Unknown;
        }
        match nodes.find(|node| node.name == name) {
            Some(node) if node.key_hash.is_empty() => Pinned::Unknown,
            Some(node) => Pinned::Key(node.key_hash.clone()),
            // Who was removed takes part until the group has let it go.
            None => {
                let members = self.inner.control.group().map(|group| group.members());
                let stays = members.unwrap_or_default().iter().any(|member| member.name == name);
                if stays { Pinned::Unknown } else { Pinned::Gone }
            }
        }
    }
}

#[tonic::async_trait]
impl RenewBy for Neighbours {
    async fn renew(&self, csr: Vec<u8>, names: Vec<String>) -> Result<String> {
        let request = peer::RenewRequest { csr: csr.into(), names };
        let own = self.inner.own_id();
        let members = self.inner.control.group()?.members();
        let links = self.inner.control.consensus().links();
        let none = || Refusal::new(Code::PeerUnreachable, "no voter is known that could sign");
        let mut last = Err(none());
        for voter in members.iter().filter(|member| member.votes && member.id != own) {
            let link = links.to(voter.id, &voter.name, &voter.address)?;
            last = link.renew(request.clone(), RENEW_DEADLINE).await;
            if last.is_ok() {
                break;
            }
        }
        last
    }
}

#[tonic::async_trait]
impl Peers for Neighbours {
    fn is_down(&self, node: &str) -> bool {
        if node == self.inner.about.name {
            return false;
        }
        let seen = self.inner.seen.load();
        match seen.named(node) {
            Some(node) => node.down_since_ms != 0 || seen.down.contains(&node.id),
            // Before the first look nobody is known.
            None => !seen.nodes.is_empty(),
        }
    }

    fn is_isolated(&self) -> bool {
        self.inner.seen.load().isolated
    }

    async fn call(
        &self,
        node: &str,
        method: &'static str,
        caller: &Identity,
        message: Vec<u8>,
        timeout: Duration,
        trace: Option<&str>,
    ) -> std::result::Result<Vec<u8>, PeerCallError> {
        let known = self.inner.seen.load().named(node).cloned();
        let known = known.ok_or_else(|| {
            let message = format!("node {node} is no member");
            PeerCallError::unsent(Refusal::new(Code::PeerUnreachable, message))
        })?;
        let link = self.link(&known).map_err(PeerCallError::unsent)?;
        let (actor, role, scope) = caller.vouch();
        let address = caller_address().map(|address| address.to_string()).unwrap_or_default();
        let caller = Some(peer::Caller { actor: Some(actor), role, scope, address });
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let call = peer::PeerCall {
            method: method.to_owned(),
            caller,
            message: message.into(),
            timeout_ms,
            traceparent: trace.unwrap_or_default().to_owned(),
        };
        match link.call(call, timeout).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(refusal)) => Err(PeerCallError::answered(refusal)),
            Err(failed) if failed.surely_not_run => Err(PeerCallError::unsent(failed.refusal)),
            Err(failed) => Err(PeerCallError::unanswered(&failed.refusal)),
        }
    }
}

impl Neighbours {
    /// A call at another node, in its own words.
    pub(super) async fn ask<Q: prost::Message, R: prost::Message + Default>(
        &self,
        node: &str,
        method: &'static str,
        caller: &Identity,
        request: &Q,
        timeout: Duration,
    ) -> Result<R> {
        let message = request.encode_to_vec();
        let answer = self.call(node, method, caller, message, timeout, None).await;
        let answer = answer.map_err(|error| error.refusal)?;
        R::decode(&answer[..]).map_err(|error| {
            Refusal::new(Code::Internal, format!("the answer of node {node} can't be read"))
                .cause(error)
        })
    }
}
