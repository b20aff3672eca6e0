//! The cluster's certificate authority: made once, at founding, and then an entry of the control
//! group whose key is sealed (see [`super::seal`]).
//!
//! Another one may take its place (see [`super::bundle`] and the security room's rotation).
//!
//! Every voter can open it and sign its own certificate, those of members that ask, and those of
//! people. The CA's hash (BLAKE3 over the DER of its certificate) is what every token carries, so
//! that a client knows the cluster at first contact.
//!
//! Invariant: what a certificate says is said here; of a request only the key is taken.

use super::bundle::Bundle;
use super::certificate::{
    INTERFACE_ADDRESSES_MAX, NAMES_GIVEN_MAX, Names, NodeCertificate, is_subject,
};
use super::csr::Requested;
use super::node_key::NodeKey;
use super::seal::Keys;
use super::spiffe::{self, Subject};
use super::{file, random};
use keiko_core::refusal::{Code, Refusal, Result, refuse};
use keiko_core::security::STEP_RENEW;
use keiko_proto::v1 as wire;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use zeroize::{Zeroize as _, Zeroizing};

/// How long a CA lives: ten years.
const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How long a node's certificate lives; it is renewed at half of this.
pub const NODE_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How long a person's certificate lives.
pub const PERSON_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// What a node is reached by: its own name, `localhost` in three forms and what it advertises beside
/// its addresses, and the names that its `keiko.toml` gives it besides.
const NAMES_MAX: usize = INTERFACE_ADDRESSES_MAX + 8 + NAMES_GIVEN_MAX;
/// Clocks differ: a certificate is valid from a little before it was made.
const BACKDATE: Duration = Duration::from_secs(5 * 60);
const PURPOSE: &str = "cluster-ca";

/// A certificate that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCertificate {
    /// PEM: the leaf, and the CA last.
    pub pem_chain: String,
    /// When it ends.
    pub expires: SystemTime,
}

/// One that can sign.
struct Signer {
    certificate: CertificateDer<'static>,
    pem: String,
    hash: String,
    issuer: Issuer<'static, KeyPair>,
}

/// The open CA: it can sign. While another one takes its place, nodes are signed for by that one
/// first, and people go on with this one until every node shows a certificate of the other.
pub struct Authority {
    cluster_id: String,
    /// Signs people.
    people: Arc<Signer>,
    /// Signs nodes.
    nodes: Arc<Signer>,
    /// The one that comes, if this node can sign with it.
    next: Option<Arc<Signer>>,
    bundle: Bundle,
    trusted_pem: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("hash", &self.people.hash).finish_non_exhaustive()
    }
}

impl Signer {
    fn open(certificate: &str, sealed: Option<&wire::SealedValue>, keys: &Keys) -> Result<Self> {
        let sealed = sealed.ok_or_else(|| unreadable("it has no key"))?;
        let pem = certificate.to_owned();
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(unreadable)?;
        let certificate = certificate.into_owned();
        let clear: Zeroizing<Vec<u8>> = keys.load(&sealed.key_id)?.open(PURPOSE, sealed)?;
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(
            &PrivatePkcs8KeyDer::from(clear.as_slice()),
            &PKCS_ECDSA_P256_SHA256,
        )
        .map_err(unreadable)?;
        check_pair(&certificate, &pair)?;
        let issuer = Issuer::from_ca_cert_der(&certificate, pair).map_err(unreadable)?;
        Ok(Self { hash: hash_of(&certificate), pem, certificate, issuer })
    }

    fn expires(&self) -> Option<SystemTime> {
        spiffe::validity(&self.certificate).ok().map(|(_, until)| until)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        key: &impl PublicKeyData,
    ) -> Result<(Certificate, SystemTime)> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(serial()?);
        // Nothing outlives who vouches for it.
        if let Some(end) = self.expires() {
            params.not_after = params.not_after.min(OffsetDateTime::from(end));
        }
        let certificate = params.signed_by(key, &self.issuer).map_err(unsigned)?;
        let (_, expires) = spiffe::validity(certificate.der())?;
        Ok((certificate, expires))
    }
}

