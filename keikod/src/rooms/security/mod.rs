//! The security room's hands: tokens made, found, traded and pruned, and refused attempts told.

mod create;
mod driver;
mod metrics;
mod refusals;
mod service;
mod tokens;
mod trade;

pub use driver::Driver;
pub use metrics::Metrics;
pub use service::Service;
pub use tokens::StoredTokens;
