//! What an entry did to the registry's objects, read from the rows that it wrote.

use crate::sim::layout::{is_object, place};
use crate::sim::oracle::Step;
use keiko_core::store::Space;
use keiko_proto::v1::{self as wire, object::Object as Inner};
use prost::Message as _;

/// One object before and after an entry.
pub(super) struct ObjectChange {
    pub(super) key: Vec<u8>,
    pub(super) before: Option<wire::Object>,
    pub(super) after: Option<wire::Object>,
}

impl ObjectChange {
    /// The wire's number of its kind, if it is an agent or a server.
    pub(super) fn owner_kind(&self) -> Option<i32> {
        let object = self.before.as_ref().or(self.after.as_ref())?;
        match &object.object {
            Some(Inner::Agent(_)) => Some(wire::Kind::Agent.into()),
            Some(Inner::McpServer(_)) => Some(wire::Kind::McpServer.into()),
            Some(Inner::Tool(_) | Inner::Skill(_)) | None => None,
        }
    }
}

/// The objects that an entry changed.
pub(super) fn changes(step: &Step<'_>) -> Vec<ObjectChange> {
    let is_changed = |change: &&crate::sim::oracle::Change| {
        change.space == Space::State && is_object(place(&change.key)) && change.old != change.new
    };
    let changed = step.changes.iter().filter(is_changed);
    changed
        .map(|change| ObjectChange {
            key: change.key.clone(),
            before: change.old.as_deref().map(|row| now(row).1),
            after: change.new.as_deref().map(|row| now(row).1),
        })
        .collect()
}

/// The events that an entry wrote.
pub(super) fn events(step: &Step<'_>) -> Vec<wire::Event> {
    let written = step.changes.iter().filter(|change| change.space == Space::Journal);
    written.filter_map(|change| change.new.as_deref()).map(event).collect()
}

/// The row of an object of now: a version, its revision, the object.
pub(super) fn now(row: &[u8]) -> (u64, wire::Object) {
    let revision = row[1..9].try_into().expect("invariant: a row has its revision");
    let object = wire::Object::decode(&row[9..]).expect("invariant: a row holds an object");
    (u64::from_be_bytes(revision), object)
}

/// The row of an event: a version, the event.
pub(super) fn event(row: &[u8]) -> wire::Event {
    wire::Event::decode(&row[1..]).expect("invariant: a row holds an event")
}

pub(super) fn metadata(object: &wire::Object) -> Option<&wire::Metadata> {
    match object.object.as_ref()? {
        Inner::Agent(agent) => agent.metadata.as_ref(),
        Inner::McpServer(server) => server.metadata.as_ref(),
        Inner::Tool(tool) => tool.metadata.as_ref(),
        Inner::Skill(skill) => skill.metadata.as_ref(),
    }
}

/// The byte of the table in which an object lies.
pub(super) fn table(object: &wire::Object) -> u8 {
    match &object.object {
        Some(Inner::Agent(_)) => 1,
        Some(Inner::McpServer(_)) => 2,
        Some(Inner::Tool(_)) => 3,
        Some(Inner::Skill(_)) => 4,
        None => 0,
    }
}
