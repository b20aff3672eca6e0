//! Node to node: mutual TLS, in which both sides prove which node they are.
//!
//! ```text
//! accept.rs  who calls      dial.rs  whom this node calls      marks.rs  what every call says
//! ```
//!
//! Invariants: a certificate counts if it names a node, holds now, and is for the key that is pinned
//! for that node, or, where none is known, if the cluster's CA signed it; one that expired is good
//! for being renewed and for nothing else; a dialler refuses another node than the one it meant;
//! every call says which cluster and which node it means, so that a port that somebody else took
//! over is noticed.

mod accept;
mod dial;
mod marks;

pub use super::verify::{Pinned, Pins};
pub use accept::{Accepted, From, Incoming};
pub use dial::{Dialer, dial_api};
pub use marks::Marks;

use super::certificate::Certificates;
use super::spiffe::{self, Claim, Subject};
use super::tls::{self, KeyExchange};
use super::verify::{MemberClients, Members, Servers};
use keiko_core::refusal::{Code, Refusal, Result};
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::CertificateDer;
use std::fmt::Display;
use std::sync::Arc;

/// Both sides of the peers' TLS.
#[derive(Clone)]
pub struct PeerTls {
    preferring: Sides,
    hybrid_only: Sides,
    members: Members,
}

#[derive(Clone)]
struct Sides {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl PeerTls {
    /// Of this cluster; `certificates` is what this node shows, and whom it trusts.
    pub fn new(
        cluster_id: &str,
        certificates: &Arc<Certificates>,
        pins: Arc<dyn Pins>,
    ) -> Result<Self> {
        let certificates = Arc::clone(certificates);
        let members = Members { certificates, pins, cluster_id: cluster_id.into() };
        Ok(Self {
            preferring: Sides::of(&members, KeyExchange::Prefer)?,
            hybrid_only: Sides::of(&members, KeyExchange::RequireHybrid)?,
            members,
        })
    }

    /// As the next handshake needs them.
    fn sides(&self) -> &Sides {
        match self.members.certificates.key_exchange() {
            KeyExchange::Prefer => &self.preferring,
            KeyExchange::RequireHybrid => &self.hybrid_only,
        }
    }

    fn cluster_id(&self) -> &str {
        &self.members.cluster_id
    }
}

impl Sides {
    fn of(members: &Members, key_exchange: KeyExchange) -> Result<Self> {
        let unusable = |why: rustls::Error| {
            Refusal::new(Code::Internal, "TLS 1.3 is not available").cause(why)
        };
        let certificates = &members.certificates;
        let mut server = ServerConfig::builder_with_provider(key_exchange.provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_client_cert_verifier(Arc::new(MemberClients(members.clone())))
            .with_cert_resolver(certificates.clone());
        // It checks the node's name and key instead of a host's.
        let mut client = ClientConfig::builder_with_provider(key_exchange.provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Servers::Members(members.clone())))
            .with_client_cert_resolver(certificates.clone());
        for alpn in [&mut server.alpn_protocols, &mut client.alpn_protocols] {
            *alpn = vec![b"h2".to_vec()];
        }
        tls::prove_each_time(&mut server);
        Ok(Self { client: Arc::new(client), server: Arc::new(server) })
    }
}

/// What the certificate of a node of this cluster says, and the node's name.
fn node_of(chain: Option<&[CertificateDer<'_>]>, cluster_id: &str) -> Result<(String, Claim)> {
    let refused = |why: &dyn Display| {
        Refusal::new(Code::CertificateInvalid, "a certificate is of no node of this cluster")
            .cause(why)
    };
    let leaf = chain.and_then(<[_]>::first).ok_or_else(|| refused(&"none was shown"))?;
    let claim = Claim::of(leaf).map_err(|refusal| refused(&refusal.causes.join(", ")))?;
    match &claim.subject {
        Subject::Node(name) if claim.cluster_id == cluster_id => Ok((name.clone(), claim)),
        subject => {
            let id = spiffe::id(&claim.cluster_id, subject);
            Err(refused(&format_args!("its SPIFFE id is {id}")))
        }
    }
}
