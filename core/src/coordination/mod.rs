//! The coordination room: who may do something alone, who leads, who waits for whom.
//!
//! Keeps sessions, who holds and awaits which lock, who arrived at which barrier, the maintenance
//! windows, and the highest fencing token that was ever given.
//!
//! Invariants:
//! - whatever a session holds, and wherever it waits, ends in the entry in which it ends; an ended
//!   session never comes back.
//! - a lock has at most as many holders as its limit, and nobody waits for one that is free.
//! - a queue is served in its order.
//! - each grant has a higher token than all before it, also behind a restore: it is never below the
//!   revision that made it, and revisions are never handed out twice.
//!
//! A lock that is not held has no row. Who looks whether a token still holds looks at the session's
//! end, too: its holder may have been stopped, and nobody told the law yet.
//!
//! Plane: control.

mod barrier;
mod lock;
mod model;
mod query;
mod session;
mod state;
#[cfg(test)]
mod tests;
mod window;
mod wire;

pub use model::{Fenced, LockKind, Spot};
pub use query::{
    active_windows, barrier, barriers, check_fence, fenced, grant_with, has_arrived, holder, lock,
    lock_info, lock_place, locks, record, session, sessions, window, windows,
};
pub use state::apply;
