//! The cluster room: `status`, `cluster status`, `cluster init`.

mod args;
mod run;
mod table;

pub use args::ClusterVerb;
pub use run::run;
