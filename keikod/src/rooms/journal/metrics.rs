//! What the journal tells of itself.

use crate::observe::metrics::Registry;
use prometheus_client::metrics::gauge::Gauge;

/// Gauges of the room.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// The oldest revision that can still be read.
    pub oldest_revision: Gauge,
}

impl Metrics {
    /// Makes and registers them.
    pub fn register(registry: &Registry) -> Self {
        let help = "The oldest revision that can still be read";
        Self { oldest_revision: registry.gauge("keiko_journal_oldest_revision", help) }
    }
}
