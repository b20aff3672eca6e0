//! Power cuts under load.
//!
//! Writers note, outside of the disk, what was acknowledged. The daemon is killed, and of what it
//! did not sync a part that a seed chooses is forgotten. After the restart the journal must hold
//! each acknowledged write at its revision, the node must lead in a term that it did not lead
//! before, and from time to time the offline scan must find everything in order.

use super::load::{self, Acknowledged, Load};
use super::{Rig, Started};
use keiko_tests::disk::{Ask, Fault, Rule, Survival};
use keiko_tests::{Plan, full, heavy_time, measure, seed};
use std::time::{Duration, Instant};

const CUTS_CI: u32 = 12;
const CUTS_FULL: u32 = 200;
/// However slow the machine is.
const TIME_MAX: Duration = Duration::from_secs(300);
const TIME_MAX_FULL: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_with_the_power() {
    let Some(mut rig) = Rig::start() else { return };
    let mut dice = seed("disk::power::no_acknowledged_write_is_lost_with_the_power");
    let (cuts_min, time_max) =
        if full() { (CUTS_FULL, TIME_MAX_FULL) } else { (CUTS_CI, TIME_MAX) };
    let (start, mut cuts, mut unsynced) = (Instant::now(), 0, 0);
    let mut all: Vec<Acknowledged> = Vec::new();
    while cuts < cuts_min || (!full() && start.elapsed() < heavy_time() / 2) {
        assert!(start.elapsed() < time_max, "only {cuts} cuts in {time_max:?}");
        let status = load::connect(&rig.node).await.status().await.expect("it answers");
        let (term, from) = (status.term, status.revision);
        let load = Load::start(&rig.node).await;
        load.reach(20).await;
        tokio::time::sleep(Duration::from_millis(dice.below(400))).await;
        let survival = [Survival::Nothing, Survival::Prefix, Survival::Prefix][cuts as usize % 3];
        let cut = dice.below(u64::MAX);
        rig.node.kill_9();
        unsynced += rig.disk.pending();
        rig.disk.power_cut(survival, cut);
        cuts += 1;
        let known = load.end().await;
        // The scan applies the whole log again, which grows with every cut.
        if dice.below(4 + u64::from(cuts)) == 0 {
            rig.verify();
        }
        rig.start_again().ready();
        let client = load::connect(&rig.node).await;
        let events = load::journal(&client, from).await;
        let missing = load::missing(&events, &known.acknowledged);
        assert!(missing.is_empty(), "LOST at cut {cuts} ({survival:?}, {cut}): {missing:?}");
        let now = client.status().await.expect("it answers").term;
        assert!(now > term, "term {term} is led twice after cut {cuts} ({survival:?}, {cut})");
        answers_once(&client, &known, &events).await;
        all.extend(known.acknowledged);
    }
    // Once more over the whole past: no later cut may have taken what an earlier one left.
    let events = load::journal(&load::connect(&rig.node).await, 0).await;
    let missing = load::missing(&events, &all);
    assert!(missing.is_empty(), "LOST: {missing:?}");
    measure("power cuts under load, nothing lost", f64::from(cuts), f64::from(cuts_min), "cuts");
    measure("acknowledged writes under these cuts", all.len() as f64, 0.0, "writes");
    assert!(all.len() > cuts as usize * 20, "too little load: {} writes", all.len());
    assert!(unsynced > cuts as usize, "the cuts had nothing to take: {unsynced} changes");
    assert_eq!(rig.node.terminate(), 0);
    rig.verify();
}

/// What was in flight is sent again under its id: it is done now, or was done and is not again.
async fn answers_once(
    client: &keiko_client::Client,
    known: &load::Writer,
    events: &std::collections::BTreeMap<String, u64>,
) {
    for (id, revoked) in &known.in_flight {
        let was = events.get(&id.to_string());
        match load::send(client, *id, revoked.clone()).await {
            Ok(made) if revoked.is_some() => {
                assert!(was.is_none_or(|was| *was == made.revision), "{id}: {was:?}, {made:?}");
            }
            Ok(made) => assert!(was.is_none(), "{id} was done at {was:?} and at {made:?}"),
            // A token's text is shown once: whoever asks again is told that it was made.
            Err(error) => {
                assert!(was.is_some() && error.refusal.code == 32, "{id}: {was:?}, {error:?}");
            }
        }
    }
}

