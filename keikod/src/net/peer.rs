//! Node to node: mutual TLS, in which both sides prove which node they are.
//!
//! ```text
//! accept.rs  who calls      dial.rs  whom this node calls      marks.rs  what every call says
//! ```
//!
//! Invariants: a certificate counts if the cluster's CA signed it, it holds now, and it names a
//! node; one that expired is good for being renewed and for nothing else; a dialler refuses another
//! node than the one it meant; every call says which cluster and which node it means, so that a
//! port that somebody else took over is noticed.

mod accept;
mod dial;
mod marks;

pub use accept::{Accepted, From, Incoming};
pub use dial::{Dialer, dial_api};
pub use marks::Marks;

use super::certificate::Certificates;
use super::spiffe::{self, Claim, Subject};
use super::tls;
use super::verify::{Clients, Servers};
use keiko_core::refusal::{Code, Refusal, Result};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use std::fmt::Display;
use std::sync::Arc;

/// Both sides of the peers' TLS.
#[derive(Clone)]
pub struct PeerTls {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    cluster_id: Arc<str>,
}

impl PeerTls {
    /// Of the cluster whose CA this is; `certificates` is what this node shows.
    pub fn new(ca_pem: &str, cluster_id: &str, certificates: &Arc<Certificates>) -> Result<Self> {
        let unusable = |why: &dyn Display| {
            Refusal::new(Code::KeyMaterial, "the cluster's CA can't be used").cause(why)
        };
        let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes());
        let ca = ca.map_err(|error| unusable(&error))?.into_owned();
        let mut roots = RootCertStore::empty();
        roots.add(ca).map_err(|error| unusable(&error))?;
        let roots = Arc::new(roots);
        let versions = |error: rustls::Error| unusable(&error);
        let mut server = ServerConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(versions)?
            .with_client_cert_verifier(Clients::of(Arc::clone(&roots), false)?)
            .with_cert_resolver(certificates.clone());
        // It checks the node's name instead of a host's.
        let mut client = ClientConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Servers::Of(roots)))
            .with_client_cert_resolver(certificates.clone());
        for alpn in [&mut server.alpn_protocols, &mut client.alpn_protocols] {
            *alpn = vec![b"h2".to_vec()];
        }
        tls::prove_each_time(&mut server);
        let (client, server) = (Arc::new(client), Arc::new(server));
        Ok(Self { client, server, cluster_id: cluster_id.into() })
    }
}

/// The node of this cluster that a chain names, and when its certificate ends.
fn node_of(chain: Option<&[CertificateDer<'_>]>, cluster_id: &str) -> Result<(String, u64)> {
    let refused = |why: &dyn Display| {
        Refusal::new(Code::CertificateInvalid, "a certificate is of no node of this cluster")
            .cause(why)
    };
    let leaf = chain.and_then(<[_]>::first).ok_or_else(|| refused(&"none was shown"))?;
    let claim = Claim::of(leaf).map_err(|refusal| refused(&refusal.causes.join(", ")))?;
    match claim.subject {
        Subject::Node(name) if claim.cluster_id == cluster_id => Ok((name, claim.expires_ms)),
        subject => {
            let id = spiffe::id(&claim.cluster_id, &subject);
            Err(refused(&format_args!("its SPIFFE id is {id}")))
        }
    }
}
