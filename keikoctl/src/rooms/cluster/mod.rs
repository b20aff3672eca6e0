//! The cluster room: `status`, `cluster`, and `node`.
//!
//! `run` has the verbs of the cluster, `status` the one that is an answer even where nothing else
//! works, `node` the members, `ca` the authority, `backup`, `remove`, `repair`, `upgrade` and `watch`
//! one verb each, `pieces` a backup into a folder, `backups` those by schedule. The tokens of
//! `cluster token` are the security room's.

mod args;
mod backup;
mod backups;
mod ca;
pub(crate) mod node;
mod pieces;
mod remove;
mod repair;
mod run;
mod status;
mod table;
mod upgrade;
mod watch;

pub(crate) use args::{ClusterVerb, NodeVerb};
pub(crate) use run::run;
pub(crate) use status::brief as status;
