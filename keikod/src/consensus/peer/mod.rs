//! The other nodes: one connection to each, which all groups share.
//!
//! ```text
//! client.rs    what openraft asks of another node      server.rs   what another node asks of us
//! forward.rs   entries for the leader                  rounds.rs   reads that wait for it
//! snapshot.rs  a group's state on its way              convert.rs  openraft's words on the wire
//! ```
//!
//! Invariants: every call has a deadline; a connection is of the node that it was made for, in
//! this cluster; an address that a node tells of itself wins over the one that was stored.
//!
//! Never: decides who is a member.

mod client;
mod convert;
mod forward;
mod rounds;
mod server;
mod snapshot;

pub mod faults;

pub(super) use client::Network;
pub(super) use server::Server;

use super::types::Member;
use crate::net::peer::{Dialer, Marks};
use forward::Forward;
use hyper_util::rt::TokioIo;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::peer::peer_client::PeerClient;
use keiko_proto::{peer as words, v1};
use rounds::Rounds;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// A batch of entries has 1 MiB, but for one that holds a single larger entry; 64 MiB is what a
/// part of a snapshot could take at most.
pub(super) const MESSAGE_BYTES_MAX: usize = 64 << 20;
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// A connection is tried for so long; a node that does not answer by then is counted as away.
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);
/// A peer that answers no ping for that long is away: longer than a slow sync holds up its thread.
const PING_EVERY: Duration = Duration::from_millis(500);
const PING_TIMEOUT: Duration = Duration::from_millis(1500);

pub(super) type Client = PeerClient<InterceptedService<Channel, Marks>>;

/// What the rooms do for peers; consensus carries it only.
#[tonic::async_trait]
pub trait Host: Send + Sync + 'static {
    /// A sign of life of the node with this name; refused if it is no member.
    fn beat(&self, from: &str, beat: words::PeerBeat) -> Result<()>;
    /// Carries a call of the API out.
    async fn call(&self, from: &str, call: words::PeerCall) -> Result<Vec<u8>>;
    /// The cluster key, if that node may have it.
    async fn cluster_key(&self, from: &str, key_id: &str) -> Result<Vec<u8>>;
    /// A fresh certificate for that node, PEM.
    async fn renew(&self, from: &str, request: words::RenewRequest) -> Result<String>;
    /// Refuses a node that is no member.
    fn check_member(&self, from: &str) -> Result<()>;
}

/// Who this node is to its peers.
pub struct Introduction {
    /// UUID, text.
    pub cluster_id: String,
    /// This node's name.
    pub name: String,
    /// This node's id.
    pub id: u64,
    /// How peers are reached.
    pub dialer: Dialer,
}

/// Every way out; a cheap clone.
#[derive(Clone)]
pub struct Links {
    inner: Arc<Inner>,
}

struct Inner {
    handle: Handle,
    own: OnceLock<Introduction>,
    links: Mutex<BTreeMap<u64, Arc<Link>>>,
}

/// The way to one node.
pub struct Link {
    id: u64,
    place: RwLock<Place>,
    client: Client,
    own_name: String,
    pub(super) forward: OnceLock<Forward>,
    pub(super) quorum_reads: Rounds,
    pub(super) lease_reads: Rounds,
}

#[derive(Clone, Debug, Default)]
struct Place {
    name: String,
    /// As the group's members have it.
    stored: String,
    /// As the node itself said.
    told: Option<String>,
}

