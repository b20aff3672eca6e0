//! What came of backups and of rehearsing their restore: the newest note of each outcome stays.
//!
//! The backups themselves lie elsewhere. What is kept here is what decides when the next one is due,
//! whoever leads, and what an operator is told.

use super::query;
use super::state::body;
use crate::house::{Emit, Emitted};
use crate::id::GroupId;
use crate::limits::{BACKUP_PLACE_CHARS_MAX, REASON_CHARS_MAX};
use crate::refusal::{Code, Refusal, Result, refuse};
use crate::stamp::Stamp;
use crate::store::Store;
use crate::table::{RoomByte, Table};
use crate::txn::Txn;
use keiko_proto::v1::{BackupNote, cluster_event};

/// A backup was made.
pub const MADE: &str = "made";
/// None could be made.
pub const FAILED: &str = "failed";
/// The newest was restored, and the state was what it says.
pub const RESTORED: &str = "restored";
/// It could not be restored.
pub const UNRESTORABLE: &str = "unrestorable";
const OUTCOMES: [&str; 4] = [MADE, FAILED, RESTORED, UNRESTORABLE];

/// By outcome. Written only by a cluster whose nodes were told a place.
const NOTES: Table<BackupNote> = Table::new(RoomByte::Cluster, 8, 1);
/// BLAKE3, hex.
const STATE_HASH_CHARS: usize = 2 * blake3::OUT_LEN;

/// The newest note of this outcome.
pub fn backup_note(store: &dyn Store, group: GroupId, outcome: &str) -> Option<BackupNote> {
    NOTES.get(store, &NOTES.key(group).text(outcome))
}

/// The newest note of each outcome that there was.
pub fn backup_notes(store: &dyn Store, group: GroupId) -> Vec<BackupNote> {
    NOTES.scan(store, &NOTES.key(group)).map(|(_, note)| note).collect()
}

pub(super) fn check(note: &BackupNote) -> Result<()> {
    if !OUTCOMES.contains(&note.outcome.as_str()) {
        let message = format!("no outcome of a backup is called {:?}", note.outcome);
        return Err(Refusal::new(Code::InvalidArgument, message)
            .hint("made, failed, restored, unrestorable"));
    }
    let is_name = note.name.is_empty() || note.name.parse::<crate::backup::Name>().is_ok();
    if !is_name || note.state_hash.len() > STATE_HASH_CHARS {
        return refuse(Code::InvalidArgument, "the note is of no backup");
    }
    for (text, most) in [
        (&note.place, BACKUP_PLACE_CHARS_MAX),
        (&note.reason, REASON_CHARS_MAX),
        (&note.node, crate::limits::NODE_ADDRESS_CHARS_MAX),
    ] {
        if text.chars().count() > most || text.contains(char::is_control) {
            return refuse(
                Code::LimitExceeded,
                format!("a text of the note is no line of at most {most} characters"),
            );
        }
    }
    Ok(())
}

pub(super) fn note(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    note: BackupNote,
    emit: Emit<'_>,
) -> Result<()> {
    if query::record(txn, stamp.group).is_none() {
        return refuse(Code::NotFounded, "there is no cluster yet of which a backup could be");
    }
    let note = BackupNote { unix_ms: stamp.unix_ms, ..note };
    NOTES.put(txn, NOTES.key(stamp.group).text(&note.outcome), &note);
    let subject = match note.name.as_str() {
        "" => "backup".to_owned(),
        name => format!("backup/{name}"),
    };
    emit(Emitted {
        kind: format!("keiko.cluster.backup.{}", note.outcome),
        subject,
        body: body(cluster_event::Event::BackupNoted(note)),
    });
    Ok(())
}

/// What was said of another cluster's backups says nothing of this one's.
pub(super) fn forget(txn: &mut Txn<'_>, group: GroupId) {
    for outcome in OUTCOMES {
        let key = NOTES.key(group).text(outcome);
        if NOTES.get(txn, &key).is_some() {
            NOTES.delete(txn, key);
        }
    }
}
