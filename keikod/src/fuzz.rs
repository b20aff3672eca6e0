//! What the fuzz targets of all modules share. Each stands beside its parser, in a file `fuzz.rs`.

#[path = "../../tests/src/mutate.rs"]
pub(crate) mod mutate;

use crate::net::status::to_status;
use keiko_core::refusal::{Code, Refusal};

/// A refusal has one of these codes and says why in words, so few that a header of gRPC holds them.
pub(crate) fn check_refusal(refusal: &Refusal, codes: &[Code]) {
    assert!(codes.contains(&refusal.code), "{refusal:?}");
    assert!(!refusal.message.is_empty(), "{refusal:?}");
    let status = to_status(refusal);
    let header = 3 * status.message().len() + status.details().len() * 4 / 3;
    assert!(header < 15 << 10, "{header} bytes: {refusal:?}");
}

/// The same for what a peer wrote, and no terminal obeys it.
pub(crate) fn check_refusal_of_peer(refusal: &Refusal, codes: &[Code]) {
    check_refusal(refusal, codes);
    for line in refusal.causes.iter().chain(&refusal.hints).chain([&refusal.message]) {
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}
