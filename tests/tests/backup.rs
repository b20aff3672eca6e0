//! A backup under load, a wipe, a restore: what was so at its moment is so again, in a cluster of its
//! own. And what is damaged, in the way, or of the old cluster is refused.

use keiko_core::limits::REOPEN_REVISIONS;
use keiko_core::refusal::Code;
use keiko_tests::ctl::words;
use keiko_tests::wait::expect;
use keiko_tests::{Cluster, Ctl, Node, Output, Plan, ctl, eventually, http};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

const WRITERS: usize = 3;
/// More than anybody waits for.
const STEPS_MAX: usize = 2000;

/// Declares an agent with this value in a label.
fn put(ctl: &Ctl, name: &str, value: &str) -> Output {
    let manifest = format!(
        "apiVersion: keiko/v1\nkind: Agent\nmetadata:\n  name: {name}\n  labels: {{value: '{value}'}}\n\
         spec:\n  url: http://127.0.0.1:9/\n"
    );
    ctl.run_with("apply -f -", &manifest)
}

/// Everything declared at a revision.
fn declared(node: &Node, at: u64) -> Vec<Value> {
    let mut items = Vec::new();
    for kind in ["agent", "mcp_server", "tool", "skill"] {
        let path = format!("/v1/objects/{kind}?at.revision={at}");
        let answer = http::get(&node.socket(), &path).expect("it answers");
        assert_eq!(answer.status, 200, "{answer:?}");
        items.extend(answer.json()["items"].as_array().cloned().unwrap_or_default());
    }
    items.into_iter().map(crate::objects::kept).collect()
}

/// The journal up to a revision, line by line.
fn journal(ctl: &Ctl, upto: u64) -> Vec<Value> {
    let events = ctl.ok("event tail --from 0 -o jsonl").jsonl();
    events.into_iter().filter(|event| event["revision"].as_u64() <= Some(upto)).collect()
}

/// A backup in the node's own place.
fn back_up(node: &Node, name: &str) -> (PathBuf, Value) {
    let file = node.join(name);
    let made = node.ctl.json(&format!("cluster backup {}", file.display()));
    assert_eq!(made["bytes"].as_u64(), Some(fs::metadata(&file).expect("a file").len()), "{made}");
    (file, made)
}

fn restore(node: &Node, file: &Path, flags: &str) -> Output {
    let (from, data) = (file.display(), node.data().display().to_string());
    let name = &node.plan.name;
    let line = format!("restore --from {from} --data-dir {data} --node-name {name} {flags}");
    node.run(&words(&line))
}

/// A node that is to be restored: it founds nothing.
fn empty(name: &str) -> Node {
    Node::prepare(Plan { init: false, name: name.to_owned(), ..Plan::default() })
}

fn verify(node: &Node, what: &str) -> Value {
    node.run(&words(&format!("verify {what} -o json"))).ok().json()
}

/// Writes until it is told to stop.
fn write_on(endpoint: &str, me: usize, stop: &AtomicBool) {
    let ctl = Ctl::new(Some(endpoint.to_owned()));
    for step in 0..STEPS_MAX {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        put(&ctl, &format!("w{me}-{}", step % 7), &step.to_string()).ok();
    }
}

