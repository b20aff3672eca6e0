//! What a server costs when nobody asks, and how long it takes to be there again.

use super::super::figures::{Goal, Point, Times};
use super::super::machine;
use super::drive::{Work, drive};
use super::etcd::Etcd;
use super::keiko::Keiko;
use super::{Bench, PREPARERS, cost};
use anyhow::{Context as _, Result};
use std::time::Duration;
use tokio::time::sleep;

/// Starts that are timed.
const STARTS: usize = 5;
/// Between two looks at how many changes there are.
const SLICE: Duration = Duration::from_secs(1);
/// What making them may take.
const SLICES_MAX: usize = 600;

/// What can be ended and started again.
trait Server {
    fn restart(&mut self, politely: bool) -> Result<Duration>;
}

impl Server for Keiko {
    fn restart(&mut self, politely: bool) -> Result<Duration> {
        Self::restart(self, politely)
    }
}

impl Server for Etcd {
    fn restart(&mut self, politely: bool) -> Result<Duration> {
        Self::restart(self, politely)
    }
}

/// From the start of the process to ready, with nothing in it.
pub(super) fn start(bench: &mut Bench<'_>) -> Result<Vec<Point>> {
    let timed = |server: &mut dyn Server, whose: &str, goal: Goal| {
        let mut times = Times::default();
        for _ in 0..STARTS {
            times.push(server.restart(true)?);
        }
        let what = format!("{whose}: start to ready, p50 of {STARTS}");
        Ok::<_, anyhow::Error>(
            Point::new("start", what, times.percentile_ms(50.0), "ms").goal(goal),
        )
    };
    let mut points = vec![timed(&mut bench.keiko, "keikod", Goal::AtMost(500.0))?];
    if let Some(etcd) = &mut bench.etcd {
        points.push(timed(etcd, "etcd", Goal::None)?);
    }
    Ok(points)
}

/// CPU, memory and wake-ups while nobody asks, with nothing in it.
pub(super) async fn idle(bench: &Bench<'_>) -> Result<Vec<Point>> {
    let time = bench.settings.idle_time;
    let mut points = at_rest("keikod", bench.keiko.pid()?, time, Some((1.0, 80.0))).await?;
    if let Some(etcd) = &bench.etcd {
        points.extend(at_rest("etcd", etcd.pid()?, time, None).await?);
    }
    Ok(points)
}

async fn at_rest(
    whose: &str,
    pid: u32,
    time: Duration,
    goals: Option<(f64, f64)>,
) -> Result<Vec<Point>> {
    let (cpu, wakes) = (machine::cpu_time(pid)?, cost::wake_ups(pid)?);
    sleep(time).await;
    let (cpu_after, wakes_after) = (machine::cpu_time(pid)?, cost::wake_ups(pid)?);
    let seconds = time.as_secs_f64();
    let share = 100.0 * cpu_after.saturating_sub(cpu).as_secs_f64() / seconds;
    let (cpu_goal, memory_goal) = match goals {
        Some((cpu, memory)) => (Goal::AtMost(cpu), Goal::AtMost(memory)),
        None => (Goal::None, Goal::None),
    };
    let point = |what: &str, value, unit: &str| {
        Point::new("idle", format!("{whose}, idle: {what}"), value, unit)
    };
    let memory = machine::resident_kib(pid)? / 1024.0;
    let wakes = wakes_after.saturating_sub(wakes) as f64 / seconds;
    Ok(vec![
        point("CPU", share, "% core").goal(cpu_goal),
        point("resident", memory, "MiB").goal(memory_goal),
        point("wake-ups", wakes, "/s"),
    ])
}

/// Ready again with a history behind it: after a polite end, and after a crash.
pub(super) async fn restart(bench: &mut Bench<'_>) -> Result<Vec<Point>> {
    let entries = bench.settings.entries;
    fill_keiko(bench).await?;
    fill_etcd(bench).await?;
    let mut points = Vec::new();
    for (politely, how) in [(false, "kill -9"), (true, "SIGTERM")] {
        let mut timed = |server: &mut dyn Server, whose: &str| {
            let took = server.restart(politely)?.as_secs_f64() * 1000.0;
            let what = format!("{whose}: {how} to ready, {entries} entries or more");
            points.push(Point::new("restart", what, took, "ms"));
            Ok::<_, anyhow::Error>(())
        };
        timed(&mut bench.keiko, "keikod")?;
        if let Some(etcd) = &mut bench.etcd {
            timed(etcd, "etcd")?;
        }
    }
    Ok(points)
}

async fn fill_keiko(bench: &Bench<'_>) -> Result<()> {
    let (names, keiko) = (bench.settings.names, &bench.keiko);
    for _ in 0..SLICES_MAX {
        if keiko.revision()? >= bench.settings.entries {
            return Ok(());
        }
        let callers = keiko.callers(PREPARERS, bench.settings.connections).await?;
        drive(callers, Work::Write, names, SLICE, || keiko.spent()).await?;
    }
    anyhow::bail!("keikod: too few entries after {SLICES_MAX} s")
}

async fn fill_etcd(bench: &Bench<'_>) -> Result<()> {
    let (names, connections) = (bench.settings.names, bench.settings.connections);
    let Some(etcd) = &bench.etcd else { return Ok(()) };
    for _ in 0..SLICES_MAX {
        let mut one = etcd.callers(1, 1).await?.pop().context("a caller")?;
        if one.write(0).await? >= bench.settings.entries {
            return Ok(());
        }
        let callers = etcd.callers(PREPARERS, connections).await?;
        drive(callers, Work::Write, names, SLICE, || etcd.spent()).await?;
    }
    anyhow::bail!("etcd: too few entries after {SLICES_MAX} s")
}
