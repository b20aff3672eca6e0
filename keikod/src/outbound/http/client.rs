//! The connections: one pool per port and policy, one TLS configuration for all.

use super::resolve::Vetted;
use crate::outbound::egress::Policy;
use keiko_core::refusal::{Code, Refusal, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A connection that takes longer is refused as unreachable.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Idle connections are closed before the usual 60 to 75 s of servers, so that a request rarely
/// meets a connection that is just being closed.
const IDLE_MAX: Duration = Duration::from_secs(45);

/// Pools kept at once; peers use few ports (443, 80, 8080 …). Beyond it all are dropped and begun
/// anew: a connection is cheap, a map that grows with what people register is not.
const PORTS_MAX: usize = 64;

/// Pools under one policy. A new policy gets new pools, so that no open connection outlives the
/// rules that admitted it.
pub(super) struct Pools {
    pub policy: Arc<Policy>,
    tls: rustls::ClientConfig,
    by_port: Mutex<HashMap<u16, reqwest::Client>>,
}

impl Pools {
    pub(super) fn new(policy: Policy, tls: rustls::ClientConfig) -> Self {
        Self { policy: Arc::new(policy), tls, by_port: Mutex::default() }
    }

    /// The same TLS configuration under another policy.
    pub(super) fn under(&self, policy: Policy) -> Self {
        Self::new(policy, self.tls.clone())
    }

    pub(super) fn client(&self, port: u16) -> Result<reqwest::Client> {
        let mut by_port = self.by_port.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = by_port.get(&port) {
            return Ok(client.clone());
        }
        if by_port.len() >= PORTS_MAX {
            by_port.clear();
        }
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .dns_resolver(Vetted { policy: self.policy.clone(), port })
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_MAX)
            .pool_idle_timeout(IDLE_MAX)
            .user_agent(concat!("keiko/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                Refusal::new(Code::Internal, "no HTTP client can be built").cause(error)
            })?;
        by_port.insert(port, client.clone());
        Ok(client)
    }
}

/// The system's roots; a machine without any still reaches plain http, and https fails by name.
pub(super) fn tls() -> Result<rustls::ClientConfig> {
    use rustls_platform_verifier::BuilderVerifierExt;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = || {
        rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Refusal::new(Code::Internal, "no TLS can be set up").cause(error))
    };
    let mut config = match builder()?.with_platform_verifier() {
        Ok(config) => config.with_no_client_auth(),
        Err(error) => {
            tracing::warn!(%error, "no CA certificates on this machine: https to peers will fail");
            builder()?.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
