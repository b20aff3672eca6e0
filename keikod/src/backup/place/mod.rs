//! Where backups are kept: a folder of this machine, or a bucket that speaks S3.
//!
//! What lies where `keiko_core::backup` says. Everything here blocks, with an end: it is called where
//! waiting hurts nobody.
//!
//! Invariants: what `put` returned for is durable, and there whole or not at all; one writes at a
//! time, because whoever clears up must not remove what another one has just found.
//!
//! Never: writes what is there already under the same name, but for a claim that nobody holds.

mod bucket;
mod folder;

use bucket::Bucket;
use folder::Folder;
use keiko_core::backup::WRITING;
use keiko_core::refusal::{Code, Refusal, Result};
use std::sync::Arc;

/// How the name of a bucket begins.
const BUCKET: &str = "s3://";
/// Nobody writes for longer; whoever claims the place and is as old as this is gone.
const CLAIM_MS: u64 = 2 * 3600 * 1000;
/// A claim is a line.
const CLAIM_BYTES_MAX: usize = 1024;

/// The place; a cheap clone.
#[derive(Clone, Debug)]
pub enum Place {
    /// Of this machine.
    Folder(Folder),
    /// Elsewhere.
    Bucket(Arc<Bucket>),
}

/// What lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Below the place, with `/`.
    pub path: String,
    /// In bytes.
    pub length: u64,
}

/// True if this names a place, and no file.
pub(super) fn is_place(text: &str) -> bool {
    text.starts_with(BUCKET) || text.ends_with('/') || std::path::Path::new(text).is_dir()
}

impl Place {
    /// The place of this name; nothing is asked of it yet.
    pub fn open(text: &str) -> Result<Self> {
        match text.strip_prefix(BUCKET) {
            Some(rest) => Ok(Self::Bucket(Arc::new(Bucket::open(text, rest)?))),
            None => Ok(Self::Folder(Folder::new(text))),
        }
    }

    /// Everything below this path.
    pub fn list(&self, below: &str) -> Result<Vec<Found>> {
        match self {
            Self::Folder(folder) => folder.list(below),
            Self::Bucket(bucket) => bucket.list(below),
        }
    }

    /// What lies at this path; none if nothing does. Refused if it is larger than that.
    pub fn get(&self, path: &str, most: usize) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Folder(folder) => folder.get(path, most),
            Self::Bucket(bucket) => bucket.get(path, most),
        }
    }

    /// Puts it there, in place of what was.
    pub fn put(&self, path: &str, bytes: Vec<u8>) -> Result<()> {
        match self {
            Self::Folder(folder) => folder.put(path, &bytes),
            Self::Bucket(bucket) => bucket.put(path, bytes, false).map(drop),
        }
    }

    /// Puts it there if nothing is; says whether it did.
    fn put_new(&self, path: &str, bytes: Vec<u8>) -> Result<bool> {
        match self {
            Self::Folder(folder) => folder.put_new(path, &bytes),
            Self::Bucket(bucket) => bucket.put(path, bytes, true),
        }
    }

    /// Removes it; it may be gone already.
    pub fn remove(&self, path: &str) -> Result<()> {
        match self {
            Self::Folder(folder) => folder.remove(path),
            Self::Bucket(bucket) => bucket.remove(path),
        }
    }

    /// The right to write there, until the claim is dropped. Who held it when its process died gets
    /// it back at once, others after two hours.
    pub fn claim(&self, holder: &str, now_ms: u64) -> Result<Claim> {
        let line = format!("{now_ms} {holder}\n");
        for _ in 0..2 {
            if self.put_new(WRITING, line.clone().into_bytes())? {
                return Ok(Claim { place: self.clone() });
            }
            let held = self.get(WRITING, CLAIM_BYTES_MAX)?.unwrap_or_default();
            let held = String::from_utf8_lossy(&held).into_owned();
            if !is_stale(&held, holder, now_ms) {
                let message = "somebody else writes backups there";
                return Err(Refusal::new(Code::BackupUnderWay, message)
                    .cause(format!("{WRITING} says: {}", held.trim().escape_default()))
                    .hint(format!("wait for it; if nobody writes, remove {WRITING} there")));
            }
            self.remove(WRITING)?;
        }
        Err(Refusal::new(Code::BackupUnderWay, "somebody else writes backups there")
            .hint("try again in a moment"))
    }
}

/// True if whoever wrote this line does not write any more.
fn is_stale(line: &str, holder: &str, now_ms: u64) -> bool {
    let Some((since, who)) = line.trim_end().split_once(' ') else { return line.is_empty() };
    let since = since.parse().unwrap_or(0_u64);
    who == holder || since.saturating_add(CLAIM_MS) < now_ms
}

/// Held by who writes.
#[derive(Debug)]
pub struct Claim {
    place: Place,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let place = self.place.clone();
        // What fails early drops it where nobody may wait for a bucket.
        let removed = std::thread::spawn(move || place.remove(WRITING)).join();
        if let Ok(Err(refusal)) = removed {
            let causes = &refusal.causes;
            tracing::warn!(?causes, "the claim of a place for backups stays: {refusal}");
        }
    }
}

/// The place does not do what it must.
fn unusable(what: &str, error: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::BackupPlace, what).cause(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writes_at_a_time() {
        let here = tempfile::tempdir().unwrap();
        let place = Place::open(&here.path().join("place").display().to_string()).unwrap();
        let claim = place.claim("n1", 1000).unwrap();
        let refused = place.claim("n2", 1000 + CLAIM_MS).unwrap_err();
        assert_eq!(refused.code, Code::BackupUnderWay);
        // The same one, started again, and another one after two hours.
        std::mem::forget(place.claim("n1", 2000).unwrap());
        std::mem::forget(place.claim("n2", 2001 + CLAIM_MS).unwrap());
        drop(claim);
        drop(place.claim("n3", 1).unwrap());
        assert_eq!(place.list("").unwrap(), []);
    }

    #[test]
    fn what_names_a_place() {
        let here = tempfile::tempdir().unwrap();
        let folder = here.path().display().to_string();
        let file = here.path().join("file");
        std::fs::write(&file, "").unwrap();
        for (text, expect) in [
            ("s3://bucket/prefix", true),
            ("not/there/", true),
            ("not/there", false),
            (&folder, true),
            (&file.display().to_string(), false),
        ] {
            assert_eq!(is_place(text), expect, "{text}");
        }
    }
}
