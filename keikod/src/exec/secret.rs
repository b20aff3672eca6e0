//! The value of a credential while it is in memory.
//!
//! Invariants: the bytes are wiped when the last copy goes; neither `Debug` nor any error shows
//! them. Never: written to a log, a journal or a file.

use std::fmt;
use zeroize::Zeroizing;

/// Bytes that must not be seen. A copy is a copy of the bytes, so pass it by reference.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over; the caller must not keep another copy.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The value itself, for the one place that hands it to its destination.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let shown = format!("{:?}", Secret::new(b"hunter2".to_vec()));
        assert_eq!(shown, "Secret(…)");
    }
}
