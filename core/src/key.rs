//! Keys that sort as their parts do: group, room, table, then the parts of the row.
//!
//! ```text
//! group u16 | room u8 | table u8 | part | part | …
//! text: its bytes, 0x00 as 0x00 0xFF, closed by 0x00 0x01      number: u64, big-endian
//! ```

use crate::id::GroupId;

/// Builds one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Key {
    /// The prefix of a table.
    pub fn new(group: GroupId, room: u8, table: u8) -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend(group.prefix());
        bytes.extend([room, table]);
        Self(bytes)
    }

    /// Adds text.
    #[must_use]
    pub fn text(self, part: &str) -> Self {
        self.bytes(part.as_bytes())
    }

    /// Adds bytes of any length.
    #[must_use]
    pub fn bytes(mut self, part: &[u8]) -> Self {
        for &byte in part {
            self.0.push(byte);
            if byte == 0 {
                self.0.push(0xFF);
            }
        }
        self.0.extend([0, 1]);
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, part: u64) -> Self {
        self.0.extend(part.to_be_bytes());
        self
    }

    /// Adds a byte.
    #[must_use]
    pub fn byte(mut self, part: u8) -> Self {
        self.0.push(part);
        self
    }

    /// The first key behind all that start with this one.
    pub fn end(&self) -> Vec<u8> {
        let mut end = self.0.clone();
        while let Some(last) = end.pop() {
            if last < 0xFF {
                end.push(last + 1);
                return end;
            }
        }
        vec![0xFF; self.0.len() + 1]
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, owned.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Reads the parts of a key back, after the table's prefix.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'k>(&'k [u8]);

impl<'k> Parts<'k> {
    /// The parts behind group, room and table.
    pub fn of(key: &'k [u8]) -> Self {
        Self(key.get(4..).unwrap_or_default())
    }

    /// The next part, as text; `None` if the key ends or holds no text here.
    pub fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?).ok()
    }

    /// The next part, as bytes.
    pub fn bytes(&mut self) -> Option<Vec<u8>> {
        let mut part = Vec::new();
        loop {
            match self.0 {
                [0, 1, rest @ ..] => {
                    self.0 = rest;
                    return Some(part);
                }
                [0, 0xFF, rest @ ..] => {
                    part.push(0);
                    self.0 = rest;
                }
                [0, ..] | [] => return None,
                [byte, rest @ ..] => {
                    part.push(*byte);
                    self.0 = rest;
                }
            }
        }
    }

    /// The next part, as a number.
    pub fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(parts: &[Vec<u8>]) -> Key {
        parts.iter().fold(Key::new(GroupId::CONTROL, 1, 2), |key, part| key.bytes(part))
    }

    proptest! {
        #[test]
        fn sorts_as_its_parts_and_reads_back(
            a in prop::collection::vec(prop::collection::vec(0u8..4, 0..4), 2),
            b in prop::collection::vec(prop::collection::vec(0u8..4, 0..4), 2),
        ) {
            let (left, right) = (key(&a), key(&b));
            prop_assert_eq!(left.as_bytes().cmp(right.as_bytes()), a.cmp(&b));
            let mut parts = Parts::of(left.as_bytes());
            prop_assert_eq!(parts.bytes(), Some(a[0].clone()));
            prop_assert_eq!(parts.bytes(), Some(a[1].clone()));
            prop_assert_eq!(parts.bytes(), None);
        }
    }

    #[test]
    fn end_is_behind_every_longer_key() {
        // No room has the byte 0xFF, so a last key always has a key behind it.
        let table = Key::new(GroupId(0xFFFF), 0xFE, 0xFF);
        assert!(table.clone().number(u64::MAX).into_bytes() < table.end());
    }
}
