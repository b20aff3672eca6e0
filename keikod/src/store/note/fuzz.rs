//! Slots of the durable note as no flusher wrote them.

use super::{GROUP_BYTES, HEADER_BYTES, MAGIC, Note, Noted, SLOT_BYTES, decode, encode};
use crate::fuzz::{check_refusal, mutate};
use crate::store::record::{LogId, Vote, seal};
use keiko_core::id::GroupId;
use keiko_core::refusal::Code;

const WORDS: &[&str] =
    &["\u{0}\u{0}\u{0}\u{1}", "\u{0}", "\u{1}", "\u{3}", "\u{7f}\u{7f}\u{7f}\u{7f}"];

fn slots() -> Vec<Vec<u8>> {
    let vote = Some(Vote { term: 2, node_id: 1, committed: true });
    let last = Some(LogId { term: 2, index: 9 });
    let noted = [Noted { vote, last }, Noted { vote: None, last }, Noted { vote, last: None }];
    let groups =
        |count: u16| (0..count).map(|at| (GroupId(at), noted[usize::from(at) % 3])).collect();
    [0, 1, 3, 40].map(|count| encode(u64::from(count), &groups(count))).into()
}

/// What is decoded says the same when it is written, and no count makes a reader leave its slot.
#[test]
fn any_slot() {
    mutate::run("slots of the durable note", &slots(), WORDS, |bytes| {
        for sealed in [false, true] {
            let mut bytes = bytes.to_vec();
            if sealed {
                // The count of its length, so that the checksum covers what is read.
                bytes.resize(bytes.len().max(HEADER_BYTES), 0);
                let count = (bytes.len() - HEADER_BYTES) / GROUP_BYTES;
                bytes[12..HEADER_BYTES].copy_from_slice(&(count as u32).to_be_bytes());
                seal(MAGIC, &mut bytes[..HEADER_BYTES + count * GROUP_BYTES]);
            }
            let Some((sequence, groups)) = decode(&bytes) else { continue };
            assert!(HEADER_BYTES + groups.len() * GROUP_BYTES <= bytes.len());
            assert_eq!(decode(&encode(sequence, &groups)), Some((sequence, groups)));
        }
    });
}

/// A whole file: the newer whole slot counts, and without one the start is refused.
#[test]
fn any_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("durable");
    let whole = |slot: &[u8]| {
        let mut slot = slot.to_vec();
        slot.resize(SLOT_BYTES, 0);
        slot
    };
    let good = slots().swap_remove(1);
    mutate::run("files of the durable note", &slots(), WORDS, |bytes| {
        let bytes = &bytes[..bytes.len().min(SLOT_BYTES)];
        std::fs::write(&path, [whole(bytes), good.clone()].concat()).expect("a file");
        let note = Note::open(&path, false).expect("one slot is whole").expect("it is there");
        assert!(note.sequence >= 1, "the newer one counts");
        std::fs::write(&path, bytes).expect("a file");
        match Note::open(&path, false) {
            Ok(note) => assert_eq!(decode(bytes).map(|slot| slot.1), note.map(|note| note.groups)),
            Err(refusal) => check_refusal(&refusal, &[Code::StoreDamaged]),
        }
    });
}
