//! How events are shown.

use crate::print::When::Wide;
use crate::print::{Cell, Column, Shown};
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::actor::Who;
use keiko_client::proto::v1::{Actor, Event};
use serde_json::{Value, json};

/// An event as a row.
pub(crate) struct Row(pub Event);

impl Shown for Row {
    fn json(&self) -> Value {
        let mut json = to_json("keiko.v1.Event", &self.0);
        // The first of its revision, and the control group, are zero: scripts sort by them.
        json["group"] = json!(self.0.group);
        json["sequence"] = json!(self.0.sequence);
        json
    }
}

/// The columns of events.
pub(crate) const COLUMNS: &[Column<Row>] = &[
    Column::new("REVISION", |row: &Row, _| Cell::number(row.0.revision)),
    Column::new("AGE", |row: &Row, clock| Cell::age(clock, row.0.unix_ms)),
    Column::new("TYPE", |row: &Row, _| Cell::text(&row.0.r#type)),
    Column::new("SUBJECT", |row: &Row, _| Cell::text(&row.0.subject)),
    Column::new("ACTOR", |row: &Row, _| Cell::text(actor(row.0.actor.as_ref()))),
    Column::new("TRACE", |row: &Row, _| Cell::text(&row.0.trace_id)).when(Wide),
    Column::new("REQUEST", |row: &Row, _| Cell::text(&row.0.request_id)).when(Wide),
    Column::new("ENTRY", |row: &Row, _| {
        Cell::text(row.0.entry_hash.chars().take(12).collect::<String>())
    })
    .when(Wide),
];

/// As in `uid 0 on n1`, or `person anna`.
pub(crate) fn actor(actor: Option<&Actor>) -> String {
    match actor.and_then(|actor| actor.who.as_ref()) {
        Some(Who::Socket(peer)) => format!("uid {} on {}", peer.uid(), peer.node),
        Some(Who::Token(bearer)) => format!("token {}", bearer.id),
        Some(Who::Node(node)) => format!("node {node}"),
        Some(Who::Person(person)) => format!("person {}", person.name),
        None => String::new(),
    }
}
