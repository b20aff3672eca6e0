//! The speed of three nodes, beside three members of etcd on the same machine in the same minutes.
//!
//! Starts both clusters itself, each process in a folder of its own on the same disk, and loads
//! them in turn, never at once. Both speak TLS among themselves and with their callers, and ask
//! both for a certificate. All six share the machine's cores and its disk with the callers, so only
//! the ratios say something. Invariants: a call that fails ends its part, so no refusal counts as
//! an answer; what was started is ended with this process.

mod away;
mod compare;
mod etcd;
mod failover;
mod keiko;
mod load;
mod member;
mod members;
mod settings;
mod snapshot;
mod tool;
mod watch;

pub use super::node::{Line, Said, Side};
pub use settings::{PARTS, Settings};

use super::figures::Point;
use super::machine;
use super::node::drive::{self, Work};
use super::node::{PREPARERS, Say, points, settle, tell, unless_asked_to_end};
use anyhow::{Context as _, Result};
use etcd::Etcd;
use keiko::Keiko;
use members::{Members, To};
use std::io::Write as _;
use std::time::Duration;
use tokio::time::Instant;

/// Nodes, and members.
const SIZE: usize = 3;

/// The verb: `keiko-load cluster …`.
pub(super) fn begin(words: &[String]) -> Result<()> {
    let settings = Settings::parse(words)?;
    let mut say = |said: Said| {
        let line = if settings.json { said.json_of("cluster") } else { said.row() };
        // Nobody is there to be told that stdout is closed.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    };
    unless_asked_to_end(run(&settings, &mut say))
}

/// Measures what was asked for.
pub async fn run(settings: &Settings, say: &mut Say<'_>) -> Result<()> {
    std::fs::create_dir_all(&settings.folder).context("the folder")?;
    machine::describe(&settings.folder)?.into_iter().for_each(|point| say(Said::Point(point)));
    if settings.parts.iter().any(|part| part != "snapshot") {
        side_by_side(settings, say).await?;
    }
    // Of nodes of its own, when the others are gone.
    if settings.wants("snapshot") {
        tell("snapshot", say, snapshot::run(settings).await.map(points));
    }
    Ok(())
}

/// Everything that both clusters are measured by, and then they end.
async fn side_by_side(settings: &Settings, say: &mut Say<'_>) -> Result<()> {
    let mut bench = Bench::found(settings, say).await?;
    bench.prepare(say).await.context("writing every name once")?;
    if settings.wants("write") {
        for clients in &settings.clients {
            tell("write", say, bench.writes(*clients).await);
        }
    }
    if settings.wants("read") {
        for clients in &settings.clients {
            tell("read", say, bench.reads(*clients).await);
        }
    }
    if settings.wants("watch") {
        for count in &settings.watchers {
            tell("watch", say, watch::run(&bench, *count).await.map(|line| vec![line]));
        }
    }
    if settings.wants("tool") {
        tell("tool", say, tool::run(&bench).await);
    }
    if settings.wants("away") {
        let away = away::run(&mut bench).await;
        tell("away", say, away.map(points));
    }
    if settings.wants("failover") {
        let failovers = failover::run(&mut bench).await;
        tell("failover", say, failovers.map(points));
    }
    Ok(())
}

/// Both clusters.
struct Bench<'s> {
    settings: &'s Settings,
    keiko: Keiko,
    etcd: Option<Etcd>,
}

impl<'s> Bench<'s> {
    async fn found(settings: &'s Settings, say: &mut Say<'_>) -> Result<Self> {
        let mut say_took = |what: &str, begun: Instant| {
            let took = begun.elapsed().as_secs_f64() * 1000.0;
            say(Said::Point(Point::new("found", what, took, "ms")));
        };
        let begun = Instant::now();
        let keiko = Keiko::found(settings).await.context("founding three nodes")?;
        say_took("keikod: founded and joined, to three voters", begun);
        let begun = Instant::now();
        let etcd = Etcd::found(settings).context("founding three members of etcd")?;
        if etcd.is_some() {
            say_took("etcd: started, to three members", begun);
        }
        Ok(Self { settings, keiko, etcd })
    }

    /// Writes every name once, so that no write makes one, and waits until the nodes have found out
    /// that nobody is behind them.
    async fn prepare(&self, say: &mut Say<'_>) -> Result<()> {
        let Settings { names, connections, .. } = *self.settings;
        let everywhere = To::All.members(self.keiko.leader().await?);
        let callers = self.keiko.callers(&everywhere, PREPARERS, connections).await?;
        drive::each(callers, Work::Write, names).await.context("keikod")?;
        if let Some(etcd) = &self.etcd {
            let everywhere = To::All.members(etcd.leader().await?);
            let callers = etcd.callers(&everywhere, PREPARERS, connections).await?;
            drive::each(callers, Work::Write, names).await.context("etcd")?;
        }
        let (begun, bound) = (Instant::now(), self.settings.settle_time_max);
        // Of one node, as what is calm is of one.
        let cpu = || Ok::<Duration, anyhow::Error>(self.keiko.spent()?.cpu / SIZE as u32);
        let share = settle(cpu, begun + bound).await?;
        let what = format!("a keikod: CPU beside the load, {names} agents that are not there");
        say(Said::Point(Point::new("names", what, 100.0 * share, "% core")));
        let waited = begun.elapsed().as_secs_f64();
        say(Said::Point(Point::new("names", "waited for the first probes", waited, "s")));
        Ok(())
    }
}
