//! How long one that was away under load takes to have everything again, with the load going on.
//!
//! It is there again when it has carried out what the leader had carried out a moment before.

use super::super::figures::Point;
use super::load::{CALLERS, Load};
use super::members::{Members, To, level, others};
use super::{Bench, Settings};
use anyhow::{Result, bail};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What coming back may take.
const BACK_MAX: Duration = Duration::from_secs(120);
/// Between a look at the leader and one at who comes back.
const LOOK: Duration = Duration::from_millis(10);

/// Both clusters, one after the other.
pub(super) async fn run(bench: &mut Bench<'_>) -> Result<Vec<Point>> {
    let mut points = one("keikod", &mut bench.keiko, bench.settings).await?;
    if let Some(etcd) = &mut bench.etcd {
        points.extend(one("etcd", etcd, bench.settings).await?);
    }
    Ok(points)
}

async fn one<M: Members>(whose: &str, members: &mut M, settings: &Settings) -> Result<Vec<Point>> {
    let leader = level(members, BACK_MAX).await?;
    let [away] = To::Follower.members(leader)[..] else { bail!("nobody follows") };
    let callers = members.callers(&others(away), CALLERS, settings.connections).await?;
    let before = members.applied(leader)?;
    members.kill(away)?;
    let load = Load::begin(callers, settings.names);
    sleep(settings.away_time).await;
    let missed = members.applied(leader)?.saturating_sub(before);
    let begun = Instant::now();
    let ready = members.start(away)?;
    let caught_up = caught_up(members, leader, away).await?;
    load.end().await;
    let took = (caught_up - begun).as_secs_f64();
    let what = |what: &str| format!("{whose}: away for {:?}, {what}", settings.away_time);
    Ok(vec![
        Point::new("away", what("missed"), missed as f64, "writes"),
        Point::new("away", what("start to ready"), ready.as_secs_f64() * 1000.0, "ms"),
        Point::new("away", what("start to caught up"), took * 1000.0, "ms"),
        Point::new("away", what("made up for"), missed as f64 / took, "writes/s"),
    ])
}

async fn caught_up<M: Members>(members: &M, leader: usize, away: usize) -> Result<Instant> {
    let end = Instant::now() + BACK_MAX;
    loop {
        let ahead = members.applied(leader)?;
        sleep(LOOK).await;
        let own = members.applied(away)?;
        let now = Instant::now();
        if own >= ahead {
            return Ok(now);
        }
        if now >= end {
            bail!("{own} of {ahead} carried out after {BACK_MAX:?}");
        }
    }
}
