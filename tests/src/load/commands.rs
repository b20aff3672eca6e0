//! How long `keikoctl` takes, from its start to its end, as a person or a script feels it.

use super::Node;
use super::figures::{Goal, Point, Times};
use anyhow::{Context as _, Result, bail};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Runs of each command; the first ones warm the caches and do not count.
const RUNS: usize = 50;
const WARM_UP: usize = 3;
/// Agents of the list that is timed.
pub(super) const LISTED: usize = 1000;
/// The namespace that holds them.
pub(super) const NAMESPACE: &str = "thousand";

/// `keikoctl version`.
pub(super) async fn version(node: &Node<'_>) -> Result<Vec<Point>> {
    timed(node, "version", "keikoctl version", &["version"], 10.0).await
}

/// `keikoctl agent list` of a thousand agents.
pub(super) async fn list(node: &Node<'_>) -> Result<Vec<Point>> {
    let count = node.settings.agents.min(LISTED);
    let what = format!("keikoctl agent list of {count}");
    timed(node, "list", &what, &["agent", "list", "-n", NAMESPACE], 60.0).await
}

async fn timed(
    node: &Node<'_>,
    part: &'static str,
    what: &str,
    words: &[&str],
    goal_ms: f64,
) -> Result<Vec<Point>> {
    let mut command = Command::new(&node.settings.keikoctl);
    command.args(words).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KEIKO_") {
            command.env_remove(name);
        }
    }
    command.env("KEIKO_ENDPOINT", format!("unix:{}", node.settings.socket.display()));
    let what = what.to_owned();
    let run = move || {
        let mut times = Times::default();
        for round in 0..RUNS + WARM_UP {
            let start = Instant::now();
            let output = command.output().context("starting keikoctl")?;
            let took = start.elapsed();
            if !output.status.success() {
                bail!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim_end());
            }
            if round >= WARM_UP {
                times.push(took);
            }
        }
        Ok(vec![
            Point::new(part, format!("{what} p50"), times.percentile_ms(50.0), "ms")
                .goal(Goal::AtMost(goal_ms)),
            Point::new(part, format!("{what} p95"), times.percentile_ms(95.0), "ms"),
        ])
    };
    tokio::task::spawn_blocking(run).await.context("the timing thread")?
}
