//! How a daemon begins, ends, and refuses to begin.

use keiko_core::refusal::Code;
use keiko_tests::place::Place;
use keiko_tests::wait::expect;
use keiko_tests::{Node, Plan, eventually, http, programs};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

fn empty() -> Plan {
    Plan { init: false, ..Plan::default() }
}

#[tokio::test]
async fn an_empty_folder_waits_to_be_founded() {
    let mut node = Node::prepare(empty());
    node.launch();
    node.wait_live();
    let client = reqwest::Client::builder().danger_accept_invalid_certs(true).no_proxy().build();
    let url = format!("https://{}", node.api());
    let client = client.expect("a client");
    assert_eq!(client.get(format!("{url}/livez")).send().await.expect("it answers").status(), 200);
    let ready = client.get(format!("{url}/readyz")).send().await.expect("it answers");
    assert_eq!(ready.status(), 503);
    let text = ready.text().await.expect("a text");
    let socket = node.socket();
    let way_out = format!("keikoctl --endpoint unix:{} cluster init", socket.display());
    assert!(text.contains(&way_out), "{text}");
    assert!(!node.data().join("ca.pem").exists(), "it founded a cluster by itself");

    node.ctl.refused("tool list", 1, Code::NotFounded).says("cluster init");
    let status = node.ctl.json("status");
    assert!(status["missing"].as_array().is_some_and(|missing| !missing.is_empty()), "{status}");
    node.ctl.ok("cluster init");
    node.wait_ready();
    node.ctl.refused("cluster init", 7, Code::AlreadyFounded);
    // Founded once, it opens by itself.
    assert_eq!(node.terminate(), 0, "{}", node.log());
    node.restart();
}

#[test]
fn a_cluster_is_founded_once() {
    let mut node = Node::start(Plan::default());
    let id = node.ctl.json("status")["cluster"]["id"].clone();
    assert_eq!(node.terminate(), 0);
    let mut again = node.arguments();
    again.push("--init".to_owned());
    node.run(&again).refused(7, Code::AlreadyFounded);
    node.restart();
    assert_eq!(node.ctl.json("status")["cluster"]["id"], id);
}

#[test]
fn a_second_daemon_is_refused() {
    let node = Node::start(Plan::default());
    let before = fs::read(node.data().join("addresses.json")).expect("it listens");
    node.run(&node.arguments())
        .refused(7, Code::DataFolderLocked)
        .says(&format!("process {}", node.pid()));
    assert_eq!(fs::read(node.data().join("addresses.json")).expect("it is there"), before);
    node.ctl.ok("status");
    let verify = ["verify", "--data-dir", &node.data().display().to_string()].map(str::to_owned);
    node.run(&verify).refused(7, Code::DataFolderLocked);
}

#[test]
fn a_mistake_in_the_configuration_is_named_with_its_line() {
    let node =
        Node::prepare(Plan::config("[log]\nfilter = \"info\"\n\n[lisen]\napi = \"127.0.0.1:0\"\n"));
    node.run(&node.arguments())
        .refused(2, Code::ConfigInvalid)
        .says("keiko.toml:4")
        .says("did you mean \"listen\"?");
    node.configure("[listen]\napi = 7\n");
    node.run(&node.arguments()).refused(2, Code::ConfigInvalid).says("keiko.toml:2");
    assert!(!node.data().exists(), "the data folder was touched");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("it is bound").port();
    let node = Node::prepare(Plan::default());
    let arguments: Vec<String> = node
        .arguments()
        .iter()
        .scan("", |before, word| {
            let is_api = *before == "--listen";
            *before = if word == "--listen" { "--listen" } else { "" };
            Some(if is_api { format!("127.0.0.1:{port}") } else { word.clone() })
        })
        .collect();
    node.run(&arguments).refused(7, Code::PortInUse).says(&port.to_string());
    let check = ["check", "--listen", &format!("127.0.0.1:{port}")].map(str::to_owned);
    node.run(&check).refused(7, Code::PortInUse);
}