impl Links {
    pub(super) fn new(handle: Handle) -> Self {
        let inner = Inner { handle, own: OnceLock::new(), links: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// From now on peers can be reached.
    pub(super) fn introduce(&self, own: Introduction) {
        let _once = self.inner.own.set(own);
    }

    /// True once peers can be reached.
    pub fn is_introduced(&self) -> bool {
        self.inner.own.get().is_some()
    }

    /// The way to a node; refused before this node knows who it is.
    pub fn to(&self, id: u64, name: &str, address: &str) -> Result<Arc<Link>> {
        let Some(own) = self.inner.own.get() else {
            return Err(Refusal::new(Code::NotReady, "this node has no way to others yet"));
        };
        let mut links = self.inner.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.get(&id) {
            link.moved(name, address);
            return Ok(Arc::clone(link));
        }
        let place = Place { name: name.to_owned(), stored: address.to_owned(), told: None };
        let link = Link::new(id, place, own, &self.inner.handle)?;
        links.insert(id, Arc::clone(&link));
        Ok(link)
    }

    fn member(&self, id: u64, member: &Member) -> Result<Arc<Link>> {
        self.to(id, &member.name, &member.addr)
    }

    /// Where a node says that it is.
    pub fn told(&self, name: &str, address: &str) {
        let links = self.inner.links.lock().unwrap_or_else(PoisonError::into_inner);
        for link in links.values() {
            let mut place = link.place.write().unwrap_or_else(PoisonError::into_inner);
            if place.name == name && !address.is_empty() && place.address() != address {
                tracing::info!(node = name, address, "a node moved");
                place.told = Some(address.to_owned());
            }
        }
    }
}

impl Place {
    fn address(&self) -> &str {
        self.told.as_deref().unwrap_or(&self.stored)
    }
}

impl Link {
    fn new(id: u64, place: Place, own: &Introduction, handle: &Handle) -> Result<Arc<Self>> {
        let dialer = own.dialer.clone();
        let marks = Marks::new(&own.cluster_id, own.id, id)?;
        let _context = handle.enter();
        let own_name = own.name.clone();
        Ok(Arc::new_cyclic(|link: &std::sync::Weak<Self>| {
            let link = link.clone();
            let connector = service_fn(move |_| {
                let (link, dialer) = (link.clone(), dialer.clone());
                async move {
                    let place = link.upgrade().map(|link| link.place());
                    let place = place.unwrap_or_default();
                    let dialed = dialer.dial(place.address(), &place.name);
                    match tokio::time::timeout(CONNECT_DEADLINE, dialed).await {
                        Ok(dialed) => dialed.map(TokioIo::new),
                        Err(_) => Err(late(&place)),
                    }
                }
            });
            let channel = Endpoint::from_static("http://peer")
                .initial_stream_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .http2_keep_alive_interval(PING_EVERY)
                .keep_alive_timeout(PING_TIMEOUT)
                .keep_alive_while_idle(true)
                .connect_with_connector_lazy(connector);
            let client = PeerClient::with_interceptor(channel, marks)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX);
            Self {
                id,
                place: RwLock::new(place),
                client,
                own_name,
                forward: OnceLock::new(),
                quorum_reads: Rounds::default(),
                lease_reads: Rounds::default(),
            }
        }))
    }

    fn place(&self) -> Place {
        self.place.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the group says now. Where that is news, it wins over what the node said before.
    fn moved(&self, name: &str, address: &str) {
        let mut place = self.place.write().unwrap_or_else(PoisonError::into_inner);
        if place.name != name {
            name.clone_into(&mut place.name);
        }
        if place.stored != address && !address.is_empty() {
            address.clone_into(&mut place.stored);
            place.told = None;
        }
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.place().name
    }

    /// Where it is called.
    pub fn address(&self) -> String {
        self.place().address().to_owned()
    }

    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// True while tests cut what this node says to the peer.
    pub(super) fn is_cut_out(&self) -> bool {
        faults::is_cut(&self.own_name, &self.name())
    }

    /// True while tests cut what the peer says to this node.
    pub(super) fn is_cut_in(&self) -> bool {
        faults::is_cut(&self.name(), &self.own_name)
    }

    /// Runs a call to its deadline.
    pub(super) async fn ask<R, F>(
        &self,
        deadline: Duration,
        call: impl FnOnce(Client) -> F,
    ) -> std::result::Result<R, Failed>
    where
        F: Future<Output = std::result::Result<tonic::Response<R>, tonic::Status>>,
    {
        if self.is_cut_out() {
            return Err(Failed { refusal: self.away(&"cut by a test"), surely_not_run: true });
        }
        let asked = tokio::time::timeout(deadline, call(self.client())).await;
        let unsure = |refusal| Failed { refusal, surely_not_run: false };
        if self.is_cut_in() {
            return Err(unsure(self.away(&"cut by a test")));
        }
        match asked {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(self.failed(&status)),
            Err(_) => Err(unsure(self.away(&format_args!("no answer in {deadline:?}")))),
        }
    }

    /// What a status of this peer means.
    pub(super) fn refusal(&self, status: &tonic::Status) -> Refusal {
        self.failed(status).refusal
    }

    fn failed(&self, status: &tonic::Status) -> Failed {
        if !status.details().is_empty() {
            // The peer's own word.
            let refusal = crate::net::status::to_refusal(status);
            return Failed { refusal, surely_not_run: false };
        }
        let mut next = std::error::Error::source(status);
        let mut why = status.message().to_owned();
        while let Some(inner) = next {
            // What was wrong when it was dialled: nothing was sent.
            if let Some(refusal) = inner.downcast_ref::<Refusal>() {
                return Failed { refusal: refusal.clone(), surely_not_run: true };
            }
            why = inner.to_string();
            next = inner.source();
        }
        Failed { refusal: self.away(&why), surely_not_run: false }
    }

    fn away(&self, why: &dyn std::fmt::Display) -> Refusal {
        let place = self.place();
        let (name, address) = (&place.name, place.address());
        Refusal::new(Code::PeerUnreachable, format!("node {name} at {address} does not answer"))
            .cause(why)
            .hint("see whether it runs: keikoctl node list")
    }

    /// A call of the API at that node. A refusal inside an answer is that node's word.
    pub async fn call(
        &self,
        call: words::PeerCall,
        deadline: Duration,
    ) -> std::result::Result<Result<Vec<u8>>, Failed> {
        let answer =
            self.ask(deadline, |mut client| async move { client.call(call).await }).await?;
        Ok(match answer.result {
            Some(words::peer_call_answer::Result::Message(message)) => Ok(message.to_vec()),
            Some(words::peer_call_answer::Result::Refusal(refusal)) => {
                Err(Refusal::from_wire(refusal))
            }
            None => Err(convert::malformed("an answer is empty")),
        })
    }

    /// The cluster key with this id.
    pub async fn cluster_key(&self, key_id: &str, deadline: Duration) -> Result<Vec<u8>> {
        let request = words::ClusterKeyRequest { key_id: key_id.to_owned() };
        let asked =
            self.ask(deadline, |mut client| async move { client.cluster_key(request).await });
        Ok(asked.await?.key.to_vec())
    }

    /// A fresh certificate for this node, PEM.
    pub async fn renew(&self, request: words::RenewRequest, deadline: Duration) -> Result<String> {
        let asked = self.ask(deadline, |mut client| async move { client.renew(request).await });
        Ok(asked.await?.certificate)
    }

    /// Opens the stream of signs of life.
    pub async fn beats(
        &self,
        beats: tokio::sync::mpsc::Receiver<words::PeerBeat>,
        deadline: Duration,
    ) -> Result<tonic::Streaming<words::PeerBeatAnswer>> {
        let beats = tokio_stream::wrappers::ReceiverStream::new(beats);
        Ok(self.ask(deadline, |mut client| async move { client.beat(beats).await }).await?)
    }

    /// True while nothing is to be heard from the peer, as a test says.
    pub fn is_cut(&self) -> bool {
        self.is_cut_out() || self.is_cut_in()
    }

    /// Its id.
    pub fn id(&self) -> u64 {
        self.id
    }
}

/// Why a call gave no answer.
pub struct Failed {
    /// In words.
    pub refusal: Refusal,
    /// True if the peer can't have begun.
    pub surely_not_run: bool,
}

impl From<Failed> for Refusal {
    fn from(failed: Failed) -> Self {
        failed.refusal
    }
}

fn late(place: &Place) -> Refusal {
    Refusal::new(Code::PeerUnreachable, format!("no connection to node {}", place.name))
        .cause(format!("{} did not answer in {} ms", place.address(), CONNECT_DEADLINE.as_millis()))
}

/// The group's number on the wire.
fn number(group: GroupId) -> u32 {
    u32::from(group.0)
}

/// As every refusal that travels inside an answer.
fn to_wire(refusal: &Refusal) -> v1::Refusal {
    refusal.to_wire()
}