impl Authority {
    /// Makes the CA of a new cluster and its cluster key, and returns what the log may hold and
    /// the certificate's PEM.
    pub fn create(cluster_id: &str, keys: &Keys) -> Result<(wire::Authority, String)> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(unsigned)?;
        let constraints = BasicConstraints::Constrained(0);
        let certificate =
            authority_params(cluster_id, constraints)?.self_signed(&pair).map_err(unsigned)?;
        let stored = sealed(&certificate, &pair, keys)?;
        Ok((stored, certificate.pem()))
    }

    /// Makes the one that shall take its place, under a cluster key of its own.
    pub fn create_next(&self, keys: &Keys) -> Result<wire::Authority> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(unsigned)?;
        let constraints = BasicConstraints::Constrained(0);
        let params = authority_params(&self.cluster_id, constraints)?;
        let certificate = params.self_signed(&pair).map_err(unsigned)?;
        // Between it and a leaf there may be the one after it.
        let mut crossed = authority_params(&self.cluster_id, BasicConstraints::Unconstrained)?;
        crossed.use_authority_key_identifier_extension = true;
        if let Some(end) = self.people.expires() {
            crossed.not_after = crossed.not_after.min(OffsetDateTime::from(end));
        }
        let cross = crossed.signed_by(&pair, &self.people.issuer).map_err(unsigned)?.pem();
        Ok(wire::Authority { cross, ..sealed(&certificate, &pair, keys)? })
    }

    /// Opens the CA with the cluster key that it names.
    pub fn open(stored: &wire::Authority, keys: &Keys) -> Result<Self> {
        Self::open_within(stored, None, keys)
    }

    /// The same while another one may be on its way. Where that one signs already, its key is needed,
    /// too.
    pub fn open_within(
        stored: &wire::Authority,
        rotation: Option<&wire::Rotation>,
        keys: &Keys,
    ) -> Result<Self> {
        let people = Arc::new(Signer::open(&stored.certificate, stored.key.as_ref(), keys)?);
        let cluster_id = spiffe::cluster_of(&people.certificate).map_err(unreadable)?;
        let coming = rotation.and_then(|rotation| rotation.next.as_ref());
        let next = coming
            .map(|next| Signer::open(&next.certificate, next.key.as_ref(), keys).map(Arc::new));
        let renews = rotation.is_some_and(|rotation| rotation.step == STEP_RENEW);
        let (nodes, next) = match next {
            Some(next) if renews => {
                let next = next?;
                (Arc::clone(&next), Some(next))
            }
            next => (Arc::clone(&people), next.and_then(Result::ok)),
        };
        Ok(Self {
            cluster_id,
            people,
            nodes,
            next,
            bundle: Bundle::of(stored, rotation),
            trusted_pem: Bundle::trusted_pem(stored, rotation),
        })
    }

    /// The id of the cluster, as in its certificate.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// BLAKE3 of the certificate's DER, hex: of the one that signs people, which tokens carry.
    pub fn ca_hash(&self) -> &str {
        &self.people.hash
    }

    /// BLAKE3 of all that this node can sign with, hex.
    pub fn signs_with(&self) -> Vec<String> {
        std::iter::once(&self.people).chain(&self.next).map(|open| open.hash.clone()).collect()
    }

    /// What nodes show behind their leaf.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The certificates that count, PEM; first of the one that signs people.
    pub fn ca_pem(&self) -> &str {
        &self.trusted_pem
    }

    /// When the certificate ends; none if it does not say.
    pub fn expires(&self) -> Option<SystemTime> {
        self.people.expires()
    }

    /// Writes the certificate where people look for it: `D/ca.pem`.
    pub fn write_ca(&self, path: &Path) -> Result<()> {
        file::write(path, self.trusted_pem.as_bytes(), 0o644)
    }

    /// A certificate for this node, valid from now on for [`NODE_LIFE`].
    pub fn issue_node(&self, names: &Names, key: &NodeKey) -> Result<NodeCertificate> {
        self.issue_node_at(names, key, SystemTime::now())
    }

    pub(super) fn issue_node_at(
        &self,
        names: &Names,
        key: &NodeKey,
        now: SystemTime,
    ) -> Result<NodeCertificate> {
        let params = self.node(names.node(), names.subjects(), now)?;
        let (leaf, _) = self.nodes.sign(params, key.pair())?;
        NodeCertificate::from_stored(&format!("{}{}", leaf.pem(), self.bundle.behind_leaf()), key)
    }

    /// A certificate for a member that asks with this request; `names` are the IP addresses and DNS
    /// names by which it says that it is reached.
    pub fn sign_node(
        &self,
        request: &[u8],
        name: &str,
        names: &[String],
    ) -> Result<SignedCertificate> {
        let requested = Requested::parse(request)?;
        if names.len() > NAMES_MAX {
            return refuse(
                Code::LimitExceeded,
                format!("a node is reached by at most {NAMES_MAX} names and addresses"),
            );
        }
        if let Some(name) = names.iter().find(|name| !is_subject(name)) {
            return refuse(
                Code::InvalidArgument,
                format!("{name:?} is neither an IP address nor a DNS name"),
            );
        }
        let params = self.node(name, names.to_vec(), SystemTime::now())?;
        let (leaf, expires) = self.nodes.sign(params, &requested.key)?;
        let pem_chain = format!("{}{}", leaf.pem(), self.bundle.behind_leaf());
        Ok(SignedCertificate { pem_chain, expires })
    }

    /// A certificate for a person of this name who asks with this request.
    pub fn sign_person(&self, request: &[u8], name: &str) -> Result<SignedCertificate> {
        self.sign_person_at(request, name, SystemTime::now())
    }

    pub(super) fn sign_person_at(
        &self,
        request: &[u8],
        name: &str,
        now: SystemTime,
    ) -> Result<SignedCertificate> {
        let requested = Requested::parse(request)?;
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = validity(now, PERSON_LIFE);
        params.distinguished_name = common_name(name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![self.uri_of(Subject::Person(name.to_owned()), name)?];
        let (leaf, expires) = self.people.sign(params, &requested.key)?;
        Ok(SignedCertificate { pem_chain: format!("{}{}", leaf.pem(), self.people.pem), expires })
    }

    fn node(
        &self,
        name: &str,
        subjects: Vec<String>,
        now: SystemTime,
    ) -> Result<CertificateParams> {
        let mut params = node_leaf(name, subjects, now)?;
        params.subject_alt_names.push(self.uri_of(Subject::Node(name.to_owned()), name)?);
        Ok(params)
    }

    /// The law checked the name: one that would be read as another id is a defect.
    fn uri_of(&self, subject: Subject, name: &str) -> Result<SanType> {
        if !spiffe::is_name(name) {
            return refuse(Code::Internal, format!("{name:?} can't be named by a certificate"));
        }
        uri(&spiffe::id(&self.cluster_id, &subject))
    }
}

