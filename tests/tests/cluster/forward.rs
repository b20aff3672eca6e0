//! Every node answers every call, whoever leads.

use super::people::{person, turn_to};
use super::{members, put, status, value};
use keiko_core::refusal::Code;
use keiko_tests::shared::unique;
use keiko_tests::wait::expect;
use keiko_tests::{eventually, shared_cluster};

#[test]
fn what_one_node_took_every_node_reads() {
    let mut cluster = shared_cluster();
    let leader = cluster.wait_leader();
    for writer in cluster.all() {
        let name = unique("everywhere");
        for value_now in ["one", "two", "three"] {
            put(&cluster.node(writer).ctl, &name, value_now, "").ok();
            for reader in cluster.all() {
                let ctl = &cluster.node(reader).ctl;
                for flags in ["", "--consistency linearizable", "--consistency lease"] {
                    let read = value(ctl, &name, flags);
                    assert_eq!(read, value_now, "n{} of n{}, {flags}", reader + 1, writer + 1);
                }
                eventually("a stale read gets there, too", || {
                    let read = value(ctl, &name, "--stale");
                    expect(read == value_now, || read.clone())
                });
            }
        }
    }
    assert_eq!(cluster.wait_leader(), leader, "none of that was a reason to vote");
}

#[test]
fn what_a_follower_took_is_there_for_the_same_follower() {
    let mut cluster = shared_cluster();
    let follower = cluster.followers()[0];
    let (ctl, name) = (&cluster.node(follower).ctl, unique("own"));
    for round in 0..20 {
        let written = round.to_string();
        put(ctl, &name, &written, "").ok();
        // Also without asking anybody: the answer to a write waits for it.
        assert_eq!(value(ctl, &name, "--stale"), written);
    }
}

#[test]
fn a_refusal_is_the_same_from_every_node() {
    let cluster = shared_cluster();
    let name = unique("refused");
    put(&cluster.node(0).ctl, &name, "there", "").ok();
    for number in cluster.all() {
        let ctl = &cluster.node(number).ctl;
        ctl.refused("agent get nobody-of-this-name", 6, Code::NotFound);
        ctl.refused("agent delete nobody-of-this-name --yes", 6, Code::NotFound);
        let line = "apply -f - --request-id 01890000-0000-7000-8000-000000000000";
        let manifest = "apiVersion: keiko/v1\nkind: Agent\nmetadata: {name: late}\n\
                        spec: {url: 'http://127.0.0.1:9/'}\n";
        ctl.run_with(line, manifest).refused(2, Code::RequestIdExpired);
    }
}

#[test]
fn a_request_id_holds_over_nodes() {
    let cluster = shared_cluster();
    let name = unique("once");
    // The same person at each node: a process on a socket is somebody else on another node.
    let ctl = person(&cluster, "operator", &unique("olga"), 0);
    put(&cluster.node(0).ctl, &name, "first", "").ok();
    let object = cluster.node(0).ctl.json(&format!("agent get {name}"));
    let made_ms = object["metadata"]["updatedMs"].as_u64().expect("a time");
    let hex = format!("{made_ms:012x}");
    let id = format!("{}-{}-7abc-8def-0123456789cd", &hex[..8], &hex[8..]);
    let revision = || {
        put(&ctl, &name, "second", &format!("--request-id {id}")).ok();
        let object = ctl.json(&format!("agent get {name}"));
        object["metadata"]["generation"].as_u64().expect("a revision")
    };
    let first = revision();
    turn_to(&ctl, &cluster, 0, 1);
    let second = revision();
    turn_to(&ctl, &cluster, 1, 2);
    assert_eq!([second, revision()], [first, first], "it took effect once");
}

#[test]
fn every_node_tells_the_same_of_all() {
    let mut cluster = shared_cluster();
    let leader = cluster.wait_leader();
    for number in cluster.all() {
        let ctl = &cluster.node(number).ctl;
        let status = status(ctl);
        assert_eq!(status["leader"], format!("n{}", leader + 1), "{status}");
        assert_eq!(status["quorum"]["voters"], 3, "{status}");
        assert_eq!(members(ctl), ["node/n1", "node/n2", "node/n3"]);
    }
    cluster.agree_within(keiko_tests::DEADLINE).expect("the same state everywhere");
}

#[test]
fn a_watch_at_a_follower_goes_on_over_a_new_leader() {
    let mut cluster = shared_cluster();
    let leader = cluster.wait_leader();
    let follower = cluster.others(leader)[0];
    let name = unique("watched");
    put(&cluster.node(follower).ctl, &name, "0", "").ok();
    let watch = cluster.node(follower).ctl.stream(&format!("agent get {name} --watch -o jsonl"));
    let seen = |wanted: &str| {
        watch.find_json(wanted, |line| {
            let labels = &line["object"]["metadata"]["labels"];
            labels["value"] == wanted || line["metadata"]["labels"]["value"] == wanted
        });
    };
    seen("0");
    cluster.kill(leader);
    cluster.wait_leader_other_than(leader);
    put(&cluster.node(follower).ctl, &name, "1", "").ok();
    seen("1");
    cluster.restart(leader);
    put(&cluster.node(leader).ctl, &name, "2", "").ok();
    seen("2");
}
