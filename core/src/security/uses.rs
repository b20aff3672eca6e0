//! Which grants are used: the last day of each, so that what nobody needs can be taken back.
//!
//! A use is soft state of the node that saw it; what is told here is at most one row for each
//! subject and one entry for each day, permission and subject. Only who is known is kept, so the
//! table is no larger than those of people and tokens are.

use super::permission::Permission;
use super::query;
use super::state::body;
use crate::house::{Emit, Emitted};
use crate::id::GroupId;
use crate::limits::USES_NOTED_MAX;
use crate::refusal::{Code, Result, refuse};
use crate::stamp::Stamp;
use crate::store::Store;
use crate::table::{RoomByte, Table};
use crate::txn::Txn;
use keiko_proto::v1::{NoteUses, UsedGrants, UsedPermission, Uses, security_event};

pub(super) const USES: Table<UsedGrants> = Table::new(RoomByte::Security, 7, 1);
/// One row: the day of the first use that was ever told.
const BEGUN: Table<UsedPermission> = Table::new(RoomByte::Security, 8, 1);

/// A day.
pub const DAY_MS: u64 = 24 * 3600 * 1000;

/// The day of a time; days since 1970, UTC.
pub fn day_of(unix_ms: u64) -> u32 {
    u32::try_from(unix_ms / DAY_MS).unwrap_or(u32::MAX)
}

/// What a subject used, as in `person/ann` or `token/ID`: the last day of each permission.
pub fn used(store: &dyn Store, group: GroupId, subject: &str) -> Vec<UsedPermission> {
    USES.get(store, &USES.key(group).text(subject)).unwrap_or_default().items
}

/// The first day of which anything is known: what was not used before was only not looked at. None
/// if no use was ever told.
pub fn uses_begun(store: &dyn Store, group: GroupId) -> Option<u32> {
    BEGUN.get(store, &BEGUN.key(group)).map(|begun| begun.day)
}

/// Checks what can be checked without state.
pub(super) fn check(note: &NoteUses, unix_ms: u64) -> Result<()> {
    if note.items.is_empty() {
        return refuse(Code::InvalidArgument, "no use is told");
    }
    if note.items.len() > USES_NOTED_MAX {
        return refuse(
            Code::LimitExceeded,
            format!("uses of {} subjects, at most {USES_NOTED_MAX}", note.items.len()),
        );
    }
    // A node's clock may be ahead of the stamp's by less than a day.
    if note.day > day_of(unix_ms).saturating_add(1) {
        return refuse(Code::InvalidArgument, "a use of a day that is still to come");
    }
    let known = |word: &String| Permission::parse(word).is_some();
    let fits = |uses: &Uses| {
        (1..=Permission::ALL.len()).contains(&uses.permissions.len())
            && uses.permissions.iter().all(known)
    };
    match note.items.iter().all(fits) {
        true => Ok(()),
        false => refuse(Code::InvalidArgument, "a use names permissions, each once"),
    }
}

/// Keeps what is news, and tells of that alone.
pub(super) fn note(txn: &mut Txn<'_>, stamp: &Stamp, note: NoteUses, emit: Emit<'_>) {
    let mut told = Vec::new();
    for Uses { subject, permissions } in note.items {
        if !is_known(txn, stamp.group, &subject) {
            continue;
        }
        let mut kept = UsedGrants { items: used(txn, stamp.group, &subject) };
        let mut news = Vec::new();
        for permission in permissions {
            match kept.items.iter_mut().find(|kept| kept.permission == permission) {
                Some(kept) if kept.day >= note.day => continue,
                Some(kept) => kept.day = note.day,
                None => {
                    let permission = permission.clone();
                    kept.items.push(UsedPermission { permission, day: note.day });
                }
            }
            news.push(permission);
        }
        if !news.is_empty() {
            USES.put(txn, USES.key(stamp.group).text(&subject), &kept);
            told.push(Uses { subject, permissions: news });
        }
    }
    if told.is_empty() {
        return;
    }
    if uses_begun(txn, stamp.group).is_none() {
        let begun = UsedPermission { permission: String::new(), day: note.day };
        BEGUN.put(txn, BEGUN.key(stamp.group), &begun);
    }
    emit(Emitted {
        kind: "keiko.security.used".to_owned(),
        subject: "uses".to_owned(),
        body: body(security_event::Event::Used(NoteUses { items: told, day: note.day })),
    });
}

/// Forgets what somebody used who is gone.
pub(super) fn forget(txn: &mut Txn<'_>, stamp: &Stamp, subject: &str) {
    USES.delete(txn, USES.key(stamp.group).text(subject));
}

fn is_known(store: &dyn Store, group: GroupId, subject: &str) -> bool {
    match subject.split_once('/') {
        Some(("person", name)) => query::person(store, group, name).is_some(),
        Some(("token", id)) => query::token(store, group, id).is_some(),
        _ => false,
    }
}
