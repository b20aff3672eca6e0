//! `./x cluster [N]`: throw-away nodes that are one cluster, for people, until Ctrl-C.

use crate::demo::members::Members;
use crate::demo::node::Started;
use crate::demo::shell::heading;
use crate::interrupt::{lock, on_signal};
use crate::{Outcome, checkout::Checkout, process};
use anyhow::{Context, bail};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const NODES_DEFAULT: usize = 3;
/// As many as vote.
const NODES_MAX: usize = 7;
/// Between two looks at who still runs.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) fn run(checkout: &Checkout, arguments: &[String]) -> Outcome {
    let count = parse(arguments)?;
    eprintln!("building keikod and keikoctl (the first time this compiles RocksDB: some minutes)");
    process::build(checkout)?;
    let started = Started::new(&std::env::temp_dir(), "cluster")?;
    let cleanup = Arc::new(Mutex::new(started));
    on_signal(&cleanup, Started::end)?;
    match Members::start(checkout, &cleanup, count, None) {
        Ok(members) => tell(&members),
        Err(error) => {
            lock(&cleanup).print_log();
            lock(&cleanup).end();
            return Err(error);
        }
    }
    // Ended by Ctrl-C, which the thread of signals hears, or with the last node.
    while lock(&cleanup).runs() {
        for (name, status) in lock(&cleanup).take_ended() {
            println!("{name} ended: {status}");
        }
        std::thread::sleep(LOOK);
    }
    lock(&cleanup).end();
    println!("no node runs any more");
    Ok(ExitCode::FAILURE)
}

fn parse(arguments: &[String]) -> anyhow::Result<usize> {
    let count = match arguments {
        [] => return Ok(NODES_DEFAULT),
        [count] => count.parse().context("usage: ./x cluster [N]")?,
        _ => bail!("usage: ./x cluster [N]"),
    };
    if !(1..=NODES_MAX).contains(&count) {
        bail!("1 to {NODES_MAX} nodes, not {count}");
    }
    Ok(count)
}

/// How each node is reached.
fn tell(members: &Members<'_>) {
    heading("they run until Ctrl-C; what they hold goes with them");
    println!("in other shells, after eval \"$(./x env)\":");
    for shell in members.shells() {
        println!("  keikoctl --endpoint {} status", shell.endpoint());
    }
    println!("one that you kill is started again by its line above, without --init or --join");
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn how_many_nodes() {
        let check = |words: &[&str], expect: Option<usize>| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            assert_eq!(parse(&words).ok(), expect, "{words:?}");
        };
        check(&[], Some(3));
        check(&["1"], Some(1));
        check(&["7"], Some(7));
        check(&["8"], None);
        check(&["0"], None);
        check(&["three"], None);
        check(&["3", "4"], None);
    }
}
