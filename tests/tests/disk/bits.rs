//! One bit flipped in every kind of file of the data folder.
//!
//! After each flip the daemon is started. It refuses, with a code, the file or the store by name,
//! and what to do; or it serves exactly what was there before; or it answers a read with a code, or
//! ends with one. It never serves anything else.

use super::load::{self, Acknowledged, Load};
use super::{Rig, Started};
use keiko_tests::disk::Image;
use keiko_tests::report::Dice;
use keiko_tests::{Output, fake, full, heavy_time, measure, seed};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

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
    for number in 0..3 {
        rig.node.ctl.ok(&format!("agent register a{number} {} --label n={number}", agent.url()));
        let load = Load::start(&rig.node).await;
        load.reach(100).await;
        load.end().await;
        // A start writes what the log held into sorted files.
        assert_eq!(rig.node.terminate(), 0);
        rig.node.restart();
    }
    let load = Load::start(&rig.node).await;
    load.reach(100).await;
    let known = load.end().await;
    let seen = read(rig).expect("it is read");
    rig.node.kill_9();
    (rig.disk.image(), seen, known.acknowledged)
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
        Ok(now) => serves(rig, &now, seen, acknowledged).await.map(|()| Outcome::Repaired),
        Err(output) => {
            let said = format!("{output}\n{}", &rig.node.log()[from..]);
            let codes = ["KEIKO-0066", "KEIKO-0067", "KEIKO-0068"];
            match codes.iter().any(|code| said.contains(code)) {
                true => Ok(Outcome::ReadRefused),
                false => Err(format!("a read fails without a code: {said}")),
            }
        }
    };
    match i32::try_from(rig.node.pid()).is_ok_and(keiko_tests::processes::is_alive) {
        true => rig.node.kill_9(),
        false => drop(rig.node.wait_end()),
    }
    outcome
}

/// What it serves is what was there.
async fn serves(
    rig: &Rig,
    now: &Seen,
    seen: &Seen,
    acknowledged: &[Acknowledged],
) -> Result<(), String> {
    if now.agents != seen.agents || now.ca != seen.ca {
        return Err(format!("WRONG DATA: {now:?}"));
    }
    if !now.events.starts_with(&seen.events) {
        return Err(format!("WRONG EVENTS: {}", now.events));
    }
    let client = load::connect(&rig.node).await;
    let missing = load::missing(&load::journal(&client, 0).await, acknowledged);
    if !missing.is_empty() {
        return Err(format!("LOST: {missing:?}"));
    }
    let made = load::write(&client, client.request_id()).await;
    made.map(drop).map_err(|error| format!("writes do not work: {error:?}"))
}
