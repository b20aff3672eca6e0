//! What the coordination room tells of itself.

use crate::observe::metrics::Registry;
use prometheus_client::metrics::gauge::Gauge;

/// Gauges of the room.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Sessions that live.
    pub sessions: Gauge,
    /// What they hold, await or arrived at.
    pub places: Gauge,
    /// Calls that wait for their turn on this node.
    pub waiting: Gauge,
}

impl Metrics {
    /// Makes and registers them.
    pub fn register(registry: &Registry) -> Self {
        let gauge = |name, help| registry.gauge(name, help);
        Self {
            sessions: gauge("keiko_coordination_sessions", "Sessions that live"),
            places: gauge(
                "keiko_coordination_places",
                "Locks held or awaited and barriers arrived at, of all sessions",
            ),
            waiting: gauge("keiko_coordination_waiting", "Calls that wait for their turn here"),
        }
    }
}
