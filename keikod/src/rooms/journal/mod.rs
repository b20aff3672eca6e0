//! The journal room's hands: tail and compaction. Its metrics are the revision gauges of consensus.

mod driver;
mod metrics;
mod service;

pub use driver::Driver;
pub use metrics::Metrics;
pub use service::Service;
