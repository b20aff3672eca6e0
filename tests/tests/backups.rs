//! Backups in pieces: only what changed is written, what is damaged is noticed, and by schedule each
//! is made, restored to see whether it can be, and let go.

use keiko_core::refusal::Code;
use keiko_tests::bucket::Bucket;
use keiko_tests::ctl::words;
use keiko_tests::wait::expect;
use keiko_tests::{Node, Output, Plan, eventually};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Enough rows for several pieces: 600 of 1.6 KiB are a megabyte in each space.
const AGENTS: usize = 600;
const URL_CHARS: usize = 1500;

/// Declares many agents with this label.
fn fill(node: &Node, count: usize, value: &str) {
    let path = "x".repeat(URL_CHARS);
    let one = |n: usize| {
        format!(
            "apiVersion: keiko/v1\nkind: Agent\nmetadata:\n  name: a{n:04}\n  \
             labels: {{value: '{value}'}}\nspec:\n  url: http://127.0.0.1:9/{path}\n---\n"
        )
    };
    let manifests: String = (0..count).map(one).collect();
    node.ctl.run_with("apply -f -", &manifests).ok();
}

/// The names and labels of all agents.
fn labels(node: &Node) -> Vec<(String, String)> {
    let listed = node.ctl.json("agent list");
    let items = listed["items"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |item: &Value| {
        let metadata = &item["metadata"];
        (text(&metadata["name"]), text(&metadata["labels"]["value"]))
    };
    let mut labels: Vec<_> = items.iter().map(of).collect();
    labels.sort();
    labels
}

fn verify(node: &Node, place: &Path, flags: &str) -> Output {
    node.run(&words(&format!("verify {} {flags}", place.display())))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files(&path)),
            path => found.push(path),
        }
    }
    found.sort();
    found
}

fn flip(file: &Path) {
    let mut bytes = fs::read(file).expect("a piece");
    let at = bytes.len() / 2;
    bytes[at] ^= 4;
    fs::write(file, bytes).expect("a piece");
}

#[test]
fn a_folder_takes_what_changed() {
    let node = Node::start(Plan::default());
    fill(&node, AGENTS, "first");
    let place = node.join("place");
    let line = format!("cluster backup {}/", place.display());
    let first = node.ctl.json(&line);
    assert_eq!(first["newBytes"], first["bytes"], "{first}");
    let expect_first = labels(&node);
    fill(&node, 1, "second");
    let second = node.ctl.json(&line);
    let (new, all) = (second["newBytes"].as_u64(), second["bytes"].as_u64());
    assert!(new > Some(0) && new < all.map(|all| all / 2), "{new:?} of {all:?} are new");
    let expect_second = labels(&node);
    assert_ne!(expect_first, expect_second);

    let report = verify(&node, &place, "-o json").ok().json();
    assert_eq!(report["groups"][0]["revision"], second["revision"], "{report}");
    assert_eq!(report["holds"]["agents"], AGENTS, "{report}");
    for (name, flags, expect) in [
        ("n2", String::new(), expect_second),
        ("n3", format!("--backup {}", first["name"].as_str().expect("a name")), expect_first),
    ] {
        let plan = Plan { init: false, name: name.to_owned(), ..Plan::default() };
        let mut restored = Node::prepare(plan);
        let (from, data) = (place.display(), restored.data().display().to_string());
        let line = format!("restore --from {from} --data-dir {data} --node-name {name} {flags}");
        restored.run(&words(&line)).ok();
        restored.launch();
        restored.wait_ready();
        assert_eq!(labels(&restored), expect, "{name}");
    }

    // Somebody else is at it.
    fs::write(place.join("writing"), "1 other\n").expect("a file");
    node.ctl.refused(&line, 7, Code::BackupUnderWay);
    fs::remove_file(place.join("writing")).expect("it is there");
    // Damage, a hole, and what is no backup.
    let pieces = files(&place.join("pieces"));
    assert!(pieces.len() > 6, "{pieces:?}");
    for piece in &pieces {
        flip(piece);
    }
    verify(&node, &place, "").refused(1, Code::BackupInvalid);
    for piece in &pieces {
        flip(piece);
    }
    verify(&node, &place, "").ok();
    for piece in &pieces {
        fs::remove_file(piece).expect("it is there");
    }
    verify(&node, &place, "").refused(1, Code::BackupInvalid).says("is not there");
    verify(&node, &place, "--backup nothing").refused(1, Code::BackupInvalid);
    node.ctl.refused("cluster backup s3://backups/keiko", 2, Code::InvalidArgument);
    node.ctl.refused("cluster backup now", 1, Code::BackupPlace);
}

