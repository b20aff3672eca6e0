//! The journal room: every declared change, in order, until it is compacted.
//!
//! Keeps the events of all rooms, written by the house in the batch of the change itself, and the
//! oldest revision that can still be read.
//!
//! Invariants: an event is never changed; (revision, sequence) grows without a gap inside a
//! revision; nothing below the oldest revision is ever shown.
//!
//! Plane: control.

mod model;
mod query;
mod state;
#[cfg(test)]
mod tests;
mod wire;

pub use model::Origin;
pub use query::{after, events_of, oldest_revision, resolve, revision_at};
pub use state::{apply, record, uuid_text};
