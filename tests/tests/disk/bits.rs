//! One bit flipped in every kind of file of the data folder.
//!
//! After each flip the daemon is started. It refuses, with a code, the file or the store by name,
//! and what to do; or it serves exactly what was there before; or it answers a read with a code, or
//! ends with one. It never serves anything else.
//!
//! A snapshot's files have a case of their own: a start does not need them, so it does not read
//! them. `keikod verify` finds what is wrong with them, and an install refuses them.

use super::load::{self, Acknowledged, Load};
use super::{Rig, Started};
use keiko_core::refusal::Code;
use keiko_tests::disk::Image;
use keiko_tests::journal::{try_connect, try_journal};
use keiko_tests::report::Dice;
use keiko_tests::{Output, Plan, eventually, fake, full, heavy_time, measure, seed};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Every kind with its form.
const KINDS: [(&str, &str); 14] = [
    ("RocksDB's log", "store/*.log"),
    ("sorted files", "store/*.sst"),
    ("the manifest", "store/MANIFEST-*"),
    ("CURRENT", "store/CURRENT"),
    ("the options", "store/OPTIONS-*"),
    ("the identity", "store/IDENTITY"),
    ("RocksDB's words", "store/LOG"),
    ("the note", "durable"),
    ("the marker of the layout", "format"),
    ("the cluster key", "keys/*.key"),
    ("the CA certificate", "ca.pem"),
    ("the addresses", "addresses.json"),
    ("the record of children", "children.json"),
    ("the ballast", "ballast"),
];

/// What must read the same whatever a bit does.
#[derive(Debug, PartialEq)]
struct Seen {
    agents: String,
    events: String,
    ca: Vec<u8>,
}

/// What became of one flip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Refused,
    Repaired,
    ReadRefused,
    /// Whatever read it later, in the background too, ended the process and said why.
    Ended,
}

fn read(rig: &Rig) -> Result<Seen, Output> {
    let run = |line: &str| {
        let output = rig.node.ctl.run(line);
        if output.status == 0 { Ok(output.stdout) } else { Err(output) }
    };
    Ok(Seen {
        agents: stable(&run("agent list -o json")?),
        events: run("event tail --from 0 -o jsonl")?,
        ca: rig.node.ca_pem(),
    })
}

/// Without what changes by itself: how long ago, and the revision of the reading.
fn stable(text: &str) -> String {
    let mut value: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let items = value["items"].as_array_mut().expect("a list");
    for item in items.iter_mut() {
        item.as_object_mut().expect("an object").remove("status");
    }
    value["items"].to_string()
}

/// A stopped daemon's disk with files of every kind, and what it served.
async fn filled(rig: &mut Rig) -> (Image, Seen, Vec<Acknowledged>) {
    let agent = fake::agent::start("flipped");
    for number in 0..5 {
        rig.node.ctl.ok(&format!("agent register a{number} {} --label n={number}", agent.url()));
        let load = Load::start(&rig.node).await;
        load.reach(100).await;
        load.end().await;
        // A start writes what the log held into sorted files.
        assert_eq!(rig.node.terminate(), 0);
        rig.node.restart();
    }
    assert!(was_compacted(rig), "the sorted files are only those that starts wrote");
    let load = Load::start(&rig.node).await;
    load.reach(100).await;
    let known = load.end().await;
    let seen = read(rig).expect("it is read");
    rig.node.kill_9();
    (rig.disk.image(), seen, known.acknowledged)
}

/// Whether RocksDB merged sorted files, as its own words say.
fn was_compacted(rig: &Rig) -> bool {
    let entries = fs::read_dir(rig.node.data().join("store")).expect("the store");
    let paths = entries.map(|entry| entry.expect("a name").path());
    let is_log = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"LOG"))
    };
    let mut texts = paths.filter(is_log).map(|path| fs::read(path).expect("its words"));
    texts.any(|text| String::from_utf8_lossy(&text).contains("compaction_finished"))
}

/// A stopped daemon's disk with a snapshot that it took by itself, behind which the log is purged.
async fn with_snapshot(rig: &mut Rig) -> (Image, Seen, Vec<Acknowledged>) {
    let agent = fake::agent::start("kept");
    rig.node.ctl.ok(&format!("agent register kept {}", agent.url()));
    let load = Load::start(&rig.node).await;
    load.reach(1_100).await;
    let known = load.end().await;
    let root = rig.node.data().join("snapshots");
    eventually("a snapshot", || {
        let mut entries = fs::read_dir(&root).map_err(|error| error.to_string())?;
        let is_whole = |entry: fs::DirEntry| entry.path().join("manifest").exists();
        if entries.any(|entry| entry.is_ok_and(is_whole)) { Ok(()) } else { Err("none".to_owned()) }
    });
    let seen = read(rig).expect("it is read");
    assert_eq!(rig.node.terminate(), 0);
    let report = verify(rig, "json").ok().json();
    assert_eq!(report["groups"][0]["replayed"], false, "the log was not purged: {report}");
    (rig.disk.image(), seen, known.acknowledged)
}

