//! `./x test`: what CI runs, in one order, with one verdict.
//!
//! A failed stage does not hide the next: only what can't work without it is left out. Tests report
//! skips and measures through files ([`report`]), so that nothing is green by being absent.

mod report;

use crate::{Outcome, checkout::Checkout, gen_files, peers, process, tidy};
use anyhow::{Context, Result, bail};
use std::fs;
use std::process::{Command, ExitCode};
use std::time::{Instant, SystemTime};

/// What all heavy suites share in CI.
const HEAVY_SECONDS_TOTAL: u64 = 360;
/// A heavy suite below this shows nothing; above it, a person waits too long.
const HEAVY_SECONDS: std::ops::RangeInclusive<u64> = 15..=90;

/// What was asked for.
#[derive(Debug, Default, PartialEq)]
struct Words {
    full: bool,
    seed: Option<u64>,
    names: Vec<String>,
}

struct Stage {
    name: &'static str,
    seconds: f64,
    error: Option<String>,
}

#[derive(Default)]
struct Stages(Vec<Stage>);

pub(crate) fn run(checkout: &Checkout, arguments: &[String]) -> Outcome {
    let words = Words::parse(arguments)?;
    let start = Instant::now();
    let mut stages = Stages::default();
    if words.names.is_empty() {
        checks(checkout, &mut stages);
    }
    if stages.run("build", || process::build(checkout)) {
        if words.names.is_empty() {
            stages.run("gen", || passed(gen_files::run(checkout, &["--check".to_owned()])));
        }
        stages.run("peers", || peers::ensure(checkout));
        tests(checkout, &mut stages, &words)?;
    }
    Ok(stages.verdict(start.elapsed().as_secs_f64()))
}

impl Words {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut words = Self::default();
        let mut arguments = arguments.iter();
        while let Some(word) = arguments.next() {
            match word.as_str() {
                "--full" => words.full = true,
                "--seed" => {
                    let seed = arguments.next().and_then(|seed| seed.parse().ok());
                    words.seed = Some(seed.context("--seed takes the number that a run printed")?);
                }
                flag if flag.starts_with('-') => {
                    bail!("usage: ./x test [--full] [--seed S] [NAMES…]")
                }
                name => words.names.push(name.to_owned()),
            }
        }
        Ok(words)
    }
}

/// What needs no program of ours.
fn checks(checkout: &Checkout, stages: &mut Stages) {
    stages.run("fmt", || process::run(process::cargo(checkout).args(["fmt", "--all", "--check"])));
    stages.run("tidy", || passed(tidy::run(checkout, &[])));
    stages.run("clippy", || {
        let mut command = process::cargo(checkout);
        command.args(["clippy", "--workspace", "--all-targets"]);
        if process::in_ci() {
            command.arg("--locked");
        }
        process::run(command.args(["--", "-D", "warnings"]))
    });
}

fn tests(checkout: &Checkout, stages: &mut Stages, words: &Words) -> Result<()> {
    let folder = checkout.target.join(format!("test-report-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    let (skips, measures) = (folder.join("skips"), folder.join("measures"));
    for file in [&skips, &measures] {
        fs::write(file, "")?;
    }
    let seed = words.seed.unwrap_or_else(|| seed(checkout));
    let heavy_seconds = heavy_seconds(checkout)?;
    println!("KEIKO_SEED={seed} KEIKO_HEAVY_SECONDS={heavy_seconds}");

    let mut command = process::cargo(checkout);
    command.args(["test", "--workspace", "--no-fail-fast"]);
    if process::in_ci() {
        command.arg("--locked");
    }
    command.arg("--").args(&words.names);
    command.env("KEIKO_PEERS", checkout.peers()).env("KEIKO_SKIPS", &skips);
    command.env("KEIKO_MEASURES", &measures).env("KEIKO_SEED", seed.to_string());
    command.env("KEIKO_HEAVY_SECONDS", heavy_seconds.to_string());
    if let Ok(shared) = checkout.root.join("../shared").canonicalize() {
        command.env("KEIKO_SHARED", shared);
    }
    if words.full {
        command.env("KEIKO_TEST_FULL", "1");
    }
    stages.run("cargo test", || process::run(&mut command));

    print!("{}", report::measures(&fs::read_to_string(&measures)?));
    let listed = fs::read_to_string(checkout.root.join("tests/skips.toml"))?;
    let skipped = fs::read_to_string(&skips)?;
    stages.run("skips", || report::skips(&skipped, &listed));
    fs::remove_dir_all(&folder).context("removing the report files")
}

fn passed(outcome: Outcome) -> Result<()> {
    if outcome? == ExitCode::SUCCESS { Ok(()) } else { bail!("see above") }
}

/// The same commit gives the same seed; the next commit tries another. `--seed` or KEIKO_SEED
/// replays one.
fn seed(checkout: &Checkout) -> u64 {
    let given = std::env::var("KEIKO_SEED").ok().and_then(|seed| seed.parse().ok());
    given.or_else(|| commit_seed(checkout)).unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        since.as_secs()
    })
}

