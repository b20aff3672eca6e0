//! The cluster room's hands: founding and joining, who is there, and the note that each node leaves
//! of itself.

mod authority;
mod backup;
mod backups;
mod beats;
mod ca;
mod diagnose;
mod driver;
mod founding;
mod host;
mod joining;
mod members;
mod metrics;
mod neighbours;
mod nodes;
mod operate;
mod service;
mod watch;

pub use backups::Keeper;
pub use diagnose::{Diagnosis, DiagnosisParts};
pub use driver::Driver;
pub use founding::{Founding, FoundingParts};
pub use host::Hosting;
pub(crate) use joining::Joining;
pub use metrics::Metrics;
pub use neighbours::{About, Neighbours};
pub use service::{Hosted, Service};
