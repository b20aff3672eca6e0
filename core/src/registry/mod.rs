//! The registry room: agents, MCP servers, and what they can do. The textbook for every room.
//!
//! Keeps four kinds of declared objects (agents, servers, tools, skills), each with its past, and
//! an index of tools by their own name.
//!
//! ```text
//! mod.rs    what the room keeps, its invariants, its doors      (you are here)
//! model.rs  the room's types: keys and checked ops
//! wire.rs   from the log's words to the model: every check that needs no state
//! state.rs  what an op does; the longer ones:
//!           put.rs (register, refresh) declare.rs (apply) condition.rs (health, admin state)
//!           place.rs (which node runs a command) rewind.rs (back to a revision)
//! declared.rs  what of a spec is declared, and what probes find
//! offer.rs  how what is offered differs from before
//! depend.rs what needs what; graph.rs has the algorithms
//! health.rs whether it works: the prober's state machine
//! directory.rs, capability.rs  who offers what, in memory, and whom to choose
//! query.rs  what can be read, now and at any revision
//! tests.rs  tables and invariants
//! ```
//!
//! Invariants:
//! - **a name is one thing**: a name that is taken by another endpoint is refused, never replaced.
//! - **parts go with their owner**: a tool lives and dies with its server, a skill with its agent.
//! - **no shadowing**: a bare tool name resolves only if all who offer it agree on its schema.
//! - **a command runs for whom it was registered**: the grant names the node and user that
//!   registered it over the local socket, and goes when anyone else changes the command.
//! - **a command runs on one node**: the one where it was registered, until another takes it over,
//!   which it may once that one is down or gone.
//! - **only transitions**: writing what is already so changes nothing and emits nothing.
//!
//! Plane: control.

pub mod capability;
mod condition;
mod declare;
mod declared;
mod depend;
pub mod directory;
pub mod graph;
pub mod health;
mod model;
mod offer;
mod place;
mod put;
mod query;
mod rewind;
mod state;
#[cfg(test)]
mod tests;
mod wire;

pub use declared::{of_agent, of_server};
pub use depend::{dependents, needs, show as show_dependencies};
pub use model::{
    AdminState, Kind, ObjectKey, READY, conditions, is_ready, metadata, status, status_mut,
};
pub use place::host;
pub use query::{Filter, Page, get, history, list, parts, resolve_tool, written};
pub use state::apply;
