//! The security room: the sealed CA, who may come in with a token, who came in, and who may what.
//!
//! Keeps the certificate authority (one row; its key only sealed), the one that takes its place
//! ([`rotation`]), the tokens (only hashed), the people who traded one for a certificate, with their roles, the declared roles, the bindings that
//! hand them out, and when each grant was used last.
//!
//! Invariants: no clear key and no token's secret is ever in an entry, so none is in a log, a
//! snapshot or a backup; no two tokens have the same id at a time; a token that is traded is traded
//! once, and stays until it expires, so that a second try is told what happened; nobody hands on
//! what they lack ([`roles`]).
//!
//! Plane: control.

mod declared;
mod grants;
mod model;
mod permission;
mod query;
mod reopen;
mod roles;
mod rotation;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod trade;
mod uses;
mod verbs;
mod wire;

pub use declared::check_subject;
pub use grants::{By, Grant, Grants, Pattern, Resource};
pub use model::{
    ROLE_ADMIN, ROLE_AGENT, ROLE_GUEST, ROLE_NODE, ROLE_OPERATOR, ROLE_VIEWER, person_name,
};
pub use permission::{Permission, Role};
pub use query::{authority, people, person, rotation, token, tokens};
pub use roles::{
    Decision, allowed, binding, bindings, bound, built_in_role, changed_at, holds, holds_by,
    is_live, role, roles, subject_of_person, subjects_of, subjects_of_token,
};
pub use rotation::{STEP_RENEW, STEP_TRUST, STEP_WANTED};
pub use state::apply;
pub use trade::check_enrolls;
pub use uses::{DAY_MS, day_of, used, uses_begun};
pub use verbs::meant;