#[test]
fn what_was_so_at_its_moment_is_so_again() {
    let mut node = Node::start(Plan::default());
    put(&node.ctl, "kept", "before").ok();
    node.ctl.ok("cluster token create --for viewer --name ann -q");
    let endpoint = format!("unix:{}", node.socket().display());
    let stop = AtomicBool::new(false);
    let (file, made) = std::thread::scope(|scope| {
        for me in 0..WRITERS {
            let (endpoint, stop) = (&endpoint, &stop);
            scope.spawn(move || write_on(endpoint, me, stop));
        }
        eventually("there is some load", || {
            let found = node.ctl.run("agent get w0-3");
            expect(found.status == 0, || found.to_string())
        });
        let made = back_up(&node, "one.backup");
        put(&node.ctl, "later", "behind-the-backup").ok();
        stop.store(true, Ordering::Relaxed);
        made
    });
    let revision = made["revision"].as_u64().expect("a revision");
    let hash = made["groups"][0]["stateHash"].as_str().expect("a hash").to_owned();
    let (expect_items, expect_events) = (declared(&node, revision), journal(&node.ctl, revision));
    let before = node.ctl.json("status")["cluster"].clone();
    assert!(!expect_items.is_empty());

    let report = verify(&node, &file.display().to_string());
    assert_eq!(report["groups"][0]["state_hash"], *hash, "{report}");
    assert_eq!(report["holds"]["agents"], expect_items.len(), "{report}");
    assert_eq!(report["holds"]["tokens"], 1, "{report}");
    // Nothing of it stays beside the store.
    assert!(!node.data().join("snapshots/backup.new").exists());

    // The wipe.
    node.kill_9();
    fs::remove_dir_all(node.data()).expect("it is removed");

    let mut restored = empty("n1");
    let done = restore(&restored, &file, "-o json").ok().json();
    assert_eq!(done["revision"], revision, "{done}");
    let goes_on_at = done["goes_on_at"].as_u64();
    assert_eq!(goes_on_at, Some(revision + REOPEN_REVISIONS), "{done}");
    let data = restored.data().display().to_string();
    let store = verify(&restored, &format!("--data-dir {data}"));
    assert_eq!(store["groups"][0]["state_hash"], *hash, "{store}");
    assert_eq!(store["groups"][0]["revision"], revision, "{store}");

    restored.launch();
    restored.wait_ready();
    assert_eq!(declared(&restored, revision), expect_items);
    assert_eq!(journal(&restored.ctl, revision), expect_events);
    let status = restored.ctl.json("status");
    assert_eq!(status["cluster"]["id"], done["cluster_id"], "{status}");
    assert_ne!(status["cluster"]["id"], before["id"]);
    assert_ne!(status["cluster"]["caHash"], before["caHash"]);
    assert!(status["revision"].as_u64() >= goes_on_at, "{status}");
    let nodes = restored.ctl.json("node list");
    assert_eq!(nodes["items"].as_array().map(Vec::len), Some(1), "{nodes}");
    assert!(nodes["items"][0]["id"].as_u64() > Some(1), "an id is never given again: {nodes}");
    let tokens = restored.ctl.json("cluster token list");
    assert_eq!(tokens["items"].as_array().map(Vec::len), Some(0), "{tokens}");
    restored.ctl.refused("agent get later", 6, Code::NotFound);
    let told = restored.ctl.ok("event tail --from 0 -o jsonl").jsonl();
    let told = told.iter().find(|event| event["type"] == "keiko.cluster.restored");
    let told = told.expect("the journal says that it was restored");
    assert_eq!(told["revision"].as_u64(), goes_on_at, "{told}");

    // It is a node like any other.
    put(&restored.ctl, "kept", "after").ok();
    assert_eq!(restored.terminate(), 0, "{}", restored.log());
    verify(&restored, &format!("--data-dir {data}"));
    restored.restart();
    let kept = restored.ctl.ok("agent get kept -o jsonpath=.metadata.labels.value").stdout;
    assert_eq!(kept.trim(), "after");
    let (again, _) = back_up(&restored, "two.backup");
    verify(&restored, &again.display().to_string());
}

#[test]
fn what_is_declared_goes_further_back() {
    let node = Node::start(Plan::default());
    put(&node.ctl, "one", "1").ok();
    put(&node.ctl, "gone", "1").ok();
    let then = node.ctl.json("status")["revision"].as_u64().expect("a revision");
    let expect_items = declared(&node, then);
    put(&node.ctl, "one", "2").ok();
    put(&node.ctl, "new", "1").ok();
    node.ctl.ok("agent delete gone --yes");
    let (file, made) = back_up(&node, "one.backup");
    let newest = made["revision"].as_u64().expect("a revision");

    let mut restored = empty("n2");
    let future = restore(&restored, &file, &format!("--to {}", newest + 1));
    future.refused(2, Code::FutureRevision).says(&format!("to {newest}"));
    restore(&restored, &file, "--to 2999-01-01T00:00:00Z").refused(2, Code::FutureRevision);
    let done = restore(&restored, &file, &format!("--to {then} -o json")).ok().json();
    assert_eq!(done["revision"], then, "{done}");
    restored.launch();
    restored.wait_ready();
    let at = done["goes_on_at"].as_u64().expect("a revision");
    // The same but for when it was written.
    let bare = |items: Vec<Value>| -> Vec<Value> {
        let mut items = items;
        for item in &mut items {
            for when in ["revision", "updatedMs", "generation"] {
                item["metadata"][when] = Value::Null;
            }
        }
        items
    };
    assert_eq!(bare(declared(&restored, at)), bare(expect_items.clone()));
    assert_eq!(declared(&restored, then), expect_items, "the past stays");
    let since = declared(&restored, newest);
    assert!(since.iter().any(|item| item["metadata"]["name"] == "new"), "the past stays");
}

