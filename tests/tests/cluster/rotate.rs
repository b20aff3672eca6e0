//! Another CA and another cluster key, while everybody goes on calling. Each case has a cluster of its
//! own: what trusts the one before is of no use to others.

use super::people::{person, turn_to};
use super::steady::{Steady, nothing_is_lost};
use super::{put, status, value};
use keiko_core::refusal::Code;
use keiko_tests::wait::expect;
use keiko_tests::{Cluster, Ctl, Node, Plan, eventually};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The authorities, as a node tells.
pub(crate) fn authorities(ctl: &Ctl) -> Value {
    ctl.json("cluster ca list")
}

/// The hashes of those in a state.
pub(crate) fn hashes(listed: &Value, state: &str) -> Vec<String> {
    let items = listed["items"].as_array().cloned().unwrap_or_default();
    let of_state = items.iter().filter(|item| item["state"] == state);
    of_state.map(|item| item["hash"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Calls over the network, one after the other, each over a connection of its own.
struct Caller {
    stop: Arc<AtomicBool>,
    running: JoinHandle<(usize, Vec<String>)>,
}

impl Caller {
    fn start(ctl: Ctl) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let running = thread::spawn(move || {
            let (mut calls, mut failed) = (0, Vec::new());
            while !until.load(Ordering::Relaxed) {
                let called = ctl.run("agent list -n steady");
                calls += 1;
                if called.status != 0 {
                    failed.push(called.to_string());
                }
            }
            (calls, failed)
        });
        Self { stop, running }
    }

    fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        self.running.join().expect("a caller ends")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_under_load_fails_no_call() {
    let mut cluster = Cluster::start(3);
    let people: Vec<Ctl> = cluster
        .all()
        .map(|number| person(&cluster, "operator", &format!("olga-{number}"), number))
        .collect();
    let bearer = cluster.token("--for viewer --bearer");
    let steady = Steady::start(cluster.node(0), Duration::from_millis(20));
    let before = authorities(&cluster.node(0).ctl);
    let first = hashes(&before, "signs");
    let callers: Vec<Caller> = people.into_iter().map(Caller::start).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;

    let rotated = cluster.node(1).ctl.run("cluster ca rotate --overlap 1h --wait");
    assert_eq!(rotated.status, 0, "{rotated}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let written = steady.end().await;
    for caller in callers {
        let (calls, failed) = caller.end();
        assert!(calls > 0 && failed.is_empty(), "{} of {calls} failed: {failed:?}", failed.len());
    }
    assert!(written.len() > 50, "{} writes", written.len());
    nothing_is_lost(cluster.nodes(), &written).await;

    let after = authorities(&cluster.node(2).ctl);
    let signs = hashes(&after, "signs");
    assert_ne!(signs, first, "{after}");
    assert_eq!(hashes(&after, "retiring"), first, "{after}");
    assert_eq!(after["items"][0]["nodes"].as_array().map(Vec::len), Some(3), "{after}");
    // Whatever was given before counts through the overlap, at each node, also after a restart.
    let endpoint = format!("https://{}", cluster.node(2).api());
    let mut looker = Ctl::new(Some(endpoint));
    looker.env = [("KEIKO_TOKEN".to_owned(), bearer)].into();
    looker.ok("agent list");
    cluster.node_mut(2).terminate();
    cluster.restart(2);
    cluster.wait_whole();
    looker.ok("agent list");
}

#[test]
fn what_the_one_before_signed_counts_until_the_end_and_not_after_it() {
    let mut cluster = Cluster::start(3);
    let admin = cluster.token("--for operator --name early");
    let joins = cluster.token("--for node");
    let ([quiet, busy], late) =
        (["quiet", "busy"].map(|name| person(&cluster, "viewer", name, 0)), 1);
    cluster.node(0).ctl.ok("cluster ca rotate --wait");
    // A token of before is traded, and a node comes in with one.
    let endpoint = format!("https://{}", cluster.node(late).api());
    let early = Ctl::new(None);
    early.ok(&format!("context add here --endpoint {endpoint} --token {admin} --use"));
    let newcomer = Node::start(Plan::join("n9", cluster.node(0).api(), &joins));
    super::wait_voter(&mut cluster, "n9");
    // Who calls meanwhile gets the next one on the way, also who came in with what one node knew.
    busy.ok("agent list");
    early.ok("agent list");
    let left = cluster.token("--for operator --name late");
    cluster.node(late).ctl.ok("cluster ca rotate --finish --wait");
    let listed = authorities(&newcomer.ctl);
    assert!(hashes(&listed, "retiring").is_empty(), "{listed}");
    assert_eq!(hashes(&listed, "former").len(), 1, "{listed}");

    busy.ok("agent list");
    turn_to(&busy, &cluster, 0, late);
    busy.ok("agent list");
    early.ok("agent list");
    let refused = quiet.refused("agent list", 4, Code::WrongCluster);
    refused.says("if its CA was changed since");
    let again = Ctl::new(None);
    again.ok(&format!("context add here --endpoint {endpoint} --token {left} --use"));
    again.ok("agent list");
}

#[test]
fn who_is_away_is_waited_for_and_comes_back_to_another_one() {
    let mut cluster = Cluster::start(3);
    put(&cluster.node(0).ctl, "kept", "before", "").ok();
    let leader = cluster.wait_leader();
    let others = cluster.others(leader);
    let (away, here) = (others[0], others[1]);
    let name = keiko_tests::cluster::name(away);
    cluster.kill(away);
    let ctl = &cluster.node(here).ctl;
    ctl.ok("cluster ca rotate");
    let waits = |step: &str| {
        eventually("it waits for who is away", || {
            let listed = authorities(ctl);
            let waits = listed["waitsFor"] == serde_json::json!([name.clone()]);
            expect(listed["step"] == step && waits, || listed.to_string())
        });
    };
    waits("trust");
    let told = status(ctl)["cluster"]["rotation"].to_string();
    assert!(told.contains(&format!("waits for {name}")), "{told}");
    ctl.ok("cluster ca rotate --finish --wait");
    let listed = authorities(ctl);
    assert_eq!(hashes(&listed, "former").len(), 1, "{listed}");
    // It shows what nobody trusts any more, and is known by its key.
    cluster.restart(away);
    cluster.wait_whole();
    assert_eq!(value(&cluster.node(away).ctl, "kept", "--consistency linearizable"), "before");
    eventually("it shows the next one", || {
        let listed = authorities(&cluster.node(here).ctl);
        let shows = listed["items"][0]["nodes"].as_array().map(Vec::len);
        expect(shows == Some(3), || listed.to_string())
    });
}
