//! The way to one node: a connection that is made when it is needed, and what is asked over it.
//!
//! Invariants: every call has a deadline; who asked hears whether the peer can have begun.

use super::forward::Forward;
use super::rounds::Rounds;
use super::{CONNECTION_WINDOW_BYTES, Introduction, MESSAGE_BYTES_MAX, STREAM_WINDOW_BYTES};
use super::{convert, faults};
use crate::net::peer::Marks;
use hyper_util::rt::TokioIo;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::peer as words;
use keiko_proto::peer::peer_client::PeerClient;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// A connection is tried for so long; a node that does not answer by then is counted as away.
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);
/// A peer that answers no ping for that long is away: longer than a slow sync holds up its thread.
const PING_EVERY: Duration = Duration::from_millis(500);
const PING_TIMEOUT: Duration = Duration::from_millis(1500);

pub(super) type Client = PeerClient<InterceptedService<Channel, Marks>>;

/// The way to one node.
pub struct Link {
    place: RwLock<Place>,
    client: Client,
    own_name: String,
    pub(super) forward: OnceLock<Forward>,
    pub(super) reads: Rounds,
}

#[derive(Clone, Debug, Default)]
struct Place {
    name: String,
    /// As the cluster's state has it.
    stored: String,
    /// As the node itself said.
    told: Option<String>,
}

impl Place {
    fn address(&self) -> &str {
        self.told.as_deref().unwrap_or(&self.stored)
    }
}

impl Link {
    pub(super) fn new(
        id: u64,
        name: &str,
        address: &str,
        own: &Introduction,
        handle: &Handle,
    ) -> Result<Arc<Self>> {
        let place = Place { name: name.to_owned(), stored: address.to_owned(), told: None };
        let dialer = own.dialer.clone();
        let marks = Marks::new(&own.cluster_id, own.id, id)?;
        let _context = handle.enter();
        let own_name = own.name.clone();
        Ok(Arc::new_cyclic(|link: &Weak<Self>| {
            let link = link.clone();
            let connector = service_fn(move |_| {
                let (link, dialer) = (link.clone(), dialer.clone());
                async move {
                    let place = link.upgrade().map(|link| link.place().clone());
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
                place: RwLock::new(place),
                client,
                own_name,
                forward: OnceLock::new(),
                reads: Rounds::default(),
            }
        }))
    }

    fn place(&self) -> RwLockReadGuard<'_, Place> {
        self.place.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn place_mut(&self) -> RwLockWriteGuard<'_, Place> {
        self.place.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the cluster's state says now. Where that is news, it wins over what the node said.
    pub(super) fn moved(&self, name: &str, address: &str) {
        let (renamed, moved) = {
            let place = self.place();
            (place.name != name, place.stored != address && !address.is_empty())
        };
        if renamed {
            name.clone_into(&mut self.place_mut().name);
        }
        if moved {
            let mut place = self.place_mut();
            address.clone_into(&mut place.stored);
            place.told = None;
        }
    }

    /// What the node of this name says of itself.
    pub(super) fn told(&self, name: &str, address: &str) {
        let moved = {
            let place = self.place();
            place.name == name && !address.is_empty() && place.address() != address
        };
        if moved {
            tracing::info!(node = name, address, "a node moved");
            self.place_mut().told = Some(address.to_owned());
        }
    }

    pub(super) fn name(&self) -> String {
        self.place().name.clone()
    }

    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// True while tests cut what this node says to the peer.
    pub(super) fn is_cut_out(&self) -> bool {
        faults::is_cut(|cut| cut(&self.own_name, &self.place().name))
    }

    /// True while tests cut what the peer says to this node.
    pub(super) fn is_cut_in(&self) -> bool {
        faults::is_cut(|cut| cut(&self.place().name, &self.own_name))
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
            return Failed { refusal: self.between_nodes(refusal), surely_not_run: false };
        }
        let mut next = std::error::Error::source(status);
        let mut why = status.message().to_owned();
        while let Some(inner) = next {
            // What was wrong when it was dialled: nothing was sent.
            if let Some(refusal) = inner.downcast_ref::<Refusal>() {
                let refusal = self.between_nodes(refusal.clone());
                return Failed { refusal, surely_not_run: true };
            }
            why = inner.to_string();
            next = inner.source();
        }
        Failed { refusal: self.away(&why), surely_not_run: false }
    }

    /// A certificate of one of the two nodes is no fault of who asked this one, and is renewed.
    fn between_nodes(&self, refusal: Refusal) -> Refusal {
        if refusal.code != Code::CertificateInvalid {
            return refusal;
        }
        let message = format!("node {} and this one do not take each other's word", self.name());
        Refusal::new(Code::PeerUnreachable, message)
            .cause(refusal)
            .hint("see when certificates end: keikoctl node list -o wide")
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
            Some(words::peer_call_answer::Result::Message(message)) => Ok(message.into()),
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
