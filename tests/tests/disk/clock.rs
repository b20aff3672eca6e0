//! A wall clock that is a year back at a start, as in a machine whose battery died, or was
//! ahead.
//!
//! Debian's `faketime` turns the wall clock back for the daemon alone; its monotonic clock goes on.

use super::Rig;
use super::load::{self, Acknowledged, write};
use keiko_tests::ctl::program;
use keiko_tests::place::Place;
use keiko_tests::{Node, eventually, skip};
use std::path::Path;
use std::process::{Child, Stdio};

const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

/// A daemon with another clock, ended with the test.
struct Late(Child);

impl Drop for Late {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the node's daemon with its wall clock moved.
fn launch(node: &Node, place: &Place, library: &str, offset: &str) -> Late {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(node.join("keikod.log"));
    let log = log.expect("a log in the place");
    let mut command = program("keikod", place, &node.arguments());
    command.env("KEIKO_UNDER_TEST", "held").stdin(Stdio::piped());
    command.env("LD_PRELOAD", library).env("FAKETIME", offset);
    command.env("DONT_FAKE_MONOTONIC", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command.stdout(log.try_clone().expect("a second handle")).stderr(log);
    Late(command.spawn().expect("keikod starts"))
}

/// Starts the node's daemon with another clock, and waits until it is ready.
fn start(rig: &Rig, place: &Place, library: &str, offset: &str) -> Late {
    let from = rig.node.log().len();
    let mut late = launch(&rig.node, place, library, offset);
    eventually("ready at another time", || {
        let ended = late.0.try_wait().expect("it is our child");
        assert!(ended.is_none(), "{ended:?}\n{}", &rig.node.log()[from..]);
        match keiko_tests::http::get(&rig.node.socket(), "/readyz") {
            Ok(answer) if answer.status == 200 => Ok(()),
            answer => Err(format!("{answer:?}")),
        }
    });
    late
}

/// The daemon runs with its clock moved and then with the right one again. Nothing is lost, writes
/// go on in both, time never goes back, and somebody is told while it stands still.
async fn moved(offset: &str, alarm_while_moved: bool) {
    let Some(library) = LIBRARIES.into_iter().find(|path| Path::new(path).exists()) else {
        return skip("disk::clock", "faketime is not installed");
    };
    let Some(mut rig) = Rig::start() else { return };
    let client = load::connect(&rig.node).await;
    let mut acknowledged = Vec::new();
    for _ in 0..5 {
        acknowledged.push(write(&client, client.request_id()).await.expect("it is made"));
    }
    let mut last_ms = newest_ms(&rig.node);
    assert_eq!(rig.node.terminate(), 0);

    let place = Place::new();
    let late = start(&rig, &place, library, offset);
    let mut wrong = look(&rig, &mut acknowledged, &mut last_ms, alarm_while_moved).await;
    drop(late);
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
