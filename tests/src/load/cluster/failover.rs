//! How long nothing is accepted when the leader is killed in the middle of a load.
//!
//! From the kill on, another write begins every few milliseconds at one of those that are left,
//! whatever became of the ones before: the first of them that is acknowledged ends the time. So no
//! call that is stuck with the dead leader, and no pause of a client, is part of it.

use super::super::figures::{Goal, Point, Times};
use super::super::node::drive::{Caller, Work};
use super::load::{CALLERS, Load};
use super::members::{Members, To, level, others};
use super::{Bench, Settings};
use anyhow::{Context as _, Result, bail};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// The load before the leader is killed.
const LOADED: Duration = Duration::from_millis(500);
/// Between two writes that try: how exact the figure is.
const TRY_EVERY: Duration = Duration::from_millis(10);
/// Writes that try: fifteen seconds without a leader are no figure any more.
const TRIES_MAX: usize = 1500;
/// What one of them may take.
const TRY_MAX: Duration = Duration::from_secs(15);
/// What the killed one may take to come back and catch up.
const BACK_MAX: Duration = Duration::from_secs(60);
/// A voter that came back does not vote at once.
const REST: Duration = Duration::from_secs(1);
/// Of the design: the slowest but one of a hundred.
const GOAL_MS: f64 = 2000.0;

/// Both clusters in turn, as often as the settings say.
pub(super) async fn run(bench: &mut Bench<'_>) -> Result<Vec<Point>> {
    let (settings, mut ours, mut theirs) = (bench.settings, Times::default(), Times::default());
    for _ in 0..settings.runs {
        ours.push(once(&mut bench.keiko, settings).await.context("keikod")?);
        if let Some(etcd) = &mut bench.etcd {
            theirs.push(once(etcd, settings).await.context("etcd")?);
        }
    }
    let mut points = figures("keikod", ours, Goal::AtMost(GOAL_MS));
    if bench.etcd.is_some() {
        points.extend(figures("etcd", theirs, Goal::None));
    }
    Ok(points)
}

fn figures(whose: &str, mut times: Times, goal: Goal) -> Vec<Point> {
    let runs = times.len();
    let what = |which: &str| format!("{whose}: leader killed to first write, {which} of {runs}");
    vec![
        Point::new("failover", what("p50"), times.percentile_ms(50.0), "ms"),
        Point::new("failover", what("p99"), times.percentile_ms(99.0), "ms").goal(goal),
    ]
}

/// One kill; afterwards all of them are there again.
async fn once<M: Members>(members: &mut M, settings: &Settings) -> Result<Duration> {
    let leader = level(members, BACK_MAX).await?;
    sleep(REST).await;
    let left = others(leader);
    let tries = members.callers(&left, TRIES_MAX, left.len()).await?;
    let everywhere = To::All.members(leader);
    let callers = members.callers(&everywhere, CALLERS, settings.connections).await?;
    let load = Load::begin(callers, settings.names);
    sleep(LOADED).await;
    let killed = Instant::now();
    members.kill(leader)?;
    let accepted = first_accepted(tries, settings.names).await;
    load.end().await;
    members.start(leader)?;
    level(members, BACK_MAX).await?;
    Ok(accepted? - killed)
}

/// When the first of these was acknowledged; each begins a little after the one before.
async fn first_accepted<C: Caller>(tries: Vec<C>, names: usize) -> Result<Instant> {
    let (mut running, mut last) = (JoinSet::new(), None);
    let mut due = interval(TRY_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tries = tries.into_iter().enumerate();
    loop {
        tokio::select! {
            _ = due.tick() => match tries.next() {
                Some((number, caller)) => {
                    running.spawn(attempt(caller, number % names));
                }
                None => bail!("no write was accepted in {TRIES_MAX} tries; the last one: {last:?}"),
            },
            Some(ended) = running.join_next() => match ended.context("a caller")? {
                Ok(at) => return Ok(at),
                Err(error) => last = Some(error),
            },
        }
    }
}

async fn attempt<C: Caller>(mut caller: C, number: usize) -> Result<Instant> {
    timeout(TRY_MAX, caller.call(Work::Write, number)).await.context("no answer")??;
    Ok(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refuses until some time has come.
    struct Late(Instant);

    impl Caller for Late {
        async fn call(&mut self, _work: Work, _number: usize) -> Result<()> {
            if Instant::now() < self.0 {
                bail!("no leader");
            }
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_first_that_is_accepted_counts() {
        let open = Instant::now() + Duration::from_millis(50);
        let accepted = first_accepted((0..100).map(|_| Late(open)).collect(), 3).await.unwrap();
        assert!(accepted >= open);
        let never = Instant::now() + Duration::from_secs(3600);
        let error = first_accepted(vec![Late(never)], 3).await.unwrap_err();
        assert!(format!("{error:#}").contains("no leader"), "{error:#}");
    }
}
