//! The bytes of consensus on disk: log records, votes, log ids, the applied mark.
//!
//! Every value carries a CRC32C over its key and its bytes, so a record that was damaged, or that
//! turned up in another's place, is noticed by whoever reads it. Nothing here knows openraft.

use bytes::Bytes;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use std::cmp::Ordering;
use std::fmt;

/// The layout of a log record that this release writes.
const LAYOUT: u8 = 1;
/// CRC32C, layout, kind, term.
const HEADER_BYTES: usize = 4 + 1 + 1 + 8;

/// Where in the log: the term of the leader that wrote it, and the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogId {
    /// Terms grow with the index.
    pub term: u64,
    /// Counted from 0, without a hole.
    pub index: u64,
}

impl LogId {
    pub(crate) const BYTES: usize = 16;

    pub(crate) fn encode(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.term.to_be_bytes());
        bytes[8..].copy_from_slice(&self.index.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (term, index) = bytes.split_first_chunk()?;
        let term = u64::from_be_bytes(*term);
        Some(Self { term, index: u64::from_be_bytes(index.try_into().ok()?) })
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (term {})", self.index, self.term)
    }
}

/// Whom this node voted for, and whether that one won.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// At most one vote in each term.
    pub term: u64,
    /// For whom.
    pub node_id: u64,
    /// True once a quorum voted the same.
    pub committed: bool,
}

impl Vote {
    pub(crate) const BYTES: usize = 17;

    pub(crate) fn encode(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.term.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.node_id.to_be_bytes());
        bytes[16] = u8::from(self.committed);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (term, rest) = bytes.split_first_chunk()?;
        let (node_id, rest) = rest.split_first_chunk()?;
        let committed = match rest {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        let (term, node_id) = (u64::from_be_bytes(*term), u64::from_be_bytes(*node_id));
        Some(Self { term, node_id, committed })
    }

    /// True if a node that once held `noted` may hold `self` now. In one term a vote moves to
    /// another node only if that one won: whoever voted for the loser then follows the winner.
    pub(crate) fn follows(self, noted: Self) -> bool {
        match self.term.cmp(&noted.term) {
            Ordering::Equal if self.node_id == noted.node_id => self.committed >= noted.committed,
            Ordering::Equal => self.committed && !noted.committed,
            order => order == Ordering::Greater,
        }
    }
}

impl fmt::Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "for node {} in term {}", self.node_id, self.term)
    }
}

/// How far the state machine came, and the membership it knows (opaque here).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The last entry that was applied.
    pub last: LogId,
    /// As consensus encodes it.
    pub membership: Vec<u8>,
}

impl Applied {
    pub(crate) fn encode(&self) -> Vec<u8> {
        [&self.last.encode()[..], &self.membership].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (last, membership) = bytes.split_at_checked(LogId::BYTES)?;
        Some(Self { last: LogId::decode(last)?, membership: membership.to_vec() })
    }
}

/// What kind of entry a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A new leader's first entry.
    Blank,
    /// An encoded `keiko.v1.Entry`.
    Normal,
    /// Members, as consensus encodes them.
    Membership,
}

/// One entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where.
    pub id: LogId,
    /// What the payload is.
    pub kind: Kind,
    /// Refcounted: reading it again from memory copies nothing.
    pub payload: Bytes,
}

impl Record {
    /// The value under [`log_key`].
    pub(crate) fn encode(&self, key: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.payload.len());
        bytes.extend([0; 4]);
        bytes.push(LAYOUT);
        bytes.push(match self.kind {
            Kind::Blank => 0,
            Kind::Normal => 1,
            Kind::Membership => 2,
        });
        bytes.extend(self.id.term.to_be_bytes());
        bytes.extend_from_slice(&self.payload);
        seal(key, &mut bytes);
        bytes
    }

    /// Checks and reads the value under `key`.
    pub(crate) fn decode(key: &[u8], bytes: &[u8]) -> Result<Self> {
        let body = open(key, bytes).ok_or_else(|| damaged(key, "its checksum does not match"))?;
        let index = match key.get(2..).and_then(|index| index.try_into().ok()) {
            Some(index) => u64::from_be_bytes(index),
            None => return Err(damaged(key, "its key has a wrong length")),
        };
        let [LAYOUT, kind, rest @ ..] = body else {
            return Err(damaged(key, "its layout is not known to this release"));
        };
        let kind = match kind {
            0 => Kind::Blank,
            1 => Kind::Normal,
            2 => Kind::Membership,
            _ => return Err(damaged(key, "its kind is not known to this release")),
        };
        let Some((term, payload)) = rest.split_first_chunk() else {
            return Err(damaged(key, "it is too short"));
        };
        let id = LogId { term: u64::from_be_bytes(*term), index };
        Ok(Self { id, kind, payload: Bytes::copy_from_slice(payload) })
    }
}

