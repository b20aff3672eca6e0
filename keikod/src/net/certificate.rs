//! The certificate that this node shows, and the one place where it is swapped.
//!
//! Before a cluster is founded the node shows an ephemeral self-signed one: nobody trusts it, and
//! nothing but health is answered behind it. From founding on it is the CA's.

use super::authority::{leaf, unsigned};
use super::tls;
use arc_swap::ArcSwap;
use keiko_core::refusal::{Code, Refusal, Result};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Under which names a node is reached.
#[derive(Clone, Debug)]
pub struct Names {
    node: String,
    subjects: Vec<String>,
}

impl Names {
    /// The node's name, `localhost`, the loopback addresses, and what it listens on besides.
    pub fn new(node: impl Into<String>, listens: impl IntoIterator<Item = IpAddr>) -> Self {
        let node = node.into();
        let mut addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        // "Any address" is none: a peer never dials it.
        addresses.extend(listens.into_iter().filter(|address| !address.is_unspecified()));
        let mut subjects = vec!["localhost".to_owned()];
        if node != "localhost" && is_dns(&node) {
            subjects.push(node.clone());
        }
        subjects.extend(addresses.iter().map(IpAddr::to_string));
        subjects.sort_unstable();
        subjects.dedup();
        Self { node, subjects }
    }

    /// Adds a DNS name under which the node is reached, if it is one.
    #[must_use]
    pub fn with_dns(mut self, name: &str) -> Self {
        if is_dns(name) && !self.subjects.iter().any(|subject| subject == name) {
            self.subjects.push(name.to_owned());
        }
        self
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.node
    }

    pub(super) fn subjects(&self) -> Vec<String> {
        self.subjects.clone()
    }
}

fn is_dns(name: &str) -> bool {
    rustls_pki_types::DnsName::try_from(name).is_ok()
}

/// A certificate with its key: chain from the leaf to the CA.
pub struct NodeCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    issued: SystemTime,
    ca_hash: Option<String>,
}

impl fmt::Debug for NodeCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeCertificate")
            .field("issued", &self.issued)
            .field("ca_hash", &self.ca_hash)
            .finish_non_exhaustive()
    }
}

impl NodeCertificate {
    pub(super) fn new(
        chain: Vec<CertificateDer<'static>>,
        pair: &KeyPair,
        issued: SystemTime,
        ca_hash: Option<String>,
    ) -> Self {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        Self { chain, key, issued, ca_hash }
    }

    /// One that nobody signed, for a node without a cluster.
    pub fn ephemeral(names: &Names) -> Result<Self> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(unsigned)?;
        let now = SystemTime::now();
        let certificate = leaf(names, now)?.self_signed(&pair).map_err(unsigned)?;
        Ok(Self::new(vec![certificate.der().clone()], &pair, now, None))
    }

    /// The leaf first, then the CA.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }
}

struct Shown {
    key: Arc<CertifiedKey>,
    issued: SystemTime,
    ca_hash: Option<String>,
}

/// What the node shows now: read at every handshake, swapped without a restart.
pub struct Certificates {
    shown: ArcSwap<Shown>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.shown.load();
        f.debug_struct("Certificates")
            .field("issued", &shown.issued)
            .field("ca_hash", &shown.ca_hash)
            .finish()
    }
}

impl Certificates {
    /// Starts with this one.
    pub fn new(certificate: NodeCertificate) -> Result<Arc<Self>> {
        Ok(Arc::new(Self { shown: ArcSwap::from_pointee(certified(certificate)?) }))
    }

    /// Every handshake from now on sees this one.
    pub fn show(&self, certificate: NodeCertificate) -> Result<()> {
        self.shown.store(Arc::new(certified(certificate)?));
        Ok(())
    }

    /// The hash of the CA that signed what is shown; none before founding.
    pub fn ca_hash(&self) -> Option<String> {
        self.shown.load().ca_hash.clone()
    }

    /// How old the shown certificate is; none if the clock went back to before its making.
    pub(super) fn age(&self, now: SystemTime) -> Option<Duration> {
        now.duration_since(self.shown.load().issued).ok()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.shown.load().key))
    }
}

fn certified(certificate: NodeCertificate) -> Result<Shown> {
    let NodeCertificate { chain, key, issued, ca_hash } = certificate;
    let key = CertifiedKey::from_der(chain, key, &tls::provider()).map_err(|error| {
        Refusal::new(Code::KeyMaterial, "the node's certificate can't be used").cause(error)
    })?;
    Ok(Shown { key: Arc::new(key), issued, ca_hash })
}