fn verify(rig: &Rig, format: &str) -> Output {
    let data = rig.node.data().display().to_string();
    rig.node.run(&["verify", "-o", format, "--data-dir", &data].map(str::to_owned))
}

/// Files of a snapshot are derived from the state: a damaged one is found, and the node takes
/// another, but never installs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_flipped_bit_of_a_snapshot_is_ever_used() {
    let plan = Plan::config("[consensus]\nsnapshot_entries = 1000\n");
    let Some(mut rig) = Rig::prepare(plan) else { return };
    let mut dice = seed("disk::bits::no_flipped_bit_of_a_snapshot_is_ever_used");
    rig.node.launch();
    rig.node.wait_ready();
    let (mut image, seen, acknowledged) = with_snapshot(&mut rig).await;
    let data = rig.node.data();
    let mut files = image.files();
    files.retain(|(file, _)| file.starts_with("snapshots"));
    let folder = data.join(files[0].0.parent().expect("its folder"));
    let begin_install = || {
        let name = folder.file_name().expect("its name").as_encoded_bytes();
        fs::write(data.join("snapshots/00000.installing"), name).expect("a marker");
    };
    begin_install();
    let tried = try_out(&mut rig, &seen, &acknowledged).await;
    assert_eq!(tried, Ok(Outcome::Repaired), "the whole one is installed");
    assert!(rig.node.log().contains("repeating an interrupted install"));

    let (manifest, parts): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|(file, _)| file.ends_with("manifest"));
    let rounds = if full() { 20 } else { 1 };
    for _ in 0..rounds {
        let part = &parts[dice.below(parts.len() as u64) as usize];
        for (file, length) in [&manifest[0], part] {
            let (offset, bit) = (dice.below(*length), dice.below(8) as u32);
            let flip = |rig: &mut Rig| {
                rig.disk.restore(&image);
                rig.disk.flip(file, offset, bit);
            };
            let path = data.join(file).display().to_string();
            let what = format!("bit {bit} of byte {offset} of {path}");
            flip(&mut rig);
            let refused = verify(&rig, "text").refused(1, Code::ChecksumMismatch);
            refused.says(&path).says(&format!("remove {}", folder.display()));
            let tried = try_out(&mut rig, &seen, &acknowledged).await;
            assert_eq!(tried, Ok(Outcome::Repaired), "{what}");
            if file == &manifest[0].0 {
                // It can't be told what it was, so the start took another one in its place.
                assert!(rig.node.log().contains("a snapshot is passed over"), "{what}");
            } else {
                fs::remove_dir_all(&folder).expect("as the hint says");
            }
            rig.start_again().ready();
            assert_eq!(rig.node.terminate(), 0);
            let report = verify(&rig, "json").ok().json();
            assert_eq!(report["snapshots"].as_array().map(Vec::len), Some(1), "{what}: {report}");
            flip(&mut rig);
            begin_install();
            rig.start_again().refused("KEIKO-0066", &[&path, "hint"]);
        }
    }
    measure("flipped bits of a snapshot, none used", f64::from(2 * rounds), 2.0, "flips");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_flipped_bit_is_ever_served() {
    let Some(mut rig) = Rig::start() else { return };
    let mut dice = seed("disk::bits::no_flipped_bit_is_ever_served");
    let (mut image, seen, acknowledged) = filled(&mut rig).await;
    let files = image.files();
    let (start, mut flips) = (Instant::now(), 0_u32);
    let mut wrong = Vec::new();
    let mut outcomes: BTreeMap<(&str, Outcome), u32> = BTreeMap::new();
    let (rounds_min, rounds_max) = if full() { (40, 40) } else { (1, 20) };
    for round in 0..rounds_max {
        if round >= rounds_min && start.elapsed() > heavy_time() / 2 {
            break;
        }
        for (kind, form) in KINDS {
            let (file, offset, bit) = place(&files, form, &mut dice);
            rig.disk.restore(&image);
            rig.disk.flip(&file, offset, bit);
            flips += 1;
            match try_out(&mut rig, &seen, &acknowledged).await {
                Ok(outcome) => *outcomes.entry((kind, outcome)).or_default() += 1,
                Err(why) => {
                    let file = file.display();
                    wrong.push(format!("bit {bit} of byte {offset} of {file}: {why}"));
                }
            }
        }
    }
    for ((kind, outcome), count) in &outcomes {
        measure(&format!("{kind}: {outcome:?}"), f64::from(*count), 0.0, "flips");
    }
    measure("flipped bits, none served", f64::from(flips), f64::from(rounds_min), "flips");
    let refused = outcomes.keys().filter(|(_, outcome)| *outcome != Outcome::Repaired).count();
    assert!(wrong.is_empty(), "{} of {flips} flips:\n{}", wrong.len(), wrong.join("\n"));
    assert!(refused > 2, "hardly a flip was noticed: {outcomes:?}");
}

