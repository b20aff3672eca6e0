//! The journal room's hands: tail, compaction, and how far the past reaches.

mod driver;
mod metrics;
mod service;

pub use driver::Driver;
pub use metrics::Metrics;
pub use service::Service;
