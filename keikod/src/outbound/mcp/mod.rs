//! MCP servers, of both eras, over streamable HTTP and over the pipes of a child.
//!
//! A [`Session`] is one connection: it lists tools, calls them, and tells when it ended. rmcp
//! speaks the protocol; what it must not decide (where connections go, how large a message may be,
//! whether a lost session is begun anew) is decided here. Invariants: a session is never
//! re-established in silence, since only the caller knows whether the call may be repeated; every
//! message has a limit. Never: answers a server's wish for input, sampling or roots with anything
//! but "no".

mod bounded;
mod call;
mod connect;
mod era;
mod failure;
mod lines;
mod link;
mod listen;
mod message;
mod session;
mod sse;
mod streamable;
#[cfg(test)]
mod tests;
mod tools;
mod verdicts;

pub use call::CallOutcome;
pub use connect::{Target, connect};
pub use era::Era;
pub use session::{ServerInfo, Session};
pub use tools::{LeftOut, Limits, Listed, Tool};

/// One message in either direction: a line of stdio, an event, a body. As Keiko's own messages.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;

#[cfg(test)]
mod fuzz;
