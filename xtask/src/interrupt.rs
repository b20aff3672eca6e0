//! What is ended by whoever is first: the end of the run, an error, or a signal.

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Exit code of a run that a signal ended.
const INTERRUPTED: i32 = 130;

/// Ends everything on the first signal. Caught, not blocked: a program that the run starts would
/// inherit a blocked signal, and then nothing could end it politely.
pub(crate) fn on_signal<T: Send + 'static>(started: &Arc<Mutex<T>>, end: fn(&mut T)) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("catching signals")?;
    let started = Arc::clone(started);
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            eprintln!("\ninterrupted: ending what was started");
            // Held to the end, so that the main thread can't get past it with another verdict.
            let mut started = lock(&started);
            end(&mut started);
            #[allow(clippy::exit, reason = "the main thread is in the middle of its work")]
            std::process::exit(INTERRUPTED);
        }
    });
    Ok(())
}

pub(crate) fn lock<T>(started: &Mutex<T>) -> MutexGuard<'_, T> {
    started.lock().unwrap_or_else(PoisonError::into_inner)
}
