//! The start with half an installed snapshot.
//!
//! An install writes a marker, deletes the state, brings in the snapshot's files, and removes the
//! marker. Here the marker and the snapshot are made by hand: a snapshot of a group of which
//! nothing was applied, so that after the install the whole log is applied again.

use super::load::{self, Load};
use super::{Rig, Started};
use keiko_tests::disk::{Image, Survival};
use keiko_tests::{full, seed};
use std::fs;
use std::path::PathBuf;

const MAGIC: &[u8] = b"keiko snapshot manifest 1";
const NAME: &str = "00000-empty";

/// CRC32C, bit by bit.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    !bytes.fold(u32::MAX, |mut sum, byte| {
        sum ^= u32::from(byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
        }
        sum
    })
}

/// The manifest of an empty snapshot of group 0: no field differs from its default.
fn manifest() -> Vec<u8> {
    crc32c(MAGIC.iter().copied()).to_le_bytes().to_vec()
}

fn snapshots(rig: &Rig) -> PathBuf {
    rig.node.data().join("snapshots")
}

/// A stopped daemon's disk on which an install was begun, the snapshot's manifest being this.
async fn begun(rig: &mut Rig, manifest: Option<&[u8]>) -> (Image, load::Writer) {
    let load = Load::start(&rig.node).await;
    load.reach(100).await;
    let known = load.end().await;
    assert_eq!(rig.node.terminate(), 0);
    if let Some(manifest) = manifest {
        fs::create_dir(snapshots(rig).join(NAME)).expect("a folder");
        fs::write(snapshots(rig).join(NAME).join("manifest"), manifest).expect("a manifest");
    }
    fs::write(snapshots(rig).join("00000.installing"), NAME).expect("a marker");
    (rig.disk.image(), known)
}

#[test]
fn the_checksum_is_the_known_one() {
    assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_install_is_repeated_however_often_it_is_cut() {
    let Some(mut rig) = Rig::start() else { return };
    let mut dice =
        seed("disk::install::an_interrupted_install_is_repeated_however_often_it_is_cut");
    let (image, known) = begun(&mut rig, Some(&manifest())).await;
    let data = rig.node.data().display().to_string();
    let verify = ["verify", "--data-dir", &data].map(str::to_owned);
    let refused = rig.node.run(&verify);
    assert!(refused.status != 0 && refused.stderr.contains("interrupted"), "{refused}");
    for round in 0..if full() { 60 } else { 5 } {
        let from = rig.node.log().len();
        rig.disk.restore(&image);
        if round > 0 {
            rig.node.launch();
            tokio::time::sleep(std::time::Duration::from_millis(40 + dice.below(250))).await;
            let (cut, survival) = (dice.below(u64::MAX), [Survival::Nothing, Survival::Prefix]);
            rig.power_cut(survival[dice.below(2) as usize], cut);
        }
        if let Started::Refused { said } = rig.start_again() {
            panic!("round {round}:\n{said}");
        }
        assert!(rig.node.log()[from..].contains("repeating an interrupted install"));
        assert!(!snapshots(&rig).join("00000.installing").exists());
        let events = load::journal(&load::connect(&rig.node).await, 0).await;
        let missing = load::missing(&events, &known.acknowledged);
        assert!(missing.is_empty(), "LOST in round {round}: {missing:?}");
        assert_eq!(rig.node.terminate(), 0);
        rig.verify();
    }
}

/// A marker whose snapshot is damaged or gone: nothing was touched yet, and nothing is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_install_that_cant_be_repeated_refuses_and_names_the_file() {
    let Some(mut rig) = Rig::start() else { return };
    let mut damaged = manifest();
    damaged[1] ^= 4;
    let (image, known) = begun(&mut rig, Some(&damaged)).await;
    let path = snapshots(&rig).join(NAME).join("manifest").display().to_string();
    rig.start_again().refused("KEIKO-0066", &[&path, "hint"]);
    rig.disk.restore(&image);
    fs::remove_dir_all(snapshots(&rig).join(NAME)).expect("it is removed");
    rig.start_again().refused("KEIKO-0068", &[&path, "hint"]);
    // The state was not touched: without the marker everything is there.
    fs::remove_file(snapshots(&rig).join("00000.installing")).expect("it is removed");
    rig.start_again().ready();
    let events = load::journal(&load::connect(&rig.node).await, 0).await;
    assert!(load::missing(&events, &known.acknowledged).is_empty());
}
