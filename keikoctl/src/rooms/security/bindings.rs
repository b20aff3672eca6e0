//! `binding`: who has which role, where, and until when.

use super::declared_args::{
    BindingCreateArgs, BindingListArgs, BindingVerb, DeleteArgs, DescribeArgs, GetArgs,
};
use super::told::{Told, page, tell};
use crate::exit::Exit;
use crate::fault::{Outcome, usage};
use crate::print::time::{Clock, rfc3339};
use crate::print::{Cell, Column, Format, FormatKind, Listing, Role, Shown, When};
use crate::rooms::journal::actor;
use crate::rooms::registry::flags::DryRunBy;
use crate::session::{QUICK, Session};
use keiko_client::Client;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{
    Binding, DeleteBindingRequest, GetBindingRequest, ListBindingsRequest, PutBindingRequest,
};
use serde_json::Value;

/// A binding as a row.
struct Row(Binding);

impl Shown for Row {
    fn json(&self) -> Value {
        to_json("keiko.v1.Binding", &self.0)
    }
}

impl Row {
    fn reference(&self) -> String {
        format!("binding/{}", self.0.name)
    }
}

const COLUMNS: &[Column<Row>] = &[
    Column::new("NAME", |row: &Row, _| Cell::text(&row.0.name)),
    Column::new("ROLE", |row: &Row, _| Cell::text(&row.0.role)),
    Column::new("TO", |row: &Row, _| Cell::text(row.0.subjects.join(","))).flexible(),
    Column::new("NAMESPACE", |row: &Row, _| Cell::text(namespace(&row.0))),
    Column::new("ENDS", |row: &Row, clock| ends(&row.0, clock)),
    Column::new("AGE", |row: &Row, clock| Cell::age(clock, row.0.created_ms)),
    Column::new("BY", |row: &Row, _| Cell::text(actor(row.0.set_by.as_ref()))).when(When::Wide),
];

fn namespace(binding: &Binding) -> &str {
    if binding.namespace.is_empty() { "all" } else { &binding.namespace }
}

fn ends(binding: &Binding, clock: &Clock) -> Cell {
    match binding.expires_ms {
        0 => Cell { key: Some(u64::MAX), ..Cell::text("never") },
        at if at <= clock.now_ms => Cell { key: Some(at), ..Cell::role(Role::Muted, "over") },
        at => Cell::until(clock, at),
    }
}

/// Runs a verb of bindings.
pub(crate) async fn run(verb: BindingVerb, session: &Session) -> Outcome {
    match verb {
        BindingVerb::Create(args) => create(args, session).await,
        BindingVerb::List(args) => list(args, session).await,
        BindingVerb::Get(args) => get(args, session).await,
        BindingVerb::Describe(args) => describe(args, session).await,
        BindingVerb::Delete(args) => delete(args, session).await,
    }
}

async fn create(args: BindingCreateArgs, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let BindingCreateArgs { name, role, subjects, namespace, ttl, dry_run, request } = args;
    let ttl_ms = ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
    if ttl_ms == Some(0) {
        return Err(usage("a binding that holds for no time is of no use")
            .hint("as in: --for 8h")
            .into());
    }
    let expires_ms = ttl_ms.map_or(0, |ms| session.printer.clock.now_ms.saturating_add(ms));
    let reference = format!("binding/{name}");
    let binding = Binding { name, role, subjects, namespace, expires_ms, ..Binding::default() };
    let by = dry_run.by();
    let mut told = Told { reference: &reference, did: "declared", revision: 0, dry_run: by };
    if by == Some(DryRunBy::Client) {
        return tell(session, Row(binding).json(), &told);
    }
    let dry_run = dry_run.at_server();
    let message = PutBindingRequest { binding: Some(binding), request_id: Vec::new(), dry_run };
    let client = session.client(QUICK).await?;
    let put = client
        .write(request.id, message, |client, request| async move {
            client.security().put_binding(request).await
        })
        .await?;
    told.revision = put.write.unwrap_or_default().revision;
    tell(session, Row(put.binding.unwrap_or_default()).json(), &told)
}

