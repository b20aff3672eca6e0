//! A node that is too far behind for the log gets the state itself, and of a transfer that broke
//! off only what is lacking.

use super::{agree, wait_voter};
use keiko_client::proto::v1 as wire;
use keiko_tests::cluster::inside::SNAPSHOT_CUT;
use keiko_tests::journal::connect;
use keiko_tests::place::Place;
use keiko_tests::report::Dice;
use keiko_tests::wait::expect;
use keiko_tests::{Cluster, DEADLINE, Node, eventually};
use serde_json::Value;
use std::fs;
use tokio::task::JoinSet;

/// Two snapshots, and not a third: with what nodes and agents tell of themselves less than 3,000.
const WRITES: usize = 2600;
/// The least distance of two snapshots, and what the second one holds at least.
const CONFIG: &str = "[consensus]\nsnapshot_entries = 1000\n";
const SECOND: u64 = 2000;
/// Names that are written in turn: each is news of an agent that nobody finds.
const AGENTS: usize = 32;
/// Writes under way at once.
const UNDER_WAY_MAX: usize = 128;
/// Numbers of 16 digits in one note: 2 KiB that no compression makes much smaller, so that history
/// and journal are several MiB each, and of both parts can be lacking.
const NOTE_NUMBERS: usize = 128;

/// An agent with a note that no other write has.
fn declaration(number: usize, dice: &mut Dice) -> wire::ApplyRequest {
    let note = (0..NOTE_NUMBERS).map(|_| format!("{:016x}", dice.below(u64::MAX)));
    let metadata = wire::Metadata {
        name: format!("bulk-{}", number % AGENTS),
        annotations: [("note".to_owned(), note.collect::<String>())].into(),
        ..Default::default()
    };
    wire::ApplyRequest { brief: true, ..keiko_tests::declaration::apply(metadata) }
}

/// Writes so much that the log does not reach back to the beginning any more.
async fn fill(node: &Node) {
    let applies = connect(node).await.within(DEADLINE).applies();
    let (mut dice, mut under_way) = (Dice(99), JoinSet::new());
    for number in 0..WRITES {
        if under_way.len() == UNDER_WAY_MAX {
            under_way.join_next().await.expect("some are under way").expect("a write ends");
        }
        let (applies, request) = (applies.clone(), declaration(number, &mut dice));
        under_way.spawn(async move {
            applies.apply(None, request).await.expect("it is declared");
        });
    }
    while let Some(done) = under_way.join_next().await {
        done.expect("a write ends");
    }
}

/// Up to which entries the complete snapshots of a node go.
fn snapshots(node: &Node) -> Vec<u64> {
    let entries = fs::read_dir(node.data().join("snapshots")).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    // GROUP-TERM-INDEX; one that is being written ends in `.new`.
    names.filter_map(|name| name.rsplit('-').next()?.parse().ok()).collect()
}

/// What a node logged when a snapshot was offered to it.
fn arrivals(node: &Node) -> Vec<Value> {
    let log = node.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == "a snapshot arrives").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_was_cut_at_99_percent_goes_on_there() {
    let place = Place::new();
    let config = place.join("keiko.toml");
    fs::write(&config, CONFIG).expect("a file in the place");
    let config = config.display().to_string();
    // Its own: it would be filled for all cases.
    let env = [("KEIKOD_CONFIG", config.as_str()), (SNAPSHOT_CUT, "99")];
    let mut cluster = Cluster::with(3, &env);
    fill(cluster.node(0)).await;
    let leader = cluster.wait_leader();
    eventually("the second snapshot", || {
        let taken = snapshots(cluster.node(leader));
        expect(taken.iter().any(|index| *index >= SECOND), || format!("{taken:?}"))
    });

    let mut late = cluster.newcomer("n4");
    late.launch();
    late.wait_ready();
    wait_voter(&mut cluster, "n4");
    let seen = arrivals(&late);
    assert!(seen.len() >= 2, "it was not cut: {seen:?}");
    let (first, second) = (&seen[0], &seen[1]);
    assert_eq!(first["there"], 0, "{seen:?}");
    assert!(second["there"].as_u64() > Some(0), "it began anew: {seen:?}");
    assert_eq!(first["bytes"], second["bytes"], "it was another one: {seen:?}");
    let cut = cluster.nodes().iter().any(|node| node.log().contains("cut by a test"));
    assert!(cut, "nobody says that it broke off");
    agree(&cluster.nodes().iter().chain([&late]).collect::<Vec<_>>());
}
