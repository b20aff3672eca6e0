//! The certificates of the authorities that count, as they stand in the state: what follows a leaf,
//! and who is trusted.
//!
//! While one authority takes another one's place a node sends both behind its leaf, and the new one
//! once more, signed by the old: so who knows only the old one finds a way from it to the leaf, and who
//! knows only the new one needs none.
//!
//! Invariant: the last certificate of a chain is of the authority that signed the leaf.

use super::authority::hash_of;
use super::spiffe;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::security::STEP_RENEW;
use keiko_proto::v1 as wire;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use std::time::UNIX_EPOCH;

/// Of a leaf of a node. PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The newest first, each signed by the one before it.
    crosses: Vec<String>,
    /// Who is trusted beside the signer.
    others: Vec<String>,
    /// Who signs nodes.
    signer: String,
}

impl Bundle {
    /// As the state has it.
    pub fn of(stored: &wire::Authority, rotation: Option<&wire::Rotation>) -> Self {
        let next = rotation.and_then(|rotation| rotation.next.as_ref());
        let renews = rotation.is_some_and(|rotation| rotation.step == STEP_RENEW);
        let retiring = &stored.retiring;
        // What the oldest one's was signed by is gone.
        let crosses = std::iter::once(&stored.cross).chain(retiring.iter().map(|old| &old.cross));
        let crosses = crosses.take(retiring.len()).filter(|cross| !cross.is_empty()).cloned();
        let old = retiring.iter().map(|old| old.certificate.clone());
        match next {
            Some(next) if renews => Self {
                crosses: std::iter::once(next.cross.clone()).chain(crosses).collect(),
                others: std::iter::once(stored.certificate.clone()).chain(old).collect(),
                signer: next.certificate.clone(),
            },
            next => Self {
                crosses: crosses.collect(),
                others: next.map(|next| next.certificate.clone()).into_iter().chain(old).collect(),
                signer: stored.certificate.clone(),
            },
        }
    }

    /// What follows the leaf.
    pub(super) fn behind_leaf(&self) -> String {
        let all = self.crosses.iter().chain(&self.others).map(String::as_str);
        all.chain([self.signer.as_str()]).collect()
    }

    /// Who is trusted, the one first that signs people.
    pub fn trusted_pem(stored: &wire::Authority, rotation: Option<&wire::Rotation>) -> String {
        let next = rotation.and_then(|rotation| rotation.next.as_ref());
        let old = stored.retiring.iter().map(|old| old.certificate.as_str());
        let all = std::iter::once(stored.certificate.as_str());
        all.chain(next.map(|next| next.certificate.as_str())).chain(old).collect()
    }

    /// BLAKE3 of who is trusted, hex; the signer first.
    pub fn hashes(&self) -> Vec<String> {
        let all = std::iter::once(&self.signer).chain(&self.others);
        all.filter_map(|pem| hash_of_pem(pem)).collect()
    }
}

/// BLAKE3, hex, of the first certificate of a PEM text.
pub fn hash_of_pem(pem: &str) -> Option<String> {
    CertificateDer::from_pem_slice(pem.as_bytes()).ok().map(|certificate| hash_of(&certificate))
}

/// The same of each.
pub fn hashes_of_pem(pem: &str) -> Vec<String> {
    let all = CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(std::result::Result::ok);
    all.map(|certificate| hash_of(&certificate)).collect()
}

/// When the first certificate of a PEM text ends.
pub fn expires_ms_of_pem(pem: &str) -> Option<u64> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let (_, until) = spiffe::validity(&certificate).ok()?;
    let since = until.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// Every certificate of a PEM text, in DER.
pub(super) fn der_of_pem(pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_slice_iter(pem.as_bytes());
    let all: std::result::Result<Vec<_>, _> = all.collect();
    all.map_err(|error| Refusal::new(Code::KeyMaterial, "a certificate can't be read").cause(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(name: &str, retiring: &[&str]) -> wire::Authority {
        let old = |name: &&str| wire::RetiringAuthority {
            certificate: format!("{name} "),
            cross: format!("x{name} "),
            ..Default::default()
        };
        wire::Authority {
            certificate: format!("{name} "),
            cross: format!("x{name} "),
            retiring: retiring.iter().map(old).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn the_signer_is_last_and_every_way_is_there() {
        let rotation = |step: &str| wire::Rotation {
            step: step.to_owned(),
            next: (step != "wanted").then(|| authority("c", &[])),
            ..Default::default()
        };
        for (retiring, step, expect) in [
            (&[][..], None, "a "),
            (&[], Some("wanted"), "a "),
            (&[], Some("trust"), "c a "),
            (&[], Some("renew"), "xc a c "),
            (&["b"], None, "xa b a "),
            (&["b"], Some("trust"), "xa c b a "),
            (&["b"], Some("renew"), "xc xa a b c "),
            (&["b", "d"], None, "xa xb b d a "),
        ] {
            let rotation = step.map(rotation);
            let bundle = Bundle::of(&authority("a", retiring), rotation.as_ref());
            assert_eq!(bundle.behind_leaf(), expect, "{retiring:?} {step:?}");
        }
    }
}
