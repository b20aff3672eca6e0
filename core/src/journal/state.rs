//! What the ops do to the room's tables, and how the house records events.

use super::model::{Op, Origin};
use super::{query, wire};
use crate::hash;
use crate::history;
use crate::house::{Emit, Emitted};
use crate::id::GroupId;
use crate::key::Key;
use crate::limits::COMPACT_KEYS_MAX;
use crate::refusal::{Code, Refusal, Result};
use crate::stamp::Stamp;
use crate::store::{Space, Store};
use crate::table::{RoomByte, Table};
use crate::txn::Txn;
use keiko_proto::v1::{
    CompactReply, Compacted, Event, JournalEvent, JournalOp, JournalReply, event::Body,
    journal_event, journal_reply,
};
use prost::Message;

const EVENT_VERSION: u8 = 1;

/// One row: a `Compacted` with the oldest revision.
pub(super) const OLDEST: Table<Compacted> = Table::new(RoomByte::Journal, 1, 1);

/// The key prefix of events, in their own space.
pub(super) fn events_key(group: GroupId) -> Key {
    Key::new(group, RoomByte::Journal as u8, 2)
}

/// Applies one op.
pub fn apply(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    op: JournalOp,
    emit: Emit<'_>,
) -> Result<JournalReply> {
    let Op::Compact { before } = wire::parse(op)?;
    let reply = journal_reply::Reply::Compact(compact(txn, stamp, before, emit)?);
    Ok(JournalReply { reply: Some(reply) })
}

fn compact(txn: &mut Txn<'_>, stamp: &Stamp, before: u64, emit: Emit<'_>) -> Result<CompactReply> {
    if before >= stamp.revision {
        return Err(Refusal::new(
            Code::FutureRevision,
            format!("can't forget what lies below revision {before}: it is not there yet"),
        ));
    }
    let oldest = query::oldest_revision(txn, stamp.group);
    let oldest_revision = before.max(oldest);
    if oldest_revision > oldest {
        let oldest_ms = query::events_of(txn, stamp.group, oldest_revision)
            .first()
            .map_or(stamp.unix_ms, |event| event.unix_ms);
        let compacted = Compacted { oldest_revision, oldest_ms };
        OLDEST.put(txn, OLDEST.key(stamp.group), &compacted);
        emit(Emitted {
            kind: "keiko.journal.compacted".to_owned(),
            subject: "journal".to_owned(),
            body: Body::Journal(JournalEvent {
                event: Some(journal_event::Event::Compacted(compacted)),
            }),
        });
    }
    let start = events_key(stamp.group);
    let end = start.clone().number(oldest_revision).into_bytes();
    let mut due: Vec<_> = txn
        .scan(Space::Journal, start.as_bytes(), &end)
        .take(COMPACT_KEYS_MAX + 1)
        .map(|(key, _)| key)
        .collect();
    let more_events = due.len() > COMPACT_KEYS_MAX;
    due.truncate(COMPACT_KEYS_MAX);
    for key in due {
        txn.delete(Space::Journal, key);
    }
    let more_history = history::compact(txn, oldest_revision, COMPACT_KEYS_MAX);
    Ok(CompactReply { oldest_revision, more: more_events || more_history })
}

/// Writes what the room emitted; only the house calls it. The events, each with its length.
pub fn record(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    origin: &Origin,
    emitted: Vec<Emitted>,
) -> Vec<(Event, usize)> {
    let mut events = Vec::with_capacity(emitted.len());
    for (sequence, Emitted { kind, subject, body }) in (0u32..).zip(emitted) {
        let event = Event {
            group: u32::from(stamp.group.0),
            revision: stamp.revision,
            sequence,
            unix_ms: stamp.unix_ms,
            r#type: kind,
            subject,
            actor: Some(stamp.actor.clone()),
            tenant: stamp.tenant.clone(),
            region: stamp.region.clone(),
            trace_id: origin.trace_id.clone(),
            request_id: origin.request_id.clone(),
            entry_hash: origin.entry_hash.clone(),
            peer: origin.peer.clone(),
            body: Some(body),
        };
        let key = events_key(stamp.group).number(stamp.revision).number(u64::from(sequence));
        let bytes = encode(&event);
        events.push((event, bytes.len() - 1));
        txn.put(Space::Journal, key.into_bytes(), bytes);
    }
    events
}

fn encode(event: &Event) -> Vec<u8> {
    let mut bytes = vec![EVENT_VERSION];
    event.encode(&mut bytes).expect("invariant: a Vec grows");
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Event {
    let (version, message) = bytes.split_first().expect("invariant: written by `encode`");
    assert!(*version <= EVENT_VERSION, "an event of a newer layout than this release knows");
    Event::decode(message).expect("invariant: written by `encode`")
}

/// The text of a UUID; empty for anything that is not 16 bytes.
pub fn uuid_text(bytes: &[u8]) -> String {
    if bytes.len() != 16 {
        return String::new();
    }
    let hex = hash::hex(bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
