//! The way out: MCP servers and A2A agents, as they are called from this node.
//!
//! Keeps connections and compiled schemas, nothing else; who may be called and what is registered
//! is the registry's. Invariants: every connection is admitted by [`egress`], every call has a
//! deadline, every answer a limit, and a failed call says whether it surely did not run. Never:
//! repeats a call by itself, follows a credential to another origin, or logs what was sent.

pub mod a2a;
pub mod canonical;
pub mod detect;
pub mod egress;
pub mod fault;
pub mod http;
pub mod mcp;
pub mod schema;
mod words;

pub use fault::{CallError, CallResult};
pub use http::Http;
pub(crate) use words::{TEXT_CHARS_MAX, cut, words};
