//! Who calls, and how the server is recognised.

use crate::error::{Error, Result, code};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::str::FromStr;

/// A token has four short parts; nothing longer is even looked at.
const TOKEN_CHARS_MAX: usize = 512;

/// Who calls.
#[derive(Clone, PartialEq, Eq)]
pub enum Identity {
    /// The process itself, as the unix socket's peer.
    Process,
    /// A bearer token: `keiko.<id>.<secret>.<hash of the CA certificate>`.
    Token(String),
    /// A client certificate.
    Certificate {
        /// PEM: the leaf, then the cluster's CA.
        chain_pem: String,
        /// PEM of its key.
        key_pem: String,
    },
}

/// How a server behind TLS is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// By the BLAKE3 hash of its CA certificate.
    Hash([u8; 32]),
    /// By the CA certificate itself, DER.
    Authority(Vec<u8>),
}

impl FromStr for Identity {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        ca_hash(text)?;
        Ok(Self::Token(text.to_owned()))
    }
}

impl Identity {
    /// What the identity itself says about the server.
    pub fn trust(&self) -> Option<Trust> {
        match self {
            Self::Process => None,
            Self::Token(text) => ca_hash(text).ok().map(Trust::Hash),
            Self::Certificate { chain_pem, .. } => {
                let ca = chain(chain_pem).ok()?.pop()?;
                Some(Trust::Authority(ca.to_vec()))
            }
        }
    }

    /// What TLS shows, if it shows anything.
    pub(crate) fn certificate(&self) -> Result<Option<Shown>> {
        let Self::Certificate { chain_pem, key_pem } = self else { return Ok(None) };
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(unusable)?;
        Ok(Some((chain(chain_pem)?, key)))
    }
}

/// A chain and its key.
pub(crate) type Shown = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The certificates of a PEM, the leaf first; at least two.
pub(crate) fn chain(pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes());
    let chain: Vec<_> = chain.collect::<std::result::Result<_, _>>().map_err(unusable)?;
    match chain.len() {
        0 | 1 => Err(unusable("there is no CA in it")),
        _ => Ok(chain),
    }
}

pub(crate) fn unusable(why: impl ToString) -> Error {
    Error::new(code::CERTIFICATE_INVALID, "this client certificate can't be used")
        .cause(why)
        .hint("enroll anew: keikoctl context add NAME --replace --endpoint E --token T")
}

/// Never the secret.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process => f.write_str("Process"),
            Self::Token(text) => {
                write!(f, "Token({})", text.split('.').nth(1).unwrap_or_default())
            }
            Self::Certificate { .. } => f.write_str("Certificate"),
        }
    }
}

impl Trust {
    /// Reads a CA certificate in PEM: the first one of the text.
    pub fn from_pem(pem: &[u8]) -> Result<Self> {
        let certificate = CertificateDer::from_pem_slice(pem).map_err(|error| {
            Error::new(code::INVALID_ARGUMENT, "the CA file holds no certificate in PEM")
                .cause(error)
                .hint("the CA certificate of a node is ca.pem in its data folder")
        })?;
        Ok(Self::Authority(certificate.to_vec()))
    }
}

fn ca_hash(text: &str) -> Result<[u8; 32]> {
    let malformed = || {
        Error::new(code::TOKEN_INVALID, "this is not a token of Keiko")
            .hint("a token reads keiko.ID.SECRET.HASH, as the command that made it printed it")
            .hint("a new one: keikoctl cluster token create, or keikoctl agent token NAME")
    };
    if text.len() > TOKEN_CHARS_MAX {
        return Err(malformed());
    }
    let parts: Vec<&str> = text.split('.').collect();
    let ["keiko", id, secret, hash] = parts[..] else { return Err(malformed()) };
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic());
    if !plain(id) || !plain(secret) {
        return Err(malformed());
    }
    blake3::Hash::from_hex(hash).map(Into::into).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_carries_the_hash_of_the_ca() {
        let hash = "ab".repeat(32);
        let good = format!("keiko.id.secret.{hash}");
        for (text, expect) in [
            (good.clone(), true),
            (format!("  {good}\n"), true),
            (format!("keiko.id.secret.{}", "ab".repeat(31)), false),
            (format!("keiko.id..{hash}"), false),
            (format!("other.id.secret.{hash}"), false),
            (format!("keiko.id.secret.{hash}.more"), false),
            (format!("keiko.id.{}.{hash}", "s".repeat(600)), false),
            (String::new(), false),
        ] {
            assert_eq!(text.parse::<Identity>().is_ok(), expect, "{text:?}");
        }
        let identity: Identity = good.parse().unwrap();
        assert_eq!(identity.trust(), Some(Trust::Hash([0xab; 32])));
        assert!(!format!("{identity:?}").contains("secret"));
    }
}
