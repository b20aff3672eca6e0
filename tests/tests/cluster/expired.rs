//! Certificates that are over. A person's ends after thirty days, and who let that happen needs a new
//! token. A node's ends after one day, and however long it was off, it comes back by itself.

use super::people::person;
use super::{put, value};
use keiko_core::refusal::Code;
use keiko_tests::wait::expect;
use keiko_tests::{Cluster, DEADLINE, Node, eventually, faketime};
use std::fs;
use std::path::PathBuf;

const TEST: &str = "cluster::expired";
/// Two thirds of the life of a person's certificate, and more than all of it.
const LATE: &str = "+20d";
const TOO_LATE: &str = "+40d";
/// More than the life of a node's certificate.
const DAYS: &str = "+3d";
/// Within the life of the CA, which is ten years.
const YEARS: &str = "+1100d";

/// Ends every node. From its next start on it is so much later there, and for who asks it.
#[track_caller]
fn end_until(cluster: &mut Cluster, library: &str, by: &str) {
    for number in cluster.all() {
        let node = cluster.node_mut(number);
        assert_eq!(node.terminate(), 0, "{}", node.log());
        node.plan.env.extend(faketime::env(library, by));
        node.ctl.env = faketime::env(library, by).into();
    }
}

#[test]
fn a_person_whose_certificate_is_over_enrols_anew() {
    let Some(library) = faketime::library(TEST) else { return };
    // Its own: nobody else is to live so late.
    let mut cluster = Cluster::start(1);
    let [mut olga, mut otto] = ["olga", "otto"].map(|name| person(&cluster, "operator", name, 0));
    olga.ok("agent list");
    end_until(&mut cluster, library, LATE);
    cluster.restart(0);
    // Who calls in time gets the next one on the way.
    otto.env = faketime::env(library, LATE).into();
    otto.ok("agent list");
    end_until(&mut cluster, library, TOO_LATE);
    cluster.restart(0);
    otto.env = faketime::env(library, TOO_LATE).into();
    otto.ok("agent list");

    olga.env = faketime::env(library, TOO_LATE).into();
    for _ in 0..2 {
        let refused = olga.refused("agent list", 4, Code::CertificateInvalid);
        refused.says("keikoctl context add NAME --replace --endpoint E --token T");
    }
    let token = cluster.token("--for operator --name olga");
    let endpoint = format!("https://{}", cluster.node(0).api());
    olga.ok(&format!("context add here --replace --endpoint {endpoint} --token {token}"));
    olga.ok("agent list");
}

/// Starts two nodes and then the third one, and waits until they are one cluster as before.
#[track_caller]
fn start_again(cluster: &mut Cluster) {
    let [first, second, third] = [0, 1, 2];
    for number in [first, second] {
        cluster.launch(number);
    }
    cluster.wait_leader();
    eventually("writes are accepted again", || {
        let written = put(&cluster.node(first).ctl, "kept", "after", "");
        expect(written.status == 0, || written.to_string())
    });
    cluster.launch(third);
    cluster.wait_whole();
    cluster.agree_within(DEADLINE).expect("the same state everywhere");
    for node in cluster.nodes() {
        assert_eq!(value(&node.ctl, "kept", "--consistency linearizable"), "after");
    }
}

/// All of them are off for so long, and come back.
#[track_caller]
fn off_for(by: &str) {
    let Some(library) = faketime::library(TEST) else { return };
    let mut cluster = Cluster::start(3);
    put(&cluster.node(0).ctl, "kept", "before", "").ok();
    end_until(&mut cluster, library, by);
    start_again(&mut cluster);
}

#[test]
fn nodes_that_were_off_for_three_days_come_back_by_themselves() {
    off_for(DAYS);
}

#[test]
fn nodes_that_were_off_for_years_come_back_by_themselves() {
    off_for(YEARS);
}

/// The files of the cluster key that a node has.
fn cluster_keys(node: &Node) -> Vec<PathBuf> {
    let entries = fs::read_dir(node.data().join("keys")).expect("a member has keys");
    let paths = entries.map(|entry| entry.expect("a name").path());
    let is_of_cluster = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("cluster-"))
    };
    paths.filter(is_of_cluster).collect()
}

#[track_caller]
fn wait_cluster_key(node: &Node) {
    eventually("it has the cluster key", || {
        let keys = cluster_keys(node);
        expect(!keys.is_empty(), || format!("{keys:?}"))
    });
}

/// As a learner is, or a voter that has just become one: it shows what it was given when it joined.
#[test]
fn who_can_not_sign_is_given_a_certificate_after_years_too() {
    let Some(library) = faketime::library(TEST) else { return };
    let mut cluster = Cluster::start(3);
    put(&cluster.node(0).ctl, "kept", "before", "").ok();
    wait_cluster_key(cluster.node(2));
    end_until(&mut cluster, library, YEARS);
    for path in cluster_keys(cluster.node(2)) {
        fs::remove_file(path).expect("it is there");
    }
    start_again(&mut cluster);
    wait_cluster_key(cluster.node(2));
}
