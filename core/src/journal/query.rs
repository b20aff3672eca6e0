//! What can be read.

use super::state::{OLDEST, decode, events_key};
use crate::house;
use crate::id::GroupId;
use crate::refusal::{Code, Refusal, Result, refuse};
use crate::store::{Space, Store};
use keiko_proto::v1::{At, Event, at::Point};

/// The oldest revision that can still be read; events below it are gone.
pub fn oldest_revision(store: &dyn Store, group: GroupId) -> u64 {
    OLDEST.get(store, &OLDEST.key(group)).map_or(0, |row| row.oldest_revision)
}

/// Events of revisions greater than `revision`, in order.
pub fn after<'a>(
    store: &'a dyn Store,
    group: GroupId,
    revision: u64,
) -> impl Iterator<Item = Event> + 'a {
    let events = events_key(group);
    let start = match revision.checked_add(1) {
        Some(next) => events.clone().number(next).into_bytes(),
        None => events.end(),
    };
    store.scan(Space::Journal, &start, &events.end()).map(|(_, bytes)| decode(&bytes))
}

/// The events of one revision.
pub fn events_of(store: &dyn Store, group: GroupId, revision: u64) -> Vec<Event> {
    let prefix = events_key(group).number(revision);
    store
        .scan(Space::Journal, prefix.as_bytes(), &prefix.end())
        .map(|(_, bytes)| decode(&bytes))
        .collect()
}

/// The last revision at or before a time, by the stamp clock.
pub fn revision_at(store: &dyn Store, group: GroupId, unix_ms: u64) -> u64 {
    let oldest = oldest_revision(store, group);
    let (mut low, mut high) = (oldest, house::revision(store, group));
    // Invariant: everything at `low` happened at or before the time; stamps never go back.
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        match after(store, group, middle - 1).next() {
            Some(event) if event.unix_ms <= unix_ms => low = event.revision.min(high),
            _ => high = middle - 1,
        }
    }
    low
}

/// The revision that is meant, if it can be read. `None`: now.
pub fn resolve(store: &dyn Store, group: GroupId, at: Option<&At>) -> Result<Option<u64>> {
    let Some(point) = at.and_then(|at| at.point) else { return Ok(None) };
    let newest = house::revision(store, group);
    let revision = match point {
        Point::Revision(revision) => revision,
        Point::UnixMs(unix_ms) => {
            if unix_ms < readable_since_ms(store, group) {
                return Err(compacted(format!("what was so at {unix_ms} ms is no longer kept")));
            }
            revision_at(store, group, unix_ms)
        }
    };
    if revision > newest {
        return refuse(
            Code::FutureRevision,
            format!("revision {revision} is not there yet, the newest is {newest}"),
        );
    }
    readable(store, group, revision)?;
    Ok(Some(revision))
}

/// From when on it is known what was so.
fn readable_since_ms(store: &dyn Store, group: GroupId) -> u64 {
    let oldest = OLDEST.get(store, &OLDEST.key(group)).unwrap_or_default();
    // A revision without an event has no time: then the row has that of the compaction, and the
    // first event behind it was before that.
    let first = after(store, group, oldest.oldest_revision.saturating_sub(1)).next();
    first.map_or(oldest.oldest_ms, |event| event.unix_ms.min(oldest.oldest_ms))
}

fn readable(store: &dyn Store, group: GroupId, revision: u64) -> Result<()> {
    let oldest = oldest_revision(store, group);
    if revision >= oldest {
        return Ok(());
    }
    Err(compacted(format!("revision {revision} is no longer kept, the oldest is {oldest}")))
}

fn compacted(message: String) -> Refusal {
    Refusal::new(Code::Compacted, message)
        .hint("keep more with [journal] keep_days and keep_bytes in keiko.toml")
}
