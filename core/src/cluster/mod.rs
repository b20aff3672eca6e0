//! The cluster room: what this cluster is and who is in it.
//!
//! Keeps the cluster's record (one row), its members, the highest id that one ever had, and what came
//! of its backups. Which of the members vote is the consensus group's own record, not the law's.
//!
//! Invariants: a cluster is founded once; a node's name belongs to one member; an id is never used
//! again, also where a member comes back with nothing; what a node tells of itself changes neither
//! what an operator decided about it nor whether it is heard.
//!
//! Plane: control.

mod backups;
mod model;
mod query;
mod reopen;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod wire;

pub use backups::{FAILED, MADE, RESTORED, UNRESTORABLE, backup_note, backup_notes};
pub use model::DRAINING;
pub use query::{member, next_id, node, nodes, record};
pub(crate) use reopen::{Reopening, reopen};
pub(crate) use state::remove;
pub use state::{admit, apply, check_silent, readmit};
pub(crate) use wire::{check_cluster_id, check_key_hash, check_node};
