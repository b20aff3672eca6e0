//! The coordination room's hands: sessions, locks, barriers and windows served, calls that wait for
//! their turn, and sessions ended whose time is over.
//!
//! | file | what it does |
//! |---|---|
//! | `service.rs` | one line for each call |
//! | `asker.rs` | who asks, what they may, and how they propose |
//! | `sessions.rs`, `locks.rs`, `barriers.rs`, `windows.rs` | the calls |
//! | `wait.rs` | until when a call waits, what wakes it, what it takes back if nobody listens |
//! | `driver.rs` | ends sessions, on the leader |

mod asker;
mod barriers;
mod driver;
mod locks;
mod metrics;
mod service;
mod sessions;
mod wait;
mod windows;

pub use driver::Driver;
pub use metrics::Metrics;
pub use service::Service;
