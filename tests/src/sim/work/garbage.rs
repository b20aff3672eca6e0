//! Bytes that nobody should have proposed: noise, an entry cut short, an entry with a flipped bit,
//! one from a newer release, one that names nothing.

use crate::report::Dice;
use keiko_core::features;
use keiko_proto::v1 as wire;
use prost::Message as _;

/// A field that this release does not know, in bytes that it could not read.
const UNKNOWN: [u8; 6] = [0xA2, 0x06, 0x03, 0xFF, 0xFF, 0xFF];
/// The registry's op, in bytes that this release can't read.
const UNREADABLE_OP: [u8; 6] = [0x92, 0x01, 0x03, 0xFF, 0xFF, 0xFF];

pub(in crate::sim) fn garbage(dice: &mut Dice, entry: &wire::Entry) -> Vec<u8> {
    let mut bytes = entry.encode_to_vec();
    match dice.below(8) {
        0 => (0..dice.below(48)).map(|_| dice.below(256) as u8).collect(),
        1 => {
            bytes.truncate(dice.below(bytes.len() as u64) as usize);
            bytes
        }
        2 => wire::Entry { room: None, ..entry.clone() }.encode_to_vec(),
        3 => {
            bytes.extend(if dice.below(2) == 0 { UNKNOWN } else { UNREADABLE_OP });
            bytes
        }
        4 => {
            let level = features::LEVEL + 1 + dice.below(9) as u32;
            let newer = wire::Entry { feature_level: level, room: None, ..entry.clone() };
            [newer.encode_to_vec(), UNREADABLE_OP.to_vec(), UNKNOWN.to_vec()].concat()
        }
        _ => {
            // The clock comes early in an entry: a bit of it would put everything into the future.
            let from = bytes.len().min(16) as u64;
            for _ in 0..=dice.below(3) {
                let at = from + dice.below((bytes.len() as u64 - from).max(1));
                if let Some(byte) = bytes.get_mut(at as usize) {
                    *byte ^= 1 << dice.below(8);
                }
            }
            bytes
        }
    }
}
