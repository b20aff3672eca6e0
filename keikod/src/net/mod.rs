//! The network face of a node: who calls, over which listener, and in which words.
//!
//! Keeps: the API listener (TLS 1.3; gRPC and HTTP/JSON together), the unix socket, the metrics
//! listener, the node's key and certificate, the cluster's CA, and what was refused lately.
//!
//! Invariants: without identity only health is answered ([`gate`]); whoever is past the front is
//! an [`Identity`], and what it may do is asked by the services ([`Identity::require`]); key
//! material leaves the node only sealed ([`seal`]); every connection, head, body and call has a
//! limit ([`Limits`], [`deadline`]).
//!
//! Never: decides what the law decides, writes state, speaks plaintext but on loopback and the
//! unix socket.

mod admission;
mod bundle;
mod calls;
mod certificate;
mod csr;
mod file;
mod front;
mod health;
mod listener;
mod node_key;
mod pages;
mod percent;
mod permission;
mod person;
mod probe;
mod random;
mod refusals;
mod renewal;
mod server;
mod spiffe;
mod standing;
mod text;
mod uses;
mod verify;

pub mod authority;
pub mod deadline;
pub mod fence;
pub mod gate;
pub mod identity;
pub mod metrics;
pub mod peer;
pub mod seal;
pub mod socket;
pub mod status;
pub mod tls;
pub mod token;
pub mod trace;
pub mod transcode;

#[cfg(test)]
mod tests;

pub use authority::{Authority, SignedCertificate};
pub use bundle::{
    Bundle, expires_ms_of_pem as ca_expires_ms_of_pem, hash_of_pem as ca_hash_of_pem,
    hashes_of_pem as ca_hashes_of_pem,
};
pub use certificate::{Certificates, NAMES_GIVEN_MAX, Names, NodeCertificate, machine_addresses};
pub use csr::Requested;
pub use deadline::Deadline;
pub use gate::{Missing, Phase, State};
pub use identity::{Bound, Identity, Permission, Resource, Role};
pub use listener::{Limits, Peer};
pub use node_key::NodeKey;
pub use pages::{Asked, Document, Pages};
pub use percent::decode;
pub use refusals::{Refusals, called_from, caller_address};
pub use renewal::{RenewBy, Renewal, Signer};
pub use seal::Keys;
pub use server::{DRAIN, Handle, Listeners, Server, Settings, endpoint};
pub use spiffe::{Claim, Subject};
pub use tls::KeyExchange;
pub use token::{NewToken, new_token};
pub use trace::TraceContext;
pub use uses::UsedGrants;

use keiko_proto::v1 as wire;
use std::sync::Arc;

/// BLAKE3, hex, of the key that a request for a certificate is of; refused if it is not signed with
/// it.
pub fn csr_key_hash(request: &[u8]) -> keiko_core::refusal::Result<String> {
    csr::Requested::parse(request).map(|requested| requested.key_hash)
}

/// Writes what everybody may read, on disk when this returns.
pub fn write_public(path: &std::path::Path, bytes: &[u8]) -> keiko_core::refusal::Result<()> {
    file::write(path, bytes, 0o644)
}

/// True if a peer with this uid may use the socket. Asked at every call, so that a reload counts.
pub type Uids = Arc<dyn Fn(u32) -> bool + Send + Sync>;

/// Root, the daemon's own uid, and whoever `named` says.
pub fn uids(named: impl Fn(u32) -> bool + Send + Sync + 'static) -> Uids {
    let own = nix::unistd::Uid::effective().as_raw();
    Arc::new(move |uid| uid == 0 || uid == own || named(uid))
}

/// Where tokens and people are looked up.
#[tonic::async_trait]
pub trait Tokens: Send + Sync + 'static {
    /// The token with this public half, as the security room keeps it, and what bindings add.
    async fn find(&self, id: &str) -> Option<(wire::Token, Bound)>;

    /// Whom certificates call by this name, as the security room knows them, and what bindings add;
    /// the hash of the key that is shown says whether this node may lag.
    async fn person(&self, name: &str, key_hash: &str) -> Option<(wire::PersonEntry, Bound)>;

    /// True if the CA with this hash was the cluster's, and counts no more.
    async fn is_former(&self, ca_hash: &str) -> bool;
}

#[cfg(test)]
mod fuzz;