fn commit_seed(checkout: &Checkout) -> Option<u64> {
    let mut command = Command::new("git");
    command.args(["rev-parse", "HEAD"]).current_dir(&checkout.root);
    let commit = process::output(&mut command).ok()?;
    u64::from_str_radix(commit.get(..12)?, 16).ok()
}

/// The share of one heavy suite; `tests/heavy.toml` lists them as `[[heavy]]`.
fn heavy_seconds(checkout: &Checkout) -> Result<u64> {
    let path = checkout.root.join("tests/heavy.toml");
    let suites = match fs::read_to_string(&path) {
        Ok(text) => {
            let table: toml::Table = text.parse().with_context(|| format!("{}", path.display()))?;
            table.get("heavy").and_then(toml::Value::as_array).map_or(0, Vec::len)
        }
        Err(_) => 0,
    };
    let share = HEAVY_SECONDS_TOTAL / u64::try_from(suites.max(1))?;
    Ok(share.clamp(*HEAVY_SECONDS.start(), *HEAVY_SECONDS.end()))
}

impl Stages {
    /// Runs one stage and keeps how it went; true if it passed.
    fn run(&mut self, name: &'static str, stage: impl FnOnce() -> Result<()>) -> bool {
        println!("\n==> {name}");
        let start = Instant::now();
        let error = stage().err().map(|error| format!("{error:#}"));
        let seconds = start.elapsed().as_secs_f64();
        match &error {
            None => println!("    {name}: passed in {seconds:.1} s"),
            Some(error) => println!("    {name}: FAILED after {seconds:.1} s: {error}"),
        }
        self.0.push(Stage { name, seconds, error });
        self.0.last().is_some_and(|stage| stage.error.is_none())
    }

    fn verdict(&self, seconds: f64) -> ExitCode {
        println!();
        for stage in &self.0 {
            let word = if stage.error.is_none() { "passed" } else { "FAILED" };
            println!("  {:<12} {word} {:>8.1} s", stage.name, stage.seconds);
        }
        let failed: Vec<_> =
            self.0.iter().filter(|stage| stage.error.is_some()).map(|stage| stage.name).collect();
        if failed.is_empty() {
            println!("\n./x test: everything passed in {seconds:.0} s");
            ExitCode::SUCCESS
        } else {
            println!("\n./x test: FAILED in {seconds:.0} s: {}", failed.join(", "));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let check = |line: &str, expect: Option<(bool, Option<u64>, &[&str])>| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let expect = expect.map(|(full, seed, names)| Words {
                full,
                seed,
                names: names.iter().map(|name| (*name).to_owned()).collect(),
            });
            assert_eq!(Words::parse(&words).ok(), expect, "{line}");
        };
        check("", Some((false, None, &[])));
        check("--full disk sim::", Some((true, None, &["disk", "sim::"])));
        check("sim:: --seed 17 disk", Some((false, Some(17), &["sim::", "disk"])));
        check("--seed", None);
        check("--seed x", None);
        check("--sed 17", None);
    }
}
