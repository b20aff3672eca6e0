//! What a test says beside passed and failed, in files that `./x test` reads.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

/// What a heavy suite takes when nobody says how long: a run by hand.
const HEAVY_SECONDS: u64 = 30;

/// Says that a test could not run. `./x test` fails unless `tests/skips.toml` lists it.
pub fn skip(name: &str, reason: &str) {
    say(&format!("SKIPPED {name}: {reason}"));
    append("KEIKO_SKIPS", &format!("{name}\t{reason}"));
}

/// Says what a test reached, against the least that would do.
pub fn measure(what: &str, reached: f64, floor: f64, unit: &str) {
    say(&format!("MEASURED {what}: {reached:.2} {unit} (floor {floor})"));
    append("KEIKO_MEASURES", &format!("{what}\t{reached:.2}\t{floor}\t{unit}"));
}

/// True for `./x test --full`: the numbers that the issues name.
pub fn full() -> bool {
    std::env::var_os("KEIKO_TEST_FULL").is_some()
}

/// The share of one heavy suite.
pub fn heavy_time() -> Duration {
    let given = std::env::var("KEIKO_HEAVY_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(given.unwrap_or(HEAVY_SECONDS))
}

/// The seed of every random choice; printed, so that a run can be played again.
pub fn seed(test: &str) -> Dice {
    let given = std::env::var("KEIKO_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from(std::process::id()) * 7919 + 1);
    say(&format!("{test}: KEIKO_SEED={seed}"));
    Dice(seed)
}

/// A small generator (splitmix64) whose every number follows from its seed.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// One line past libtest's capture: a skip in a green run must be seen.
pub fn say(line: &str) {
    // Nobody is there to be told that stderr is closed.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn append(variable: &str, line: &str) {
    let Some(path) = std::env::var_os(variable) else { return };
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    if let Err(error) = written {
        panic!("{variable}: {error}");
    }
}
