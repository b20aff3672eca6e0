//! Rows, cut into pieces by what they are and not by where they stand: one row more shifts nothing
//! but the piece that it is in.
//!
//! ```text
//! length of the key u32 | length of the value u32 | key | value | …
//! ```

use crate::hash::Hash;
use crate::store::Pair;

/// A piece is cut where a row's key says so; on average after as many bytes. Smaller ones would be
/// many requests to a bucket, larger ones would be written again for little.
const PIECE_BYTES_TARGET: u64 = 256 << 10;
/// No piece but the last of a space is smaller.
const PIECE_BYTES_MIN: usize = 64 << 10;
/// None is larger, but one of a single row.
const PIECE_BYTES_MAX: usize = 1 << 20;
/// What a reader takes: a single row is smaller than an entry of 4 MiB.
pub const PIECE_BYTES_READ_MAX: usize = 8 << 20;
const LENGTHS_BYTES: usize = 8;

/// The name of a piece.
pub fn hash_of(piece: &[u8]) -> Hash {
    *blake3::hash(piece).as_bytes()
}

/// Cuts the rows of one space.
#[derive(Debug, Default)]
pub struct Cutter {
    bytes: Vec<u8>,
}

impl Cutter {
    /// Takes the next row; gives the piece that ends with it, or before it.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        let length = LENGTHS_BYTES + key.len() + value.len();
        if !self.bytes.is_empty() && self.bytes.len() + length > PIECE_BYTES_MAX {
            let full = std::mem::take(&mut self.bytes);
            self.add(key, value);
            return Some(full);
        }
        self.add(key, value);
        let ends = self.bytes.len() >= PIECE_BYTES_MIN && is_border(key, length as u64);
        ends.then(|| std::mem::take(&mut self.bytes))
    }

    /// What is left.
    pub fn finish(self) -> Option<Vec<u8>> {
        (!self.bytes.is_empty()).then_some(self.bytes)
    }

    fn add(&mut self, key: &[u8], value: &[u8]) {
        for part in [key, value] {
            let length = u32::try_from(part.len()).expect("invariant: a row is smaller than 4 GiB");
            self.bytes.extend(length.to_be_bytes());
        }
        self.bytes.extend(key);
        self.bytes.extend(value);
    }
}

/// As likely as the row is long, so that pieces are equally large whatever the rows are.
fn is_border(key: &[u8], length: u64) -> bool {
    let hash = blake3::hash(key);
    let drawn = hash.as_bytes().first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    u64::from(drawn) < length * ((1 << 32) / PIECE_BYTES_TARGET)
}

/// The rows of a piece, in order; none if these bytes are no rows.
pub fn rows(mut piece: &[u8]) -> Option<Vec<Pair>> {
    let mut rows = Vec::new();
    while !piece.is_empty() {
        let key = number(&mut piece)?;
        let value = number(&mut piece)?;
        let key = taken(&mut piece, key)?;
        let value = taken(&mut piece, value)?;
        rows.push((key.to_vec(), value.to_vec()));
    }
    Some(rows)
}

fn number(bytes: &mut &[u8]) -> Option<usize> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    usize::try_from(u32::from_be_bytes(*number)).ok()
}

fn taken<'b>(bytes: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn cut(pairs: &[Pair]) -> Vec<Vec<u8>> {
        let mut cutter = Cutter::default();
        let mut pieces: Vec<_> =
            pairs.iter().filter_map(|(key, value)| cutter.push(key, value)).collect();
        pieces.extend(cutter.finish());
        pieces
    }

    fn pairs(count: u32) -> Vec<Pair> {
        let value = |n: u32| vec![(n % 251) as u8; 100 + (n % 700) as usize];
        (0..count).map(|n| (format!("key {n:09}").into_bytes(), value(n))).collect()
    }

    #[test]
    fn rows_come_back() {
        let pairs = pairs(5000);
        let pieces = cut(&pairs);
        assert!(pieces.len() > 4, "{}", pieces.len());
        let back: Vec<Pair> = pieces.iter().flat_map(|piece| rows(piece).unwrap()).collect();
        assert_eq!(back, pairs);
        assert_eq!(cut(&[]), Vec::<Vec<u8>>::new());
        let last = pieces.len() - 1;
        for piece in &pieces[..last] {
            assert!((PIECE_BYTES_MIN..=PIECE_BYTES_MAX).contains(&piece.len()), "{}", piece.len());
        }
        for length in 1..pieces[0].len().min(40) {
            assert_eq!(rows(&pieces[0][..length]), None, "cut to {length}");
        }
    }

    #[test]
    fn a_row_that_is_larger_than_a_piece_is_one() {
        let mut pairs = pairs(10);
        pairs[5].1 = vec![7; 3 << 20];
        let pieces = cut(&pairs);
        assert!(pieces.iter().all(|piece| piece.len() < PIECE_BYTES_READ_MAX));
        let back: Vec<Pair> = pieces.iter().flat_map(|piece| rows(piece).unwrap()).collect();
        assert_eq!(back, pairs);
    }

    #[test]
    fn one_row_more_changes_few_pieces() {
        let before = pairs(20_000);
        let known: BTreeSet<Hash> = cut(&before).iter().map(|piece| hash_of(piece)).collect();
        for at in [0, 10_000, 19_999] {
            let mut after = before.clone();
            after.insert(at, (format!("key {at:09}!").into_bytes(), vec![1; 300]));
            after.sort();
            let new = cut(&after).iter().filter(|piece| !known.contains(&hash_of(piece))).count();
            assert!((1..=4).contains(&new), "{new} of {} are new", known.len());
        }
    }
}
