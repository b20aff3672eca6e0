//! The security room's hands: tokens made, found, traded and pruned, roles and bindings declared,
//! found and asked about, refused attempts and uses told.

mod bound;
mod create;
mod declare;
mod driver;
mod grants;
mod metrics;
mod people;
mod refusals;
mod service;
mod tokens;
mod trade;
mod uses;

pub use bound::Bindings;
pub use driver::Driver;
pub use metrics::Metrics;
pub use service::Service;
pub use tokens::StoredTokens;
