//! The speed of one node, beside one member of etcd on the same machine in the same minutes.
//!
//! Starts both servers itself, each in a folder of its own on the same disk, and loads them in
//! turn, never at once: on another machine, or an hour later, every figure is another one, and only
//! their ratio says something. Both are reached through the same gRPC library by callers that ask
//! again as soon as they are answered. Invariants: a call that fails ends its part, so no refusal
//! counts as an answer; what was started is ended with this process.

pub(super) mod callers;
pub(super) mod compare;
pub(super) mod cost;
pub(super) mod drive;
pub(super) mod etcd;
pub(super) mod etcd_rpc;
pub(super) mod keiko;
mod life;
pub(super) mod line;
pub(super) mod process;
pub(super) mod settings;
pub(super) mod watch;

pub use line::{Line, Said, Side};
pub use settings::{PARTS, Settings};

use super::figures::Point;
use super::machine;
use anyhow::{Context as _, Result, bail};
use compare::Via;
use drive::Work;
use etcd::Etcd;
use keiko::Keiko;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};
use tonic::metadata::{Ascii, MetadataValue};

/// Callers that write every name once.
pub(super) const PREPARERS: usize = 64;
/// Between two looks at what an idle node costs.
const LOOK: Duration = Duration::from_secs(1);
/// Looks in a row that find little: longer than the longest lull between two rounds of probes.
const CALM_LOOKS: usize = 20;
/// Of a core: what probes of names that never answer may cost beside the load.
const SETTLED: f64 = 0.05;

/// Gives what is measured, as soon as it is there.
pub(super) type Say<'y> = dyn FnMut(Said) + 'y;

/// The verb: `keiko-load node …`.
pub(super) fn begin(words: &[String]) -> Result<()> {
    let settings = Settings::parse(words)?;
    let mut say = |said: Said| {
        let line = if settings.json { said.json() } else { said.row() };
        // Nobody is there to be told that stdout is closed.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    };
    unless_asked_to_end(run(&settings, &mut say))
}

/// Does the work, and leaves it when a signal comes.
pub(super) fn unless_asked_to_end(work: impl Future<Output = Result<()>>) -> Result<()> {
    super::runtime()?.block_on(async {
        let mut asked = signal(SignalKind::terminate()).context("catching signals")?;
        tokio::select! {
            ended = work => ended,
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
            _ = asked.recv() => bail!("asked to end"),
        }
    })
}

/// Measures what was asked for.
pub async fn run(settings: &Settings, say: &mut Say<'_>) -> Result<()> {
    std::fs::create_dir_all(&settings.folder).context("the folder")?;
    machine::describe(&settings.folder)?.into_iter().for_each(|point| say(Said::Point(point)));
    let mut bench = Bench::found(settings, say)?;
    if settings.wants("start") {
        let started = life::start(&mut bench);
        tell("start", say, started.map(points));
    }
    if settings.wants("idle") {
        let idle = life::idle(&bench).await;
        tell("idle", say, idle.map(points));
    }
    if !settings.parts.iter().any(|part| !["start", "idle"].contains(&part.as_str())) {
        return Ok(());
    }
    bench.prepare(say).await.context("writing every name once")?;
    if settings.wants("write") {
        for clients in &settings.clients {
            tell("write", say, bench.writes(*clients).await);
        }
        for clients in bench.token_clients() {
            tell("write-tls", say, bench.tls("write-tls", Work::Write, clients).await);
        }
    }
    if settings.wants("read") {
        bench.reads(say).await;
    }
    if settings.wants("watch") {
        for count in &settings.watchers {
            tell("watch", say, watch::run(&bench, *count).await.map(|line| vec![line]));
        }
    }
    if settings.wants("restart") {
        let restarted = life::restart(&mut bench).await;
        tell("restart", say, restarted.map(points));
    }
    Ok(())
}

pub(super) fn points(points: Vec<Point>) -> Vec<Said> {
    points.into_iter().map(Said::Point).collect()
}

/// One part. Its failure is a line of its own and ends nothing else.
pub(super) fn tell(part: &str, say: &mut Say<'_>, outcome: Result<Vec<Said>>) {
    match outcome {
        Ok(all) => all.into_iter().for_each(say),
        Err(error) => super::complain(&format!("{part}: {error:#}")),
    }
}

/// The servers, and what their callers need.
struct Bench<'s> {
    settings: &'s Settings,
    keiko: Keiko,
    etcd: Option<Etcd>,
    plain: Option<Etcd>,
    tokens: Arc<Vec<MetadataValue<Ascii>>>,
}

impl<'s> Bench<'s> {
    fn found(settings: &'s Settings, say: &mut Say<'_>) -> Result<Self> {
        let (keiko, took) = Keiko::found(settings)?;
        let mut first = |whose: &str, took: Duration| {
            let what = format!("{whose}: first start to ready, with founding");
            say(Said::Point(Point::new("start", what, took.as_secs_f64() * 1000.0, "ms")));
        };
        first("keikod", took);
        let etcd = Etcd::found(settings, true)?;
        if let Some((_, took)) = &etcd {
            first("etcd", *took);
        }
        let etcd = etcd.map(|(etcd, _)| etcd);
        let plain = Etcd::found(settings, false)?.map(|(etcd, _)| etcd);
        Ok(Self { settings, keiko, etcd, plain, tokens: Arc::default() })
    }

