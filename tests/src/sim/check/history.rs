//! A read at a revision is what a replay up to it reads.
//!
//! While the log is replayed, somebody looks now and then at everything there is, by the reads of
//! now. In the end the same is read again, at the revision and at the time of each look, and must
//! be the same to the last byte. The rows of the past are compared with those of now as well.

use super::{Check, ensure, objects};
use crate::sim::layout::{SUPERSEDED, all, is_object, place, rows};
use crate::sim::oracle::{Oracle, Step};
use keiko_core::hash::hex;
use keiko_core::id::GroupId;
use keiko_core::journal;
use keiko_core::key::Key;
use keiko_core::registry::{self, Filter, Kind, ObjectKey};
use keiko_core::selector::Selector;
use keiko_core::store::{MemoryStore, Space, Store};
use keiko_proto::v1::{At, Object, at::Point};
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};

const KINDS: [Kind; 4] = [Kind::Agent, Kind::McpServer, Kind::Tool, Kind::Skill];

/// The condition that reading adds.
const DERIVED: &str = "DependenciesReady";

#[derive(Default)]
pub(super) struct History {
    looks: Vec<Look>,
}

/// Everything, as it was read when it was so.
struct Look {
    revision: u64,
    objects: Vec<Object>,
}

impl History {
    pub(super) fn look(&mut self, store: &MemoryStore, group: GroupId) {
        let revision = keiko_core::house::revision(store, group);
        self.looks.push(Look { revision, objects: read(store, group, None) });
    }

    /// An object that changes has its past written in the same entry.
    pub(super) fn step(&self, step: &Step<'_>) -> Check {
        for change in objects::changes(step) {
            let mut past = change.key.clone();
            past.extend(step.after.revision.to_be_bytes());
            let row = step.store.get(Space::History, &past);
            let kept = row.map(|row| match row.split_first() {
                None => None,
                Some((_, object)) => Object::decode(object).ok(),
            });
            ensure(kept == Some(change.after), || {
                format!("{} has no version of revision {}", hex(&change.key), step.after.revision)
            })?;
        }
        Ok(())
    }

    pub(super) fn finish(&self, oracle: &Oracle, group: GroupId) -> Check {
        let store = &oracle.store;
        let oldest = journal::oldest_revision(store, group);
        past_rows(store, group)?;
        let readable = self.looks.iter().filter(|look| look.revision >= oldest);
        let known: BTreeSet<ObjectKey> =
            self.looks.iter().flat_map(|look| look.objects.iter().filter_map(key_of)).collect();
        for look in readable {
            let then = read(store, group, Some(look.revision));
            ensure(then == look.objects, || {
                let (found, expect) = (names(&then), names(&look.objects));
                format!("at revision {} there are {found:?}, not {expect:?}", look.revision)
            })?;
            each(store, group, look, &known, oldest)?;
        }
        in_time(oracle, group, oldest)
    }
}

/// Everything there is in one page, or was in small ones.
fn read(store: &MemoryStore, group: GroupId, at: Option<u64>) -> Vec<Object> {
    let limit = if at.is_some() { 3 } else { 0 };
    let mut objects = Vec::new();
    for kind in KINDS {
        let filter = Filter { kind, namespace: None, selector: Selector::default() };
        let mut next = Some(String::new());
        while let Some(token) = next {
            let page = registry::list(store, group, &filter, at, limit, &token).unwrap_or_default();
            objects.extend(page.items);
            next = page.next;
        }
    }
    objects
}

/// One by one, and by the history of each.
fn each(
    store: &MemoryStore,
    group: GroupId,
    look: &Look,
    known: &BTreeSet<ObjectKey>,
    oldest: u64,
) -> Check {
    let by_key: BTreeMap<_, _> =
        look.objects.iter().filter_map(|object| Some((key_of(object)?, object))).collect();
    for key in known {
        let expect = by_key.get(key).copied();
        let found = registry::get(store, group, key, Some(look.revision)).ok();
        ensure(found.as_ref() == expect, || {
            format!("{} at revision {} is {found:?}", key.subject(), look.revision)
        })?;
        let past = registry::history(store, group, key, oldest, 0).unwrap_or_default();
        ensure(past.is_sorted_by(|newer, older| newer.revision > older.revision), || {
            format!("the history of {} is not in order", key.subject())
        })?;
        let then = past.into_iter().find(|version| version.revision <= look.revision);
        let then = then.and_then(|version| version.value);
        ensure(then == expect.map(as_kept), || {
            format!("the history of {} has {then:?} at revision {}", key.subject(), look.revision)
        })?;
    }
    Ok(())
}

