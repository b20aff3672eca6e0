//! Manifests of snapshots that nobody here wrote: what is taken for whole lies in the folder and is.
//!
//! A flipped bit fails its checksum and so proves little; half of the inputs are sealed again.

use super::{MANIFEST, MANIFEST_MAGIC, Manifest, Part, Snapshot, digest};
use crate::fuzz::{check_refusal, mutate};
use crate::store::Family;
use crate::store::record::{Applied, LogId, seal};
use keiko_core::id::GroupId;
use keiko_core::refusal::Code;
use keiko_core::store::Space;
use prost::Message as _;
use std::fs;
use std::path::Path;

const WORDS: &[&str] = &[
    "state-0000.sst",
    "../outside",
    "..",
    ".",
    "\u{1a}\u{10}",
    "\u{8}\u{3}",
    "\u{12}\u{0}",
    "\u{12}\u{10}",
    "raft_log",
    "journal",
    "\u{0}",
];

fn manifests(folder: &Path) -> Vec<Vec<u8>> {
    let part = |family: &str, name: &str| {
        let (length, blake3) = digest(&folder.join(name)).expect("a file");
        let blake3 = blake3.to_vec();
        Part { family: family.into(), name: name.into(), length, blake3 }
    };
    let mark = Applied { last: LogId { term: 2, index: 9 }, membership: b"members".to_vec() };
    let manifest = |applied: &[u8], files: Vec<Part>| {
        Manifest { group: 3, applied: applied.to_vec(), files }.encode_to_vec()
    };
    vec![
        manifest(&mark.encode(), vec![part("state", "a.sst"), part("history", "b.sst")]),
        manifest(&mark.encode(), vec![]),
        manifest(b"", vec![part("journal", "b.sst")]),
        manifest(b"", vec![part("raft_log", "a.sst")]),
        manifest(b"", vec![part("state", "../outside")]),
    ]
}

#[test]
fn any_manifest() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("00003-00000000000000000002-00000000000000000009");
    fs::create_dir(&folder).expect("a folder");
    let folder = folder.canonicalize().expect("a path");
    for (name, bytes) in [("a.sst", "one"), ("b.sst", "another"), ("../outside", "secret")] {
        fs::write(folder.join(name), bytes).expect("a file");
    }
    let write = |body: &[u8], sealed: bool| {
        let mut bytes = if sealed { [&[0; 4], body].concat() } else { body.to_vec() };
        if sealed {
            seal(MANIFEST_MAGIC, &mut bytes);
        }
        fs::write(folder.join(MANIFEST), bytes).expect("a file");
    };
    let manifests = manifests(&folder);
    for (body, whole) in manifests.iter().zip([true, true, true, false, false]) {
        write(body, true);
        let (_, manifest) = Snapshot::open(&folder, GroupId(3)).expect("our own manifest");
        assert_eq!(manifest.verify(&folder).is_ok(), whole, "{manifest:?}");
        assert!(Snapshot::open(&folder, GroupId(4)).is_err(), "of another group");
    }
    mutate::run("snapshot manifests", &manifests, WORDS, |body| {
        for sealed in [false, true] {
            write(body, sealed);
            let (snapshot, manifest) = match Snapshot::open(&folder, GroupId(3)) {
                Ok(opened) => opened,
                Err(refusal) => {
                    check_refusal(&refusal, &[Code::ChecksumMismatch]);
                    continue;
                }
            };
            let mark = snapshot.applied.as_ref().map(Applied::encode).unwrap_or_default();
            assert_eq!(mark, manifest.applied, "written as it was read");
            if let Err(refusal) = manifest.verify(&folder) {
                check_refusal(&refusal, &[Code::ChecksumMismatch, Code::DiskFault]);
                continue;
            }
            for part in &manifest.files {
                let path = folder.join(&part.name);
                let inside =
                    path.canonicalize().is_ok_and(|path| path.parent() == Some(folder.as_path()));
                assert!(inside, "{part:?}");
                assert_eq!(digest(&path).expect("it was verified").1, part.blake3[..], "{part:?}");
                assert!(Space::ALL.iter().any(|space| Family::from(*space).name() == part.family));
            }
        }
    });
}
