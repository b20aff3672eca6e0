//! `security unused`: what could be taken back.

use super::declared_args::{SecurityVerb, UnusedArgs};
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::{Cell, Column, Listing, Role, Shown, When};
use crate::session::{QUICK, Session};
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{ListUnusedRequest, UnusedGrant};
use serde_json::{Value, json};

/// A grant as a row.
struct Row(UnusedGrant);

impl Shown for Row {
    fn json(&self) -> Value {
        let mut json = to_json("keiko.v1.UnusedGrant", &self.0);
        json["all"] = json!(self.0.all);
        json
    }
}

impl Row {
    fn reference(&self) -> String {
        self.0.subject.clone()
    }
}

const COLUMNS: &[Column<Row>] = &[
    Column::new("WHO", |row: &Row, _| Cell::text(&row.0.subject)),
    Column::new("ROLE", |row: &Row, _| Cell::text(&row.0.role)),
    Column::new("BINDING", |row: &Row, _| Cell::text(&row.0.binding)),
    Column::new("UNUSED", |row: &Row, _| unused(&row.0)).flexible(),
    Column::new("WILDCARDS", |row: &Row, _| Cell::text(row.0.wildcards.join(","))).flexible(),
    Column::new("LAST-USED", |row: &Row, clock| match row.0.last_used_ms {
        0 => Cell { key: Some(u64::MAX), ..Cell::text("never") },
        at => Cell::age(clock, at),
    }),
    Column::new("SINCE", |row: &Row, clock| Cell::age(clock, row.0.since_ms)).when(When::Wide),
];

fn unused(grant: &UnusedGrant) -> Cell {
    if grant.all {
        return Cell::role(Role::Warn, "all of it");
    }
    Cell::text(grant.permissions.join(","))
}

/// Runs a verb of the security room.
pub(crate) async fn run(verb: SecurityVerb, session: &Session) -> Outcome {
    match verb {
        SecurityVerb::Unused(args) => list(&args, session).await,
    }
}

async fn list(args: &UnusedArgs, session: &Session) -> Outcome {
    let UnusedArgs { days, list } = args;
    let client = session.client(QUICK).await?;
    let request = ListUnusedRequest { days: Some(*days), consistency: list.freshness.wire() };
    let listed = client
        .read(
            request,
            |client, request| async move { client.security().list_unused(request).await },
        )
        .await?;
    let printer = &session.printer;
    if listed.items.is_empty() && printer.format.is_table() {
        printer.note(&format!("every grant was used within {days} days, and none has a wildcard"));
        return Ok(Exit::Done);
    }
    let wanted = list.look.wanted(false);
    let rows: Vec<Row> = listed.items.into_iter().map(Row).collect();
    let rows = wanted.sort(COLUMNS, rows, &printer.clock)?;
    let listing = Listing { revision: listed.revision, name: &Row::reference };
    printer.rows(COLUMNS, &wanted, &rows, !list.look.no_headers, listing)?;
    Ok(Exit::Done)
}
