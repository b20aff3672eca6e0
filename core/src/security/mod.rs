//! The security room: the sealed CA, who may come in with a token, and who came in.
//!
//! Keeps the certificate authority (one row; its key only sealed), the tokens (only hashed) and the
//! people who traded one for a certificate, with their roles.
//!
//! Invariants: no clear key and no token's secret is ever in an entry, so none is in a log, a
//! snapshot or a backup; no two tokens have the same id at a time; a token that is traded is traded
//! once, and stays until it expires, so that a second try is told what happened.
//!
//! Plane: control.

mod model;
mod query;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod trade;
mod wire;

pub use model::{ROLE_ADMIN, ROLE_AGENT, ROLE_NODE, ROLE_OPERATOR, ROLE_VIEWER, person_name};
pub use query::{authority, people, person, token, tokens};
pub use state::apply;
pub use trade::check_enrolls;
