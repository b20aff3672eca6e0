//! A full disk.

use super::load::{self, Load};
use super::{Rig, Started};
use keiko_core::refusal::Code;
use keiko_tests::disk::Survival;
use keiko_tests::{eventually, full, seed};
use std::fs;

const MIB: u64 = 1 << 20;
const BALLAST_BYTES: u64 = 64 * MIB;

/// Waits until the daemon holds its ballast.
fn wait_ballast(rig: &Rig) {
    eventually("the ballast", || {
        let length = fs::metadata(rig.node.data().join("ballast")).map_or(0, |file| file.len());
        if length == BALLAST_BYTES { Ok(()) } else { Err(format!("{length} bytes")) }
    });
}

/// Tries a write until it comes out so; the disk is looked at once a second.
fn wait_writes(rig: &Rig, accepted: bool) {
    eventually("the disk is looked at", || {
        let output = rig.node.ctl.run("agent token probe");
        let refused = output.stderr.contains(&Code::DiskFull.to_string());
        if (output.status == 0, refused) == (accepted, !accepted) {
            Ok(())
        } else {
            Err(output.to_string())
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_nearly_full_refuses_writes_and_only_them() {
    let Some(mut rig) = Rig::start() else { return };
    wait_ballast(&rig);
    let client = load::connect(&rig.node).await;
    let kept = load::write(&client, client.request_id()).await.expect("there is room");
    rig.disk.leave_free(500 * MIB);
    wait_writes(&rig, false);
    let refused = rig.node.ctl.refused("agent token more", 1, Code::DiskFull);
    refused.says(&rig.node.data().display().to_string()).says("free space");
    let events = load::journal(&client, 0).await;
    assert!(load::missing(&events, std::slice::from_ref(&kept)).is_empty());
    load::revoke(&client, client.request_id(), kept.token).await.expect("deletes work");
    // Above where it began, below where it ends: still full.
    rig.disk.leave_free(1_200 * MIB);
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    rig.node.ctl.refused("agent token more", 1, Code::DiskFull);
    rig.disk.heal();
    wait_writes(&rig, true);
    assert_eq!(rig.node.terminate(), 0);
    rig.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_and_the_ballast_starts_it() {
    let Some(mut rig) = Rig::start() else { return };
    wait_ballast(&rig);
    let load = Load::start(&rig.node).await;
    load.reach(50).await;
    // The log has taken its room before, so that it can be refused in good time.
    rig.disk.leave_free(0);
    let known = load.ended().await;
    assert_eq!(known.refusal.as_ref().map(|refusal| refusal.code), Some(44), "{known:?}");
    assert_eq!(rig.disk.free(), 0);
    rig.node.kill_9();
    let from = rig.node.log().len();
    rig.start_again().ready();
    let log = rig.node.log();
    assert!(log[from..].contains("the ballast was given up"), "{}", &log[from..]);
    assert!(!rig.node.data().join("ballast").exists());
    let events = load::journal(&load::connect(&rig.node).await, 0).await;
    let missing = load::missing(&events, &known.acknowledged);
    assert!(missing.is_empty(), "LOST: {missing:?}");
    rig.node.ctl.refused("agent token more", 1, Code::DiskFull);
    // Once more without any ballast: not even its socket can be made, and it is said why.
    rig.node.kill_9();
    rig.disk.leave_free(0);
    rig.start_again().refused("KEIKO-0044", &["no room", "No space left", "free some space"]);
    rig.disk.heal();
    rig.disk.power_cut(Survival::Nothing, 0);
    rig.start_again().ready();
    wait_writes(&rig, true);
    wait_ballast(&rig);
    let events = load::journal(&load::connect(&rig.node).await, 0).await;
    assert!(load::missing(&events, &known.acknowledged).is_empty());
}

/// With any little room the start succeeds or is refused with a code, and nothing is lost by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_with_any_little_room_harms_nothing() {
    let Some(mut rig) = Rig::start() else { return };
    let mut dice = seed("disk::room::a_start_with_any_little_room_harms_nothing");
    let load = Load::start(&rig.node).await;
    load.reach(200).await;
    rig.node.kill_9();
    let known = load.end().await;
    let _ = fs::remove_file(rig.node.data().join("ballast"));
    let image = rig.disk.image();
    let (mut ready, mut refused) = (0, 0);
    for _ in 0..if full() { 60 } else { 8 } {
        rig.disk.restore(&image);
        let room = dice.below(96) * 4096;
        rig.disk.leave_free(room);
        match rig.start_again() {
            Started::Ready => {
                ready += 1;
                rig.node.kill_9();
            }
            Started::Refused { said } => {
                refused += 1;
                // The last one is for room that is used up once the store is open.
                let coded = ["KEIKO-0044", "KEIKO-0068"];
                let coded = coded.iter().any(|code| said.contains(code));
                assert!(coded, "{room} bytes: no code:\n{said}");
                assert!(said.contains("No space left"), "{room} bytes: no reason:\n{said}");
            }
        }
        rig.disk.heal();
        rig.disk.power_cut(Survival::Prefix, dice.below(u64::MAX));
        match rig.start_again() {
            Started::Ready => {}
            Started::Refused { said } => panic!("{room} bytes were free before:\n{said}"),
        }
        let events = load::journal(&load::connect(&rig.node).await, 0).await;
        let missing = load::missing(&events, &known.acknowledged);
        assert!(missing.is_empty(), "LOST with {room} bytes: {missing:?}");
        rig.node.kill_9();
    }
    assert!(refused > 0, "none of {ready} starts was short of room");
}
