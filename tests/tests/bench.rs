//! The benchmark runs, on a handful of agents: its figures mean nothing here, but every part has
//! to give some, and nothing may be refused.

use keiko_tests::load::{self, PARTS, Point, Settings};
use keiko_tests::{Node, Plan, programs};
use std::collections::BTreeSet;
use std::time::Duration;

#[test]
fn every_part_gives_figures() {
    let node = Node::start(Plan::default());
    let short = Duration::from_millis(300);
    let settings = Settings {
        socket: node.socket(),
        pid: node.pid(),
        folder: node.data(),
        echo: env!("CARGO_BIN_EXE_keiko-load").into(),
        keikoctl: programs::path("keikoctl"),
        json: true,
        time: short,
        heartbeat_time: short,
        agents: 40,
        watchers: 30,
        parts: PARTS.map(str::to_owned).to_vec(),
    };
    let mut points: Vec<Point> = Vec::new();
    let runtime = tokio::runtime::Runtime::new().expect("tokio starts");
    let ended = runtime.block_on(load::run(&settings, &mut |point| points.push(point.clone())));
    ended.expect("the fleet joins");
    let measured: BTreeSet<&str> = points.iter().map(|point| point.part).collect();
    for part in PARTS {
        assert!(measured.contains(part), "{part} gave nothing: {measured:?}");
    }
    // These are not about speed.
    for what in ["heartbeats: refused, since all joined", "heartbeats: agents expired"] {
        let point = points.iter().find(|point| point.what == what);
        assert!(point.is_some_and(Point::is_met), "{what}: {point:?}");
    }
    for point in &points {
        assert!(serde_json::from_str::<serde_json::Value>(&point.json()).is_ok(), "{point:?}");
    }
}
