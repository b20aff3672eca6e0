//! What consensus tells of itself.

use super::super::Control;
use crate::observe::metrics::Registry;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Gauges that are read at each scrape.
pub struct Metrics;

impl Metrics {
    /// Registers them.
    #[allow(clippy::cast_precision_loss)] // a gauge is a float; revisions stay below 2^53
    pub fn register(registry: &Registry, control: &Control) {
        let of = control.clone();
        registry.gauge_of(
            "keiko_cluster_revision",
            "The revision of the control group",
            move || of.group().map_or(0.0, |group| group.status().revision as f64),
        );
        let of = control.clone();
        registry.gauge_of(
            "keiko_cluster_has_leader",
            "1 if the control group has a leader",
            move || of.group().map_or(0.0, |group| f64::from(u8::from(group.leader().is_some()))),
        );
        let counters = control.consensus().counters();
        let of = Arc::clone(&counters);
        registry.counter_of("keiko_store_syncs", "Syncs of the write-ahead log", move || {
            of.syncs.load(Ordering::Relaxed)
        });
        let of = Arc::clone(&counters);
        registry.counter_of(
            "keiko_store_synced_entries",
            "Log entries that were synced",
            move || of.synced_entries.load(Ordering::Relaxed),
        );
        registry.counter_of(
            "keiko_store_applied_entries",
            "Log entries that were applied",
            move || counters.applied_entries.load(Ordering::Relaxed),
        );
    }
}
