//! What can be granted, and which built-in role grants what: the law's tables, since the law judges
//! whether somebody may hand on what they hold.

pub use keiko_core::security::{Permission, Resource, Role};
