//! The benchmark of one node runs, for moments and on a handful of names: its figures mean nothing
//! here, but every part has to give some, and no call may be refused.

use keiko_tests::load::node::{self, PARTS, Said, Settings};
use keiko_tests::{place::Place, programs};
use std::collections::BTreeSet;
use std::time::Duration;

#[test]
fn every_part_gives_figures_of_the_node() {
    let (place, short) = (Place::new(), Duration::from_millis(600));
    let mut settings = Settings::new(place.join("b"), programs::path("keikod"));
    (settings.time, settings.idle_time, settings.settle_time_max) = (short, short, short);
    (settings.clients, settings.watchers) = (vec![1, 4], vec![3]);
    (settings.names, settings.entries) = (20, 200);
    settings.parts = PARTS.map(str::to_owned).to_vec();

    let mut said: Vec<Said> = Vec::new();
    let runtime = tokio::runtime::Runtime::new().expect("tokio starts");
    let ended = runtime.block_on(node::run(&settings, &mut |one| said.push(one)));
    ended.expect("the node starts and takes the names");

    let mut measured = BTreeSet::new();
    for one in &said {
        assert!(serde_json::from_str::<serde_json::Value>(&one.json()).is_ok(), "{one:?}");
        match one {
            Said::Point(point) => measured.insert((point.part, 0)),
            Said::Line(line) => {
                assert!(line.keiko.per_s > 0.0 && line.keiko.p99_ms > 0.0, "{line:?}");
                let is_write = line.work.starts_with("write");
                assert_eq!(line.keiko.entries_per_sync.is_some(), is_write, "{line:?}");
                measured.insert((line.work, line.clients))
            }
        };
    }
    for part in ["start", "idle", "names", "restart"] {
        assert!(measured.contains(&(part, 0)), "{part} gave nothing: {measured:?}");
    }
    for work in ["write", "write-tls", "read", "read-tls", "read-lease", "read-lease-tls"] {
        for clients in [1, 4] {
            assert!(measured.contains(&(work, clients)), "{work} {clients}: {measured:?}");
        }
    }
    assert!(measured.contains(&("watch", 3)), "{measured:?}");
}
