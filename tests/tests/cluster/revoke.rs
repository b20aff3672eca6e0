//! Who had a vote knew the cluster key: without it there is another one, and another CA.

use super::people::person;
use super::rotate::{authorities, hashes};
use super::says;
use super::strangers::{Shown, enter};
use keiko_core::refusal::Code;
use keiko_tests::cluster::name;
use keiko_tests::wait::expect;
use keiko_tests::{Cluster, Ctl, Node, eventually};
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

/// The files of the cluster key that a node has.
fn cluster_keys(node: &Node) -> BTreeSet<String> {
    let entries = fs::read_dir(node.data().join("keys")).expect("a member has keys");
    let names = entries.map(|entry| entry.expect("a name").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("cluster-")).collect()
}

#[test]
fn a_voter_that_leaves_takes_no_key_along() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.wait_leader();
    let gone = cluster.others(leader)[0];
    let (ctl, knew) = (&cluster.node(leader).ctl, cluster_keys(cluster.node(gone)));
    let before = hashes(&authorities(ctl), "signs");
    let olga = person(&cluster, "operator", "olga", leader);
    ctl.ok(&format!("node remove {} --yes", name(gone)));
    eventually("another CA signs", || {
        let listed = authorities(ctl);
        let is_so = hashes(&listed, "signs") != before
            && hashes(&listed, "retiring") == before
            && listed["step"].as_str().unwrap_or_default().is_empty();
        expect(is_so, || listed.to_string())
    });
    for number in [leader, cluster.others(leader)[1]] {
        let knows = cluster_keys(cluster.node(number));
        assert!(!knows.is_subset(&knew), "{knows:?} and {knew:?}");
    }
    olga.ok("agent list");
    says(cluster.node(gone), &["KEIKO-0038"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_node_loses_its_streams_and_what_its_ca_signed_counts_no_more() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.wait_leader();
    let others = cluster.others(leader);
    let (gone, stays) = (others[0], others[1]);
    let olga = person(&cluster, "operator", "olga", stays);
    olga.ok("agent list");
    let before = hashes(&authorities(&cluster.node(leader).ctl), "signs");
    let of_gone = cluster.node(gone);
    let shown =
        Shown::read(&of_gone.data().join("node.pem"), &of_gone.data().join("keys/node.key"));
    // A stream of it that lives on, whatever becomes of its daemon.
    let (_, mut stream) = enter(cluster.node(stays), Some(&shown)).await.expect("it is a member");

    let line = format!("node remove {} --revoke --yes", name(gone));
    let removed = cluster.node(leader).ctl.run(&line);
    assert_eq!(removed.status, 0, "{removed}");
    let ended = async { while stream.read_u8().await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(5), ended).await.expect("its stream ends");
    says(cluster.node(stays), &["cut off: it is no member any more"]);
    enter(cluster.node(stays), Some(&shown)).await.expect_err("nor does it come in again");

    let listed = authorities(&cluster.node(stays).ctl);
    assert_ne!(hashes(&listed, "signs"), before, "{listed}");
    assert_eq!(hashes(&listed, "former"), before, "{listed}");
    olga.refused("agent list", 4, Code::WrongCluster);
    // Those who stay are known by their keys, and go on.
    for number in [leader, stays] {
        super::put(&cluster.node(number).ctl, "kept", "there", "").ok();
    }
    let token = cluster.node(stays).ctl.ok("cluster token create --for operator --name olga -q");
    let endpoint = format!("https://{}", cluster.node(stays).api());
    let again = Ctl::new(None);
    let token = token.stdout.trim();
    again.ok(&format!("context add here --endpoint {endpoint} --token {token} --use"));
    again.ok("agent list");
}

#[test]
fn who_never_had_a_vote_knows_no_key() {
    let cluster = Cluster::start(1);
    let ctl = &cluster.node(0).ctl;
    ctl.refused("node remove n1 --revoke --yes", 1, Code::MembershipRefused);
    ctl.refused("cluster ca rotate --finish", 1, Code::RotationRefused);
}
