//! One point of a comparison: the same work on the node and on its peer.

use super::super::figures::Point;
use super::drive::Run;
use serde_json::{Value, json};

/// What one server reached.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Side {
    /// Answers a second.
    pub per_s: f64,
    /// Half of them came within.
    pub p50_ms: f64,
    /// All but one of a hundred came within.
    pub p99_ms: f64,
    /// CPU time of the server for one; of a cluster, of all of them.
    pub cpu_us: f64,
    /// CPU time of the callers for one.
    pub client_cpu_us: f64,
    /// Log entries that one sync made durable; of writes.
    pub entries_per_sync: Option<f64>,
    /// Bytes that went to the disk for each byte of a value that was acknowledged; of writes.
    pub bytes_per_byte: Option<f64>,
    /// Disks that have what was acknowledged; of writes.
    pub copies: Option<f64>,
}

/// The same work on the node and on its peer.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What is done, and over what: `write`, `write-tls`, `read-lease`, `watch` …
    pub work: &'static str,
    /// Which peer, and how it is reached; empty without one.
    pub peer_name: &'static str,
    /// Callers or watchers at a time.
    pub clients: usize,
    /// The node.
    pub keiko: Side,
    /// The peer, if there is one.
    pub peer: Option<Side>,
    /// The ratio should be this or more.
    pub goal: Option<f64>,
}

/// What is handed over as soon as it is there.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// A figure of one server, or a fact.
    Point(Point),
    /// A comparison.
    Line(Line),
}

impl Said {
    /// One line of JSON, of the benchmark of one node.
    pub fn json(&self) -> String {
        self.json_of("node")
    }

    /// The same of another benchmark.
    pub fn json_of(&self, bench: &str) -> String {
        let mut value = match self {
            Self::Line(line) => line.json(),
            Self::Point(point) => serde_json::from_str(&point.json()).unwrap_or_default(),
        };
        value["bench"] = json!(bench);
        value.to_string()
    }

    /// One line for people.
    pub fn row(&self) -> String {
        match self {
            Self::Line(line) => line.row(),
            Self::Point(point) => point.row(),
        }
    }
}

impl Side {
    /// Of what was driven.
    pub(in crate::load) fn of(run: &mut Run) -> Self {
        let count = run.times.len().max(1) as f64;
        let seconds = run.time.as_secs_f64().max(f64::EPSILON);
        Self {
            per_s: run.times.len() as f64 / seconds,
            p50_ms: run.times.percentile_ms(50.0),
            p99_ms: run.times.percentile_ms(99.0),
            cpu_us: run.spent.cpu.as_secs_f64() * 1e6 / count,
            client_cpu_us: run.own_cpu.as_secs_f64() * 1e6 / count,
            entries_per_sync: run.entries_per_sync(),
            bytes_per_byte: run.bytes_per_byte(),
            copies: run.copies(),
        }
    }

    fn put(&self, prefix: &str, line: &mut Value) {
        for (name, value) in [
            ("per_s", Some(self.per_s)),
            ("p50_ms", Some(self.p50_ms)),
            ("p99_ms", Some(self.p99_ms)),
            ("cpu_us", Some(self.cpu_us)),
            ("client_cpu_us", Some(self.client_cpu_us)),
            ("entries_per_sync", self.entries_per_sync),
            ("bytes_per_byte", self.bytes_per_byte),
            ("copies", self.copies),
        ] {
            if let Some(value) = value {
                line[format!("{prefix}_{name}")] = json!(rounded(value));
            }
        }
    }

    fn row(&self) -> String {
        let Self { per_s, p50_ms, p99_ms, cpu_us, client_cpu_us, .. } = self;
        let syncs = self.entries_per_sync.map(|per| format!(" {per:.1}/sync")).unwrap_or_default();
        let bytes = self.bytes_per_byte.map(|per| format!(" {per:.0} B/B")).unwrap_or_default();
        // One server has one, give or take what else it writes.
        let copies = self.copies.filter(|copies| *copies >= 1.5);
        let copies = copies.map(|copies| format!(" on {copies:.1}")).unwrap_or_default();
        format!(
            "{per_s:>8.0}/s {p50_ms:>8.3} {p99_ms:>8.3} ms {cpu_us:>6.0} + {client_cpu_us:>4.0} µs\
             {syncs}{bytes}{copies}"
        )
    }
}

