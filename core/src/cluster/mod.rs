//! The cluster room: what this cluster is and who is in it.
//!
//! Keeps the cluster's record (one row) and its nodes.
//!
//! Invariants: a cluster is founded once; a node's name belongs to one node.
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