async fn list(args: BindingListArgs, session: &Session) -> Outcome {
    let BindingListArgs { subject, list } = args;
    let client = session.client(QUICK).await?;
    let request = ListBindingsRequest { subject, consistency: list.freshness.wire() };
    let listed = client
        .read(
            request,
            |client, request| async move { client.security().list_bindings(request).await },
        )
        .await?;
    let printer = &session.printer;
    if listed.items.is_empty() && printer.format.is_table() {
        printer.note("no bindings");
        return Ok(Exit::Done);
    }
    let wanted = list.look.wanted(false);
    let rows: Vec<Row> = listed.items.into_iter().map(Row).collect();
    let rows = wanted.sort(COLUMNS, rows, &printer.clock)?;
    let listing = Listing { revision: listed.revision, name: &Row::reference };
    printer.rows(COLUMNS, &wanted, &rows, !list.look.no_headers, listing)?;
    Ok(Exit::Done)
}

async fn fetch(client: &Client, name: String, consistency: i32) -> Outcome<(Row, u64)> {
    let request = GetBindingRequest { name, consistency };
    let found = client
        .read(
            request,
            |client, request| async move { client.security().get_binding(request).await },
        )
        .await?;
    Ok((Row(found.binding.unwrap_or_default()), found.revision))
}

async fn get(args: GetArgs, session: &Session) -> Outcome {
    let client = session.client(QUICK).await?;
    let (row, revision) = fetch(&client, args.name, args.freshness.wire()).await?;
    let printer = &session.printer;
    match &printer.format {
        Format::Plain(
            FormatKind::Table | FormatKind::Wide | FormatKind::Csv | FormatKind::Name,
        ) => {
            let listing = Listing { revision, name: &Row::reference };
            let wanted = args.look.wanted(false);
            printer.rows(COLUMNS, &wanted, &[row], !args.look.no_headers, listing)?;
        }
        _ => printer.document(&row.json(), |_| String::new())?,
    }
    Ok(Exit::Done)
}

async fn describe(args: DescribeArgs, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let client = session.client(QUICK).await?;
    let (row, _) = fetch(&client, args.name, args.freshness.wire()).await?;
    session.printer.document(&row.json(), |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("{}\n", row.reference()),
        _ => {
            let binding = &row.0;
            let mut lines = vec![
                ("name", Cell::text(&binding.name)),
                ("role", Cell::text(&binding.role)),
                ("namespace", Cell::text(namespace(binding))),
            ];
            lines.extend(binding.subjects.iter().map(|who| ("to", Cell::text(who))));
            if binding.expires_ms != 0 {
                lines.push(("ends", Cell::text(rfc3339(binding.expires_ms))));
            }
            lines.push(("changed", Cell::age(&printer.clock, binding.changed_ms)));
            lines.push(("by", Cell::text(actor(binding.set_by.as_ref()))));
            page(lines).lay_out(&printer.style, None, false)
        }
    })?;
    Ok(Exit::Done)
}

async fn delete(args: DeleteArgs, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let DeleteArgs { name, dry_run, request } = args;
    let by = dry_run.by();
    let client = session.client(QUICK).await?;
    let reference = format!("binding/{name}");
    let mut told = Told { reference: &reference, did: "deleted", revision: 0, dry_run: by };
    if by == Some(DryRunBy::Client) {
        let (row, _) = fetch(&client, name, 0).await?;
        return tell(session, row.json(), &told);
    }
    let message =
        DeleteBindingRequest { name, request_id: Vec::new(), dry_run: dry_run.at_server() };
    let deleted = client
        .write(request.id, message, |client, request| async move {
            client.security().delete_binding(request).await
        })
        .await?;
    told.revision = deleted.write.unwrap_or_default().revision;
    tell(session, Row(deleted.binding.unwrap_or_default()).json(), &told)
}
