//! What the security room tells of itself; refusals are counted at the front.

use crate::observe::metrics::Registry;
use prometheus_client::metrics::gauge::Gauge;

/// Gauges of the room.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Tokens that are kept, expired or not.
    pub tokens: Gauge,
}

impl Metrics {
    /// Makes and registers them.
    pub fn register(registry: &Registry) -> Self {
        Self { tokens: registry.gauge("keiko_security_tokens", "Tokens that are kept") }
    }
}
