//! Which behaviour needs which level, so that nodes of different releases agree.
//!
//! A node publishes [`LEVEL`]. The leader stamps entries with the highest level that all voters
//! understand; a node that meets a higher one stops with a coded error before it reads the op. The
//! highest level so far is part of the state (see `house::Head`): it never falls, and a node of an
//! older release neither starts on such a state nor takes one over.

/// The layout of `keiko.v1.Entry` that this release writes.
pub const FORMAT: u32 = 1;

/// The level that every release understands.
pub const FIRST: u32 = 1;

/// The highest level that this release understands.
///
/// | level | since | what it brings |
/// |---|---|---|
/// | 1 | 0.1.0 | rooms cluster, security, coordination, registry, journal; fences |
pub const LEVEL: u32 = 1;
