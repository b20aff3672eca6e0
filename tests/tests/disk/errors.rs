//! A disk that answers with errors, late or in pieces.

use super::load::{self, Load, Writer};
use super::{Rig, Started, says};
use keiko_tests::disk::{Ask, Errno, Fault, Rule, Survival};
use keiko_tests::processes::is_alive;
use std::time::Duration;

const EIO: Fault = Fault::Error(Errno::EIO);

/// Under load the disk does something wrong once; the process must end with this code, these words
/// first, and after a power cut everything that was acknowledged must be there.
async fn ends(rule: Rule, ask: Ask, files: &str, words: &[&str]) {
    let Some(mut rig) = Rig::start() else { return };
    let from = rig.node.log().len();
    let load = Load::start(&rig.node).await;
    load.reach(20).await;
    rig.disk.fail(rule);
    let said = rig.end_by_itself(from);
    assert_eq!(rig.disk.faults_given(), 1, "{said}");
    // Several threads may meet the error. What is said first is the disk's own, not an echo of it.
    let first = said.lines().find(|line| line.contains("this node ends")).unwrap_or(&said);
    says(first, "KEIKO-0068", words);
    // The rule fitted once: a second try would have gone well, and been believed.
    assert_eq!(rig.disk.asked_since_fault(ask, files), 0, "it was tried again:\n{said}");
    let known = load.end().await;
    rig.disk.heal();
    rig.disk.power_cut(Survival::Nothing, 0);
    all_there(&mut rig, &known).await;
}

