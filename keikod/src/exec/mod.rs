//! Running commands on this node: who may, with which credentials, and how they live and die.
//!
//! Keeps: the policy of `keiko.toml` ([`Policy`]), the folder of named credentials
//! ([`Credentials`]) and the live child processes ([`Children`]).
//!
//! Invariants: nothing starts that [`Policy::decide`] did not allow on this node; a credential's
//! value reaches only a destination that [`Credentials::value_for`] named; a child never outlives
//! its daemon by more than the next start.
//!
//! Never: decides anything that the law decides, prints a credential, runs a shell.

pub mod account;
pub mod child;
pub mod credentials;
pub mod interpreter;
pub mod policy;
pub mod secret;

pub use child::{Child, Children, Command, Exit, Grace, Isolation, LogLine, Process, Settings};
pub use credentials::{Credentials, Destination};
pub use policy::{Grant, Policy, RunAs};
pub use secret::Secret;
