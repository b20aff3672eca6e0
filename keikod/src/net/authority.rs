//! The cluster's certificate authority: made once, at founding, and then an entry of the control
//! group whose key is sealed (see [`super::seal`]).
//!
//! Every voter can open it and sign its own certificate. The CA's hash (BLAKE3 over the DER of its
//! certificate) is what every token carries, so that a client knows the cluster at first contact.

use super::certificate::{Names, NodeCertificate};
use super::file;
use super::seal::Keys;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1 as wire;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use std::path::Path;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use zeroize::{Zeroize as _, Zeroizing};

/// How long a CA lives: ten years.
const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How long a node's certificate lives; it is renewed at half of this.
pub const NODE_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Clocks differ: a certificate is valid from a little before it was made.
const BACKDATE: Duration = Duration::from_secs(5 * 60);
const PURPOSE: &str = "cluster-ca";

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
        params.subject_alt_names = vec![uri(&trust_domain(cluster_id))?];
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
        let cluster_id = cluster_of(&certificate)?;
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
        let (_, parsed) = x509_parser::parse_x509_certificate(&self.certificate).ok()?;
        let seconds = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }

    /// Writes the certificate where people look for it: `D/ca.pem`.
    pub fn write_ca(&self, path: &Path) -> Result<()> {
        file::write(path, self.pem.as_bytes(), 0o644)
    }

    /// A certificate for this node with a key of its own, valid from now on for [`NODE_LIFE`].
    pub fn issue_node(&self, names: &Names) -> Result<NodeCertificate> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(unsigned)?;
        let now = SystemTime::now();
        let mut params = leaf(names, now)?;
        let spiffe = format!("{}/node/{}", trust_domain(&self.cluster_id), names.node());
        params.subject_alt_names.push(uri(&spiffe)?);
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&pair, &self.issuer).map_err(unsigned)?;
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        Ok(NodeCertificate::new(chain, &pair, now, Some(self.hash.clone())))
    }
}

/// What a certificate of a node has in common, whoever signs it.
pub(super) fn leaf(names: &Names, now: SystemTime) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names.subjects()).map_err(unsigned)?;
    (params.not_before, params.not_after) = validity(now, NODE_LIFE);
    params.distinguished_name = common_name(names.node());
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

fn trust_domain(cluster_id: &str) -> String {
    format!("spiffe://{cluster_id}")
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

fn cluster_of(certificate: &CertificateDer<'_>) -> Result<String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(unreadable)?;
    let names = parsed.subject_alternative_name().map_err(unreadable)?;
    names
        .into_iter()
        .flat_map(|names| names.value.general_names.iter())
        .find_map(|name| match name {
            GeneralName::URI(uri) => uri.strip_prefix("spiffe://").map(str::to_owned),
            _ => None,
        })
        .ok_or_else(|| unreadable("it names no cluster"))
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
