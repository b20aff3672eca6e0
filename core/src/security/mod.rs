//! The security room: the sealed CA, and who may come in with a token.
//!
//! Keeps the certificate authority (one row; its key only sealed) and the tokens (only hashed).
//!
//! Invariants: no clear key and no token's secret is ever in an entry, so none is in a log, a
//! snapshot or a backup; no two tokens have the same id at a time.
//!
//! Plane: control.

mod model;
mod query;
mod state;
#[cfg(test)]
mod tests;
mod wire;

pub use model::ROLE_AGENT;
pub use query::{authority, token, tokens};
pub use state::apply;
