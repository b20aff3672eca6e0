//! `./x demo`: the main job in two minutes, on a throw-away node.
//!
//! Every step is a command that a person could type, printed with its output. What the demo starts
//! it ends, also on Ctrl-C; its data folder is gone afterwards. Without real peers it uses the
//! built-in ones and says so; in CI that is a failure.

pub(crate) mod node;
pub(crate) mod shell;
mod story;

use crate::{Outcome, checkout::Checkout, peers, process};
use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Exit code of a run that a signal ended.
const INTERRUPTED: i32 = 130;

/// What must be ended, whoever ends the demo: the end of the story, an error, or a signal.
pub(crate) type Cleanup = Arc<Mutex<node::Started>>;

pub(crate) fn run(checkout: &Checkout, _arguments: &[String]) -> Outcome {
    eprintln!("building keikod and keikoctl (the first time this compiles RocksDB: some minutes)");
    process::build(checkout)?;
    let real = peers_are_there(checkout);
    let start = Instant::now();

    let started = node::Started::new(&std::env::temp_dir(), "demo")?;
    let cleanup: Cleanup = Arc::new(Mutex::new(started));
    on_signal(&cleanup)?;
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

/// Ends everything on the first signal. Caught, not blocked: a program that the demo starts would
/// inherit a blocked signal, and then nothing could end it politely.
pub(crate) fn on_signal(cleanup: &Cleanup) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("catching signals")?;
    let cleanup = Arc::clone(cleanup);
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            eprintln!("\ninterrupted: ending what was started");
            // Held to the end, so that the main thread can't get past it with another verdict.
            let mut started = lock(&cleanup);
            started.end();
            #[allow(clippy::exit, reason = "the main thread is in the middle of the story")]
            std::process::exit(INTERRUPTED);
        }
    });
    Ok(())
}

pub(crate) fn lock(cleanup: &Cleanup) -> std::sync::MutexGuard<'_, node::Started> {
    cleanup.lock().unwrap_or_else(PoisonError::into_inner)
}
