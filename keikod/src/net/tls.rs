//! TLS of the API: 1.3 only, post-quantum key exchange first, and a client certificate of the
//! cluster's CA from whoever has one.
//!
//! A certificate of another CA ends the handshake: nobody who shows a wrong one goes on as nobody.
//! Who shows one that expired is told so by the answer to what they ask.

use super::certificate::Certificates;
use super::verify::Clients;
use arc_swap::ArcSwap;
use keiko_core::refusal::{Code, Refusal, Result};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{RootCertStore, ServerConfig};
use std::sync::{Arc, LazyLock};

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// The one provider of cryptography; X25519MLKEM768 is its first key exchange.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

/// Makes it the process default too, for the clients of libraries. Safe to call again.
pub fn install() {
    // An error says that one is installed already: it can only be this one.
    let _ = PROVIDER.as_ref().clone().install_default();
}

/// The server's side of the API, made anew whenever the CA is another.
pub(super) struct ApiTls {
    certificates: Arc<Certificates>,
    made: ArcSwap<Made>,
}

struct Made {
    /// Of the CA whose client certificates count; none before there is a cluster.
    ca_hash: Option<String>,
    config: Arc<ServerConfig>,
}

impl ApiTls {
    /// For what is shown now, and whatever is shown later.
    pub(super) fn new(certificates: Arc<Certificates>) -> Result<Self> {
        let made = make(&certificates)?;
        Ok(Self { certificates, made: ArcSwap::from_pointee(made) })
    }

    /// As the next handshake needs it. What is open stays as it is.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        let made = self.made.load();
        let trust = self.certificates.trust();
        if made.ca_hash.as_deref() == trust.as_ref().map(|trust| trust.hash.as_str()) {
            return Arc::clone(&made.config);
        }
        match make(&self.certificates) {
            Ok(fresh) => {
                let config = Arc::clone(&fresh.config);
                self.made.store(Arc::new(fresh));
                config
            }
            Err(refusal) => {
                tracing::error!(causes = ?refusal.causes, "the CA is not taken over: {refusal}");
                Arc::clone(&made.config)
            }
        }
    }
}

fn make(certificates: &Arc<Certificates>) -> Result<Made> {
    let trust = certificates.trust();
    let roots = trust.as_ref().map(|trust| Arc::clone(&trust.roots));
    let config = server(Arc::clone(certificates), roots)?;
    Ok(Made { ca_hash: trust.map(|trust| trust.hash.clone()), config })
}

fn server(
    certificates: Arc<Certificates>,
    roots: Option<Arc<RootCertStore>>,
) -> Result<Arc<ServerConfig>> {
    let clients = match roots {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(roots) => Clients::of(roots, true)?,
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| Refusal::new(Code::Internal, "TLS 1.3 is not available").cause(error))?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    prove_each_time(&mut config);
    Ok(Arc::new(config))
}

/// Every connection begins with a proof. A session that is resumed would go on with the certificate
/// of its first handshake, and who was given a newer one since would be taken for who they were.
pub(super) fn prove_each_time(config: &mut ServerConfig) {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
}

/// True if a handshake failed for the certificate that the client showed, or should have.
pub(super) fn is_bad_certificate(error: &std::io::Error) -> bool {
    use rustls::Error::{InvalidCertificate, NoCertificatesPresented};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(InvalidCertificate(_) | NoCertificatesPresented))
}

#[cfg(test)]
mod tests {
    use super::super::authority::Authority;
    use super::super::certificate::{Names, NodeCertificate};
    use super::super::node_key::NodeKey;
    use super::super::seal::Keys;
    use super::*;
    use rustls::NamedGroup;

    #[test]
    fn post_quantum_first() {
        assert_eq!(provider().kx_groups[0].name(), NamedGroup::X25519MLKEM768);
    }

    #[test]
    fn made_anew_with_another_ca_only() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open(&folder.path().join("keys")).unwrap();
        let open = |cluster: &str| {
            Authority::open(&Authority::create(cluster, &keys).unwrap().0, &keys).unwrap()
        };
        let (first, second) = (open("c-1"), open("c-2"));
        let (names, key) = (Names::new("n1", []), NodeKey::generate().unwrap());
        let certificates = Certificates::new(NodeCertificate::ephemeral(&names).unwrap()).unwrap();
        let tls = ApiTls::new(Arc::clone(&certificates)).unwrap();
        let mut seen = tls.current();
        for (authority, is_new) in [(&first, true), (&first, false), (&second, true)] {
            certificates.show(authority.issue_node(&names, &key).unwrap()).unwrap();
            assert_eq!(!Arc::ptr_eq(&seen, &tls.current()), is_new);
            seen = tls.current();
        }
    }
}
