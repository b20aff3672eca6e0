//! TLS of the API: 1.3 only, post-quantum key exchange first, and a client certificate of the
//! cluster's CA from whoever has one.
//!
//! A certificate of another CA ends the handshake: nobody who shows a wrong one goes on as nobody.
//! Who shows one that expired is told so by the answer to what they ask.
//!
//! `[security] tls` says whether a client without a post-quantum key exchange gets in. It is asked at
//! each handshake.

use super::certificate::{Certificates, Trust};
use super::verify::Clients;
use arc_swap::ArcSwap;
use keiko_core::refusal::{Code, Refusal, Result};
use rustls::crypto::aws_lc_rs::kx_group;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{PeerIncompatible, ServerConfig};
use std::sync::{Arc, LazyLock};

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// The one provider of cryptography; X25519MLKEM768 is its first key exchange.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

static HYBRID_ONLY: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let kx_groups = vec![kx_group::X25519MLKEM768];
    Arc::new(CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() })
});

/// Which key exchange a handshake takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyExchange {
    /// X25519MLKEM768 first, and a classical one from whoever has no other.
    Prefer,
    /// X25519MLKEM768 and nothing else.
    RequireHybrid,
}

impl KeyExchange {
    /// The word in `keiko.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prefer => "prefer",
            Self::RequireHybrid => "require-hybrid",
        }
    }

    /// What offers it.
    pub(super) fn provider(self) -> Arc<CryptoProvider> {
        match self {
            Self::Prefer => provider(),
            Self::RequireHybrid => Arc::clone(&HYBRID_ONLY),
        }
    }
}

/// Makes it the process default too, for the clients of libraries. Safe to call again.
pub fn install() {
    // An error says that one is installed already: it can only be this one.
    let _ = PROVIDER.as_ref().clone().install_default();
}

/// The server's side of the API, made anew whenever other CAs count, or the key exchange is another.
pub(super) struct ApiTls {
    certificates: Arc<Certificates>,
    made: ArcSwap<Made>,
}

struct Made {
    /// The CAs whose client certificates count; none before there is a cluster.
    hashes: Vec<String>,
    key_exchange: KeyExchange,
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
        let hashes = trust.as_ref().map_or(&[][..], |trust| &trust.hashes[..]);
        if made.hashes == hashes && made.key_exchange == self.certificates.key_exchange() {
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
    let (trust, key_exchange) = (certificates.trust(), certificates.key_exchange());
    let config = server(Arc::clone(certificates), trust.as_deref(), key_exchange)?;
    let hashes = trust.map(|trust| trust.hashes.clone()).unwrap_or_default();
    Ok(Made { hashes, key_exchange, config })
}

fn server(
    certificates: Arc<Certificates>,
    trust: Option<&Trust>,
    key_exchange: KeyExchange,
) -> Result<Arc<ServerConfig>> {
    let clients = match trust {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(trust) => Clients::of(Arc::clone(&trust.roots), true)?,
    };
    let mut config = ServerConfig::builder_with_provider(key_exchange.provider())
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
fn is_bad_certificate(error: &std::io::Error) -> bool {
    use rustls::Error::{InvalidCertificate, NoCertificatesPresented};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(InvalidCertificate(_) | NoCertificatesPresented))
}

/// True if a handshake failed because the client offers no key exchange that is taken.
fn is_other_key_exchange(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let missing = PeerIncompatible::NoKxGroupsInCommon;
    inner == Some(&rustls::Error::PeerIncompatible(missing))
}

/// What failed with a client, if it is something that somebody should hear of.
pub(super) fn attempt_of(error: &std::io::Error) -> Option<Code> {
    if is_bad_certificate(error) {
        return Some(Code::CertificateInvalid);
    }
    is_other_key_exchange(error).then_some(Code::KeyExchange)
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
    fn nothing_but_hybrid() {
        let groups = |wanted: KeyExchange| wanted.provider().kx_groups.clone();
        let hybrid: Vec<_> =
            groups(KeyExchange::RequireHybrid).iter().map(|group| group.name()).collect();
        assert_eq!(hybrid, [NamedGroup::X25519MLKEM768]);
        assert!(groups(KeyExchange::Prefer).len() > 1);
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
        for (wanted, is_new) in
            [(KeyExchange::RequireHybrid, true), (KeyExchange::RequireHybrid, false)]
        {
            certificates.set_key_exchange(wanted);
            assert_eq!(!Arc::ptr_eq(&seen, &tls.current()), is_new);
            seen = tls.current();
        }
    }
}
