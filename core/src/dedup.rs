//! Replies for retries: the same request id gets the same reply, within ten minutes.
//!
//! A request id is a UUIDv7, whose first 48 bits are the time at which it was made. An id outside
//! the window is refused, because nobody could tell a retry from a new request. So a reply is of no
//! use once its id is too old, and ids sort by age: the oldest replies are the first rows.

use crate::id::GroupId;
use crate::key::Key;
use crate::limits::{DEDUP_EXPIRE_MAX, DEDUP_EXPIRE_STEP_MS, DEDUP_WINDOW_MS, REQUEST_ID_AHEAD_MS};
use crate::refusal::{Code, Refusal, Result};
use crate::store::{Space, Store};
use crate::table::RoomByte;
use crate::txn::Txn;

const REPLIES: u8 = 2;
/// Where replies begin: everything before it was removed.
const BEGINNING: u8 = 4;

/// A request id that is inside the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// Checks the bytes against the stamp clock. Empty bytes mean that no retry is intended.
    pub fn parse(bytes: &[u8], unix_ms: u64) -> Result<Option<Self>> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let id: [u8; 16] = bytes.try_into().map_err(|_| malformed())?;
        if id[6] >> 4 != 7 || id[8] >> 6 != 0b10 {
            return Err(malformed());
        }
        let made_ms = id[..6].iter().fold(0u64, |ms, byte| ms << 8 | u64::from(*byte));
        let oldest = unix_ms.saturating_sub(DEDUP_WINDOW_MS);
        let newest = unix_ms.saturating_add(REQUEST_ID_AHEAD_MS);
        if (oldest..=newest).contains(&made_ms) {
            return Ok(Some(Self(id)));
        }
        Err(Refusal::new(
            Code::RequestIdExpired,
            format!("the request id was made at {made_ms} ms, outside of the window"),
        )
        .cause(format!("the server's clock says {unix_ms} ms"))
        .hint("make request ids on the server's clock, as every reply carries it"))
    }
}

fn malformed() -> Refusal {
    Refusal::new(Code::InvalidArgument, "the request id is not a UUIDv7")
        .hint("leave --request-id out, and keikoctl makes one")
}

fn reply_key(group: GroupId, id: RequestId) -> Key {
    Key::new(group, RoomByte::House as u8, REPLIES).bytes(&id.0)
}

/// What a request is, beside its id: the same id with another one is no retry.
pub type RequestHash = [u8; 32];

/// The reply that this request already got; refused if the id belongs to another request.
pub fn find(
    store: &dyn Store,
    group: GroupId,
    id: RequestId,
    hash: &RequestHash,
) -> Result<Option<Vec<u8>>> {
    let Some(kept) = store.get(Space::State, reply_key(group, id).as_bytes()) else {
        return Ok(None);
    };
    let (known, reply) = kept.split_first_chunk::<32>().expect("invariant: written by `keep`");
    if known == hash {
        return Ok(Some(reply.to_vec()));
    }
    Err(Refusal::new(Code::InvalidArgument, "the request id belongs to another request")
        .hint("take a new id for each request, and the same one only to send it again"))
}

/// Keeps the reply, and forgets a few that are too old.
pub fn keep(txn: &mut Txn<'_>, id: RequestId, hash: &RequestHash, unix_ms: u64, reply: &[u8]) {
    let group = txn.group();
    forget(txn, unix_ms);
    let kept = [hash.as_slice(), reply].concat();
    txn.put(Space::State, reply_key(group, id).into_bytes(), kept);
}

/// Starts where it ended: a scan from the very beginning would pass over every key that was
/// removed since the store last compacted. Step by step, so that most entries need no scan.
fn forget(txn: &mut Txn<'_>, unix_ms: u64) {
    let group = txn.group();
    let house = |table| Key::new(group, RoomByte::House as u8, table);
    let too_old_ms = unix_ms.saturating_sub(DEDUP_WINDOW_MS);
    let step_ms = too_old_ms - too_old_ms % DEDUP_EXPIRE_STEP_MS;
    // Sorts behind every id that was made before, and before every other one.
    let end = house(REPLIES).bytes(&step_ms.to_be_bytes()[2..]).into_bytes();
    let beginning = house(BEGINNING).into_bytes();
    let start = txn.get(Space::State, &beginning).unwrap_or_else(|| house(REPLIES).into_bytes());
    if start >= end {
        return;
    }
    let due: Vec<_> =
        txn.scan(Space::State, &start, &end).take(DEDUP_EXPIRE_MAX).map(|(key, _)| key).collect();
    let next = match due.last() {
        Some(last) if due.len() == DEDUP_EXPIRE_MAX => last.clone(),
        Some(_) | None => end,
    };
    for key in due {
        txn.delete(Space::State, key);
    }
    txn.put(Space::State, beginning, next);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_at(ms: u64) -> Vec<u8> {
        let mut id = ms.to_be_bytes()[2..].to_vec();
        id.extend([0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1]);
        id
    }

    #[test]
    fn window() {
        let now = 1_800_000_000_000;
        for (made, expect) in [
            (now, Ok(())),
            (now - DEDUP_WINDOW_MS, Ok(())),
            (now - DEDUP_WINDOW_MS - 1, Err(Code::RequestIdExpired)),
            (now + REQUEST_ID_AHEAD_MS, Ok(())),
            (now + REQUEST_ID_AHEAD_MS + 1, Err(Code::RequestIdExpired)),
        ] {
            let seen = RequestId::parse(&id_at(made), now);
            assert_eq!(seen.map(|_| ()).map_err(|refusal| refusal.code), expect, "{made}");
        }
    }

    #[test]
    fn malformed_ids() {
        let mut version_4 = id_at(1);
        version_4[6] = 0x40;
        for bytes in [vec![1], vec![0; 16], version_4, vec![0; 17]] {
            let seen = RequestId::parse(&bytes, 1).map_err(|refusal| refusal.code);
            assert_eq!(seen, Err(Code::InvalidArgument));
        }
        assert_eq!(RequestId::parse(&[], 1), Ok(None));
    }
}