/// What the certificates of an authority have in common. They share their name with those of the one
/// before: OpenSSL counts a certificate that is issued to its own name in no length of a path.
fn authority_params(cluster_id: &str, constraints: BasicConstraints) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = validity(SystemTime::now(), AUTHORITY_LIFE);
    params.distinguished_name = common_name(&format!("Keiko CA {cluster_id}"));
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.subject_alt_names = vec![uri(&spiffe::trust_domain(cluster_id))?];
    params.serial_number = Some(serial()?);
    Ok(params)
}

/// What the log may hold, under a new cluster key.
fn sealed(certificate: &Certificate, pair: &KeyPair, keys: &Keys) -> Result<wire::Authority> {
    let key = keys.create()?;
    let mut clear = pair.serialize_der();
    let sealed = key.seal(PURPOSE, &clear);
    clear.zeroize();
    Ok(wire::Authority {
        certificate: certificate.pem(),
        key: Some(sealed?),
        hash: hash_of(certificate.der()),
        ..wire::Authority::default()
    })
}

/// By itself it would be made of the key, which stays: no two certificates may share one.
fn serial() -> Result<SerialNumber> {
    let mut serial = random::bytes::<16>()?;
    serial[0] = serial[0] & 0x3f | 0x40;
    Ok(SerialNumber::from_slice(&serial))
}

/// What a certificate of a node has in common, whoever signs it.
pub(super) fn node_leaf(
    name: &str,
    subjects: Vec<String>,
    now: SystemTime,
) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(subjects).map_err(unsigned)?;
    (params.not_before, params.not_after) = validity(now, NODE_LIFE);
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

/// BLAKE3 of a certificate's DER, hex.
pub fn hash_of(certificate: &CertificateDer<'_>) -> String {
    blake3::hash(certificate).to_hex().to_string()
}

fn uri(text: &str) -> Result<SanType> {
    Ok(SanType::URI(text.try_into().map_err(unsigned)?))
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    // RFC 5280 bounds it at 64 characters; names that matter are in the alternative names.
    distinguished.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    distinguished
}

fn validity(now: SystemTime, life: Duration) -> (OffsetDateTime, OffsetDateTime) {
    (OffsetDateTime::from(now - BACKDATE), OffsetDateTime::from(now + life))
}

/// What is signed with a key that does not belong to the certificate convinces nobody.
fn check_pair(certificate: &CertificateDer<'_>, pair: &KeyPair) -> Result<()> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(unreadable)?;
    if parsed.public_key().subject_public_key.data.as_ref() == pair.public_key_raw() {
        return Ok(());
    }
    Err(unreadable("its key belongs to another certificate"))
}

pub(super) fn unsigned(error: rcgen::Error) -> Refusal {
    Refusal::new(Code::Internal, "can't make a certificate").cause(error)
}

fn unreadable(why: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::KeyMaterial, "the cluster's CA can't be read").cause(why)
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
