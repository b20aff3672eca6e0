//! A wall clock that is a year back at a start, as in a machine whose battery died, or was
//! ahead.

use super::Rig;
use super::load::{self, Acknowledged, write};
use keiko_tests::{Node, faketime};

/// The daemon runs with its clock moved and then with the right one again. Nothing is lost, writes
/// go on in both, time never goes back, and somebody is told while it stands still.
async fn moved(offset: &str, alarm_while_moved: bool) {
    let Some(library) = faketime::library("disk::clock") else { return };
    let Some(mut rig) = Rig::start() else { return };
    let client = load::connect(&rig.node).await;
    let mut acknowledged = Vec::new();
    for _ in 0..5 {
        acknowledged.push(write(&client, client.request_id()).await.expect("it is made"));
    }
    let mut last_ms = newest_ms(&rig.node);
    assert_eq!(rig.node.terminate(), 0);

    let right = rig.node.plan.env.clone();
    rig.node.plan.env.extend(faketime::env(library, offset));
    rig.start_again().ready();
    let mut wrong = look(&rig, &mut acknowledged, &mut last_ms, alarm_while_moved).await;
    rig.node.kill_9();
    rig.node.plan.env = right;
    rig.start_again().ready();
    wrong.extend(look(&rig, &mut acknowledged, &mut last_ms, !alarm_while_moved).await);
    assert!(wrong.is_empty(), "a clock moved by {offset}: {wrong:#?}");
    assert_eq!(rig.node.terminate(), 0);
    rig.verify();
}

/// What is not as it should be with the clock as it is now.
async fn look(
    rig: &Rig,
    acknowledged: &mut Vec<Acknowledged>,
    last_ms: &mut i64,
    alarm: bool,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let client = load::connect(&rig.node).await;
    // Ids are made on the server's clock: that of the stamps, which never goes back.
    for _ in 0..3 {
        match write(&client, client.request_id()).await {
            Ok(made) => acknowledged.push(made),
            Err(error) => wrong.push(format!("writes do not go on: {:?}", error.refusal)),
        }
    }
    let events = load::journal(&client, 0).await;
    assert!(load::missing(&events, acknowledged).is_empty(), "something is lost");
    let now_ms = newest_ms(&rig.node);
    assert!(now_ms >= *last_ms, "time went back from {last_ms} to {now_ms}");
    *last_ms = now_ms;
    let alarms = client.status().await.expect("it answers").alarms;
    if alarms.is_empty() == alarm {
        wrong.push(format!("an alarm is expected: {alarm}; there are {alarms:?}"));
    }
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_a_year_back_loses_nothing_and_writes_go_on() {
    moved("-365d", true).await;
}

/// The other way round it is the right clock that seems to be back. By the stamps, everything is a
/// year old then; the journal is kept all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_was_ahead_does_not_stop_writes_until_then() {
    moved("+365d", false).await;
}

/// When the newest event happened, in milliseconds since 1970.
fn newest_ms(node: &Node) -> i64 {
    let events = node.ctl.ok("event tail --from 0 -o jsonl").jsonl();
    let time = |event: &serde_json::Value| event["unixMs"].as_i64().expect("an event has a time");
    let times: Vec<i64> = events.iter().map(time).collect();
    assert!(times.is_sorted(), "time goes back in the journal: {times:?}");
    *times.last().expect("there are events")
}
