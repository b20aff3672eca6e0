//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// How long anything may take before it counts as never.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks until there is something, and fails after [`DEADLINE`] with what it saw last.
#[track_caller]
pub fn eventually<T>(what: &str, look: impl FnMut() -> Result<T, String>) -> T {
    within(DEADLINE, look).unwrap_or_else(|last| panic!("{what}: not within {DEADLINE:?}: {last}"))
}

/// The same with its own bound, and without the panic.
pub fn within<T>(
    bound: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> Result<T, String> {
    let end = Instant::now() + bound;
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(last) if Instant::now() >= end => return Err(last),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// `Ok` or what was seen instead, for [`eventually`].
pub fn expect(is_so: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(seen()) }
}
