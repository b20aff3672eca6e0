//! `./x torture`: real clusters under load, killed and cut off by seed, for as many kills as one
//! likes. What it reached and what it found is in the output; CI's share of it is in `./x test`.
//!
//! The test is the harness's own (`tests/tests/torture.rs`), which ends at once where the environment
//! does not say how many kills.

use crate::{Outcome, checkout::Checkout, process};
use anyhow::{Context, Result, bail};
use std::process::ExitCode;

const USAGE: &str = "usage: ./x torture [--kills N] [--seed S] [--nodes 3|5]";
/// The test that goes on as long as it is told.
const TEST: &str = "torture::as_told";
/// As in CI.
const KILLS: u32 = 15;

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Words {
    kills: u32,
    seed: Option<u64>,
    nodes: Option<u32>,
}

pub(crate) fn run(checkout: &Checkout, arguments: &[String]) -> Outcome {
    let Words { kills, seed, nodes } = Words::parse(arguments)?;
    process::build(checkout)?;
    let mut command = process::cargo(checkout);
    command.args(["test", "--workspace", "--test", "all", "--", "--exact", TEST]);
    command.arg("--nocapture");
    command.env("KEIKO_TORTURE_KILLS", kills.to_string());
    command.env_remove("KEIKO_SEED").env_remove("KEIKO_TORTURE_NODES");
    if let Some(seed) = seed {
        command.env("KEIKO_SEED", seed.to_string());
    }
    if let Some(nodes) = nodes {
        command.env("KEIKO_TORTURE_NODES", nodes.to_string());
    }
    process::run(&mut command)?;
    Ok(ExitCode::SUCCESS)
}

impl Words {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut words = Self { kills: KILLS, seed: None, nodes: None };
        let mut arguments = arguments.iter();
        while let Some(word) = arguments.next() {
            let value = arguments.next().context(USAGE)?;
            match word.as_str() {
                "--kills" => words.kills = value.parse().context(USAGE)?,
                "--seed" => words.seed = Some(value.parse().context(USAGE)?),
                "--nodes" => words.nodes = Some(value.parse().context(USAGE)?),
                _ => bail!(USAGE),
            }
        }
        if words.kills == 0 || words.nodes.is_some_and(|nodes| !matches!(nodes, 3 | 5)) {
            bail!(USAGE);
        }
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let check = |line: &str, expect: Option<(u32, Option<u64>, Option<u32>)>| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let expect = expect.map(|(kills, seed, nodes)| Words { kills, seed, nodes });
            assert_eq!(Words::parse(&words).ok(), expect, "{line}");
        };
        check("", Some((KILLS, None, None)));
        check("--kills 1000", Some((1000, None, None)));
        check("--seed 7 --kills 3 --nodes 5", Some((3, Some(7), Some(5))));
        check("--kills", None);
        check("--kills 0", None);
        check("--kills many", None);
        check("--nodes 4", None);
        check("1000", None);
    }
}
