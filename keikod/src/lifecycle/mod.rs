//! The daemon's life around the assembly: what it holds while it runs and what it tells the
//! machine.
//!
//! Keeps: the lock of the data folder ([`Folder`]), the ballast ([`Ballast`]), the listeners'
//! addresses ([`Addresses`]), the way to systemd ([`Notify`]), the signals ([`Signals`]) and what
//! is still missing before the daemon is of use ([`Readiness`]).
//!
//! Invariants: at most one daemon per data folder; nothing is written into a folder that another
//! daemon holds. Never: knows what the rooms do.

pub mod addresses;
mod ballast;
pub mod folder;
mod membership;
mod notify;
mod readiness;
mod signals;

pub use addresses::{Addresses, Listeners};
pub use ballast::Ballast;
pub use folder::{Folder, Holder};
pub use membership::Membership;
pub use notify::Notify;
pub use readiness::{Changes, Readiness, Task};
pub use signals::{Signals, Stop};
