//! The law: pure, deterministic, replicated state.
//!
//! Start with [`house`]: it takes an entry of the log, asks its room, and turns the answer into
//! writes. A room keeps typed tables ([`table`]) in an overlay ([`txn`]) over any sorted store
//! ([`store`]); [`registry`] is the textbook room that all others copy.
//!
//! This crate knows no clock but the stamp, no randomness, no file, no socket and no task. Whatever
//! needs one of these is decided by the proposer and carried in the entry.
//!
//! [`peers`] and [`phi`] are no law but what one node makes of the others, [`backup`] is how backups
//! lie where they are kept: as pure, never in state.

pub mod backup;
pub mod dedup;
pub mod features;
pub mod hash;
pub mod history;
pub mod house;
pub mod id;
pub mod key;
pub mod limits;
pub mod peers;
pub mod phi;
pub mod refusal;
pub mod selector;
pub mod stamp;
pub mod store;
pub mod table;
pub mod txn;

pub mod cluster;
pub mod coordination;
pub mod journal;
pub mod registry;
pub mod security;

#[cfg(test)]
mod fuzz;
