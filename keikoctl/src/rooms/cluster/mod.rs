//! The cluster room: `status`, `cluster status`, `cluster init`, and `node`.

mod args;
pub(crate) mod node;
mod run;
mod table;

pub(crate) use args::{ClusterVerb, NodeVerb};
pub(crate) use run::run;
