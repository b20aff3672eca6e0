//! The end of the log torn, grown or gone.

use super::load::{self, Acknowledged, Load};
use super::{Rig, Started};
use keiko_tests::disk::{Image, Survival};
use keiko_tests::{full, measure, seed};
use std::fs::{self, OpenOptions};
use std::path::PathBuf;

/// A killed daemon's disk, and what it acknowledged.
async fn killed(rig: &mut Rig) -> (Image, Vec<Acknowledged>) {
    let load = Load::start(&rig.node).await;
    load.reach(200).await;
    rig.node.kill_9();
    (rig.disk.image(), load.end().await.acknowledged)
}

/// The newest of RocksDB's logs.
fn newest_log(rig: &Rig) -> PathBuf {
    let entries = fs::read_dir(rig.node.data().join("store")).expect("the store");
    let paths = entries.map(|entry| entry.expect("a name").path());
    let logs = paths.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.max().expect("a log")
}

async fn missing(rig: &Rig, acknowledged: &[Acknowledged]) -> Vec<Acknowledged> {
    let events = load::journal(&load::connect(&rig.node).await, 0).await;
    load::missing(&events, acknowledged)
}

/// However much of the log's end is gone, a start has everything or is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_cut_below_what_was_acknowledged_is_refused() {
    let Some(mut rig) = Rig::start() else { return };
    let mut dice = seed("disk::tail::a_log_cut_below_what_was_acknowledged_is_refused");
    let (image, acknowledged) = killed(&mut rig).await;
    let path = newest_log(&rig);
    let length = fs::metadata(&path).expect("it is there").len();
    let (mut ready, mut refused) = (0, 0);
    // Near the end first: what was applied last is in the log twice, and may be missing once.
    let near = (0..6).map(|step| length - 1 - step * 40);
    let cuts: Vec<u64> =
        near.chain((0..if full() { 60 } else { 6 }).map(|_| dice.below(length))).collect();
    for cut in cuts {
        rig.disk.restore(&image);
        let file = OpenOptions::new().write(true).open(&path).expect("it is there");
        file.set_len(cut).expect("it is cut");
        match rig.start_again() {
            Started::Ready => {
                ready += 1;
                let missing = missing(&rig, &acknowledged).await;
                assert!(missing.is_empty(), "LOST, cut at {cut} of {length}: {missing:?}");
                rig.node.kill_9();
            }
            Started::Refused { said } => {
                refused += 1;
                super::says(&said, "KEIKO-0066", &["the store in", "durable", "hint"]);
            }
        }
    }
    assert!(refused > 0, "no cut of {ready} was below what was acknowledged");
    rig.disk.restore(&image);
    fs::remove_file(&path).expect("it is removed");
    rig.start_again().refused("KEIKO-0066", &["the store in", "hint"]);
}

/// What a crash may leave behind the last whole record: a part of a record, or a file that has
/// grown and whose new bytes were not written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_tail_is_cut_off_in_silence() {
    let Some(mut rig) = Rig::start() else { return };
    let (image, acknowledged) = killed(&mut rig).await;
    let path = newest_log(&rig);
    let length = fs::metadata(&path).expect("it is there").len();
    let torn = torn_record(length);
    for (what, tail) in [
        ("a byte", vec![7; 1]),
        ("a part of a header", vec![0x5a; 6]),
        ("a record without its end", torn),
        ("zeros", vec![0; 100]),
        ("a page of zeros", vec![0; 4096]),
        ("a block of zeros", vec![0; 40_000]),
    ] {
        rig.disk.restore(&image);
        let file = OpenOptions::new().write(true).open(&path).expect("it is there");
        std::os::unix::fs::FileExt::write_all_at(&file, &tail, length).expect("it is written");
        drop(file);
        if let Started::Refused { said } = rig.start_again() {
            panic!("{what} behind the end:\n{said}");
        }
        let missing = missing(&rig, &acknowledged).await;
        assert!(missing.is_empty(), "LOST with {what}: {missing:?}");
        assert_eq!(rig.node.terminate(), 0);
        rig.verify();
    }
}

/// Checksum, length and kind as RocksDB writes them behind so many bytes, and less than the bytes
/// that it says. No record lies in two blocks: what does not fit into one begins with its first part.
fn torn_record(length: u64) -> Vec<u8> {
    const BLOCK: u64 = 32 << 10;
    const HEADER: u64 = 7;
    const RECORD: u64 = 2_000;
    const WHOLE: u8 = 1;
    const FIRST: u8 = 2;
    let room = BLOCK - length % BLOCK;
    let (filler, says, kind) = match room {
        ..=HEADER => (room, RECORD, WHOLE),
        _ if room < HEADER + RECORD => (0, room - HEADER, FIRST),
        _ => (0, RECORD, WHOLE),
    };
    let bytes = |byte: u8, count: u64| vec![byte; usize::try_from(count).expect("few")];
    let says_bytes = u16::try_from(says).expect("less than a block").to_le_bytes();
    let there = bytes(0x5a, (says - 1).min(300));
    [bytes(0, filler), bytes(0x5a, 4), says_bytes.to_vec(), vec![kind], there].concat()
}

/// A disk with a cache of its own may keep a later sector and lose an earlier one. That is more
/// than a torn tail, so a start may refuse; it may not forget.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sectors_that_are_lost_in_any_order_take_nothing_acknowledged() {
    let Some(mut rig) = Rig::start() else { return };
    let mut dice = seed("disk::tail::sectors_that_are_lost_in_any_order_take_nothing_acknowledged");
    let (mut ready, mut refused) = (0, 0);
    for _ in 0..if full() { 60 } else { 6 } {
        let load = Load::start(&rig.node).await;
        load.reach(50 + dice.below(200)).await;
        rig.node.kill_9();
        let (image, known) = (rig.disk.image(), load.end().await);
        for _ in 0..3 {
            let cut = dice.below(u64::MAX);
            rig.disk.restore(&image.cut(Survival::Sectors, cut));
            match rig.start_again() {
                Started::Ready => {
                    let missing = missing(&rig, &known.acknowledged).await;
                    assert!(missing.is_empty(), "LOST at {cut}: {missing:?}");
                    ready += 1;
                    rig.node.kill_9();
                }
                Started::Refused { said } => {
                    refused += 1;
                    super::says(&said, "KEIKO-0066", &["hint"]);
                }
            }
        }
        rig.disk.restore(&image);
        rig.start_again().ready();
    }
    let all = f64::from(ready + refused);
    measure("sectors lost in any order, nothing acknowledged lost", all, 18.0, "cuts");
    measure("of these, starts that were refused", f64::from(refused), 0.0, "starts");
}
