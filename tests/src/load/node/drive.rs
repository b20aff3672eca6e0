//! Callers that ask again as soon as they are answered, for a while.

use super::super::figures::Times;
use super::super::machine;
use super::cost::Spent;
use anyhow::{Context as _, Result};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Not counted: connections warm up, and the server before this one comes to rest.
const WARM_UP: Duration = Duration::from_millis(300);

/// What one written value has.
pub(in crate::load) const VALUE_BYTES: usize = 256;

/// What callers ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::load) enum Work {
    /// Another value under a name that is there; acknowledged when it is durable.
    Write,
    /// The value of a name, with everything that was acknowledged before.
    ReadLinearizable,
    /// The same by what each server calls its cheaper read: the leader's lease; etcd has none, and
    /// what is serializable there may be stale.
    ReadLease,
}

/// One caller with its connection, which others may share.
pub(in crate::load) trait Caller: Send + 'static {
    /// Asks once, about the name with this number.
    fn call(&mut self, work: Work, number: usize) -> impl Future<Output = Result<()>> + Send;
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(in crate::load) struct Run {
    pub(in crate::load) times: Times,
    /// How long was counted.
    pub(in crate::load) time: Duration,
    /// What the server cost meanwhile.
    pub(in crate::load) spent: Spent,
    /// What the callers cost.
    pub(in crate::load) own_cpu: Duration,
    /// Only writes have syncs and bytes of their own.
    pub(in crate::load) is_write: bool,
}

impl Run {
    /// A run that others are added to.
    pub(in crate::load) fn of(work: Work) -> Self {
        Self { is_write: work == Work::Write, ..Self::default() }
    }

    pub(in crate::load) fn add(&mut self, other: Self) {
        self.times.append(other.times);
        self.time += other.time;
        self.spent = self.spent.plus(other.spent);
        self.own_cpu += other.own_cpu;
    }

    pub(in crate::load) fn entries_per_sync(&self) -> Option<f64> {
        // Who does not count its entries has one for each write.
        let entries = match self.spent.entries {
            0 => self.times.len() as f64,
            entries => entries as f64,
        };
        (self.is_write && self.spent.syncs > 0).then(|| entries / self.spent.syncs as f64)
    }

    /// On how many disks each acknowledged write is, where its servers count their entries.
    pub(in crate::load) fn copies(&self) -> Option<f64> {
        let is_known = self.is_write && self.times.len() > 0 && self.spent.entries > 0;
        is_known.then(|| self.spent.entries as f64 / self.times.len() as f64)
    }

    pub(in crate::load) fn bytes_per_byte(&self) -> Option<f64> {
        let acknowledged = self.times.len() * VALUE_BYTES;
        let is_known = self.is_write && acknowledged > 0;
        is_known.then(|| self.spent.written as f64 / acknowledged as f64)
    }
}

/// Lets all of them ask for `time`, over `names` names; `spent` tells what the server cost so far.
pub(in crate::load) async fn drive<C: Caller>(
    callers: Vec<C>,
    work: Work,
    names: usize,
    time: Duration,
    spent: impl Fn() -> Result<Spent>,
) -> Result<Run> {
    let (count, start) = (callers.len(), Instant::now() + WARM_UP);
    let mut running = JoinSet::new();
    for (first, caller) in callers.into_iter().enumerate() {
        let names = Names { next: first, step: count, names };
        running.spawn(ask(caller, work, names, start, start + time));
    }
    sleep_until(start).await;
    let (before, own) = (spent()?, machine::cpu_time(std::process::id())?);
    sleep_until(start + time).await;
    let (after, own_after) = (spent()?, machine::cpu_time(std::process::id())?);
    let mut run = Run { time, spent: after.since(before), ..Run::of(work) };
    run.own_cpu = own_after.saturating_sub(own);
    while let Some(ended) = running.join_next().await {
        run.times.append(ended.context("a caller")??);
    }
    Ok(run)
}

/// Which names a caller asks about: no two callers about the same at a time, if there are enough.
struct Names {
    next: usize,
    step: usize,
    names: usize,
}

impl Names {
    fn next(&mut self) -> usize {
        let number = self.next % self.names;
        self.next = self.next.wrapping_add(self.step);
        number
    }
}

async fn ask<C: Caller>(
    mut caller: C,
    work: Work,
    mut names: Names,
    start: Instant,
    end: Instant,
) -> Result<Times> {
    let mut times = Times::default();
    loop {
        let began = Instant::now();
        if began >= end {
            return Ok(times);
        }
        caller.call(work, names.next()).await?;
        let ended = Instant::now();
        // Counted where it ended, so that the rate is of answers within the time.
        if ended >= start && ended < end {
            times.push(ended - began);
        }
    }
}

/// Asks once about each name, `callers` at a time.
pub(in crate::load) async fn each<C: Caller>(
    callers: Vec<C>,
    work: Work,
    names: usize,
) -> Result<()> {
    let (count, mut running) = (callers.len(), JoinSet::new());
    for (first, mut caller) in callers.into_iter().enumerate() {
        running.spawn(async move {
            for number in (first..names).step_by(count) {
                caller.call(work, number).await?;
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.context("a caller")??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    struct Counted(Arc<Mutex<Vec<usize>>>);

    impl Caller for Counted {
        async fn call(&mut self, _work: Work, number: usize) -> Result<()> {
            self.0.lock().unwrap().push(number);
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(())
        }
    }

    #[tokio::test]
    async fn every_name_is_asked_about_and_only_what_is_timed_counts() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let callers = || (0..3).map(|_| Counted(Arc::clone(&asked))).collect::<Vec<_>>();
        each(callers(), Work::Write, 10).await.unwrap();
        let mut once = std::mem::take(&mut *asked.lock().unwrap());
        once.sort_unstable();
        assert_eq!(once, (0..10).collect::<Vec<_>>());

        let time = Duration::from_millis(200);
        let spent = || Ok(Spent { syncs: 1, ..Spent::default() });
        let run = drive(callers(), Work::Write, 7, time, spent).await.unwrap();
        let all = asked.lock().unwrap().len();
        assert!(run.times.len() < all && run.times.len() > 3, "{} of {all}", run.times.len());
        assert!(asked.lock().unwrap().iter().all(|number| *number < 7));
        assert_eq!(run.spent, Spent::default());
    }

    #[test]
    fn runs_add_up() {
        let one = |entries| {
            let mut run = Run::of(Work::Write);
            run.times.push(Duration::from_millis(1));
            run.spent = Spent { syncs: 2, entries, written: 512, ..Spent::default() };
            run
        };
        let mut sum = Run::of(Work::Write);
        sum.add(one(8));
        sum.add(one(4));
        assert_eq!((sum.entries_per_sync(), sum.bytes_per_byte()), (Some(3.0), Some(2.0)));
        assert_eq!(one(0).entries_per_sync(), Some(0.5));
        assert_eq!((sum.copies(), one(0).copies()), (Some(6.0), None));
        assert_eq!(Run { is_write: false, ..one(8) }.entries_per_sync(), None);
    }
}
