//! TLS of the API: 1.3 only, post-quantum key exchange first, no client certificates.

use super::certificate::Certificates;
use keiko_core::refusal::{Code, Refusal, Result};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::TLS13;
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

/// The server's side of the API listener.
pub fn server(certificates: Arc<Certificates>) -> Result<Arc<ServerConfig>> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| Refusal::new(Code::Internal, "TLS 1.3 is not available").cause(error))?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::NamedGroup;

    #[test]
    fn post_quantum_first() {
        assert_eq!(provider().kx_groups[0].name(), NamedGroup::X25519MLKEM768);
    }
}
