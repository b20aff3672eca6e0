//! The certificate that this node shows, and the one place where it is swapped.
//!
//! Before a cluster is founded or joined the node shows an ephemeral self-signed one: nobody trusts
//! it, and nothing but health is answered behind it. From then on it is the CA's, and whoever
//! is trusted stands in its chain. As a server and as a client towards other members a node shows the same.

use super::authority::{hash_of, node_leaf, unsigned};
use super::bundle::der_of_pem;
use super::node_key::NodeKey;
use super::spiffe::{self, Claim};
use super::tls::{self, KeyExchange};
use arc_swap::ArcSwap;
use keiko_core::refusal::{Code, Refusal, Result};
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

// A handshake carries every name: 64 of at most 18 bytes each are little over a kilobyte.
pub(super) const INTERFACE_ADDRESSES_MAX: usize = 64;
/// Names that `[node] names` may give: a service's in its four lengths, for two services.
pub const NAMES_GIVEN_MAX: usize = 8;

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
                true => addresses.extend(machine_addresses(address)),
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

    /// By this name, too, if a certificate can say so.
    #[must_use]
    pub fn also(mut self, name: &str) -> Self {
        if is_subject(name) && !self.subjects.iter().any(|subject| subject == name) {
            self.subjects.push(name.to_owned());
            self.subjects.sort_unstable();
        }
        self
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// IP addresses and DNS names.
    pub fn subjects(&self) -> Vec<String> {
        self.subjects.clone()
    }
}

/// The addresses of the machine's interfaces that a socket on this "any address" answers.
pub fn machine_addresses(any: IpAddr) -> Vec<IpAddr> {
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

/// True if a certificate can say that a node is reached by it: no wildcard, nothing but a host.
pub(super) fn is_subject(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok() || is_dns(name)
}

fn is_dns(name: &str) -> bool {
    rustls_pki_types::DnsName::try_from(name).is_ok()
}

/// The CAs whose certificates count.
#[derive(Debug)]
pub(super) struct Trust {
    pub(super) roots: Arc<RootCertStore>,
    /// BLAKE3 of their certificates, hex; first of the one that signed what is shown.
    pub(super) hashes: Vec<String>,
    pub(super) cluster_id: String,
    /// By which leaves name the key that they are signed with.
    key_ids: Vec<Vec<u8>>,
}

impl Trust {
    /// Those of a chain: who signed the leaf, and who else stands for itself.
    fn of(behind_leaf: &[CertificateDer<'static>]) -> Result<Self> {
        let Some((signer, others)) = behind_leaf.split_last() else {
            return Err(unusable("it is not followed by the CA's"));
        };
        let cluster_id = spiffe::cluster_of(signer).map_err(unusable)?;
        let (mut roots, mut hashes, mut key_ids) = (RootCertStore::empty(), vec![], vec![]);
        let others = others.iter().filter(|other| spiffe::stands_for_itself(other));
        for authority in std::iter::once(signer).chain(others) {
            roots.add(authority.clone()).map_err(unusable)?;
            hashes.push(hash_of(authority));
            key_ids.extend(spiffe::key_id(authority));
        }
        Ok(Self { roots: Arc::new(roots), hashes, cluster_id, key_ids })
    }

    /// True if the CA with this hash counts.
    pub(super) fn counts(&self, ca_hash: &str) -> bool {
        self.hashes.iter().any(|hash| hash == ca_hash)
    }

    /// True if what a leaf of the cluster names as its CA's key is still one's that counts.
    pub(super) fn signed(&self, claim: &Claim) -> bool {
        self.key_ids.contains(&claim.authority_key_id)
    }
}

/// A certificate with its key: chain from the leaf to the CA.
pub struct NodeCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    from: SystemTime,
    until: SystemTime,
    /// As it is kept.
    pem: String,
    /// None of one that nobody signed.
    trust: Option<Arc<Trust>>,
}

impl fmt::Debug for NodeCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeCertificate")
            .field("until", &self.until)
            .field("ca_hash", &self.ca_hash())
            .finish_non_exhaustive()
    }
}

impl NodeCertificate {
    /// One that nobody signed, for a node without a cluster.
    pub fn ephemeral(names: &Names) -> Result<Self> {
        let key = NodeKey::generate()?;
        let leaf = node_leaf(names.node(), names.subjects(), SystemTime::now())?;
        let leaf = leaf.self_signed(key.pair()).map_err(unsigned)?;
        let (pem, leaf) = (leaf.pem(), leaf.der().clone());
        let (from, until) = spiffe::validity(&leaf)?;
        Ok(Self { chain: vec![leaf], key: key.private(), from, until, pem, trust: None })
    }

