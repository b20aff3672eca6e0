//! The journal says what changed, and nothing else: every changed row of declared state has its one
//! event in the same entry, every event its row; sequences have no gap; who, when and what for are
//! the entry's.

use super::objects::{metadata, table};
use super::{Check, Class, ensure, objects};
use crate::sim::layout::{
    self, AUTHORITY, BINDINGS, NODES, OLDEST, PEOPLE, RECORD, ROLES, TOKENS, is_object, place,
};
use crate::sim::oracle::Step;
use keiko_core::hash::hex;
use keiko_core::id::GroupId;
use keiko_core::journal;
use keiko_core::key::Key;
use keiko_core::store::{MemoryStore, Space};
use keiko_proto::v1::event::Body;
use keiko_proto::v1::{self as wire, cluster_event, journal_event, registry_event, security_event};
use prost::Message as _;
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Events {
    /// Every event row that there ever was, by key.
    journal: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What an event says of a row: what it held before and holds now, as far as it says so.
struct Told {
    key: Vec<u8>,
    before: Option<Vec<u8>>,
    after: Option<Vec<u8>>,
}

impl Events {
    pub(super) fn step(&mut self, step: &Step<'_>, class: Class) -> Check {
        let is_row = |change: &&crate::sim::oracle::Change| change.space == Space::Journal;
        let (mut sequence, mut written) = (0, Vec::new());
        let mut told = BTreeMap::new();
        for change in step.changes.iter().filter(is_row) {
            let Some(row) = &change.new else { continue };
            let event = objects::event(row);
            check_event(step, &change.key, &event, sequence)?;
            sequence += 1;
            self.journal.insert(change.key.clone(), row.clone());
            written.push(event.clone());
            let Some(row) = row_of(step.group, &event)? else { continue };
            let again = told.insert(row.key.clone(), row).is_some();
            ensure(!again, || format!("two events tell of the same: {event:?}"))?;
        }
        let handed_out: Vec<_> = step.applied.events.iter().map(|(event, _)| event).collect();
        ensure(handed_out == written.iter().collect::<Vec<_>>(), || {
            format!("{} events are handed out, {sequence} are written", handed_out.len())
        })?;
        ensure(sequence == 0 || class == Class::New && step.is_accepted(), || {
            "what is refused or answered again makes events".to_owned()
        })?;
        same_rows(step, told)
    }

    /// What is kept is every event from the oldest revision on.
    pub(super) fn finish(&self, store: &MemoryStore, group: GroupId) -> Check {
        let oldest = journal::oldest_revision(store, group);
        let from = events_key(group).number(oldest).into_bytes();
        let expect = self.journal.range(from..).map(|(key, row)| (key.clone(), row.clone()));
        let found = layout::all(store, group, Space::Journal);
        ensure(found.iter().cloned().eq(expect.clone()), || {
            format!(
                "{} events are kept from revision {oldest} on, not {}",
                found.len(),
                expect.count()
            )
        })?;
        let shown = journal::after(store, group, oldest.saturating_sub(1));
        ensure(shown.eq(found.iter().map(|(_, row)| objects::event(row))), || {
            "what is shown of the journal is not what it holds".to_owned()
        })
    }
}

fn events_key(group: GroupId) -> Key {
    Key::new(group, 4, 2)
}

fn check_event(step: &Step<'_>, key: &[u8], event: &wire::Event, sequence: u32) -> Check {
    let entry = step.entry.clone().unwrap_or_default();
    let or_default = |text: String| if text.is_empty() { "default".to_owned() } else { text };
    let expect = wire::Event {
        group: u32::from(step.group.0),
        revision: step.after.revision,
        sequence,
        unix_ms: step.after.unix_ms,
        r#type: event.r#type.clone(),
        subject: event.subject.clone(),
        actor: Some(entry.actor.unwrap_or_default()),
        tenant: or_default(entry.tenant),
        region: or_default(entry.region),
        trace_id: hex(&entry.trace_id),
        request_id: journal::uuid_text(&entry.request_id),
        entry_hash: blake3::hash(step.bytes).to_hex().to_string(),
        peer: entry.peer,
        body: event.body.clone(),
    };
    ensure(*event == expect, || format!("an event says {event:?}, its entry {expect:?}"))?;
    let place = events_key(step.group).number(event.revision).number(sequence.into());
    ensure(key == place.as_bytes(), || format!("an event lies elsewhere: {event:?}"))
}

/// The row that an event tells of.
fn row_of(group: GroupId, event: &wire::Event) -> Result<Option<Told>, String> {
    let row = match event.body.clone().ok_or("an event has no body")? {
        Body::Registry(body) => {
            row_of_object(group, event, body.event.ok_or("a registry event is empty")?)
        }
        Body::Cluster(body) => {
            let event_of = body.event.ok_or("a cluster event is empty")?;
            row_of_member(group, event.unix_ms, event_of)
        }
        Body::Security(body) => row_of_trust(group, body.event.ok_or("a security event is empty")?),
        // One event tells of several rows, of which some are only counted: `locks` looks at those.
        Body::Coordination(_) => None,
        Body::Journal(body) => match body.event.ok_or("a journal event is empty")? {
            journal_event::Event::Compacted(compacted) => {
                Some(set(key(group, OLDEST), versioned(&compacted.encode_to_vec())))
            }
        },
    };
    Ok(row)
}

fn key(group: GroupId, (room, table): layout::Place) -> Key {
    Key::new(group, room, table)
}

fn set(key: Key, row: Vec<u8>) -> Told {
    Told { key: key.into_bytes(), before: None, after: Some(row) }
}

fn gone(key: Key, before: Vec<u8>) -> Told {
    Told { key: key.into_bytes(), before: Some(before), after: None }
}

fn row_of_object(group: GroupId, event: &wire::Event, body: registry_event::Event) -> Option<Told> {
    let row = match body {
        registry_event::Event::Changed(changed) => {
            let object = changed.object.unwrap_or_default();
            let after = [&event.revision.to_be_bytes(), &object.encode_to_vec()[..]].concat();
            let before = (!changed.created).then(Vec::new);
            Told { before, ..set(object_key(group, &object), versioned(&after)) }
        }
        registry_event::Event::Deleted(object) => {
            gone(object_key(group, &object), object.encode_to_vec())
        }
        registry_event::Event::OfferChanged(_) => return None,
    };
    Some(row)
}

fn row_of_member(group: GroupId, founded_ms: u64, body: cluster_event::Event) -> Option<Told> {
    let row = match body {
        cluster_event::Event::Founded(founded) => {
            let cluster_id = founded.cluster_id;
            let record = wire::ClusterRecord { cluster_id, founded_ms };
            set(key(group, RECORD), versioned(&record.encode_to_vec()))
        }
        cluster_event::Event::NodeNoted(noted) => {
            let node = noted.node.unwrap_or_default();
            set(key(group, NODES).number(node.id), versioned(&node.encode_to_vec()))
        }
        cluster_event::Event::NodeAdmitted(changed)
        | cluster_event::Event::NodeStateChanged(changed)
        | cluster_event::Event::NodeDown(changed)
        | cluster_event::Event::NodeUp(changed) => {
            let node = changed.node.unwrap_or_default();
            set(key(group, NODES).number(node.id), versioned(&node.encode_to_vec()))
        }
        cluster_event::Event::NodeRemoved(changed) => {
            let node = changed.node.unwrap_or_default();
            gone(key(group, NODES).number(node.id), node.encode_to_vec())
        }
        cluster_event::Event::Reopened(reopened) => {
            let node = reopened.node.unwrap_or_default();
            set(key(group, NODES).number(node.id), versioned(&node.encode_to_vec()))
        }
        // Nothing here proposes it; its own tests look at its rows.
        cluster_event::Event::BackupNoted(_) => return None,
    };
    Some(row)
}

fn row_of_trust(group: GroupId, body: security_event::Event) -> Option<Told> {
    let row = match body {
        security_event::Event::AuthorityStored(_) => set(key(group, AUTHORITY), Vec::new()),
        security_event::Event::TokenCreated(token) | security_event::Event::TokenUsed(token) => {
            set(key(group, TOKENS).text(&token.id), Vec::new())
        }
        security_event::Event::TokenRevoked(token) | security_event::Event::TokenExpired(token) => {
            gone(key(group, TOKENS).text(&token.id), Vec::new())
        }
        security_event::Event::PersonEnrolled(person) => {
            set(key(group, PEOPLE).text(&person.name), versioned(&person.encode_to_vec()))
        }
        security_event::Event::Refused(_) => return None,
        security_event::Event::PersonRemoved(person) => {
            gone(key(group, PEOPLE).text(&person.name), person.encode_to_vec())
        }
        security_event::Event::RoleSet(changed) => {
            let role = changed.role.unwrap_or_default();
            set(key(group, ROLES).text(&role.name), versioned(&role.encode_to_vec()))
        }
        security_event::Event::RoleDeleted(changed) => {
            let role = changed.role.unwrap_or_default();
            gone(key(group, ROLES).text(&role.name), role.encode_to_vec())
        }
        security_event::Event::BindingSet(changed) => {
            let binding = changed.binding.unwrap_or_default();
            set(key(group, BINDINGS).text(&binding.name), versioned(&binding.encode_to_vec()))
        }
        security_event::Event::BindingDeleted(changed) => {
            let binding = changed.binding.unwrap_or_default();
            gone(key(group, BINDINGS).text(&binding.name), binding.encode_to_vec())
        }
        // Soft state of nodes, told once a day.
        security_event::Event::Used(_) => return None,
        // Of many rows, which they do not name; nothing here proposes them.
        security_event::Event::AuthorityForgotten(_)
        | security_event::Event::AuthorityTurned(_) => {
            return None;
        }
    };
    Some(row)
}

fn versioned(row: &[u8]) -> Vec<u8> {
    [&[1], row].concat()
}

fn object_key(group: GroupId, object: &wire::Object) -> Key {
    let metadata = metadata(object).cloned().unwrap_or_default();
    Key::new(group, 3, table(object)).text(&metadata.namespace).text(&metadata.name)
}

/// Tables whose every change is told, beside those of objects.
const DECLARED: &[layout::Place] =
    &[RECORD, NODES, AUTHORITY, TOKENS, PEOPLE, ROLES, BINDINGS, OLDEST];

/// The declared rows that changed are those that the events tell of.
fn same_rows(step: &Step<'_>, mut told: BTreeMap<Vec<u8>, Told>) -> Check {
    let is_declared = |key: &[u8]| {
        let place = place(key);
        is_object(place) || DECLARED.contains(&place)
    };
    for change in &step.changes {
        let declared = change.space == Space::State && is_declared(&change.key);
        if !declared || change.old == change.new {
            continue;
        }
        let row = told.remove(&change.key);
        let row = row.ok_or_else(|| format!("row {} changed in silence", hex(&change.key)))?;
        let fits = |told: &Option<Vec<u8>>, row: &Option<Vec<u8>>| match (told, row) {
            (None, None) => true,
            // An event that does not show the row says only that there is one.
            (Some(told), Some(row)) => told.is_empty() || row.ends_with(told),
            _ => false,
        };
        let is_object = is_object(place(&change.key));
        ensure(fits(&row.after, &change.new), || {
            format!("row {} is not what its event says", hex(&change.key))
        })?;
        ensure(!is_object || fits(&row.before, &change.old), || {
            format!("row {} was not what its event says", hex(&change.key))
        })?;
    }
    match told.into_keys().next() {
        None => Ok(()),
        Some(key) => Err(format!("an event tells of row {}, which is as it was", hex(&key))),
    }
}
