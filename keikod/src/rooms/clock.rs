//! This node's wall clock: for what is shown and for what expires, never for what is replicated.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub(super) fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// An unevenly drawn number would only make retries meet; the fraction of the clock is even enough.
pub(super) fn jitter() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
