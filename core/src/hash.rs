//! The chained state hash: equal state gives equal hash at equal index, on every node.
//!
//! `h = BLAKE3(h ‖ index ‖ revision ‖ unix_ms ‖ writes in key order)`, once for each entry and never
//! for a batch, whose borders differ between nodes.

use crate::store::Write;

/// A BLAKE3 hash.
pub type Hash = [u8; 32];

/// The hash before the first entry.
pub const GENESIS: Hash = [0; 32];

/// The hash after one more entry.
pub fn chain(before: &Hash, numbers: [u64; 3], writes: &[Write]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before);
    for number in numbers {
        hasher.update(&number.to_be_bytes());
    }
    for Write { space, key, value } in writes {
        hasher.update(&[*space as u8]);
        update_sized(&mut hasher, key);
        match value {
            Some(value) => {
                hasher.update(&[1]);
                update_sized(&mut hasher, value);
            }
            None => {
                hasher.update(&[0]);
            }
        }
    }
    *hasher.finalize().as_bytes()
}

fn update_sized(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)]).collect()
}
