//! Client certificates: got for a one-use token, renewed while they hold, and read.
//!
//! Invariants: the key is made here and never leaves the machine; what comes back is for that key,
//! and of the cluster that was meant.

use crate::call::{Client, Settings};
use crate::error::{Error, Result, code};
use crate::identity::{Identity, Trust, chain, unusable};
use keiko_proto::v1 as wire;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::fmt;
use x509_parser::extensions::GeneralName;

/// A certificate with its key, and what the cluster says of whoever has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// PEM of the key: for its owner's eyes only.
    pub key_pem: String,
    /// PEM: the leaf, then the CA.
    pub chain_pem: String,
    /// PEM of the CAs that count, first of the one that signed.
    pub ca_pem: String,
    /// Who is known by it.
    pub name: String,
    /// What they may do now: the cluster may change it.
    pub role: String,
    /// Of an agent: what it may touch.
    pub scope: String,
    /// When the certificate ends.
    pub expires_ms: u64,
    /// Of which cluster it is.
    pub cluster_id: String,
}

/// Never the key.
impl fmt::Debug for Enrolled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enrolled")
            .field("name", &self.name)
            .field("role", &self.role)
            .field("expires_ms", &self.expires_ms)
            .finish_non_exhaustive()
    }
}

impl Enrolled {
    /// To call with.
    pub fn identity(&self) -> Identity {
        Identity::Certificate { chain_pem: self.chain_pem.clone(), key_pem: self.key_pem.clone() }
    }
}

/// Trades the one-use token of `settings` for a certificate.
pub async fn enroll(settings: Settings) -> Result<Enrolled> {
    let trust = settings.trust.clone().or_else(|| settings.identity.trust());
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(broken)?;
    let client = Client::with(settings).await?;
    let enrolled = client.ask(&key).await?;
    let all = CertificateDer::pem_slice_iter(enrolled.ca_pem.as_bytes());
    let all: Vec<_> = all.collect::<std::result::Result<_, _>>().map_err(unusable)?;
    // While the CA is being changed there are two, and the token may be of the one before.
    let is_meant = all.iter().any(|ca| match &trust {
        Some(Trust::Hash(hash)) => blake3::hash(ca).as_bytes() == hash,
        Some(Trust::Authority(meant)) => **meant == **ca,
        None => true,
    });
    match is_meant {
        true => Ok(enrolled),
        false => Err(Error::new(
            code::WRONG_CLUSTER,
            "the certificate that was given is not of the cluster that was meant",
        )),
    }
}

impl Client {
    /// A fresh certificate for the same key, while the one that this client shows still holds.
    pub async fn renew(&self, key_pem: &str) -> Result<Enrolled> {
        let key = KeyPair::from_pkcs8_pem_and_sign_algo(key_pem, &PKCS_ECDSA_P256_SHA256);
        self.ask(&key.map_err(unusable)?).await
    }

    async fn ask(&self, key: &KeyPair) -> Result<Enrolled> {
        let mut params = CertificateParams::default();
        // Who it is for is the cluster's to say.
        params.distinguished_name = DistinguishedName::new();
        let csr = params.serialize_request(key).map_err(broken)?.der().to_vec();
        let request = wire::EnrollRequest { csr, request_id: Vec::new() };
        let call = |client: Self, request| async move { client.security().enroll(request).await };
        let answer = self.write(None, request, call).await?;
        let leaf = chain(&answer.certificate)?.swap_remove(0);
        let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).map_err(unusable)?;
        if leaf.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(unusable("it is of another key than the one that was sent"));
        }
        let wire::EnrollResponse { certificate, ca, name, role, scope, expires_ms, cluster_id } =
            answer;
        Ok(Enrolled {
            key_pem: key.serialize_pem(),
            chain_pem: certificate,
            ca_pem: ca,
            name,
            role,
            scope,
            expires_ms,
            cluster_id,
        })
    }
}

fn broken(error: rcgen::Error) -> Error {
    Error::new(code::INTERNAL, "a certificate can't be asked for").cause(error)
}

/// What a client certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Badge {
    /// Whom it names.
    pub name: String,
    /// Of which cluster it is.
    pub cluster_id: String,
    /// When it began.
    pub from_ms: u64,
    /// When it ends.
    pub expires_ms: u64,
}

impl Badge {
    /// Reads the first certificate of a PEM.
    pub fn read(pem: &str) -> Result<Self> {
        let leaf = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(unusable)?;
        let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).map_err(unusable)?;
        let names = leaf.subject_alternative_name().map_err(unusable)?;
        let names = names.iter().flat_map(|names| names.value.general_names.iter());
        let mut uris = names.filter_map(|name| match name {
            GeneralName::URI(uri) => uri.strip_prefix("spiffe://"),
            _ => None,
        });
        let named = uris.next().and_then(|id| id.split_once("/person/"));
        let (cluster_id, name) = named.ok_or_else(|| unusable("it names nobody"))?;
        let ms = |seconds: i64| u64::try_from(seconds).unwrap_or_default().saturating_mul(1000);
        Ok(Self {
            name: name.to_owned(),
            cluster_id: cluster_id.to_owned(),
            from_ms: ms(leaf.validity().not_before.timestamp()),
            expires_ms: ms(leaf.validity().not_after.timestamp()),
        })
    }

    /// True if less than half of its life is left, and some is.
    pub fn is_due(&self, now_ms: u64) -> bool {
        let half_ms = self.expires_ms.saturating_sub(self.from_ms) / 2;
        now_ms < self.expires_ms && now_ms > self.from_ms.saturating_add(half_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_in_the_second_half() {
        let badge =
            Badge { name: "ann".into(), cluster_id: "c".into(), from_ms: 100, expires_ms: 200 };
        for (now_ms, expect) in [(0, false), (150, false), (151, true), (199, true), (200, false)] {
            assert_eq!(badge.is_due(now_ms), expect, "{now_ms}");
        }
    }

    #[test]
    fn what_is_no_certificate_of_a_person() {
        let key = KeyPair::generate().unwrap();
        let node = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        for pem in [String::new(), "x".into(), node.self_signed(&key).unwrap().pem()] {
            assert_eq!(Badge::read(&pem).unwrap_err().refusal.code, code::CERTIFICATE_INVALID);
        }
    }
}
