//! The network face of a node: who calls, over which listener, and in which words.
//!
//! Keeps: the API listener (TLS 1.3; gRPC and HTTP/JSON together), the unix socket, the metrics
//! listener, the node's certificate and the cluster's CA.
//!
//! Invariants: without identity only health is answered ([`gate`]); whoever is past the front is
//! an [`Identity`], and what it may do is asked by the services ([`Identity::require`]); key
//! material leaves the node only sealed ([`seal`]); every connection, head, body and call has a
//! limit ([`Limits`], [`deadline`]).
//!
//! Never: decides what the law decides, writes state, speaks plaintext but on loopback and the
//! unix socket.

mod calls;
mod certificate;
mod file;
mod front;
mod health;
mod listener;
mod pages;
mod percent;
mod probe;
mod random;
mod renewal;
mod server;
mod standing;
mod text;

pub mod authority;
pub mod deadline;
pub mod gate;
pub mod identity;
pub mod metrics;
pub mod seal;
pub mod socket;
pub mod status;
pub mod tls;
pub mod token;
pub mod trace;
pub mod transcode;

#[cfg(test)]
mod tests;

pub use authority::Authority;
pub use certificate::{Certificates, Names, NodeCertificate};
pub use deadline::Deadline;
pub use gate::{Missing, Phase, State};
pub use identity::{Identity, Permission, Resource};
pub use listener::{Limits, Peer};
pub use pages::{Asked, Document, Pages};
pub use percent::decode;
pub use renewal::Renewal;
pub use seal::Keys;
pub use server::{DRAIN, Handle, Listeners, Server, Settings, endpoint};
pub use token::{NewToken, new_token};
pub use trace::TraceContext;

use keiko_proto::v1 as wire;
use std::sync::Arc;

/// True if a peer with this uid may use the socket. Asked at every call, so that a reload counts.
pub type Uids = Arc<dyn Fn(u32) -> bool + Send + Sync>;

/// Root, the daemon's own uid, and whoever `named` says.
pub fn uids(named: impl Fn(u32) -> bool + Send + Sync + 'static) -> Uids {
    let own = nix::unistd::Uid::effective().as_raw();
    Arc::new(move |uid| uid == 0 || uid == own || named(uid))
}

/// Where tokens are looked up.
#[tonic::async_trait]
pub trait Tokens: Send + Sync + 'static {
    /// The token with this public half, as the security room keeps it.
    async fn find(&self, id: &str) -> Option<wire::Token>;
}

#[cfg(test)]
mod fuzz;
