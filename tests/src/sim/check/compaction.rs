//! What lies below the oldest revision is not shown. That what lies above is all there, the checks
//! of history and events see: they read everything from the oldest revision on.

use super::{Check, Class, ensure};
use crate::sim::layout::{SUPERSEDED, rows};
use crate::sim::oracle::Step;
use keiko_core::house;
use keiko_core::id::GroupId;
use keiko_core::journal;
use keiko_core::refusal::Code;
use keiko_core::store::{MemoryStore, Space};
use keiko_proto::v1::{At, at::Point, entry::Room, journal_op, journal_reply, reply};

pub(super) fn step(step: &Step<'_>, class: Class) -> Check {
    let asked = match step.entry.as_ref().and_then(|entry| entry.room.as_ref()) {
        Some(Room::Journal(op)) if class == Class::New => match op.op {
            Some(journal_op::Op::Compact(compact)) => compact.before_revision,
            None => return Ok(()),
        },
        _ => return Ok(()),
    };
    let newest = step.before.revision;
    let Some(reply::Result::Journal(done)) = &step.reply.result else {
        // Behind a fence that does not hold the room was not even asked.
        let is_fenced = step.entry.as_ref().is_some_and(|entry| entry.fence.is_some());
        return ensure(is_fenced || asked > newest, || {
            format!("revision {asked} can't be compacted: {:?}", step.reply)
        });
    };
    ensure(asked <= newest, || format!("revision {asked} is not there yet, and compacted"))?;
    let Some(journal_reply::Reply::Compact(done)) = done.reply else {
        return Err("a compaction is answered with nothing".to_owned());
    };
    let oldest = journal::oldest_revision(step.store, step.group);
    ensure(done.oldest_revision == oldest && oldest >= asked, || {
        format!("below {asked} is compacted, the oldest is {oldest}: {done:?}")
    })?;
    if done.more {
        return Ok(());
    }
    let first = journal::after(step.store, step.group, 0).next();
    ensure(first.as_ref().is_none_or(|event| event.revision >= oldest), || {
        format!("below revision {oldest} the journal shows {first:?}")
    })?;
    let due = rows(step.store, step.group, Space::History, SUPERSEDED);
    let is_below = |key: &[u8]| {
        let revision = key.get(4..12).and_then(|bytes| bytes.try_into().ok());
        revision.is_none_or(|bytes| u64::from_be_bytes(bytes) <= oldest)
    };
    ensure(!due.iter().any(|(key, _)| is_below(key)), || {
        format!("versions that nobody can read below revision {oldest} are kept")
    })
}

pub(super) fn finish(store: &MemoryStore, group: GroupId) -> Check {
    let (oldest, newest) = (journal::oldest_revision(store, group), house::revision(store, group));
    let at = |revision| {
        let at = At { point: Some(Point::Revision(revision)) };
        journal::resolve(store, group, Some(&at)).map_err(|refusal| refusal.code)
    };
    let mut table = vec![
        (oldest, Ok(Some(oldest))),
        (newest, Ok(Some(newest))),
        (newest + 1, Err(Code::FutureRevision)),
        (u64::MAX, Err(Code::FutureRevision)),
    ];
    table.extend(oldest.checked_sub(1).map(|below| (below, Err(Code::Compacted))));
    for (revision, expect) in table {
        let found = at(revision);
        ensure(found == expect, || {
            format!("revision {revision} of {oldest} to {newest} reads as {found:?}")
        })?;
    }
    let first = journal::after(store, group, 0).next();
    ensure(first.is_none_or(|event| event.revision >= oldest), || {
        format!("the journal shows what lies below revision {oldest}")
    })
}
