//! The benchmark of three nodes runs, for moments and on a handful of names: its figures mean
//! nothing here, but every part has to give some, and no call may be refused.

use keiko_tests::load::cluster::{self, Said, Settings};
use keiko_tests::{place::Place, programs};
use std::collections::BTreeSet;

#[test]
fn every_part_gives_figures_of_three_nodes() {
    let place = Place::new();
    let echo = env!("CARGO_BIN_EXE_keiko-load").into();
    let settings = Settings::new(place.join("b"), programs::path("keikod"), echo).short();

    let mut said: Vec<Said> = Vec::new();
    let runtime = tokio::runtime::Runtime::new().expect("tokio starts");
    let ended = runtime.block_on(cluster::run(&settings, &mut |one| said.push(one)));
    ended.expect("the nodes join and take the names");

    let mut measured = BTreeSet::new();
    for one in &said {
        let json: serde_json::Value = serde_json::from_str(&one.json_of("cluster")).expect("JSON");
        assert_eq!(json["bench"], "cluster", "{one:?}");
        match one {
            Said::Point(point) => measured.insert((point.part, 0)),
            Said::Line(line) => {
                assert!(line.keiko.per_s > 0.0 && line.keiko.p99_ms > 0.0, "{line:?}");
                let is_write = line.work.starts_with("write") || line.work.starts_with("stream");
                assert_eq!(line.keiko.entries_per_sync.is_some(), is_write, "{line:?}");
                measured.insert((line.work, line.clients))
            }
        };
    }
    for part in ["found", "names", "tool", "away", "failover", "snapshot"] {
        assert!(measured.contains(&(part, 0)), "{part} gave nothing: {measured:?}");
    }
    for work in ["write", "write-stream", "read-at-leader", "read-at-follower"] {
        for clients in [1, 4] {
            assert!(measured.contains(&(work, clients)), "{work} {clients}: {measured:?}");
        }
    }
    for work in ["write-at-leader", "stream-at-leader"] {
        assert!(measured.contains(&(work, 4)), "{work}: {measured:?}");
    }
    for node in ["tool-at-n1", "tool-at-n2", "tool-at-n3"] {
        assert!(measured.contains(&(node, 1)), "{node}: {measured:?}");
    }
    assert!(measured.contains(&("watch", 6)), "{measured:?}");
}
