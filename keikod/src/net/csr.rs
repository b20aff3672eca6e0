//! Requests for certificates, PKCS #10: only the public key is taken from them, and only if whoever
//! asks has proven to hold its other half. Whatever else a request asks for is not even read.

use super::spiffe::key_hash;
use keiko_core::refusal::{Code, Refusal, Result, refuse};
use rcgen::SubjectPublicKeyInfo;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

/// A request with an RSA key of 8,192 bits and a page of attributes stays below.
const REQUEST_BYTES_MAX: usize = 16 << 10;

/// The key that a certificate is asked for.
#[derive(Debug)]
pub struct Requested {
    /// What goes into the certificate.
    pub(super) key: SubjectPublicKeyInfo,
    /// BLAKE3 of the public key, hex.
    pub key_hash: String,
}

impl Requested {
    /// Reads a request in DER, and checks that it is signed with the key that it names.
    pub fn parse(request: &[u8]) -> Result<Self> {
        if request.len() > REQUEST_BYTES_MAX {
            return refuse(
                Code::LimitExceeded,
                format!("a certificate request has at most {REQUEST_BYTES_MAX} bytes"),
            );
        }
        let (rest, parsed) = X509CertificationRequest::from_der(request).map_err(malformed)?;
        if !rest.is_empty() {
            return Err(malformed("something follows it"));
        }
        parsed.verify_signature().map_err(|error| {
            malformed("it is not signed with the key that it names").cause(error)
        })?;
        let public_key = parsed.certification_request_info.subject_pki.raw;
        let key = SubjectPublicKeyInfo::from_der(public_key).map_err(malformed)?;
        Ok(Self { key, key_hash: key_hash(public_key) })
    }
}

fn malformed(why: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::InvalidArgument, "the certificate request can't be used")
        .cause(why)
        .hint("it is PKCS #10 in DER, with a key of ECDSA P-256 or the like")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};

    #[test]
    fn only_who_holds_the_key_is_given_a_certificate() {
        let pair = KeyPair::generate().unwrap();
        let request = CertificateParams::default().serialize_request(&pair).unwrap();
        let requested = Requested::parse(request.der()).unwrap();
        assert_eq!(requested.key_hash, key_hash(&pair.subject_public_key_info()));

        let good = request.der().to_vec();
        let mut changed = good.clone();
        *changed.last_mut().unwrap() ^= 1;
        // Somebody else's key in the same request.
        let other = KeyPair::generate().unwrap();
        let mut stolen = good.clone();
        let at = stolen.windows(65).position(|window| window == pair.public_key_raw()).unwrap();
        stolen[at..at + 65].copy_from_slice(other.public_key_raw());
        let longer = [good.as_slice(), b"x"].concat();
        for bad in [changed, stolen, longer, good[1..].to_vec(), Vec::new()] {
            assert_eq!(Requested::parse(&bad).unwrap_err().code, Code::InvalidArgument);
        }
        let large = vec![0; REQUEST_BYTES_MAX + 1];
        assert_eq!(Requested::parse(&large).unwrap_err().code, Code::LimitExceeded);
    }
}
