//! The bytes of a file, in pages that copies share: an image of a whole disk costs no bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A disk writes this much whole or not at all.
pub const SECTOR_BYTES: u64 = 512;
/// What one piece of a file takes.
pub const PAGE_BYTES: u64 = 4096;

type Page = [u8; PAGE_BYTES as usize];

/// What a file holds; what has no page reads as zeros and takes no room.
#[derive(Clone, Debug, Default)]
pub struct Content {
    length: u64,
    pages: BTreeMap<u64, Arc<Page>>,
}

impl Content {
    /// In bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What it takes on the disk, in bytes.
    pub fn room(&self) -> u64 {
        self.pages.len() as u64 * PAGE_BYTES
    }

    /// What a write there would take in addition, in bytes.
    pub fn room_for(&self, offset: u64, length: u64) -> u64 {
        let missing = pages(offset, length).filter(|page| !self.pages.contains_key(page));
        missing.count() as u64 * PAGE_BYTES
    }

    /// Up to `size` bytes from `offset` on; fewer at the end.
    pub fn read(&self, offset: u64, size: u64) -> Vec<u8> {
        let end = self.length.min(offset.saturating_add(size));
        let mut bytes = Vec::with_capacity(end.saturating_sub(offset) as usize);
        let mut at = offset;
        while at < end {
            let (page, from) = (at / PAGE_BYTES, at % PAGE_BYTES);
            let to = PAGE_BYTES.min(from + (end - at));
            match self.pages.get(&page) {
                Some(page) => bytes.extend(&page[from as usize..to as usize]),
                None => bytes.resize(bytes.len() + (to - from) as usize, 0),
            }
            at += to - from;
        }
        bytes
    }

    /// Writes, and grows if that is needed.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        let mut rest = bytes;
        let mut at = offset;
        while !rest.is_empty() {
            let (page, from) = (at / PAGE_BYTES, (at % PAGE_BYTES) as usize);
            let (now, later) = rest.split_at(rest.len().min(PAGE_BYTES as usize - from));
            let page = self.pages.entry(page).or_insert_with(|| Arc::new([0; _]));
            Arc::make_mut(page)[from..from + now.len()].copy_from_slice(now);
            at += now.len() as u64;
            rest = later;
        }
        self.length = self.length.max(at);
    }

    /// Cuts or grows it; what is new are zeros. Gives the pages that it changed.
    pub fn set_length(&mut self, length: u64) -> Vec<u64> {
        let kept = length.div_ceil(PAGE_BYTES);
        let mut changed: Vec<u64> = self.pages.split_off(&kept).into_keys().collect();
        let last = length / PAGE_BYTES;
        if length < self.length
            && let Some(page) = self.pages.get_mut(&last)
        {
            Arc::make_mut(page)[(length % PAGE_BYTES) as usize..].fill(0);
            changed.push(last);
        }
        self.length = length;
        changed
    }

    /// Takes room for a part, beyond the end too.
    pub fn reserve(&mut self, offset: u64, length: u64) {
        // One page of zeros serves all of them until they are written.
        let zeros = Arc::new([0; PAGE_BYTES as usize]);
        for page in pages(offset, length) {
            self.pages.entry(page).or_insert_with(|| Arc::clone(&zeros));
        }
    }

    /// Gives back the room beyond the end.
    pub fn release(&mut self) {
        drop(self.pages.split_off(&self.length.div_ceil(PAGE_BYTES)));
    }

    /// Turns one bit over.
    pub fn flip(&mut self, offset: u64, bit: u32) {
        let mut byte = self.read(offset, 1);
        assert!(!byte.is_empty(), "no byte {offset} in {} bytes", self.length);
        byte[0] ^= 1 << bit;
        self.write(offset, &byte);
    }

    /// Becomes like `other`, of which it differs in these pages at most.
    pub fn follow(&mut self, other: &Self, changed: impl IntoIterator<Item = u64>) {
        for page in changed {
            match other.pages.get(&page) {
                Some(bytes) => drop(self.pages.insert(page, Arc::clone(bytes))),
                None => drop(self.pages.remove(&page)),
            }
        }
        self.length = other.length;
    }
}

/// The pages that a part of a file touches.
pub fn pages(offset: u64, length: u64) -> std::ops::Range<u64> {
    match length {
        0 => 0..0,
        _ => offset / PAGE_BYTES..(offset + length).div_ceil(PAGE_BYTES),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_was_written_like_a_vector() {
        let mut dice = crate::report::Dice(7);
        let (mut content, mut copy, mut model) =
            (Content::default(), Content::default(), Vec::new());
        for _ in 0..2_000 {
            let offset = dice.below(20_000);
            match dice.below(4) {
                0 => {
                    let changed = content.set_length(offset);
                    model.resize(offset as usize, 0);
                    copy.follow(&content, changed);
                }
                _ => {
                    let bytes = vec![dice.below(256) as u8; dice.below(9_000) as usize];
                    let end = offset as usize + bytes.len();
                    if !bytes.is_empty() {
                        model.resize(model.len().max(end), 0);
                        model[offset as usize..end].copy_from_slice(&bytes);
                    }
                    content.write(offset, &bytes);
                    copy.follow(&content, pages(offset, bytes.len() as u64));
                }
            }
            assert_eq!(content.read(0, u64::MAX), model);
            assert_eq!(copy.read(0, u64::MAX), model);
            let (offset, size) = (dice.below(30_000), dice.below(9_000));
            let from = model.len().min(offset as usize);
            let to = model.len().min((offset + size) as usize);
            assert_eq!(content.read(offset, size), model[from..to]);
        }
    }
}
