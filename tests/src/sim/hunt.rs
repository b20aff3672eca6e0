//! As many seeds as there is time for, and how to see one again.

use super::{Report, Settings, Violation, record, run, shrink};
use crate::report::{full, heavy_time, measure, seed};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// Seeds of a run in full.
const SEEDS_FULL: u64 = 100_000;

/// What a hunt did.
#[derive(Clone, Debug, Default)]
pub struct Hunted {
    /// How many seeds.
    pub seeds: u64,
    /// How often what happened, in all of them.
    pub report: Report,
}

/// Runs seeds for the share of a heavy suite, or all of them in full, from `KEIKO_SEED` on. Panics
/// at the first violation, with the shortest way to it. In full every core takes seeds; a share is
/// one of several suites at a time, so it takes one core.
pub fn hunt(test: &str, settings: &Settings, floor: u64) -> Hunted {
    let first = seed(test).0;
    let (start, share) = (Instant::now(), heavy_time());
    let (next, broken) = (AtomicU64::new(0), AtomicBool::new(false));
    let goes_on = |number| match full() {
        true => number < SEEDS_FULL,
        false => number < floor || start.elapsed() < share,
    };
    let work = || {
        let mut hunted = Hunted::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if broken.load(Ordering::Relaxed) || !goes_on(number) {
                return Ok(hunted);
            }
            let report = check(test, first.wrapping_add(number), settings);
            hunted.add(report.inspect_err(|_| broken.store(true, Ordering::Relaxed))?);
        }
    };
    let workers = if full() { thread::available_parallelism().map_or(1, usize::from) } else { 1 };
    let outcomes: Vec<Result<Hunted, String>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join();
        threads.into_iter().map(join).map(|joined| joined.expect("a seed never panics")).collect()
    });
    let mut hunted = Hunted::default();
    for outcome in outcomes {
        hunted.merge(outcome.unwrap_or_else(|violation| panic!("{violation}")));
    }
    let seeds = hunted.seeds as f64;
    measure(&format!("{test}: seeds"), seeds, floor as f64, "seeds");
    measure(&format!("{test}: speed"), seeds / start.elapsed().as_secs_f64(), 0.0, "seeds/s");
    hunted
}

/// Runs a fixed number of seeds from `KEIKO_SEED` on, as [`hunt`] does.
pub fn play(test: &str, settings: &Settings, seeds: u64) -> Hunted {
    let first = seed(test).0;
    let mut hunted = Hunted::default();
    for number in 0..seeds {
        let report = check(test, first.wrapping_add(number), settings);
        hunted.add(report.unwrap_or_else(|violation| panic!("{violation}")));
    }
    hunted
}

/// The first of so many seeds, from zero on, that breaks something, and what.
pub fn find(settings: &Settings, seeds: u64) -> Option<(u64, Violation)> {
    (0..seeds).find_map(|seed| run(seed, settings).err().map(|violation| (seed, violation)))
}

impl Hunted {
    fn add(&mut self, report: Report) {
        self.merge(Self { seeds: 1, report });
    }

    fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        for (key, count) in other.report.counts {
            *self.report.counts.entry(key).or_default() += count;
        }
        self.report.revision = self.report.revision.max(other.report.revision);
    }
}

/// Runs one seed; a violation with the shortest way to it, and how to see it again.
fn check(test: &str, seed: u64, settings: &Settings) -> Result<Report, String> {
    let (script, outcome) = record(seed, settings);
    let violation = match outcome {
        Ok(report) => return Ok(report),
        Err(violation) => violation,
    };
    let (shortest, broken) = shrink(seed, &script, settings, &violation);
    let steps: Vec<_> = shortest.iter().map(|action| format!("  {action:?}")).collect();
    Err(format!(
        "{violation}\n\nof {} actions these are left ({broken}):\n{}\n\nagain: \
         KEIKO_SEED={seed} cargo test -p keiko-tests --test all {test}",
        script.len(),
        steps.join("\n"),
    ))
}
