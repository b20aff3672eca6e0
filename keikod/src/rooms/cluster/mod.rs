//! The cluster room's hands: founding, status, and the note that each node leaves of itself.

mod driver;
mod founding;
mod metrics;
mod service;

pub use driver::Driver;
pub use founding::Founding;
pub use metrics::Metrics;
pub use service::Service;