/// Waits until the newest backup was restored, and gives what is known.
fn proven(node: &Node) -> Value {
    let mut listed = Value::Null;
    eventually("a backup is made and restored", || {
        listed = node.ctl.json("cluster backup list");
        expect(listed["items"][0]["restoredUnixMs"].as_u64() > Some(0), || listed.to_string())
    });
    listed
}

/// Waits until doctor says so: a diagnosis counts for a moment.
#[track_caller]
fn wait_doctor(node: &Node, status: &str) {
    eventually("doctor says so of backups", || {
        let report = node.ctl.run("doctor -o json").json();
        let items = report["items"].as_array().cloned().unwrap_or_default();
        let found = items.into_iter().find(|item| item["check"] == "backup");
        expect(found.is_some_and(|item| item["status"] == status), || report.to_string())
    });
}

#[test]
fn by_schedule_one_is_made_and_restored_and_damage_is_told() {
    let node = Node::start(Plan::config("[backup]\nplace = \"{place}/kept\"\n"));
    fill(&node, 3, "first");
    let listed = proven(&node);
    assert!(listed["recoveryTimeMs"].as_u64() > Some(0), "{listed}");
    let told = node.ctl.ok("event tail --from 0 -o jsonl").jsonl();
    let kinds: Vec<&str> = told.iter().filter_map(|event| event["type"].as_str()).collect();
    for kind in ["keiko.cluster.backup.made", "keiko.cluster.backup.restored"] {
        assert!(kinds.contains(&kind), "{kind} is not in {kinds:?}");
    }
    wait_doctor(&node, "ok");
    assert!(!node.data().join("snapshots/rehearsal.new").exists());

    // One on demand, then every piece is damaged where it lies.
    let made = node.ctl.json("cluster backup now");
    for piece in files(&node.join("kept/pieces")) {
        flip(&piece);
    }
    node.ctl
        .refused("cluster backup rehearse", 1, Code::BackupInvalid)
        .says("not what was written");
    wait_doctor(&node, "failed");
    let alarms = node.ctl.json("status")["alarms"].to_string();
    assert!(alarms.contains("can't be restored"), "{alarms}");
    let listed = node.ctl.json("cluster backup list");
    assert_eq!(listed["items"][0]["name"], made["name"], "{listed}");
    assert!(listed["items"][0]["restoreFailure"].is_string(), "{listed}");

    // The next one builds upon nothing of that.
    let anew = node.ctl.json("cluster backup now");
    assert_eq!(anew["newBytes"], anew["bytes"], "{anew}");
    node.ctl.ok("cluster backup rehearse");
    wait_doctor(&node, "ok");
    assert_eq!(node.ctl.json("status")["alarms"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_bucket_is_a_place_as_any() {
    let bucket = Bucket::start();
    let config = format!("[backup]\nplace = \"{}\"\n", bucket.place("keiko/one"));
    let node = Node::start(Plan { env: bucket.env(), ..Plan::config(&config) });
    fill(&node, 3, "first");
    proven(&node);
    fill(&node, 1, "second");
    let made = node.ctl.json("cluster backup now");
    let restored = node.ctl.json("cluster backup rehearse");
    assert_eq!(restored["stateHash"], made["stateHash"], "{restored}");
    let names = bucket.names();
    assert!(names.iter().all(|name| name.starts_with("keiko/one/")), "{names:?}");
    assert!(!names.iter().any(|name| name.ends_with("/writing")), "{names:?}");
    let manifests = names.iter().filter(|name| name.ends_with(".manifest")).count();
    assert!(manifests >= 2, "{names:?}");
    let is_piece = |(name, _): &(&String, &usize)| name.contains("/pieces/");
    let puts = bucket.puts();
    let twice: Vec<_> = puts.iter().filter(is_piece).filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}
