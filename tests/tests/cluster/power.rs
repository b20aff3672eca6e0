//! The power goes for all nodes at once, and what none of them had synced is gone everywhere.
//!
//! What was acknowledged was synced by two of three, whichever they were: when all are back, every
//! node has it.

use super::agree;
use super::steady::{Steady, Written, nothing_is_lost};
use crate::disk::Rig;
use keiko_tests::cluster::{View, name};
use keiko_tests::disk::Survival;
use keiko_tests::wait::expect;
use keiko_tests::{Node, Plan, eventually, full, measure, seed};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

const VOTERS: usize = 3;
/// Between two writes through one node.
const EVERY: Duration = Duration::from_millis(10);
const CUTS_MIN: usize = 2;
const CUTS_FULL: usize = 40;
/// No cut is begun later than this, but for the first ones.
const BEGIN_MAX: Duration = Duration::from_secs(20);

/// Voters that are ready, each on a disk of its own; none where there can be no such disks.
fn start() -> Option<Vec<Rig>> {
    let mut rigs = vec![Rig::start()?];
    for number in 1..VOTERS {
        let founder = &rigs[0].node;
        let token = founder.ctl.ok("cluster token create --for node -q").stdout;
        let mut rig = Rig::prepare(Plan::join(&name(number), founder.api(), token.trim()))?;
        rig.node.launch();
        rig.node.wait_ready();
        rigs.push(rig);
    }
    eventually("all of them vote", || {
        let view = View::ask(&rigs[0].node)?;
        let is_so = view.voters == VOTERS && view.reachable == VOTERS && view.has_quorum;
        expect(is_so, || view.to_string())
    });
    Some(rigs)
}

fn nodes(rigs: &[Rig]) -> Vec<&Node> {
    rigs.iter().map(|rig| &rig.node).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_a_power_cut_of_all_nodes() {
    let Some(mut rigs) = start() else { return };
    let mut dice = seed("cluster::power::a_power_cut_of_all_nodes");
    let cuts_min = if full() { CUTS_FULL } else { CUTS_MIN };
    let (begun, mut cuts, mut unsynced) = (Instant::now(), 0, 0);
    let mut all: Vec<Written> = Vec::new();
    while cuts < cuts_min || (!full() && begun.elapsed() < BEGIN_MAX) {
        let writing: Vec<_> = rigs.iter().map(|rig| Steady::start(&rig.node, EVERY)).collect();
        tokio::time::sleep(Duration::from_millis(500 + dice.below(1000))).await;
        let survival = [Survival::Nothing, Survival::Prefix][cuts % 2];
        for rig in &rigs {
            rig.node.signal(Signal::SIGKILL);
        }
        // What is under way is sent again to who comes back, under its old id.
        let ending: Vec<_> = writing.into_iter().map(|steady| tokio::spawn(steady.end())).collect();
        for rig in &mut rigs {
            rig.node.kill_9();
            unsynced += rig.disk.pending();
            rig.disk.power_cut(survival, dice.below(u64::MAX));
        }
        cuts += 1;
        for rig in &mut rigs {
            rig.node.launch();
        }
        for rig in &mut rigs {
            rig.node.wait_ready();
        }
        for ended in ending {
            let written = ended.await.expect("it ends");
            assert!(!written.is_empty(), "nothing was acknowledged before cut {cuts}");
            all.extend(written);
        }
        agree(&nodes(&rigs));
        nothing_is_lost(nodes(&rigs), &all).await;
    }
    measure("power cuts of all nodes, nothing lost", cuts as f64, cuts_min as f64, "cuts");
    measure("acknowledged writes under these cuts", all.len() as f64, 0.0, "writes");
    assert!(unsynced > cuts, "the cuts had nothing to take: {unsynced} changes");
    for rig in &mut rigs {
        assert_eq!(rig.node.terminate(), 0);
        rig.verify();
    }
}