/// The founding of a cluster is cut too: whatever is left, the next start completes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_founding_that_was_cut_is_completed() {
    let mut dice = seed("disk::power::a_founding_that_was_cut_is_completed");
    let rounds = if full() { 60 } else { 6 };
    for round in 0..rounds {
        // With --init at every start, for as long as there is something left to do.
        let plan = Plan { init: false, flags: "--init".to_owned(), ..Plan::default() };
        let Some(mut rig) = Rig::prepare(plan) else { return };
        rig.node.launch();
        // Not before it has locked its folder; then anywhere up to the end of the founding.
        tokio::time::sleep(Duration::from_millis(20 + dice.below(500))).await;
        let (cut, survival) = (dice.below(u64::MAX), [Survival::Nothing, Survival::Prefix]);
        let survival = survival[dice.below(2) as usize];
        let was_ready = keiko_tests::http::get(&rig.node.socket(), "/readyz")
            .is_ok_and(|answer| answer.status == 200);
        rig.power_cut(survival, cut);
        let how = format!("round {round}: {survival:?}, {cut}, ready before: {was_ready}");
        let started = match rig.start_again() {
            Started::Refused { said } if said.contains("already belongs to") => {
                rig.node.plan.flags.clear();
                rig.start_again()
            }
            started => started,
        };
        if let Started::Refused { said } = started {
            panic!("{how}:\n{said}");
        }
        let client = load::connect(&rig.node).await;
        load::write(&client, client.request_id()).await.unwrap_or_else(|e| panic!("{how}: {e:?}"));
        assert_eq!(rig.node.terminate(), 0, "{how}");
    }
}

/// The power goes again while the start repairs what the first cut left: it writes files, names
/// and a manifest, and must be able to begin anew at every point.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_is_cut_too_loses_nothing() {
    let Some(mut rig) = Rig::start() else { return };
    let mut dice = seed("disk::power::a_start_that_is_cut_too_loses_nothing");
    let (mut all, mut unsynced) = (Vec::new(), 0);
    let rounds = if full() { 100 } else { 8 };
    for round in 0..rounds {
        let load = Load::start(&rig.node).await;
        load.reach(30).await;
        rig.power_cut(Survival::Prefix, dice.below(u64::MAX));
        all.extend(load.end().await.acknowledged);
        let (mut cuts, again) = (Vec::new(), 1 + dice.below(3));
        for _ in 0..again {
            rig.node.launch();
            tokio::time::sleep(Duration::from_millis(20 + dice.below(250))).await;
            let survival = [Survival::Nothing, Survival::Prefix][dice.below(2) as usize];
            cuts.push((survival, dice.below(u64::MAX)));
            rig.node.kill_9();
            unsynced += rig.disk.pending();
            rig.disk.power_cut(survival, cuts[cuts.len() - 1].1);
        }
        if let Started::Refused { said } = rig.start_again() {
            panic!("round {round}, cut {cuts:?}:\n{said}");
        }
        let events = load::journal(&load::connect(&rig.node).await, 0).await;
        let missing = load::missing(&events, &all);
        assert!(missing.is_empty(), "LOST in round {round}, cut {cuts:?}: {missing:?}");
    }
    measure("starts cut by another power cut", f64::from(rounds), 8.0, "rounds");
    assert!(unsynced > 0, "the cuts had nothing to take");
    assert_eq!(rig.node.terminate(), 0);
    rig.verify();
}

/// A harness that finds nothing proves nothing: with a disk that only says that it synced, writes
/// are lost, and the check must see it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_lies_about_syncs_is_noticed() {
    let Some(mut rig) = Rig::start() else { return };
    rig.disk.lie_about_syncs();
    let load = Load::start(&rig.node).await;
    load.reach(50).await;
    rig.power_cut(Survival::Nothing, 0);
    let known = load.end().await;
    rig.disk.heal();
    rig.start_again().ready();
    let events = load::journal(&load::connect(&rig.node).await, 0).await;
    let missing = load::missing(&events, &known.acknowledged);
    assert_eq!(missing.len(), known.acknowledged.len(), "the loss is not seen");
}

/// The same disk, but the kernel wrote the note back before the power went: now the daemon itself
/// can see that what was durable is gone, and it refuses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_below_its_note_is_refused() {
    let Some(mut rig) = Rig::start() else { return };
    rig.disk.fail(Rule::new(Ask::Sync, "*.log", Fault::Lie));
    let load = Load::start(&rig.node).await;
    load.reach(50).await;
    rig.node.kill_9();
    rig.disk.write_back("durable");
    rig.disk.power_cut(Survival::Nothing, 0);
    load.end().await;
    rig.disk.heal();
    let image = rig.disk.image();
    rig.start_again().refused("KEIKO-0066", &["durable", "store", "put back a copy"]);
    // It refused because of that alone, and changed nothing that could be needed.
    rig.start_on(&image).refused("KEIKO-0066", &["was durable up to"]);
}
