//! What a certificate of the cluster says: whom it names, with which key, and until when.
//!
//! The name is the one SPIFFE id among the alternative names: `spiffe://CLUSTER/node/NAME` or
//! `spiffe://CLUSTER/person/NAME`. Whether the cluster's CA signed it is not asked here: that was
//! done by the handshake, or is done by who reads a file.

use keiko_core::refusal::{Code, Refusal, Result};
use rustls_pki_types::CertificateDer;
use std::time::{Duration, SystemTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};

const SCHEME: &str = "spiffe://";

/// Whom a certificate names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A member.
    Node(String),
    /// A person, or an agent as in `agent.default.hello`.
    Person(String),
}

/// What a certificate says of whoever has its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The trust domain.
    pub cluster_id: String,
    /// Whom it names.
    pub subject: Subject,
    /// BLAKE3 of the public key (SubjectPublicKeyInfo, DER), hex.
    pub key_hash: String,
    /// When it ends.
    pub expires_ms: u64,
    /// By which its signer's key is named; empty if it is not.
    pub authority_key_id: Vec<u8>,
}

impl Claim {
    /// Reads a leaf.
    pub fn of(leaf: &CertificateDer<'_>) -> Result<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(leaf).map_err(unreadable)?;
        let uri = uri(&parsed)?.ok_or_else(|| unreadable("it names nobody"))?;
        let mut parts = uri.strip_prefix(SCHEME).unwrap_or_default().splitn(3, '/');
        let (cluster_id, kind, name) = (parts.next(), parts.next(), parts.next());
        let name = name.filter(|name| is_name(name)).map(str::to_owned);
        let subject = match (kind, name) {
            (Some("node"), Some(name)) => Subject::Node(name),
            (Some("person"), Some(name)) => Subject::Person(name),
            _ => return Err(unreadable(format!("it names {uri:?}"))),
        };
        let seconds = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or_default();
        Ok(Self {
            cluster_id: cluster_id.unwrap_or_default().to_owned(),
            subject,
            key_hash: key_hash(parsed.public_key().raw),
            expires_ms: seconds.saturating_mul(1000),
            authority_key_id: authority_key_id(&parsed).unwrap_or_default(),
        })
    }
}

/// The id of a subject.
pub(super) fn id(cluster_id: &str, subject: &Subject) -> String {
    let (kind, name) = match subject {
        Subject::Node(name) => ("node", name),
        Subject::Person(name) => ("person", name),
    };
    format!("{}/{kind}/{name}", trust_domain(cluster_id))
}

/// The id of the cluster itself, as in its CA.
pub(super) fn trust_domain(cluster_id: &str) -> String {
    format!("{SCHEME}{cluster_id}")
}

/// The cluster that a CA is of.
pub(super) fn cluster_of(authority: &CertificateDer<'_>) -> Result<String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(authority).map_err(unreadable)?;
    let uri = uri(&parsed)?;
    let cluster_id = uri.as_deref().and_then(|uri| uri.strip_prefix(SCHEME));
    cluster_id.map(str::to_owned).ok_or_else(|| unreadable("it names no cluster"))
}

fn authority_key_id(leaf: &X509Certificate<'_>) -> Option<Vec<u8>> {
    leaf.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => {
            id.key_identifier.as_ref().map(|id| id.0.to_vec())
        }
        _ => None,
    })
}

/// By which leaves name the key of this CA.
pub(super) fn key_id(authority: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(authority).ok()?;
    parsed.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    })
}

/// True if a CA signed it itself: nobody vouches for it.
pub(super) fn stands_for_itself(authority: &CertificateDer<'_>) -> bool {
    let parsed = x509_parser::parse_x509_certificate(authority);
    parsed.is_ok_and(|(_, parsed)| parsed.is_ca() && parsed.verify_signature(None).is_ok())
}

/// BLAKE3 of a public key (SubjectPublicKeyInfo, DER), hex: under which a key is known.
pub(super) fn key_hash(public_key: &[u8]) -> String {
    blake3::hash(public_key).to_hex().to_string()
}

/// From when until when a certificate holds.
pub(super) fn validity(certificate: &CertificateDer<'_>) -> Result<(SystemTime, SystemTime)> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(unreadable)?;
    let time = |seconds: i64| {
        let since = Duration::from_secs(u64::try_from(seconds).ok()?);
        SystemTime::UNIX_EPOCH.checked_add(since)
    };
    let validity = parsed.validity();
    time(validity.not_before.timestamp())
        .zip(time(validity.not_after.timestamp()))
        .ok_or_else(|| unreadable("its validity is beyond what a clock shows"))
}

/// What a person or node may be called in an id: what a URI takes as it is.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=200).contains(&name.len()) && name.bytes().all(fits)
}

/// The one URI of a certificate. SPIFFE allows no second one: which of them would count?
fn uri(certificate: &X509Certificate<'_>) -> Result<Option<String>> {
    let names = certificate.subject_alternative_name().map_err(unreadable)?;
    let names = names.iter().flat_map(|names| names.value.general_names.iter());
    let mut uris = names.filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (first, None) => Ok(first),
        _ => Err(unreadable("it has more than one name")),
    }
}

fn unreadable(why: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::CertificateInvalid, "the certificate is none of a cluster").cause(why).hint(
        "enroll anew with a token: keikoctl context add NAME --endpoint E --token T --replace",
    )
}
