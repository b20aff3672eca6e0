//! The metrics of this process, in the OpenMetrics text format.
//!
//! Every name begins with `keiko_`; a room registers its own once, at the start, and keeps a
//! clone. Never: takes a label whose values have no bound (a name that a client chose
//! is none).

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry as Names};
use std::fmt::{self, Debug};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// All metrics of the process; a cheap clone.
#[derive(Clone, Debug)]
pub struct Registry {
    names: Arc<Mutex<Names>>,
}

/// Labels of one family.
pub trait Labels: EncodeLabelSet + Clone + Hash + Eq + Debug + Send + Sync + 'static {}
impl<T: EncodeLabelSet + Clone + Hash + Eq + Debug + Send + Sync + 'static> Labels for T {}

/// A family of histograms in seconds.
pub type Latencies<L> = Family<L, Histogram, fn() -> Histogram>;

impl Default for Registry {
    fn default() -> Self {
        let registry = Self { names: Arc::default() };
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.add("keiko_build", "The release that runs", build);
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started: ConstGauge<f64> = ConstGauge::new(started.as_secs_f64());
        registry.add("keiko_start_time_seconds", "When this process began, in Unix time", started);
        registry
    }
}

impl Registry {
    /// Registers a metric; whoever changes it keeps a clone.
    pub fn add(&self, name: &str, help: &str, metric: impl Metric) {
        check_name(name);
        self.lock().register(name, help, metric);
    }

    /// For parts that register many at once.
    pub fn with(&self, register: impl FnOnce(&mut Names)) {
        register(&mut self.lock());
    }

    /// Counters; `_total` is added to the name where it is shown.
    pub fn counters<L: Labels>(&self, name: &str, help: &str) -> Family<L, Counter> {
        self.kept(name, help, Family::default())
    }

    /// Gauges.
    pub fn gauges<L: Labels>(&self, name: &str, help: &str) -> Family<L, Gauge> {
        self.kept(name, help, Family::default())
    }

    /// Histograms of seconds, from 100 µs to 52 s in steps of two.
    pub fn latencies<L: Labels>(&self, name: &str, help: &str) -> Latencies<L> {
        let new: fn() -> Histogram = || Histogram::new(exponential_buckets(100e-6, 2.0, 20));
        self.kept(name, help, Family::new_with_constructor(new))
    }

    /// One counter without labels.
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        self.kept(name, help, Counter::default())
    }

    /// One gauge without labels.
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.kept(name, help, Gauge::default())
    }

    /// A counter whose value somebody else keeps; it is read at each scrape.
    pub fn counter_of(
        &self,
        name: &str,
        help: &str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        self.observe(name, help, move |encoder, name, help| {
            encode(encoder, name, help, &ConstCounter::new(read()))
        });
    }

    /// A gauge whose value somebody else keeps; it is read at each scrape.
    pub fn gauge_of(&self, name: &str, help: &str, read: impl Fn() -> f64 + Send + Sync + 'static) {
        self.observe(name, help, move |encoder, name, help| {
            encode(encoder, name, help, &ConstGauge::new(read()))
        });
    }

    /// Everything, as a scraper reads it.
    pub fn text(&self) -> String {
        let mut out = String::new();
        match text::encode(&mut out, &self.lock()) {
            Ok(()) => out,
            // Writing to a text can't fail; a half one must not be taken for a whole one.
            Err(error) => {
                tracing::error!(%error, "metrics can't be encoded");
                String::new()
            }
        }
    }

    fn kept<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        self.add(name, help, metric.clone());
        metric
    }

    fn observe(
        &self,
        name: &str,
        help: &str,
        read: impl Fn(DescriptorEncoder<'_>, &str, &str) -> fmt::Result + Send + Sync + 'static,
    ) {
        check_name(name);
        let observed =
            Observed { name: name.to_owned(), help: format!("{help}."), read: Box::new(read) };
        self.lock().register_collector(Box::new(observed));
    }

    /// A panic elsewhere leaves numbers that are still right.
    fn lock(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Read = Box<dyn Fn(DescriptorEncoder<'_>, &str, &str) -> fmt::Result + Send + Sync>;

struct Observed {
    name: String,
    help: String,
    read: Read,
}

impl Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Collector for Observed {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.read)(encoder, &self.name, &self.help)
    }
}

fn encode(
    mut encoder: DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

/// The suffix of counters comes by itself.
fn check_name(name: &str) {
    debug_assert!(name.starts_with("keiko_"), "{name}: begins with keiko_");
    debug_assert!(!name.ends_with("_total"), "{name}: without _total");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_openmetrics() {
        let registry = Registry::default();
        let writes =
            registry.counters::<[(&str, &str); 1]>("keiko_registry_writes", "Writes by outcome");
        writes.get_or_create(&[("outcome", "done")]).inc_by(3);
        let calls =
            registry.latencies::<[(&str, &str); 1]>("keiko_call_seconds", "Calls by protocol");
        calls.get_or_create(&[("protocol", "mcp")]).observe(0.003);
        registry.gauge("keiko_watchers", "Open watches").set(2);
        registry.counter_of("keiko_store_syncs", "Syncs of the log", || 41);
        registry.gauge_of("keiko_revision", "The control group's", || 7.0);
        let text = registry.text();
        for line in [
            concat!("keiko_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "keiko_registry_writes_total{outcome=\"done\"} 3",
            "keiko_call_seconds_count{protocol=\"mcp\"} 1",
            "keiko_watchers 2",
            "keiko_store_syncs_total 41",
            "keiko_revision 7.0",
            "# HELP keiko_store_syncs Syncs of the log.",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        assert!(text.contains("keiko_start_time_seconds "));
    }
}
