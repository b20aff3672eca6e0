//! As many seeds as there is time for, and how to see one again.

use super::{Report, Settings, Violation, run};
use crate::report::{full, heavy_time, measure, seed};
use std::time::Instant;

/// Seeds of a run in full.
const SEEDS_FULL: u64 = 2_000;

/// Runs seeds for the share of a heavy suite, or all of them in full, from `KEIKO_SEED` on. Panics
/// at the first violation.
pub fn hunt(test: &str, settings: &Settings, floor: u64) -> Report {
    let first = seed(test).0;
    let (start, share) = (Instant::now(), heavy_time());
    let goes_on = |number| match full() {
        true => number < SEEDS_FULL,
        false => number < floor || start.elapsed() < share,
    };
    let mut hunted = Report::default();
    while goes_on(hunted.seeds) {
        hunted.add(check(test, first.wrapping_add(hunted.seeds), settings));
    }
    let seeds = hunted.seeds as f64;
    measure(&format!("{test}: seeds"), seeds, floor as f64, "seeds");
    measure(&format!("{test}: speed"), seeds / start.elapsed().as_secs_f64(), 0.0, "seeds/s");
    hunted
}

/// Runs a fixed number of seeds from `KEIKO_SEED` on, as [`hunt`] does.
pub fn play(test: &str, settings: &Settings, seeds: u64) -> Report {
    let first = seed(test).0;
    let mut played = Report::default();
    for number in 0..seeds {
        played.add(check(test, first.wrapping_add(number), settings));
    }
    played
}

/// The first of so many seeds, from zero on, that breaks something, and what.
pub fn find(settings: &Settings, seeds: u64) -> Option<(u64, Violation)> {
    (0..seeds).find_map(|seed| run(seed, settings).err().map(|violation| (seed, violation)))
}

fn check(test: &str, seed: u64, settings: &Settings) -> Report {
    run(seed, settings).unwrap_or_else(|violation| {
        panic!(
            "{violation}\n\n{}\n\nagain: KEIKO_SEED={seed} cargo test -p keiko-tests --test all \
             {test}",
            violation.story.join("\n")
        )
    })
}
