//! The key of this node: made once, `D/keys/node.key`, and under every certificate that it shows.
//!
//! The cluster knows a member by the hash of this key, so a certificate can be renewed by whoever
//! holds it and by nobody else. Never: leaves the machine, or is shown.

use super::spiffe::key_hash;
use super::{authority, file};
use keiko_core::refusal::{Code, Refusal, Result};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use zeroize::Zeroizing;

const FILE: &str = "node.key";
/// A key in PEM has some 240 bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// The key pair; shows nothing but its hash.
pub struct NodeKey {
    pair: KeyPair,
    hash: String,
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeKey").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl NodeKey {
    /// The key of the folder `D/keys`, made if there is none; on disk before it is returned.
    pub fn open_or_create(keys: &Path) -> Result<Self> {
        file::private_folder(keys)?;
        let path = keys.join(FILE);
        match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let new = Self::generate()?;
                let pem = Zeroizing::new(new.pair.serialize_pem());
                file::write(&path, pem.as_bytes(), 0o600)?;
                Ok(new)
            }
            // What else is wrong with it is told by who reads it.
            _ => Self::read(&path),
        }
    }

    /// A key that is in no file: of a node that shows who it is to nobody yet.
    pub(super) fn generate() -> Result<Self> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(authority::unsigned)?;
        Ok(Self::of(pair))
    }

    fn read(path: &Path) -> Result<Self> {
        let unusable = |why: &dyn fmt::Display| {
            Refusal::new(Code::KeyMaterial, format!("{} is no key of a node", path.display()))
                .cause(why)
                .hint("restore the file from a backup")
                .hint("or, on a member that serves: keikoctl node repair NAME")
        };
        let bytes = Zeroizing::new(file::read_private(path, FILE_BYTES_MAX)?);
        let pem = std::str::from_utf8(&bytes).map_err(|error| unusable(&error))?;
        let pair = KeyPair::from_pkcs8_pem_and_sign_algo(pem, &PKCS_ECDSA_P256_SHA256)
            .map_err(|error| unusable(&error))?;
        Ok(Self::of(pair))
    }

    fn of(pair: KeyPair) -> Self {
        let hash = key_hash(&pair.subject_public_key_info());
        Self { pair, hash }
    }

    /// BLAKE3 of the public key, hex: under which the cluster knows this node.
    pub fn key_hash(&self) -> &str {
        &self.hash
    }

    /// A request for a certificate, PKCS #10 in DER.
    pub fn csr(&self) -> Result<Vec<u8>> {
        let mut params = CertificateParams::default();
        // What a request asks for is not read; the signature is what counts.
        params.distinguished_name = rcgen::DistinguishedName::new();
        let request = params.serialize_request(&self.pair).map_err(authority::unsigned)?;
        Ok(request.der().to_vec())
    }

    pub(super) fn pair(&self) -> &KeyPair {
        &self.pair
    }

    pub(super) fn private(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.pair.serialize_der()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::csr::Requested;
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn stays_the_same_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        let first = NodeKey::open_or_create(&keys).unwrap();
        let again = NodeKey::open_or_create(&keys).unwrap();
        assert_eq!(first.key_hash(), again.key_hash());
        assert_eq!(first.key_hash().len(), 64);
        let path = keys.join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{first:?}").contains("PRIVATE"));
        let requested = Requested::parse(&first.csr().unwrap()).unwrap();
        assert_eq!(requested.key_hash, first.key_hash());
    }

    #[test]
    fn a_bad_file_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        NodeKey::open_or_create(&keys).unwrap();
        let path = keys.join(FILE);
        let refused = || NodeKey::open_or_create(&keys).unwrap_err().code;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(refused(), Code::KeyMaterial);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for bad in [&b"no key"[..], b"\xff", &[b'x'; 8192]] {
            fs::write(&path, bad).unwrap();
            assert_eq!(refused(), Code::KeyMaterial);
            assert_eq!(fs::read(&path).unwrap(), bad);
        }
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/nowhere", &path).unwrap();
        assert_eq!(refused(), Code::KeyMaterial);
    }
}
