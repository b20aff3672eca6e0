//! `./x demo`: the main job in a minute, on three throw-away nodes that are one cluster.
//!
//! Every step is a command that a person could type, printed with its output. What the demo starts
//! it ends, also on Ctrl-C; its data folder is gone afterwards. Without real peers it uses the
//! built-in ones and says so; in CI that is a failure.

mod callers;
mod crash;
pub(crate) mod members;
pub(crate) mod node;
pub(crate) mod shell;
mod story;

use crate::interrupt::{lock, on_signal};
use crate::{Outcome, checkout::Checkout, peers, process};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// What must be ended, whoever ends the demo: the end of the story, an error, or a signal.
pub(crate) type Cleanup = Arc<Mutex<node::Started>>;

pub(crate) fn run(checkout: &Checkout, _arguments: &[String]) -> Outcome {
    eprintln!("building keikod and keikoctl (the first time this compiles RocksDB: some minutes)");
    process::build(checkout)?;
    let real = peers_are_there(checkout);
    let start = Instant::now();

    let started = node::Started::new(&std::env::temp_dir(), "demo")?;
    let cleanup: Cleanup = Arc::new(Mutex::new(started));
    on_signal(&cleanup, node::Started::end)?;
    let told = story::tell(checkout, &cleanup, real);
    if told.is_err() {
        lock(&cleanup).print_log();
    }
    lock(&cleanup).end();
    let verdict = told?;

    println!("\n{verdict} ({:.1} s after the build)", start.elapsed().as_secs_f64());
    if !real {
        println!(
            "NOT REAL PEERS: this used the built-in server and agent; ./x peers installs real ones"
        );
        if process::in_ci() {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn peers_are_there(checkout: &Checkout) -> bool {
    match peers::ensure(checkout) {
        Ok(()) => true,
        Err(error) => {
            eprintln!("NOT REAL PEERS: they can't be installed: {error:#}");
            false
        }
    }
}