fn damaged(key: &[u8], cause: &str) -> Refusal {
    let text = match key {
        [high, low, index @ ..] if index.len() == 8 => {
            let index = index.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
            format!("record {index} of the log of group {}", u16::from_be_bytes([*high, *low]))
        }
        _ => format!("the log record at key {}", keiko_core::hash::hex(key)),
    };
    Refusal::new(Code::ChecksumMismatch, format!("{text} is damaged")).cause(cause)
}

/// The key of a log record: group, then index, so that a group's log lies together and in order.
pub(crate) fn log_key(group: GroupId, index: u64) -> [u8; 10] {
    let mut key = [0; 10];
    key[..2].copy_from_slice(&group.prefix());
    key[2..].copy_from_slice(&index.to_be_bytes());
    key
}

/// Fills the first four bytes with the CRC32C of the key and the rest.
pub(crate) fn seal(key: &[u8], bytes: &mut [u8]) {
    let (head, body) = bytes.split_at_mut(4);
    head.copy_from_slice(&checksum(key, body).to_le_bytes());
}

/// What follows the CRC32C, if that is right.
pub(crate) fn open<'a>(key: &[u8], bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (head, body) = bytes.split_first_chunk()?;
    (u32::from_le_bytes(*head) == checksum(key, body)).then_some(body)
}

fn checksum(key: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: Kind, payload: &'static [u8]) -> Record {
        Record { id: LogId { term: 7, index: 42 }, kind, payload: Bytes::from_static(payload) }
    }

    #[test]
    fn records_come_back_as_written() {
        let key = log_key(GroupId(3), 42);
        for record in [
            record(Kind::Blank, b""),
            record(Kind::Normal, b"entry"),
            record(Kind::Membership, b"\x00\xFF"),
        ] {
            assert_eq!(Record::decode(&key, &record.encode(&key)), Ok(record));
        }
    }

    #[test]
    fn any_flipped_bit_and_any_other_place_is_noticed() {
        let key = log_key(GroupId(3), 42);
        let bytes = record(Kind::Normal, b"entry").encode(&key);
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let refusal = Record::decode(&key, &bytes).unwrap_err();
            assert_eq!(refusal.code, Code::ChecksumMismatch, "bit {bit}");
        }
        for key in [log_key(GroupId(3), 43), log_key(GroupId(4), 42)] {
            assert!(Record::decode(&key, &bytes).is_err());
        }
        for length in 0..bytes.len() {
            assert!(Record::decode(&key, &bytes[..length]).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn votes_only_move_forward() {
        let vote = |term, node_id, committed| Vote { term, node_id, committed };
        for (now, noted, expect) in [
            (vote(2, 1, false), vote(2, 1, false), true),
            (vote(2, 1, true), vote(2, 1, false), true),
            (vote(2, 1, false), vote(2, 1, true), false),
            (vote(2, 2, true), vote(2, 1, false), true),
            (vote(2, 2, false), vote(2, 1, false), false),
            (vote(2, 2, true), vote(2, 1, true), false),
            (vote(2, 2, false), vote(2, 1, true), false),
            (vote(3, 2, false), vote(2, 1, true), true),
            (vote(1, 1, true), vote(2, 1, false), false),
        ] {
            assert_eq!(now.follows(noted), expect, "{now:?} after {noted:?}");
            assert_eq!(Vote::decode(&now.encode()), Some(now));
        }
    }
}