    /// One that a voter signed for this key, PEM: the leaf, and the CA last.
    pub fn from_stored(pem: &str, key: &NodeKey) -> Result<Self> {
        let chain = der_of_pem(pem)?;
        let [leaf, behind_leaf @ ..] = chain.as_slice() else {
            return Err(unusable("there is none"));
        };
        if Claim::of(leaf)?.key_hash != key.key_hash() {
            return Err(unusable("it is of another key than this node's")
                .hint("if D/keys was lost, remove the node and let it join anew"));
        }
        let trust = Trust::of(behind_leaf)?;
        if let Some(authority) = behind_leaf.last() {
            check_signed(leaf, authority)?;
        }
        let (from, until) = spiffe::validity(leaf)?;
        let (key, pem) = (key.private(), pem.to_owned());
        Ok(Self { key, from, until, pem, trust: Some(Arc::new(trust)), chain })
    }

    /// As it is kept: the leaf, and the CA last.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// True if the CA with this hash counts for who shows it.
    pub fn trusts(&self, ca_hash: &str) -> bool {
        self.trust.as_ref().is_some_and(|trust| trust.counts(ca_hash))
    }

    /// The leaf first, and the CA last.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// BLAKE3 of the CA that signed it, hex; none of an ephemeral one.
    pub fn ca_hash(&self) -> Option<&str> {
        self.trust.as_ref()?.hashes.first().map(String::as_str)
    }

    /// When it ends.
    pub fn expires(&self) -> SystemTime {
        self.until
    }
}

/// A chain that does not hold is refused by every peer: better said here.
fn check_signed(leaf: &CertificateDer<'_>, authority: &CertificateDer<'_>) -> Result<()> {
    let (_, leaf) = x509_parser::parse_x509_certificate(leaf).map_err(unusable)?;
    let (_, authority) = x509_parser::parse_x509_certificate(authority).map_err(unusable)?;
    leaf.verify_signature(Some(authority.public_key())).map_err(unusable)
}

struct Shown {
    key: Arc<CertifiedKey>,
    from: SystemTime,
    until: SystemTime,
    trust: Option<Arc<Trust>>,
}

/// What the node shows now, and which key exchange it takes: read at every handshake, swapped without
/// a restart.
pub struct Certificates {
    shown: ArcSwap<Shown>,
    hybrid_only: AtomicBool,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.shown.load();
        f.debug_struct("Certificates")
            .field("until", &shown.until)
            .field("ca_hashes", &shown.trust.as_ref().map(|trust| &trust.hashes))
            .finish()
    }
}

impl Certificates {
    /// Starts with this one.
    pub fn new(certificate: NodeCertificate) -> Result<Arc<Self>> {
        let shown = ArcSwap::from_pointee(certified(certificate)?);
        Ok(Arc::new(Self { shown, hybrid_only: AtomicBool::new(false) }))
    }

    /// Every handshake from now on sees this one.
    pub fn show(&self, certificate: NodeCertificate) -> Result<()> {
        self.shown.store(Arc::new(certified(certificate)?));
        Ok(())
    }

    /// The hash of the CA that signed what is shown; none before there is a cluster.
    pub fn ca_hash(&self) -> Option<String> {
        self.ca_hashes().into_iter().next()
    }

    /// Of every CA that counts, the one first that signed what is shown.
    pub fn ca_hashes(&self) -> Vec<String> {
        self.trust().map(|trust| trust.hashes.clone()).unwrap_or_default()
    }

    /// Which key exchange the next handshake takes.
    pub fn key_exchange(&self) -> KeyExchange {
        match self.hybrid_only.load(Ordering::Relaxed) {
            true => KeyExchange::RequireHybrid,
            false => KeyExchange::Prefer,
        }
    }

    /// The next handshake takes this one; what is open stays as it is.
    pub fn set_key_exchange(&self, wanted: KeyExchange) {
        self.hybrid_only.store(wanted == KeyExchange::RequireHybrid, Ordering::Relaxed);
    }

    /// When the shown certificate ends.
    pub fn expires(&self) -> SystemTime {
        self.shown.load().until
    }

    /// The CAs that count; none before there is a cluster.
    pub(super) fn trust(&self) -> Option<Arc<Trust>> {
        self.shown.load().trust.clone()
    }

    /// True if half of the shown one's life is over. So it is if the clock went back to before its
    /// beginning: nobody here would accept a certificate of the future.
    pub(super) fn is_old(&self, now: SystemTime) -> bool {
        let shown = self.shown.load();
        let life = shown.until.duration_since(shown.from).unwrap_or_default();
        now.duration_since(shown.from).ok().is_none_or(|age| age >= life / 2)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.shown.load().key))
    }
}

impl ResolvesClientCert for Certificates {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let shown = self.shown.load();
        shown.trust.is_some().then(|| Arc::clone(&shown.key))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn certified(certificate: NodeCertificate) -> Result<Shown> {
    let NodeCertificate { chain, key, from, until, pem: _, trust } = certificate;
    let key = CertifiedKey::from_der(chain, key, &tls::provider()).map_err(unusable)?;
    Ok(Shown { key: Arc::new(key), from, until, trust })
}

fn unusable(why: impl fmt::Display) -> Refusal {
    Refusal::new(Code::KeyMaterial, "the node's certificate can't be used").cause(why)
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
        assert!(machine_addresses(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).iter().all(IpAddr::is_ipv4));
    }
}
