//! The cluster room's hands: founding, status, and the note that each node leaves of itself.

mod diagnose;
mod driver;
mod founding;
mod metrics;
mod service;

pub use diagnose::{Diagnosis, DiagnosisParts};
pub use driver::Driver;
pub use founding::Founding;
pub use metrics::Metrics;
pub use service::Service;
