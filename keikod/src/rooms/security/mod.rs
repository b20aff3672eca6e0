//! The security room's hands: tokens made, found and pruned.

mod driver;
mod metrics;
mod service;
mod tokens;

pub use driver::Driver;
pub use metrics::Metrics;
pub use service::Service;
pub use tokens::StoredTokens;
