//! Bytes of the disk that are not those that were written: refused with a code, never believed.
//!
//! A flipped bit fails its checksum and so proves little; most inputs here are sealed again, and
//! meet what lies behind the checksum.

use super::record::{Applied, Kind, LogId, Record, Vote, log_key, open, seal};
use crate::fuzz::{check_refusal, mutate};
use bytes::Bytes;
use keiko_core::id::GroupId;
use keiko_core::refusal::Code;

const WORDS: &[&str] =
    &["\u{1}\u{0}", "\u{1}\u{1}", "\u{1}\u{2}", "\u{2}", "\u{0}\u{0}\u{0}\u{0}", "\u{7f}"];

fn records() -> Vec<Vec<u8>> {
    let record = |(kind, payload): (Kind, &'static [u8])| {
        let record =
            Record { id: LogId { term: 7, index: 42 }, kind, payload: Bytes::from(payload) };
        record.encode(&log_key(GroupId(3), 42))
    };
    let kinds: [(Kind, &[u8]); 3] =
        [(Kind::Blank, b""), (Kind::Normal, b"entry"), (Kind::Membership, b"\x00\xFF")];
    kinds.into_iter().map(record).collect()
}

#[test]
fn any_log_record() {
    let key = log_key(GroupId(3), 42);
    mutate::run("log records", &records(), WORDS, |bytes| {
        let mut sealed = bytes.to_vec();
        sealed.resize(bytes.len().max(4), 0);
        seal(&key, &mut sealed);
        for bytes in [bytes, &sealed[..]] {
            match Record::decode(&key, bytes) {
                Ok(record) => {
                    assert_eq!(record.id.index, 42, "the key says where");
                    assert_eq!(record.encode(&key), bytes, "written as it was read");
                }
                Err(refusal) => check_refusal(&refusal, &[Code::ChecksumMismatch]),
            }
        }
        // In another place the same bytes are no record, and a key that is none is no place.
        for key in [&log_key(GroupId(3), 43)[..], &log_key(GroupId(4), 42), &key[..9], b""] {
            let refusal = Record::decode(key, &sealed).expect_err("it is not of this place");
            check_refusal(&refusal, &[Code::ChecksumMismatch]);
        }
        let mut elsewhere = sealed.clone();
        seal(bytes, &mut elsewhere);
        if bytes != key
            && let Err(refusal) = Record::decode(bytes, &elsewhere)
        {
            check_refusal(&refusal, &[Code::ChecksumMismatch]);
        }
    });
}

#[test]
fn any_mark() {
    let last = LogId { term: 1, index: 3 };
    let vote = Vote { term: 2, node_id: 1, committed: true };
    let applied = Applied { last, membership: b"members".to_vec() };
    let corpus = [last.encode().to_vec(), vote.encode().to_vec(), applied.encode()];
    mutate::run("marks", &corpus, WORDS, |bytes| {
        assert!(LogId::decode(bytes).is_none_or(|id| id.encode() == bytes));
        assert!(Vote::decode(bytes).is_none_or(|vote| vote.encode() == bytes));
        assert!(Applied::decode(bytes).is_none_or(|applied| applied.encode() == bytes));
        let mut sealed = [&[0; 4], bytes].concat();
        seal(b"key", &mut sealed);
        assert_eq!(open(b"key", &sealed), Some(bytes));
        assert_eq!(open(b"kez", &sealed), None);
        assert!(open(b"key", bytes).is_none_or(|inner| inner.len() + 4 == bytes.len()));
    });
}
