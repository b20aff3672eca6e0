//! The durable note: what the flusher synced, kept apart from the store.
//!
//! RocksDB can't tell a log whose tail was torn by a crash from one whose acknowledged end is gone.
//! So after each sync the flusher notes for every group its vote and the last log id. At a start, a
//! vote or a log end below the note is damage.
//!
//! Invariants:
//! - The note is never ahead of what was synced: it is written after the sync, and lowered (and
//!   synced itself) before a truncation touches the store. Behind is harmless.
//! - Two slots are written in turn, each with a sequence and a CRC32C, so one torn write leaves the
//!   other slot.
//!
//! What the slots do not cover: nothing is synced between two writes, so under load both wait in
//! the kernel's cache at the same time. A killed process loses neither. A power cut may tear both,
//! or tear the newer one while the disk still has the slot from before a lowering; then a start is
//! refused though nothing is lost. It takes a slot of more than one sector: with one group a slot
//! is 52 bytes, up to 13 groups fit in 512 bytes, and a sector is written whole or not at all.

use super::damage;
use super::folder::fault;
use super::record::{LogId, Vote, open, seal};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Room for 1,820 groups of 36 bytes.
const SLOT_BYTES: usize = 64 << 10;
/// CRC32C, sequence, number of groups.
const HEADER_BYTES: usize = 4 + 8 + 4;
/// Group, flags, vote, log id.
const GROUP_BYTES: usize = 2 + 1 + Vote::BYTES + LogId::BYTES;
/// What one slot takes.
const GROUPS_MAX: usize = (SLOT_BYTES - HEADER_BYTES) / GROUP_BYTES;
const MAGIC: &[u8] = b"keiko durable note 1";

/// What was durable of one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// Its vote.
    pub vote: Option<Vote>,
    /// The last entry of its log.
    pub last: Option<LogId>,
}

/// Every group's.
pub type Groups = BTreeMap<GroupId, Noted>;

/// The open note.
#[derive(Debug)]
pub struct Note {
    path: PathBuf,
    file: File,
    sequence: u64,
    /// What the next [`Note::write`] writes.
    pub groups: Groups,
}

impl Note {
    /// Makes the first note of a folder that holds no log yet.
    pub fn create(path: &Path) -> Result<Self> {
        // With its name the file has a whole slot, whenever the power goes.
        let first = encode(0, &Groups::new());
        super::folder::write_synced(path, &first).map_err(|error| fault(path, "create", error))?;
        let note = Self::open(path, true)?;
        note.ok_or_else(|| damage(path, "it vanished when it was made"))
    }

    /// Reads the newer of the slots that are whole; `None` if there is no file.
    pub fn open(path: &Path, writable: bool) -> Result<Option<Self>> {
        let file = match OpenOptions::new().read(true).write(writable).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault(path, "open", error)),
        };
        let mut newest: Option<(u64, Groups)> = None;
        for slot in 0..2 {
            let bytes = read_slot(&file, slot).map_err(|error| fault(path, "read", error))?;
            if let Some((sequence, groups)) = decode(&bytes)
                && newest.as_ref().is_none_or(|(newer, _)| sequence > *newer)
            {
                newest = Some((sequence, groups));
            }
        }
        let Some((sequence, groups)) = newest else {
            return Err(damage(path, "neither slot of the durable note is whole"));
        };
        Ok(Some(Self { path: path.to_owned(), file, sequence, groups }))
    }

    /// Writes the next slot; it reaches the disk when the kernel likes.
    pub fn write(&mut self) -> Result<()> {
        if self.groups.len() > GROUPS_MAX {
            let message =
                format!("{} can't hold more than {GROUPS_MAX} groups", self.path.display());
            return Err(Refusal::new(Code::LimitExceeded, message));
        }
        self.sequence += 1;
        let bytes = encode(self.sequence, &self.groups);
        self.file
            .write_all_at(&bytes, slot_offset(self.sequence % 2))
            .map_err(|error| fault(&self.path, "write", error))
    }

    /// Makes what was written durable.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|error| fault(&self.path, "sync", error))
    }
}

const fn slot_offset(slot: u64) -> u64 {
    slot * SLOT_BYTES as u64
}