/// Writes a changed copy.
fn changed(file: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = fs::read(file).expect("a backup");
    change(&mut bytes);
    let path = file.with_file_name(name);
    fs::write(&path, bytes).expect("a copy");
    path
}

#[test]
fn what_is_damaged_or_in_the_way_is_refused() {
    let node = Node::start(Plan::default());
    put(&node.ctl, "one", "1").ok();
    let (file, _) = back_up(&node, "one.backup");
    let length = fs::metadata(&file).expect("a file").len() as usize;
    let target = empty("n2");
    // Where the magic, the header, the files and the last hash are.
    for at in [0, 20, length / 2, length - 40, length - 1] {
        let flipped = changed(&file, "flipped", |bytes| bytes[at] ^= 4);
        let line = format!("verify {}", flipped.display());
        node.run(&words(&line)).refused(1, Code::BackupInvalid);
        restore(&target, &flipped, "").refused(1, Code::BackupInvalid);
    }
    for left in [0, 10, length / 2, length - 1] {
        let cut = changed(&file, "cut", |bytes| bytes.truncate(left));
        node.run(&words(&format!("verify {}", cut.display()))).refused(1, Code::BackupInvalid);
        restore(&target, &cut, "").refused(1, Code::BackupInvalid);
    }
    let missing = node.join("missing");
    restore(&target, &missing, "").refused(1, Code::BackupInvalid);
    // What was refused left nothing that would be in the way.
    restore(&target, &file, "").ok();
    restore(&target, &file, "").refused(7, Code::TargetNotEmpty);
    restore(&node, &file, "").refused(7, Code::TargetNotEmpty);
    let taken = format!("cluster backup {}", file.display());
    node.ctl.refused(&taken, 7, Code::TargetNotEmpty);
    node.ctl.ok(&format!("{taken} --overwrite"));
    // Only admins take everything with them.
    let viewer = node.ctl.ok("cluster token create --for viewer --name eve --bearer -q").stdout;
    let far = Ctl::new(Some(format!("https://{}", node.api())));
    let line = format!("cluster backup {}", node.join("stolen").display());
    let mut command = far.command(&line);
    command.env("KEIKO_TOKEN", viewer.trim());
    ctl::run(command, &line, "").refused(4, Code::PermissionDenied);
    assert!(!node.join("stolen").exists() && !node.join("stolen.part").exists());
}

#[test]
fn no_member_of_the_old_cluster_is_taken_for_one_of_the_new() {
    let mut cluster = Cluster::start(2);
    put(&cluster.node(0).ctl, "one", "1").ok();
    let (file, _) = back_up(cluster.node(0), "one.backup");
    let viewer = cluster.token("--for viewer --name ann --bearer");
    let mut restored = empty("n9");
    restore(&restored, &file, "").ok();
    restored.launch();
    restored.wait_ready();
    // The old one goes on beside it, and neither hears of the other.
    put(&cluster.node(1).ctl, "one", "old").ok();
    put(&restored.ctl, "one", "new").ok();
    let value = |ctl: &Ctl| ctl.ok("agent get one -o jsonpath=.metadata.labels.value").stdout;
    assert_eq!(value(&cluster.node(0).ctl).trim(), "old");
    assert_eq!(value(&restored.ctl).trim(), "new");
    // A token of the old one: the server is a stranger before anything is sent.
    let far = Ctl::new(Some(format!("https://{}", restored.api())));
    let mut command = far.command("agent list");
    command.env("KEIKO_TOKEN", &viewer);
    ctl::run(command, "agent list", "").refused(4, Code::WrongCluster);
    // A member of the old one, told to join the new one.
    let token = restored.ctl.ok("cluster token create --for node -q").stdout;
    cluster.kill(1);
    let old = cluster.node(1);
    let data = old.data().display().to_string();
    let line = format!(
        "run --data-dir {data} --node-name n2 --listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0 \
         --listen-peer 127.0.0.1:0 --join {} --token {}",
        restored.api(),
        token.trim()
    );
    let refused = old.run(&words(&line));
    assert_eq!(refused.status, 4, "{refused}");
    assert!(refused.stderr.contains("error[KEIKO-0012]"), "{refused}");
    // With an empty folder it is welcome.
    let mut fresh = Node::prepare(Plan::join("n2", restored.api(), token.trim()));
    fresh.launch();
    fresh.wait_ready();
    assert_eq!(value(&fresh.ctl).trim(), "new");
}
