//! What the daemon says about itself: log lines and metrics.
//!
//! Never: holds a value of a credential or a token; whoever logs gives names.

mod log;
pub mod metrics;

pub use log::Log;
