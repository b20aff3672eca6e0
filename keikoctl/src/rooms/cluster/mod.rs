//! The cluster room: `status`, `cluster status`, `cluster init`.

mod args;
mod run;
mod table;

pub(crate) use args::ClusterVerb;
pub(crate) use run::run;
