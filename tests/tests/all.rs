//! The end-to-end tests: one binary, so that RocksDB is linked once and cases share a node.
//!
//! ```text
//! tour         the commands of the README, as written      http         HTTP/JSON and its streams
//! refusals     every "no" that the network gets            snapshots    what people read
//! lifecycle    how a daemon begins, ends and refuses to    restart      what survives an end
//! peers        real servers and agents that break          durability   kill -9 under load
//! calls        what is repeated and what is not            security     tokens over the network
//! links        what keeps a server linked
//! ```

mod calls;
mod durability;
mod http;
mod lifecycle;
mod links;
mod network;
mod objects;
mod peers;
mod refusals;
mod restart;
mod security;
mod snapshots;
mod tour;
mod unit;
