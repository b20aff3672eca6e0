//! A file of which the disk surely has only what was synced.

use super::content::{Content, SECTOR_BYTES, pages};
use crate::report::Dice;
use std::collections::BTreeSet;

/// What of the unsynced changes a power cut leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// Nothing of them.
    Nothing,
    /// Of each file its changes up to some point, the write after it in part, torn between two
    /// sectors; of all names the changes up to some point. Each file has a point of its own, so
    /// what was written later to one may be there and what was written before to another not.
    Prefix,
    /// The same for names; of each file any sectors of any write, as a disk with a cache of its own
    /// leaves them.
    Sectors,
    /// All of them: only the process died.
    Everything,
}

/// Something that was not synced yet.
#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Length(u64),
}

/// What everybody reads, and what is durable.
#[derive(Clone, Debug, Default)]
pub struct File {
    now: Content,
    durable: Content,
    pending: Vec<Change>,
    /// The pages in which the two may differ.
    dirty: BTreeSet<u64>,
}

impl File {
    /// What everybody reads.
    pub fn now(&self) -> &Content {
        &self.now
    }

    /// Changes that were not synced.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Writes, unsynced.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.now.write(offset, bytes);
        self.dirty.extend(pages(offset, bytes.len() as u64));
        self.pending.push(Change::Write { offset, bytes: bytes.to_vec() });
    }

    /// Cuts or grows, unsynced.
    pub fn set_length(&mut self, length: u64) {
        self.dirty.extend(self.now.set_length(length));
        self.pending.push(Change::Length(length));
    }

    /// Takes room; that is nothing that could be lost.
    pub fn reserve(&mut self, offset: u64, length: u64, grow: bool) {
        self.now.reserve(offset, length);
        if grow && offset + length > self.now.length() {
            self.set_length(offset + length);
        }
    }

    /// Gives back the room beyond the end.
    pub fn release(&mut self) {
        self.now.release();
    }

    /// Makes everything durable.
    pub fn sync(&mut self) {
        self.durable.follow(&self.now, std::mem::take(&mut self.dirty));
        self.pending.clear();
    }

    /// Turns a bit over for good.
    pub fn flip(&mut self, offset: u64, bit: u32) {
        self.sync();
        self.now.flip(offset, bit);
        self.durable.flip(offset, bit);
    }

    /// The power goes and comes back.
    pub fn cut(&mut self, survival: Survival, dice: &mut Dice) {
        let pending = std::mem::take(&mut self.pending);
        let whole = match survival {
            Survival::Nothing => 0,
            Survival::Everything | Survival::Sectors => pending.len(),
            Survival::Prefix => dice.below(pending.len() as u64 + 1) as usize,
        };
        for (number, change) in pending.iter().enumerate() {
            match change {
                Change::Length(length) if number < whole => {
                    self.durable.set_length(*length);
                }
                Change::Write { offset, bytes } if number < whole => {
                    for (offset, bytes) in sectors(*offset, bytes) {
                        if survival != Survival::Sectors || dice.below(2) == 1 {
                            self.durable.write(offset, bytes);
                        }
                    }
                }
                Change::Write { offset, bytes } if survival == Survival::Prefix => {
                    let sectors: Vec<_> = sectors(*offset, bytes).collect();
                    let count = dice.below(sectors.len() as u64 + 1) as usize;
                    for (offset, bytes) in &sectors[..count] {
                        self.durable.write(*offset, bytes);
                    }
                    break;
                }
                _ => break,
            }
        }
        self.durable.release();
        self.now = self.durable.clone();
        self.dirty.clear();
    }
}

/// A write in the pieces that a disk writes whole.
fn sectors(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let (mut at, mut rest) = (offset, bytes);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = rest.len().min((SECTOR_BYTES - at % SECTOR_BYTES) as usize);
        let (now, later) = rest.split_at(length);
        let piece = (at, now);
        (at, rest) = (at + length as u64, later);
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(file: &File) -> Vec<u8> {
        file.now.read(0, u64::MAX)
    }

    #[test]
    fn sectors_are_never_torn() {
        let pieces: Vec<(u64, usize)> =
            sectors(500, &[0; 1100]).map(|(offset, bytes)| (offset, bytes.len())).collect();
        assert_eq!(pieces, [(500, 12), (512, 512), (1024, 512), (1536, 64)]);
    }

    #[test]
    fn what_was_synced_stays_whatever_comes_after() {
        for survival in [Survival::Nothing, Survival::Prefix, Survival::Sectors] {
            for seed in 0..200 {
                let mut dice = Dice(seed);
                let mut file = File::default();
                file.write(0, &[1; 5_000]);
                file.sync();
                file.write(5_000, &[2; 5_000]);
                file.cut(survival, &mut dice);
                let found = text(&file);
                assert_eq!(found[..5_000], [1; 5_000], "seed {seed}");
                assert!(survival != Survival::Nothing || found.len() == 5_000, "seed {seed}");
                // Torn or whole, a prefix has no hole.
                let holes = found[5_000..].contains(&0);
                assert!(!holes || survival == Survival::Sectors, "seed {seed}");
            }
        }
    }

    #[test]
    fn every_part_of_a_write_can_be_what_is_left() {
        let mut lengths = BTreeSet::new();
        for seed in 0..200 {
            let mut file = File::default();
            file.write(0, &[1; 2_048]);
            file.cut(Survival::Prefix, &mut Dice(seed));
            lengths.insert(text(&file).len());
        }
        assert_eq!(lengths, BTreeSet::from([0, 512, 1024, 1536, 2048]));
    }

    #[test]
    fn truncation_is_lost_too() {
        let mut file = File::default();
        file.write(0, b"kept");
        file.sync();
        file.set_length(1);
        assert_eq!(text(&file), b"k");
        file.cut(Survival::Nothing, &mut Dice(1));
        assert_eq!(text(&file), b"kept");
        file.set_length(1);
        file.sync();
        file.cut(Survival::Nothing, &mut Dice(1));
        assert_eq!(text(&file), b"k");
    }
}
