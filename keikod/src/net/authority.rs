//! The cluster's certificate authority: made once, at founding, and then an entry of the control
//! group whose key is sealed (see [`super::seal`]).
//!
//! Every voter can open it and sign its own certificate, those of members that ask, and those of
//! people. The CA's hash (BLAKE3 over the DER of its certificate) is what every token carries, so
//! that a client knows the cluster at first contact.
//!
//! Invariant: what a certificate says is said here; of a request only the key is taken.

use super::certificate::{
    INTERFACE_ADDRESSES_MAX, NAMES_GIVEN_MAX, Names, NodeCertificate, is_subject,
};
use super::csr::Requested;
use super::node_key::NodeKey;
use super::seal::Keys;
use super::spiffe::{self, Subject};
use super::{file, random};
use keiko_core::refusal::{Code, Refusal, Result, refuse};
use keiko_proto::v1 as wire;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use std::path::Path;
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
    /// PEM: the leaf, then the CA.
    pub pem_chain: String,
    /// When it ends.
    pub expires: SystemTime,
}

/// The open CA: it can sign.
pub struct Authority {
    cluster_id: String,
    certificate: CertificateDer<'static>,
    pem: String,
    hash: String,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes the CA of a new cluster and its cluster key, and returns what the log may hold and
    /// the certificate's PEM.
    pub fn create(cluster_id: &str, keys: &Keys) -> Result<(wire::Authority, String)> {
        let key = keys.create()?;
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(unsigned)?;
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = validity(SystemTime::now(), AUTHORITY_LIFE);
        params.distinguished_name = common_name(&format!("Keiko CA {cluster_id}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![uri(&spiffe::trust_domain(cluster_id))?];
        let pem = params.self_signed(&pair).map_err(unsigned)?.pem();
        let mut clear = pair.serialize_der();
        let sealed = key.seal(PURPOSE, &clear);
        clear.zeroize();
        Ok((wire::Authority { certificate: pem.clone(), key: Some(sealed?) }, pem))
    }

    /// Opens the CA with the cluster key that it names.
    pub fn open(stored: &wire::Authority, keys: &Keys) -> Result<Self> {
        let sealed = stored.key.as_ref().ok_or_else(|| unreadable("it has no key"))?;
        let certificate = CertificateDer::from_pem_slice(stored.certificate.as_bytes())
            .map_err(unreadable)?
            .into_owned();
        let cluster_id = spiffe::cluster_of(&certificate).map_err(unreadable)?;
        let clear: Zeroizing<Vec<u8>> = keys.load(&sealed.key_id)?.open(PURPOSE, sealed)?;
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(
            &PrivatePkcs8KeyDer::from(clear.as_slice()),
            &PKCS_ECDSA_P256_SHA256,
        )
        .map_err(unreadable)?;
        check_pair(&certificate, &pair)?;
        let issuer = Issuer::from_ca_cert_der(&certificate, pair).map_err(unreadable)?;
        Ok(Self {
            cluster_id,
            hash: hash_of(&certificate),
            pem: stored.certificate.clone(),
            certificate,
            issuer,
        })
    }

    /// The id of the cluster, as in its certificate.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// BLAKE3 of the certificate's DER, hex.
    pub fn ca_hash(&self) -> &str {
        &self.hash
    }

    /// The certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.pem
    }

    /// When the certificate ends; none if it does not say.
    pub fn expires(&self) -> Option<SystemTime> {
        spiffe::validity(&self.certificate).ok().map(|(_, until)| until)
    }

    /// Writes the certificate where people look for it: `D/ca.pem`.
    pub fn write_ca(&self, path: &Path) -> Result<()> {
        file::write(path, self.pem.as_bytes(), 0o644)
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
        let (leaf, _) = self.sign(self.node(names.node(), names.subjects(), now)?, key.pair())?;
        NodeCertificate::signed(vec![leaf.der().clone(), self.certificate.clone()], key)
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
        self.sign_request(self.node(name, names.to_vec(), SystemTime::now())?, &requested)
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
        self.sign_request(params, &requested)
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

    fn sign_request(
        &self,
        params: CertificateParams,
        requested: &Requested,
    ) -> Result<SignedCertificate> {
        let (leaf, expires) = self.sign(params, &requested.key)?;
        Ok(SignedCertificate { pem_chain: format!("{}{}", leaf.pem(), self.pem), expires })
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        key: &impl PublicKeyData,
    ) -> Result<(Certificate, SystemTime)> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        // By itself it would be made of the key, which stays: no two certificates may share one.
        let mut serial = random::bytes::<16>()?;
        serial[0] = serial[0] & 0x3f | 0x40;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        // Nothing outlives who vouches for it.
        if let Some(end) = self.expires() {
            params.not_after = params.not_after.min(OffsetDateTime::from(end));
        }
        let certificate = params.signed_by(key, &self.issuer).map_err(unsigned)?;
        let (_, expires) = spiffe::validity(certificate.der())?;
        Ok((certificate, expires))
    }
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