#[test]
fn what_is_no_folder_is_left_alone() {
    let node = Node::prepare(Plan::default());
    fs::write(node.data(), "mine").expect("a file");
    node.run(&node.arguments()).refused(1, Code::DataFolderUnwritable);
    assert_eq!(fs::read_to_string(node.data()).expect("it is there"), "mine");
}

#[test]
fn a_socket_path_may_be_too_long() {
    let place = Place::new();
    let long = place.join(&"s".repeat(110));
    let mut node = Node::prepare(Plan::default());
    node.plan.flags = format!("--socket {}", long.display());
    node.run(&node.arguments()).refused(2, Code::SocketPath).says("--socket");
}

#[test]
fn a_newer_folder_is_not_touched() {
    let mut node = Node::start(Plan::default());
    node.ctl.ok("agent token someone");
    assert_eq!(node.terminate(), 0);
    let marker = node.data().join("format");
    let format = fs::read_to_string(&marker).expect("a marker");
    fs::write(&marker, "4711\n").expect("it is ours");
    let before = contents(&node.data());
    assert!(before.len() > 5, "{:?}", before.keys());
    node.run(&node.arguments()).refused(1, Code::DataFolderNewer).says("4711");
    let verify = ["verify", "--data-dir", &node.data().display().to_string()].map(str::to_owned);
    node.run(&verify).refused(1, Code::DataFolderNewer);
    let after = contents(&node.data());
    for (path, hash) in &before {
        assert_eq!(after.get(path), Some(hash), "{} changed", path.display());
    }
    let new: Vec<_> = after.keys().filter(|path| !before.contains_key(*path)).collect();
    assert!(new.is_empty(), "left behind: {new:?}");
    fs::write(&marker, format).expect("it is ours");
    node.restart();
}

/// Everything that is there, with the hash of what is in it. The lock's note of who held it last
/// is no data.
fn contents(folder: &Path) -> BTreeMap<PathBuf, blake3::Hash> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.ends_with("d/lock") => {}
                false => {
                    // A socket has nothing to read, and should not be there.
                    let bytes = fs::read(&path).unwrap_or_default();
                    found.insert(path, blake3::hash(&bytes));
                }
            }
        }
    }
    found
}