impl Line {
    /// How many times as much the node does.
    pub fn ratio(&self) -> Option<f64> {
        let peer = self.peer.filter(|peer| peer.per_s > 0.0)?;
        Some(self.keiko.per_s / peer.per_s)
    }

    /// True unless the goal is missed: the ratio, and a p99 that is no worse.
    pub fn is_met(&self) -> bool {
        let (Some(goal), Some(ratio), Some(peer)) = (self.goal, self.ratio(), self.peer) else {
            return true;
        };
        ratio >= goal && self.keiko.p99_ms <= peer.p99_ms
    }

    fn json(&self) -> Value {
        let mut line = json!({"bench": "", "work": self.work, "clients": self.clients});
        self.keiko.put("keiko", &mut line);
        if let Some(peer) = &self.peer {
            line["peer"] = json!(self.peer_name);
            peer.put("peer", &mut line);
        }
        if let Some(ratio) = self.ratio() {
            line["ratio"] = json!(rounded(ratio));
        }
        if let (Some(goal), Some(_)) = (self.goal, self.peer) {
            line["at_least"] = json!(goal);
            line["met"] = json!(self.is_met());
        }
        line
    }

    fn row(&self) -> String {
        let head = format!("{:<18} {:>4}", self.work, self.clients);
        let row = format!("{head}  keiko {}", self.keiko.row());
        let (Some(peer), Some(ratio)) = (&self.peer, self.ratio()) else { return row };
        let goal = self.goal.map(|goal| format!(" (at least {goal})")).unwrap_or_default();
        let missed = if self.is_met() { "" } else { "  missed" };
        format!(
            "{row}\n{:>23}  {:<5} {}  × {ratio:.2}{goal}{missed}",
            "",
            self.peer_name,
            peer.row()
        )
    }
}

/// Three digits behind the point are more than a run repeats.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(keiko: (f64, f64), peer: Option<(f64, f64)>, goal: Option<f64>) -> Line {
        let side = |(per_s, p99_ms)| Side { per_s, p99_ms, p50_ms: 0.5, ..Side::default() };
        let (keiko, peer) = (side(keiko), peer.map(side));
        Line { work: "write", peer_name: "etcd", clients: 16, keiko, peer, goal }
    }

    #[test]
    fn a_goal_is_the_ratio_and_the_slow_ones() {
        let check = |line: Line, met| assert_eq!(line.is_met(), met, "{line:?}");
        check(line((120.0, 1.0), Some((100.0, 1.0)), Some(1.2)), true);
        check(line((119.0, 1.0), Some((100.0, 1.0)), Some(1.2)), false);
        check(line((200.0, 1.1), Some((100.0, 1.0)), Some(1.2)), false);
        check(line((1.0, 9.0), Some((100.0, 1.0)), None), true);
        check(line((1.0, 9.0), None, Some(1.2)), true);
    }

    #[test]
    fn a_line_of_json_has_both_sides_and_the_ratio() {
        let json = line((120.0, 1.0), Some((100.0, 2.0)), Some(1.2)).json();
        for (field, expect) in [
            ("keiko_per_s", 120.0),
            ("peer_per_s", 100.0),
            ("ratio", 1.2),
            ("keiko_p50_ms", 0.5),
            ("keiko_p99_ms", 1.0),
            ("peer_p50_ms", 0.5),
            ("peer_p99_ms", 2.0),
        ] {
            assert_eq!(json[field], json!(expect), "{field}: {json}");
        }
        assert_eq!((&json["work"], &json["clients"]), (&json!("write"), &json!(16)));
        let alone = line((120.0, 1.0), None, Some(1.2)).json();
        assert!(alone.get("ratio").is_none() && alone.get("met").is_none(), "{alone}");
    }

    #[test]
    fn a_point_says_which_benchmark_it_is_of() {
        let said = Said::Point(Point::new("idle", "keiko: CPU", 0.2, "% core"));
        let json: Value = serde_json::from_str(&said.json()).unwrap();
        assert_eq!((&json["bench"], &json["value"]), (&json!("node"), &json!(0.2)));
        let said = Said::Line(line((1.0, 1.0), None, None));
        let json: Value = serde_json::from_str(&said.json_of("cluster")).unwrap();
        assert_eq!((&json["bench"], &json["work"]), (&json!("cluster"), &json!("write")));
    }
}