/// Some bit of some file of this form; half of the time near the end, where the newest is.
fn place(files: &[(PathBuf, u64)], form: &str, dice: &mut Dice) -> (PathBuf, u64, u32) {
    let (folder, name) = form.rsplit_once('/').unwrap_or(("", form));
    let fits = |(path, length): &&(PathBuf, u64)| {
        let name_of = path.file_name().unwrap_or_default().to_string_lossy();
        path.parent() == Some(Path::new(folder))
            && keiko_tests::disk::faults::fits(name, &name_of)
            && *length > 0
    };
    let fitting: Vec<_> = files.iter().filter(fits).collect();
    assert!(!fitting.is_empty(), "no {form} among {files:?}");
    let (path, length) = fitting[dice.below(fitting.len() as u64) as usize];
    let from = if dice.below(2) == 0 { length.saturating_sub(600) } else { 0 };
    (path.clone(), from + dice.below(length - from), dice.below(8) as u32)
}

/// Starts on what is there, and looks at everything; an error says what should not be.
async fn try_out(
    rig: &mut Rig,
    seen: &Seen,
    acknowledged: &[Acknowledged],
) -> Result<Outcome, String> {
    let from = rig.node.log().len();
    if let Started::Refused { said } = rig.start_again() {
        let data = rig.node.data().display().to_string();
        for (word, lacks) in [("KEIKO-00", "code"), ("hint", "remedy"), (&data, "file")] {
            if !said.contains(word) {
                return Err(format!("refused, and no {lacks} is told:\n{said}"));
            }
        }
        return Ok(Outcome::Refused);
    }
    let outcome = match read(rig) {
        Ok(now) => {
            let served = timeout(SERVES_MAX, serves(rig, &now, seen, acknowledged)).await;
            let served = served.unwrap_or_else(|_| Err("it serves no more".to_owned()));
            served.map(|()| Outcome::Repaired)
        }
        Err(output) => {
            let said = format!("{output}\n{}", &rig.node.log()[from..]);
            match CODES.iter().any(|code| said.contains(code)) {
                true => Ok(Outcome::ReadRefused),
                false => Err(format!("a read fails without a code: {said}")),
            }
        }
    };
    if i32::try_from(rig.node.pid()).is_ok_and(keiko_tests::processes::is_alive) {
        rig.node.kill_9();
        return outcome;
    }
    rig.node.wait_end();
    let said = &rig.node.log()[from..];
    let is_told = said.contains("this node ends") && CODES.iter().any(|code| said.contains(code));
    match outcome {
        Err(why) if !is_told || why.starts_with(WRONG) => Err(why),
        Err(_) => Ok(Outcome::Ended),
        told => told,
    }
}

/// What a damaged store is refused as.
const CODES: [&str; 3] = ["KEIKO-0066", "KEIKO-0067", "KEIKO-0068"];

/// How an answer begins that no end of the process makes good.
const WRONG: &str = "WRONG";

/// How long a node may take to show what it has; one that ended shows nothing.
const SERVES_MAX: Duration = Duration::from_secs(20);

/// What it serves is what was there.
async fn serves(
    rig: &Rig,
    now: &Seen,
    seen: &Seen,
    acknowledged: &[Acknowledged],
) -> Result<(), String> {
    if now.agents != seen.agents || now.ca != seen.ca {
        return Err(format!("{WRONG} DATA: {now:?}"));
    }
    if !now.events.starts_with(&seen.events) {
        return Err(format!("{WRONG} EVENTS: {}", now.events));
    }
    let unread = |error| format!("what it has can't be read: {error:?}");
    let client = try_connect(&rig.node).await.map_err(unread)?;
    let missing = load::missing(&try_journal(&client, 0).await.map_err(unread)?, acknowledged);
    if !missing.is_empty() {
        return Err(format!("{WRONG}, LOST: {missing:?}"));
    }
    let made = load::write(&client, client.request_id()).await;
    made.map(drop).map_err(|error| format!("writes do not work: {error:?}"))
}
