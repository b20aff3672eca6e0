//! What this node makes of the others: who is down ([`Detector`]), whose clock is off
//! ([`Offsets`]), whose state is another ([`Agreement`]).
//!
//! Each is fed with what the nodes' beats say and asked for a verdict; time is a parameter. None
//! of them reads a clock, sends anything or knows who leads.
//!
//! No part of replicated state: another node may see it otherwise, and some of it is floats. What
//! all must agree on goes through the log as somebody's proposal.

mod agreement;
mod detector;
mod offsets;
#[cfg(test)]
mod tests;

pub use agreement::{Agreement, CHECKPOINTS_MAX, Verdict};
pub use detector::{BEAT_MS, Detector, View};
pub use offsets::{CLOCK_OFF_MS_MAX, Clock, Offsets, Sample};