/// A read at a time is a read at the last revision of that time.
fn in_time(oracle: &Oracle, group: GroupId, oldest: u64) -> Check {
    let store = &oracle.store;
    for head in oracle.heads.iter().step_by(1 + oracle.heads.len() / 5) {
        let point = Some(Point::UnixMs(head.unix_ms));
        let last = oracle.heads.iter().rfind(|other| other.unix_ms <= head.unix_ms);
        let expect = last.map_or(0, |last| last.revision);
        let found = match journal::resolve(store, group, Some(&At { point })) {
            Ok(found) => found.unwrap_or_default(),
            // Where no event says when the oldest revision was, the time of its compaction counts.
            Err(_) if oldest > 0 => continue,
            Err(refusal) => return Err(format!("nothing at {} ms: {refusal}", head.unix_ms)),
        };
        ensure((oldest..=expect).contains(&found), || {
            format!("at {} ms it was revision {expect}, not {found}", head.unix_ms)
        })?;
        let same =
            found == expect || read(store, group, Some(found)) == read(store, group, Some(expect));
        ensure(same, || format!("revision {found} is not what was so at {} ms", head.unix_ms))?;
    }
    Ok(())
}

/// The newest version of each object is the one of now, and every older one is to be compacted from
/// the revision on that superseded it.
fn past_rows(store: &MemoryStore, group: GroupId) -> Check {
    let mut versions: BTreeMap<Vec<u8>, Vec<(u64, Vec<u8>)>> = BTreeMap::new();
    for (key, row) in all(store, group, Space::History) {
        if is_object(place(&key)) {
            let (object, revision) = key.split_at(key.len() - 8);
            let revision = u64::from_be_bytes(revision.try_into().unwrap_or_default());
            versions.entry(object.to_vec()).or_default().push((revision, row));
        }
    }
    let mut expect = BTreeSet::new();
    let due = |at: u64, key: &[u8], revision: u64| {
        let old = [key, &revision.to_be_bytes()].concat();
        Key::new(group, SUPERSEDED.0, SUPERSEDED.1).number(at).bytes(&old).into_bytes()
    };
    let mut alive = 0;
    for (key, versions) in &versions {
        for pair in versions.windows(2) {
            // A grave says from its own revision on what nothing would say.
            let at = if pair[0].1.is_empty() { pair[0].0 } else { pair[1].0 };
            expect.insert(due(at, key, pair[0].0));
        }
        let (revision, row) = &versions[versions.len() - 1];
        let now = store.get(Space::State, key);
        alive += usize::from(now.is_some());
        match row.is_empty() {
            true => {
                expect.insert(due(*revision, key, *revision));
                ensure(now.is_none(), || format!("{} is deleted, and there", hex(key)))?;
            }
            false => {
                let same = [&[1], &revision.to_be_bytes()[..], &row[1..]].concat();
                ensure(now == Some(same), || format!("{} has another past", hex(key)))?;
            }
        }
    }
    let objects = all(store, group, Space::State);
    let objects = objects.iter().filter(|(key, _)| is_object(place(key))).count();
    ensure(objects == alive, || format!("{objects} objects, {alive} of them have a past"))?;
    let found = rows(store, group, Space::History, SUPERSEDED);
    let found: BTreeSet<_> = found.into_iter().map(|(key, _)| key).collect();
    ensure(found == expect, || {
        format!("{} versions are to be compacted, not {}", found.len(), expect.len())
    })
}

fn as_kept(object: &Object) -> Object {
    let mut object = object.clone();
    let status = registry::status_mut(&mut object);
    status.conditions.retain(|condition| condition.r#type != DERIVED);
    object
}

fn key_of(object: &Object) -> Option<ObjectKey> {
    let kind = KINDS[usize::from(objects::table(object)).checked_sub(1)?];
    let metadata = objects::metadata(object)?;
    ObjectKey::parse(kind, &metadata.namespace, &metadata.name).ok()
}

fn names(objects: &[Object]) -> Vec<String> {
    let name = |object| {
        let revision = objects::metadata(object).map_or(0, |metadata| metadata.revision);
        key_of(object).map_or_else(String::new, |key| format!("{}@{revision}", key.subject()))
    };
    objects.iter().map(name).collect()
}
