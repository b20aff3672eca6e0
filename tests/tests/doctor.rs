//! `doctor`: what it finds on a good node, without a node, and on a bad one.

use keiko_core::refusal::Code;
use keiko_tests::{Ctl, Node, Plan, shared};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

fn finding<'r>(report: &'r Value, check: &str) -> &'r Value {
    let items = report["items"].as_array().expect("a list");
    let found = items.iter().find(|item| item["check"] == check);
    found.unwrap_or_else(|| panic!("{check} is not in {report:#}"))
}

#[test]
fn a_good_node_has_nothing_that_failed() {
    let node = shared();
    let report = node.ctl.run("doctor -o json");
    let document = report.json();
    let failed: Vec<&Value> = document["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|item| item["status"] == "failed")
        // How much room the machine has, and how fast its disk is today, is not the node's doing.
        .filter(|item| {
            !["disk-room", "disk-speed"].contains(&item["check"].as_str().unwrap_or_default())
        })
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
    for check in [
        "settings",
        "terminal",
        "endpoint",
        "socket",
        "connection",
        "release",
        "clocks",
        "ready",
        "quorum",
        "clock",
        "certificate",
        "ca",
        "ports",
        "disk-room",
        "ballast",
        "disk-speed",
        "files",
        "user",
        "cgroups",
        "seccomp",
        "user-namespaces",
        "ebpf",
        "configuration",
    ] {
        let item = finding(&document, check);
        let status = item["status"].as_str().unwrap_or_default();
        assert!(["ok", "warning", "failed", "skipped"].contains(&status), "{item}");
        assert_ne!(item["message"], "", "{item}");
        assert!(status != "warning" || item["remedy"] != "", "{item}");
    }
    assert_eq!(finding(&document, "quorum")["status"], "ok");
    assert_eq!(finding(&document, "quorum")["node"], "n1", "who found it");
    assert_eq!(finding(&document, "terminal")["node"], "", "of this command");
    assert!(!node.data().join("diagnose").exists(), "it leaves nothing behind");
    let table = node.ctl.run("doctor");
    assert!(table.stdout.starts_with("CHECK"), "{table}");
    assert!(table.stdout.contains("\n\nnode/n1\n"), "{table}");
    assert!(table.stderr.contains("checks:"), "{table}");
}

#[test]
fn without_a_daemon_it_says_what_it_tried() {
    let ctl = Ctl::new(None);
    let report = ctl.run("doctor -o json");
    assert_eq!(report.status, 9, "{report}");
    let document = report.json();
    assert_eq!(document["verdict"], "failed");
    let endpoint = finding(&document, "endpoint");
    assert!(endpoint["message"].to_string().contains(&Code::NoEndpoint.to_string()), "{endpoint}");
    assert!(endpoint["remedy"].to_string().contains("keikoctl dev"), "{endpoint}");
    let gone = Ctl::new(Some("unix:/nowhere/keiko.sock".to_owned()));
    let document = gone.run("doctor -o json").json();
    assert_eq!(finding(&document, "socket")["status"], "failed");
    assert_eq!(finding(&document, "connection")["status"], "failed");
    // A file that no other command would pass is a finding here.
    fs::write(ctl.place().join(".keiko.toml"), "endpoint = 'x'\n").expect("a file");
    let report = ctl.run("doctor -o json");
    assert_eq!(report.status, 9, "{report}");
    assert_eq!(finding(&report.json(), "settings")["status"], "failed");
}

#[test]
fn it_finds_what_is_wrong() {
    let mut node =
        Node::start(Plan::config("[credentials.absent]\nto = [\"https://a.example\"]\n"));
    let document = node.ctl.run("doctor -o json").json();
    let configuration = finding(&document, "configuration");
    assert_eq!(configuration["status"], "warning", "{configuration}");
    assert!(configuration["message"].to_string().contains("absent"), "{configuration}");
    let token = node.ctl.place().join("a.token");
    fs::write(&token, "x").expect("a file");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).expect("a mode");
    let config = node.ctl.place().join("config/keiko");
    fs::create_dir_all(&config).expect("a folder");
    let text = format!("[contexts.open]\nendpoint = 'a:1'\ntoken_file = '{}'\n", token.display());
    fs::write(config.join("config.toml"), text).expect("a file");
    let document = node.ctl.run("doctor -o json").json();
    let context = finding(&document, "context open");
    assert_eq!(context["status"], "warning", "{context}");
    assert!(context["remedy"].to_string().contains("chmod 600"), "{context}");
    // A node that waits for its cluster says so.
    assert_eq!(node.terminate(), 0);
    let waiting = Plan { init: false, ..Plan::default() };
    let mut empty = Node::prepare(waiting);
    empty.launch();
    empty.wait_live();
    let report = empty.ctl.run("doctor -o json");
    assert_eq!(report.status, 9, "{report}");
    let ready = finding(&report.json(), "ready").clone();
    assert_eq!(ready["status"], "failed", "{ready}");
    assert!(ready["remedy"].to_string().contains("cluster init"), "{ready}");
}
