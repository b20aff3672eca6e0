//! What the fuzz targets of all modules share. Each stands beside its parser, in a file `fuzz.rs`.

#[path = "../../tests/src/mutate.rs"]
pub(crate) mod mutate;

use keiko_core::refusal::{Code, LINE_BYTES_MAX, Refusal};

/// A refusal has one of these codes and says why in a few words, whatever it refuses.
pub(crate) fn check_refusal(refusal: &Refusal, codes: &[Code]) {
    assert!(codes.contains(&refusal.code), "{refusal:?}");
    assert!(!refusal.message.is_empty(), "{refusal:?}");
    let mut lines = refusal.causes.iter().chain(&refusal.hints).chain([&refusal.message]);
    assert!(lines.all(|line| line.len() <= LINE_BYTES_MAX), "{refusal:?}");
    assert!(refusal.causes.len() + refusal.hints.len() < 32, "{refusal:?}");
}
