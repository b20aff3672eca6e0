//! Who calls, and how the server is recognised.

use crate::error::{Error, Result, code};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
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
        }
    }
}

/// Never the secret.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process => f.write_str("Process"),
            Self::Token(text) => {
                write!(f, "Token({})", text.split('.').nth(1).unwrap_or_default())
            }
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
            .hint("a token reads keiko.ID.SECRET.HASH, as agent token printed it")
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
