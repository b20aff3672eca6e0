//! The cluster key and what is sealed with it.
//!
//! A cluster key exists only as a file of `D/keys` on voters and in the memory of their daemons.
//! What leaves a node (log, snapshot, backup) is a [`SealedValue`]: ciphertext that names its
//! algorithm and key. The key's id is derived from the key, so a file that was damaged or renamed
//! is noticed before it is used. The associated data binds a value to its purpose: a sealed value
//! that is moved to another place does not open.

use super::{file, random, text};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use keiko_core::refusal::{Code, Refusal, Result, refuse};
use keiko_proto::v1::SealedValue;
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;
const ALGORITHM: &str = "aes-256-gcm";
const ID_CONTEXT: &str = "keiko 2026 cluster key id v1";

/// A key that seals; shows nothing of itself.
pub struct ClusterKey {
    id: String,
    secret: Zeroizing<[u8; KEY_BYTES]>,
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl ClusterKey {
    fn generate() -> Result<Self> {
        Ok(Self::from_secret(Zeroizing::new(random::bytes()?)))
    }

    fn from_secret(secret: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        // 64 bits tell keys of one cluster apart; the derivation is one-way.
        let id = text::encode(&blake3::derive_key(ID_CONTEXT, secret.as_slice())[..8]);
        Self { id, secret }
    }

    /// Which key it is: safe to show.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Seals `value` for one purpose, as in `cluster-ca`.
    pub fn seal(&self, purpose: &str, value: &[u8]) -> Result<SealedValue> {
        let nonce: [u8; NONCE_LEN] = random::bytes()?;
        let mut ciphertext = value.to_vec();
        self.cipher()?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(associated(&self.id, purpose)),
                &mut ciphertext,
            )
            .map_err(|_| Refusal::new(Code::Internal, format!("can't seal the {purpose}")))?;
        Ok(SealedValue {
            algorithm: ALGORITHM.to_owned(),
            key_id: self.id.clone(),
            nonce: nonce.to_vec(),
            ciphertext,
        })
    }

    /// The value, if it was sealed with this key for this purpose and nothing was changed.
    pub fn open(&self, purpose: &str, sealed: &SealedValue) -> Result<Zeroizing<Vec<u8>>> {
        if sealed.algorithm != ALGORITHM {
            return refuse(
                Code::KeyMaterial,
                format!(
                    "the {purpose} is sealed with {:?}, unknown to this release",
                    sealed.algorithm
                ),
            );
        }
        let damaged =
            || Refusal::new(Code::KeyMaterial, format!("the sealed {purpose} does not open"));
        if sealed.key_id != self.id {
            return Err(damaged().cause(format!(
                "it is sealed with key {}, this is key {}",
                sealed.key_id, self.id
            )));
        }
        let nonce = Nonce::try_assume_unique_for_key(&sealed.nonce).map_err(|_| damaged())?;
        let mut value = Zeroizing::new(sealed.ciphertext.clone());
        let length = self
            .cipher()?
            .open_in_place(nonce, Aad::from(associated(&self.id, purpose)), &mut value)
            .map_err(|_| damaged().cause("its bytes were changed, or it is of another purpose"))?
            .len();
        value.truncate(length);
        Ok(value)
    }

    fn cipher(&self) -> Result<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, self.secret.as_slice())
            .map(LessSafeKey::new)
            .map_err(|_| Refusal::new(Code::Internal, "the cluster key does not fit its algorithm"))
    }
}

fn associated(key_id: &str, purpose: &str) -> Vec<u8> {
    format!("keiko.v1.SealedValue\0{ALGORITHM}\0{key_id}\0{purpose}").into_bytes()
}

/// The folder `D/keys`.
#[derive(Clone, Debug)]
pub struct Keys {
    folder: PathBuf,
}

