//! Real processes, real sockets, real peers: the harness of the end-to-end tests.
//!
//! A case works with a [`Node`] (its own or the [`shared`] one), types commands through [`Ctl`],
//! and waits with [`eventually`]. Invariants: every wait ends, every port is chosen by the system,
//! everything lies below one temporary folder, and what a case started is gone when the test
//! process is, however that ends. Never: ends a process by its name.

pub mod bucket;
pub mod cluster;
pub mod ctl;
pub mod declaration;
#[cfg(target_os = "linux")]
pub mod disk;
pub mod fake;
pub mod faketime;
pub mod http;
pub mod journal;
pub mod load;
pub mod network;
pub mod node;
pub mod peers;
pub mod place;
pub mod processes;
pub mod programs;
pub mod raft;
pub mod report;
pub mod shared;
pub mod sim;
pub mod stopped;
pub mod torture;
pub mod under_test;
pub mod wait;
pub mod web;

pub use cluster::{Cluster, shared_cluster};
pub use ctl::{Ctl, Output};
pub use network::Network;
pub use node::{Node, Plan};
pub use report::{full, heavy_time, measure, seed, skip};
pub use shared::shared;
pub use wait::{DEADLINE, eventually};
