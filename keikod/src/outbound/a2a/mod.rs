//! A2A agents: their cards, and one message to one of them.
//!
//! Speaks 1.0 (JSON-RPC and HTTP+JSON) and 0.3 (JSON-RPC). Invariants: an interface on another
//! origin than the card's is reported and never called; a signature counts as verified only against
//! keys that this cluster was given, never against a key that the card names. Never: fetches what a
//! card points to, or repeats a message.

mod card;
mod fetch;
mod message;
mod outcome;
mod send;
mod signature;
#[cfg(test)]
mod tests;

pub use card::{Binding, Card, Interface, Skill, Version};
pub use fetch::{CARD_BYTES_MAX, Fetched, fetch, find};
pub use message::Input;
pub use outcome::AgentOutcome;
pub use send::{Call, call};
pub use signature::{CardKey, SignatureState};

#[cfg(test)]
mod fuzz;