#[test]
fn a_running_call_ends_before_the_daemon() {
    let mut node = Node::start(Plan::default());
    node.ctl.ok(&format!("mcp register slow -- {}", programs::path("fake-mcp").display()));
    let call = node.ctl.stream(r#"tool call slow.slow '{"seconds":3}'"#);
    eventually("the call runs", || {
        let live = node.ctl.json("mcp get slow")["status"]["live"].clone();
        expect(live["callsInFlight"] == 1, || live.to_string())
    });
    node.signal(Signal::SIGTERM);
    call.find("its answer", |line| line.contains("at last").then_some(()));
    assert_eq!(node.wait_end(), 0, "{}", node.log());
    assert!(!node.socket().exists(), "the socket is still there");
    node.ctl.refused("status", 3, Code::Unreachable);
}

#[test]
fn a_reload_takes_over_what_may_run() {
    let fake = programs::path("fake-mcp");
    let mut node = Node::start(Plan::config("[log]\nfilter = \"info\"\n"));
    node.ctl.ok(&format!("mcp register fake -- {}", fake.display()));
    assert_eq!(node.terminate(), 0);
    // Another node's socket is no reason to run here.
    node.plan.name = "n2".to_owned();
    node.restart();
    eventually("nobody is sent to a node that is no member", || {
        let server = node.ctl.json("mcp get fake");
        let why = server["status"]["live"]["whyNot"].as_str().unwrap_or_default();
        expect(why.contains("n1 is down"), || server.to_string())
    });
    let server = crate::objects::wait_ready(&node.ctl, "fake", "False");
    assert_eq!(server["status"]["health"]["failureClass"], "node-down", "{server}");
    node.configure("[exec]\nallow = [[\"/bin/sh\"]]\n");
    node.signal(Signal::SIGHUP);
    eventually("the mistake is logged", || {
        expect(node.log().contains("KEIKO-0063"), || node.log())
    });
    node.ctl.ok("status");
    node.configure(&format!("[exec]\nallow = [[{:?}]]\n", fake.display().to_string()));
    node.signal(Signal::SIGHUP);
    // What may run here now is taken over from the node that is gone.
    eventually("it runs here", || {
        let server = node.ctl.json("mcp get fake");
        let is_here = server["status"]["node"] == "n2";
        expect(is_here && server["status"]["live"]["routable"] == true, || server.to_string())
    });
    node.ctl.ok(r#"tool call fake.echo '{"text":"x"}'"#);
}

#[test]
fn a_port_that_was_chosen_is_kept() {
    let mut node = Node::start(Plan::default());
    let (api, metrics) = (node.api(), node.metrics());
    assert_eq!(node.terminate(), 0);
    node.restart();
    assert_eq!((node.api(), node.metrics()), (api, metrics));
    assert_eq!(node.terminate(), 0);
    let _taken = TcpListener::bind(api).expect("it is free");
    node.restart();
    assert_ne!(node.api(), api);
    assert_eq!(node.metrics(), metrics);
    eventually("its record names the new port", || {
        let status = node.ctl.json("status");
        let shown = status["nodes"][0]["apiAddress"].as_str().unwrap_or_default().to_owned();
        expect(shown == node.api().to_string(), || status.to_string())
    });
}

#[test]
fn verify_finds_a_flipped_bit() {
    let mut node = Node::start(Plan::default());
    for number in 0..40 {
        node.ctl.ok(&format!("agent token agent-{number}"));
        if number == 20 {
            // Half of it through a crash, half through a proper end.
            node.kill_9();
            node.restart();
        }
    }
    assert_eq!(node.terminate(), 0);
    let verify = ["verify", "--data-dir", &node.data().display().to_string()].map(str::to_owned);
    let report =
        node.run(&[&verify[..], &["-o".to_owned(), "json".to_owned()]].concat()).ok().json();
    assert_eq!(report["groups"][0]["replayed"], true, "{report}");
    assert!(report["groups"][0]["revision"].as_u64() > Some(40), "{report}");

    let kept = node.join("kept");
    copy(&node.data().join("store"), &kept);
    for file in data_files(&kept) {
        let name = file.file_name().expect("a file has a name");
        let damaged = node.data().join("store").join(name);
        let mut bytes = fs::read(&file).expect("a file");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&damaged, &bytes).expect("it is ours");
        let found = node.run(&verify);
        assert_eq!(found.status, 1, "a bit of {name:?} at {middle}: {found}");
        assert!(found.stderr.starts_with("error[KEIKO-006"), "{found}");
        fs::copy(&file, &damaged).expect("it is ours");
    }
    node.run(&verify).ok();
    node.restart();
}

/// The files that hold what was acknowledged: RocksDB's log and tables that are not empty.
fn data_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "log" || ending == "sst"))
        .filter(|path| path.metadata().is_ok_and(|meta| meta.len() > 64))
        .collect();
    assert!(!files.is_empty(), "no data in {}", folder.display());
    files
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

#[test]
fn check_says_what_counts_and_touches_nothing() {
    let node = Node::prepare(Plan::config("[log]\nfilter = \"debug\"\n"));
    let config = node.join("keiko.toml").display().to_string();
    let data = node.data().display().to_string();
    let ports = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
    let words = [&["check", "--config", &config, "--data-dir", &data], &ports[..]].concat();
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let said = node.run(&words).ok().stdout;
    let line = said.lines().find(|line| line.starts_with("log.filter")).expect("every key");
    assert!(line.contains("debug") && line.ends_with("keiko.toml:2"), "{line}");
    assert!(said.ends_with("ok\n"), "{said}");
    assert!(!node.data().exists());
}

#[test]
fn the_socket_alone_answers_who_asks_for_health() {
    let node = keiko_tests::shared();
    for path in ["/livez", "/readyz"] {
        assert_eq!(http::get(&node.socket(), path).expect("it answers").status, 200, "{path}");
    }
}