async fn all_there(rig: &mut Rig, known: &Writer) {
    rig.start_again().ready();
    let events = load::journal(&load::connect(&rig.node).await, 0).await;
    let missing = load::missing(&events, &known.acknowledged);
    assert!(missing.is_empty(), "LOST: {missing:?}");
    assert!(!known.acknowledged.is_empty(), "nothing was acknowledged");
    assert_eq!(rig.node.terminate(), 0, "{}", rig.node.log());
    rig.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_ends_the_process() {
    let rule = Rule::new(Ask::Sync, "*.log", EIO).after(3).times(1);
    ends(rule, Ask::Sync, "*.log", &["sync the store", ".log", "Input/output error"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_of_the_log_ends_the_process() {
    let rule = Rule::new(Ask::Write, "*.log", EIO).after(3).times(1);
    ends(rule, Ask::Write, "*.log", &["the store in", ".log", "Input/output error"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_finds_no_room_ends_the_process() {
    let rule = Rule::new(Ask::Write, "*.log", Fault::Error(Errno::ENOSPC)).after(3).times(1);
    ends(rule, Ask::Write, "*.log", &["the store in", ".log", "No space left"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_of_the_note_ends_the_process() {
    let rule = Rule::new(Ask::Write, "durable", EIO).after(3).times(1);
    ends(rule, Ask::Write, "durable", &["can't write", "durable", "Input/output error"]).await;
}

/// An error where the start reads or writes: it refuses, and once the disk is well it starts.
#[test]
fn an_error_at_the_start_refuses_the_start() {
    let Some(mut rig) = Rig::start() else { return };
    rig.node.ctl.ok("agent token somebody");
    rig.node.kill_9();
    let image = rig.disk.image();
    let mut wrong = Vec::new();
    for (ask, files, word) in [
        (Ask::Read, "CURRENT", "store"),
        (Ask::Read, "MANIFEST-*", "store"),
        (Ask::Read, "*.log", "store"),
        (Ask::Write, "*.sst", "store"),
        (Ask::Sync, "*.sst", "store"),
        (Ask::Write, "MANIFEST-*", "store"),
        (Ask::Sync, "MANIFEST-*", "store"),
        (Ask::Read, "durable", "durable"),
        (Ask::Read, "format", "format"),
        (Ask::Read, "cluster-*.key", "cluster-"),
    ] {
        rig.disk.restore(&image);
        rig.disk.fail(Rule::new(ask, files, EIO).times(1));
        let before = rig.disk.faults_given();
        match rig.start_again() {
            Started::Ready => wrong.push(format!("{ask:?} of {files}: it started")),
            Started::Refused { said } => {
                assert!(rig.disk.faults_given() > before, "{ask:?} of {files}:\n{said}");
                let coded = said.contains("KEIKO-0068") || said.contains("KEIKO-0069");
                if !(coded && said.contains("hint") && said.contains(word)) {
                    wrong.push(format!("{ask:?} of {files}: no code, file or remedy:\n{said}"));
                }
                rig.start_again().ready();
            }
        }
        rig.node.ctl.ok("agent token somebody");
        rig.node.kill_9();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The same in each write of a sorted file, one after the other: by the first ones the start writes
/// out what the log held, by the later ones files are merged in the background.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_in_the_background_ends_the_process_and_loses_nothing() {
    let Some(mut rig) = Rig::start() else { return };
    let mut known = Writer::default();
    // Each start writes a file of each kind. The fourth below makes so many that they are merged.
    for start in 0..4 {
        let load = Load::start(&rig.node).await;
        load.reach(20).await;
        rig.node.kill_9();
        known.acknowledged.extend(load.end().await.acknowledged);
        if start < 3 {
            rig.start_again().ready();
        }
    }
    let (image, mut in_background) = (rig.disk.image(), 0);
    for skip in 0.. {
        rig.disk.restore(&image);
        rig.disk.fail(Rule::new(Ask::Write, "*.sst", EIO).after(skip).times(1));
        let before = rig.disk.faults_given();
        let Some(said) = start_and_write(&mut rig) else {
            assert_eq!(rig.disk.faults_given(), before, "it went on after write {skip} failed");
            rig.node.kill_9();
            break;
        };
        says(&said, "KEIKO-0068", &[".sst", "Input/output error"]);
        if said.contains("this node ends") {
            in_background += 1;
            rig.disk.heal();
            rig.disk.power_cut(Survival::Nothing, 0);
            all_there(&mut rig, &known).await;
        }
    }
    assert!(in_background > 0, "every error was one of the start");
}

/// Starts the daemon, and writes a little if it serves; gives what it says if it ends.
fn start_and_write(rig: &mut Rig) -> Option<String> {
    let from = rig.node.log().len();
    match rig.start_again() {
        Started::Refused { said } => Some(said),
        Started::Ready => {
            let pid = i32::try_from(rig.node.pid()).expect("a pid fits");
            let ended = (0..10).any(|_| {
                // The entry is refused, or its outcome unknown, where the daemon ends over it.
                rig.node.ctl.run("agent token somebody");
                !is_alive(pid)
            });
            ended.then(|| rig.end_by_itself(from))
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_turns_read_only_ends_the_process_and_loses_nothing() {
    let Some(mut rig) = Rig::start() else { return };
    let from = rig.node.log().len();
    let load = Load::start(&rig.node).await;
    load.reach(50).await;
    rig.disk.make_read_only();
    let said = rig.end_by_itself(from);
    // The log or the note, whichever is written first.
    says(&said, "KEIKO-0068", &["can't", "this node ends"]);
    let known = load.end().await;
    // As after `mount -o remount,ro`: the folder is named, and what to look at.
    let data = rig.node.data().display().to_string();
    rig.start_again().refused("KEIKO-0061", &[&data, "Read-only"]);
    rig.disk.heal();
    rig.disk.power_cut(Survival::Prefix, 1);
    all_there(&mut rig, &known).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_sync_is_waited_for() {
    let Some(mut rig) = Rig::start() else { return };
    let slow = Fault::Slow(Duration::from_millis(700));
    rig.disk.fail(Rule::new(Ask::Sync, "*.log", slow));
    let load = Load::start(&rig.node).await;
    load.reach(20).await;
    // Two syncs at least stand before the third batch: nobody was told before that.
    assert!(rig.disk.faults_given() >= 2, "{} slow syncs", rig.disk.faults_given());
    rig.node.kill_9();
    rig.disk.heal();
    rig.disk.power_cut(Survival::Nothing, 0);
    let known = load.end().await;
    all_there(&mut rig, &known).await;
}

/// A read may give less than was asked for, and a signal makes it so on any disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_reads_are_read_on() {
    let Some(mut rig) = Rig::start() else { return };
    let load = Load::start(&rig.node).await;
    load.reach(50).await;
    rig.node.kill_9();
    let known = load.end().await;
    for files in ["*.log", "MANIFEST-*", "durable", "*.sst"] {
        rig.disk.fail(Rule::new(Ask::Read, files, Fault::Short(1_000)).times(50));
    }
    let before = rig.disk.faults_given();
    all_there(&mut rig, &known).await;
    assert!(rig.disk.faults_given() > before + 3, "{}", rig.disk.faults_given());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_cant_be_written_ends_the_process() {
    let plan = keiko_tests::Plan::config("[consensus]\nsnapshot_entries = 1000\n");
    let Some(mut rig) = Rig::prepare(plan) else { return };
    rig.node.launch();
    rig.node.wait_ready();
    let from = rig.node.log().len();
    rig.disk.fail(Rule::new(Ask::Write, "state-*.sst", EIO).times(1));
    let known = Load::start(&rig.node).await.ended().await;
    let said = rig.end_by_itself(from);
    says(&said, "KEIKO-0068", &["write a snapshot of", "Input/output error", "this node ends"]);
    rig.disk.heal();
    rig.disk.power_cut(Survival::Nothing, 0);
    all_there(&mut rig, &known).await;
}
