//! What the room tells of itself. Labels are closed sets: never a name that somebody chose.

use crate::observe::metrics::{Latencies, Registry};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::gauge::Gauge;
use std::time::Duration;

/// What was called, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CallLabels {
    /// tool, agent.
    kind: &'static str,
    /// ok, error, refused, unknown.
    outcome: &'static str,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallOutcome {
    /// It gave a result.
    Ok,
    /// It ran and said that it failed.
    Error,
    /// It surely did not run, or the far side refused it.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// The room's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    calls: Latencies<CallLabels>,
    /// Links that are live on this node.
    pub links: Gauge,
}

impl Metrics {
    /// Makes and registers them.
    pub fn register(registry: &Registry) -> Self {
        Self {
            calls: registry.latencies("keiko_registry_call_seconds", "Calls to tools and agents"),
            links: registry
                .gauge("keiko_registry_links", "MCP servers that are linked on this node"),
        }
    }

    /// One call.
    pub(super) fn called(&self, kind: &'static str, outcome: CallOutcome, took: Duration) {
        let outcome = match outcome {
            CallOutcome::Ok => "ok",
            CallOutcome::Error => "error",
            CallOutcome::Refused => "refused",
            CallOutcome::Unknown => "unknown",
        };
        let labels = CallLabels { kind, outcome };
        self.calls.get_or_create(&labels).observe(took.as_secs_f64());
    }
}
