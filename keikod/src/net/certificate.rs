//! The certificate that this node shows, and the one place where it is swapped.
//!
//! Before a cluster is founded the node shows an ephemeral self-signed one: nobody trusts it, and
//! nothing but health is answered behind it. From founding on it is the CA's.

use super::authority::{NODE_LIFE, leaf, unsigned};
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

// A handshake carries every name: 64 of at most 18 bytes each are little over a kilobyte.
const INTERFACE_ADDRESSES_MAX: usize = 64;

/// Under which names a node is reached.
#[derive(Clone, Debug)]
pub struct Names {
    node: String,
    subjects: Vec<String>,
}

impl Names {
    /// The node's name, `localhost`, the loopback addresses, and what it listens on besides. Who
    /// listens on any address listens on all that the machine has now.
    pub fn new(node: impl Into<String>, listens: impl IntoIterator<Item = IpAddr>) -> Self {
        let node = node.into();
        let mut addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        for address in listens {
            // "Any address" itself is none: a peer never dials it.
            match address.is_unspecified() {
                true => addresses.extend(of_machine(address)),
                false => addresses.push(address),
            }
        }
        let mut subjects = vec!["localhost".to_owned()];
        if node != "localhost" && is_dns(&node) {
            subjects.push(node.clone());
        }
        subjects.extend(addresses.iter().map(IpAddr::to_string));
        subjects.sort_unstable();
        subjects.dedup();
        Self { node, subjects }
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.node
    }

    pub(super) fn subjects(&self) -> Vec<String> {
        self.subjects.clone()
    }
}

/// The addresses of the machine's interfaces that a socket on this "any address" answers.
fn of_machine(any: IpAddr) -> Vec<IpAddr> {
    let interfaces = match nix::ifaddrs::getifaddrs() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            tracing::warn!(%error, "the certificate lacks this machine's addresses");
            return Vec::new();
        }
    };
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let four = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        four.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    interfaces
        .filter_map(address)
        // `[::]` takes IPv4, too. Who dials a link-local address needs more than the address.
        .filter(|address| match address {
            IpAddr::V4(address) => !address.is_link_local(),
            IpAddr::V6(address) => any.is_ipv6() && !address.is_unicast_link_local(),
        })
        .take(INTERFACE_ADDRESSES_MAX)
        .collect()
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

    /// When the shown certificate ends.
    pub fn expires(&self) -> SystemTime {
        self.shown.load().issued + NODE_LIFE
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_node() {
        let check = |listen: &str, expect: &[&str]| {
            let subjects = Names::new("n1", [listen.parse().unwrap()]).subjects();
            assert_eq!(subjects, expect, "{listen}");
        };
        check("127.0.0.1", &["127.0.0.1", "::1", "localhost", "n1"]);
        check("10.1.2.3", &["10.1.2.3", "127.0.0.1", "::1", "localhost", "n1"]);
    }

    #[test]
    fn any_address_is_every_address_of_the_machine() {
        // Which ones is the machine's matter; what the kernel would send from is one of them.
        let outward = || -> std::io::Result<IpAddr> {
            let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
            socket.connect("192.0.2.1:9")?;
            Ok(socket.local_addr()?.ip())
        };
        let outward = outward().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)).to_string();
        for any in ["0.0.0.0", "::"] {
            let subjects = Names::new("n1", [any.parse().unwrap()]).subjects();
            assert!(subjects.contains(&outward), "{outward} in {subjects:?}");
            assert!(!subjects.iter().any(|subject| subject == any));
        }
        assert!(of_machine(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).iter().all(IpAddr::is_ipv4));
    }
}
