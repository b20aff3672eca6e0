//! The one random source of the network: keys, nonces, token secrets, trace ids.

use aws_lc_rs::rand;
use keiko_core::refusal::{Code, Refusal, Result};

/// `N` bytes that nobody can guess.
pub(super) fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| {
        Refusal::new(Code::Internal, "the operating system gives no random bytes")
            .hint("check that /dev/urandom and getrandom(2) work")
    })?;
    Ok(bytes)
}
