//! The cluster room: what this cluster is and who is in it.
//!
//! Keeps the cluster's record (one row) and its nodes.
//!
//! Invariants: a cluster is founded once; a node's id names one node for ever.
//!
//! Plane: control.

mod model;
mod query;
mod state;
#[cfg(test)]
mod tests;
mod wire;

pub use query::{node, nodes, record};
pub use state::apply;