impl Keys {
    /// Makes the folder if need be; refuses one that others can open.
    pub fn open(folder: &Path) -> Result<Self> {
        file::private_folder(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// A new key, on disk before it is returned.
    pub fn create(&self) -> Result<ClusterKey> {
        let key = ClusterKey::generate()?;
        file::write(&self.path(key.id())?, key.secret.as_slice(), 0o600)?;
        Ok(key)
    }

    /// The bytes of a key, for another voter.
    pub fn reveal(&self, id: &str) -> Result<Zeroizing<Vec<u8>>> {
        Ok(Zeroizing::new(self.load(id)?.secret.to_vec()))
    }

    /// Keeps a key that another voter gave, on disk before this returns. Refused if it is not the
    /// key with this id.
    pub fn keep(&self, id: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path(id)?;
        let secret = <[u8; KEY_BYTES]>::try_from(bytes).map(Zeroizing::new);
        let key = ClusterKey::from_secret(secret.map_err(|_| damaged(&path))?);
        if key.id != id {
            return Err(damaged(&path));
        }
        file::write(&path, key.secret.as_slice(), 0o600)
    }

    /// The key with this id.
    pub fn load(&self, id: &str) -> Result<ClusterKey> {
        let path = self.path(id)?;
        let bytes =
            Zeroizing::new(file::read_private(&path, KEY_BYTES as u64).map_err(|refusal| {
                refusal.hint("a voter needs its cluster key: restore D/keys, or join the node anew")
            })?);
        let secret = <[u8; KEY_BYTES]>::try_from(bytes.as_slice())
            .map(Zeroizing::new)
            .map_err(|_| damaged(&path))?;
        let key = ClusterKey::from_secret(secret);
        if key.id == id { Ok(key) } else { Err(damaged(&path)) }
    }

    fn path(&self, id: &str) -> Result<PathBuf> {
        // The id may come from a log entry: it must never reach out of the folder.
        if text::decode::<8>(id).is_none() {
            return refuse(Code::KeyMaterial, format!("{id:?} is not the id of a cluster key"));
        }
        Ok(self.folder.join(format!("cluster-{id}.key")))
    }
}

fn damaged(path: &Path) -> Refusal {
    Refusal::new(Code::KeyMaterial, format!("{} is not the key that its name says", path.display()))
        .hint("restore the file from another voter or a backup")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn keys() -> (tempfile::TempDir, Keys) {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open(&folder.path().join("keys")).unwrap();
        (folder, keys)
    }

    #[test]
    fn what_is_sealed_opens_after_a_restart() {
        let (_folder, keys) = keys();
        let key = keys.create().unwrap();
        let sealed = key.seal("test", b"a secret").unwrap();
        let again = keys.load(&sealed.key_id).unwrap();
        assert_eq!(again.open("test", &sealed).unwrap().as_slice(), b"a secret");
        let mode = fs::metadata(keys.path(key.id()).unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!format!("{key:?}").contains("secret"));
    }

    #[test]
    fn any_change_is_refused() {
        let (_folder, keys) = keys();
        let key = keys.create().unwrap();
        let sealed = key.seal("test", b"a secret").unwrap();
        let refused = |value: &SealedValue, purpose: &str| {
            assert_eq!(key.open(purpose, value).unwrap_err().code, Code::KeyMaterial);
        };
        for index in 0..sealed.ciphertext.len() {
            let mut flipped = sealed.clone();
            flipped.ciphertext[index] ^= 1;
            refused(&flipped, "test");
        }
        refused(&sealed, "other");
        refused(&SealedValue { nonce: vec![0; 12], ..sealed.clone() }, "test");
        refused(&SealedValue { nonce: vec![], ..sealed.clone() }, "test");
        refused(&SealedValue { ciphertext: vec![], ..sealed.clone() }, "test");
        refused(&SealedValue { algorithm: "none".into(), ..sealed.clone() }, "test");
        refused(&SealedValue { key_id: "0".repeat(16), ..sealed }, "test");
    }

    #[test]
    fn a_key_file_is_checked_before_use() {
        let (_folder, keys) = keys();
        let key = keys.create().unwrap();
        let path = keys.path(key.id()).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[3] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(keys.load(key.id()).unwrap_err().code, Code::KeyMaterial);
        bytes[3] ^= 1;
        fs::write(&path, &bytes).unwrap();
        keys.load(key.id()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(keys.load(key.id()).unwrap_err().hints[0].starts_with("chmod"));
        for bad in ["", "../../etc/passwd", "0123456789ABCDEF", "é"] {
            assert_eq!(keys.load(bad).unwrap_err().code, Code::KeyMaterial);
        }
    }
}
