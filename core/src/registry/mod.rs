//! The registry room: agents, MCP servers, and what they can do. The textbook for every room.
//!
//! Keeps four kinds of declared objects (agents, servers, tools, skills), each with its past, and
//! an index of tools by their own name.
//!
//! ```text
//! mod.rs    what the room keeps, its invariants, its doors      (you are here)
//! model.rs  the room's types: keys and checked ops
//! wire.rs   from the log's words to the model: every check that needs no state
//! state.rs  what an op does; put.rs and condition.rs hold the longer ones
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
//! - **only transitions**: writing what is already so changes nothing and emits nothing.
//!
//! Plane: control.

mod condition;
mod model;
mod put;
mod query;
mod state;
#[cfg(test)]
mod tests;
mod wire;

pub use model::{Kind, ObjectKey, conditions, metadata};
pub use query::{Filter, Page, get, history, list, parts, resolve_tool};
pub use state::apply;