    /// Writes every name once, so that no write makes one, and waits until the node has found out
    /// that nobody is behind them.
    async fn prepare(&mut self, say: &mut Say<'_>) -> Result<()> {
        let (names, connections) = (self.settings.names, self.settings.connections);
        let callers = self.keiko.callers(PREPARERS, connections).await?;
        drive::each(callers, Work::Write, names).await?;
        for etcd in [&self.etcd, &self.plain].into_iter().flatten() {
            drive::each(etcd.callers(PREPARERS, connections).await?, Work::Write, names).await?;
        }
        self.tokens = Arc::new(self.keiko.tokens(names).await?);
        let begun = Instant::now();
        let (pid, end) = (self.keiko.pid()?, begun + self.settings.settle_time_max);
        let share = settle(|| machine::cpu_time(pid), end).await?;
        let what =
            format!("keikod: CPU beside the load, probing {names} agents that are not there");
        say(Said::Point(Point::new("names", what, 100.0 * share, "% core")));
        let waited = begun.elapsed().as_secs_f64();
        say(Said::Point(Point::new("names", "waited for the first probes", waited, "s")));
        Ok(())
    }

    /// Callers over TLS: as many as tokens may have calls open.
    fn token_clients(&self) -> Vec<usize> {
        let most = keiko::TOKEN_CALLERS_MAX;
        let mut all: Vec<usize> =
            self.settings.clients.iter().map(|clients| (*clients).min(most)).collect();
        all.dedup();
        all
    }

    /// Over the socket, call by call and by stream, against etcd with TLS and without.
    async fn writes(&self, clients: usize) -> Result<Vec<Said>> {
        let vias = [Via::EtcdTls, Via::Socket, Via::Stream, Via::EtcdPlain];
        let mut measured = self.alternate(&vias, Work::Write, clients).await?;
        let goal = Some(write_goal(clients));
        let tls = measured.take(Via::EtcdTls).ok();
        let plain = measured.take(Via::EtcdPlain).ok();
        let mut lines = Vec::new();
        for (work, via) in [("write", Via::Socket), ("write-stream", Via::Stream)] {
            let keiko = measured.take(via)?;
            let line = Line { work, peer_name: "etcd", clients, keiko, peer: tls, goal };
            lines.push(Said::Line(line.clone()));
            if plain.is_some() {
                lines.push(Said::Line(Line {
                    peer_name: "plain",
                    peer: plain,
                    goal: None,
                    ..line
                }));
            }
        }
        Ok(lines)
    }

    /// Over TLS on both sides.
    async fn tls(&self, name: &'static str, work: Work, clients: usize) -> Result<Vec<Said>> {
        let mut measured = self.alternate(&[Via::EtcdTls, Via::Tokens], work, clients).await?;
        let (keiko, peer) = (measured.take(Via::Tokens)?, measured.take(Via::EtcdTls).ok());
        let goal = match work {
            Work::Write => Some(write_goal(clients)),
            Work::ReadLinearizable => Some(READ_GOAL),
            Work::ReadLease => None,
        };
        Ok(vec![Said::Line(Line { work: name, peer_name: "etcd", clients, keiko, peer, goal })])
    }

    async fn reads(&self, say: &mut Say<'_>) {
        for (work, names, goal) in [
            (Work::ReadLinearizable, ("read", "read-tls"), Some(READ_GOAL)),
            (Work::ReadLease, ("read-lease", "read-lease-tls"), None),
        ] {
            for clients in &self.settings.clients {
                let measured = self.alternate(&[Via::EtcdTls, Via::Socket], work, *clients).await;
                let line = measured.and_then(|mut measured| {
                    let keiko = measured.take(Via::Socket)?;
                    let (peer, clients) = (measured.take(Via::EtcdTls).ok(), *clients);
                    Ok(Line { work: names.0, peer_name: "etcd", clients, keiko, peer, goal })
                });
                tell(names.0, say, line.map(|line| vec![Said::Line(line)]));
            }
            for clients in self.token_clients() {
                tell(names.1, say, self.tls(names.1, work, clients).await);
            }
        }
    }
}

/// Times what etcd answers with everything acknowledged before.
const READ_GOAL: f64 = 2.0;

/// Times what one member of etcd writes; a goal is of its number of callers and more.
fn write_goal(clients: usize) -> f64 {
    match clients {
        0..16 => 1.0,
        16..64 => 1.2,
        _ => 1.5,
    }
}

/// Waits until the idle cost of nodes is small and stays so: their probes come further and further
/// apart, with lulls in between. Gives the share of a core that they last took.
pub(super) async fn settle(cpu: impl Fn() -> Result<Duration>, end: Instant) -> Result<f64> {
    let mut calm = 0;
    loop {
        let before = cpu()?;
        sleep(LOOK).await;
        let share = cpu()?.saturating_sub(before).as_secs_f64() / LOOK.as_secs_f64();
        calm = if share <= SETTLED { calm + 1 } else { 0 };
        if calm >= CALM_LOOKS || Instant::now() >= end {
            return Ok(share);
        }
    }
}