fn read_slot(file: &File, slot: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; SLOT_BYTES];
    let mut length = 0;
    while length < SLOT_BYTES {
        match file.read_at(&mut bytes[length..], slot_offset(slot) + length as u64)? {
            0 => break,
            read => length += read,
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

fn encode(sequence: u64, groups: &Groups) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + groups.len() * GROUP_BYTES);
    bytes.extend([0; 4]);
    bytes.extend(sequence.to_be_bytes());
    bytes.extend((groups.len() as u32).to_be_bytes());
    for (group, Noted { vote, last }) in groups {
        bytes.extend(group.prefix());
        bytes.push(u8::from(vote.is_some()) | u8::from(last.is_some()) << 1);
        bytes.extend(vote.map_or([0; Vote::BYTES], Vote::encode));
        bytes.extend(last.map_or([0; LogId::BYTES], LogId::encode));
    }
    seal(MAGIC, &mut bytes);
    bytes
}

fn decode(bytes: &[u8]) -> Option<(u64, Groups)> {
    let count = u32::from_be_bytes(*bytes.get(12..)?.first_chunk()?) as usize;
    let length = HEADER_BYTES + count.checked_mul(GROUP_BYTES)?;
    let body = open(MAGIC, bytes.get(..length)?)?;
    let sequence = u64::from_be_bytes(*body.first_chunk()?);
    let mut groups = Groups::new();
    for bytes in body[12..].chunks_exact(GROUP_BYTES) {
        let group = GroupId(u16::from_be_bytes(*bytes.first_chunk()?));
        let (vote, last) = bytes[3..].split_at(Vote::BYTES);
        let vote = if bytes[2] & 1 == 0 { None } else { Some(Vote::decode(vote)?) };
        let last = if bytes[2] & 2 == 0 { None } else { Some(LogId::decode(last)?) };
        groups.insert(group, Noted { vote, last });
    }
    Some((sequence, groups))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(term: u64, index: u64) -> Noted {
        let vote = Vote { term, node_id: 1, committed: true };
        Noted { vote: Some(vote), last: Some(LogId { term, index }) }
    }

    fn write(note: &mut Note, index: u64) {
        note.groups.insert(GroupId::CONTROL, noted(1, index));
        note.write().unwrap();
    }

    fn last(path: &Path) -> Option<u64> {
        let note = Note::open(path, false).unwrap().unwrap();
        note.groups.get(&GroupId::CONTROL).and_then(|noted| noted.last).map(|last| last.index)
    }

    #[test]
    fn a_torn_slot_leaves_the_one_before() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("durable");
        let mut note = Note::create(&path).unwrap();
        assert_eq!(last(&path), None);
        for index in 1..=5 {
            write(&mut note, index);
            assert_eq!(last(&path), Some(index));
        }
        let newest = slot_offset(note.sequence % 2);
        for torn in [0, 3, 8, HEADER_BYTES as u64, 40] {
            let mut byte = [0];
            note.file.read_exact_at(&mut byte, newest + torn).unwrap();
            note.file.write_all_at(&[!byte[0]], newest + torn).unwrap();
            assert_eq!(last(&path), Some(4), "torn at {torn}");
            note.file.write_all_at(&byte, newest + torn).unwrap();
        }
        assert_eq!(last(&path), Some(5));
    }

    #[test]
    fn two_torn_slots_are_damage_and_no_file_is_none() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("durable");
        assert!(Note::open(&path, true).unwrap().is_none());
        std::fs::write(&path, b"").unwrap();
        assert_eq!(Note::open(&path, true).unwrap_err().code, Code::StoreDamaged);
        std::fs::write(&path, vec![0; 2 * SLOT_BYTES]).unwrap();
        assert_eq!(Note::open(&path, true).unwrap_err().code, Code::StoreDamaged);
    }

    #[test]
    fn many_groups_and_missing_halves_come_back() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("durable");
        let mut note = Note::create(&path).unwrap();
        for group in 0..GROUPS_MAX as u16 {
            note.groups.insert(GroupId(group), noted(2, u64::from(group)));
        }
        assert_eq!((HEADER_BYTES + GROUP_BYTES, GROUP_BYTES, GROUPS_MAX), (52, 36, 1820));
        note.groups.insert(GroupId(7), Noted { vote: None, ..noted(2, 7) });
        note.groups.insert(GroupId(8), Noted { last: None, ..noted(2, 8) });
        note.write().unwrap();
        assert_eq!(Note::open(&path, false).unwrap().unwrap().groups, note.groups);
        note.groups.insert(GroupId(u16::MAX), noted(2, 0));
        assert_eq!(note.write().unwrap_err().code, Code::LimitExceeded);
    }
}

#[cfg(test)]
mod fuzz;
