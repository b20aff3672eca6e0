//! The rooms' hands: for each room its gRPC service, its driver and its metrics.
//!
//! A service parses, asks for the permission, proposes or queries, and answers. A driver runs on
//! the leader and proposes what time or the outside world asks for. Neither decides what the law
//! decides, and neither changes anything but by proposing.

pub mod cluster;
pub mod coordination;
pub mod journal;
pub mod peers;
pub mod registry;
pub mod security;

mod clock;
mod control;
mod follow;

pub use control::{Caller, Control, Submitted};
pub use peers::{NoPeers, PeerCallError, Peers};
