//! `person`: who came in, and taking somebody out.

use super::declared_args::{ListArgs, PersonRemoveArgs, PersonVerb};
use super::told::{Told, tell};
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::{Cell, Column, Listing, Shown, When, prompt};
use crate::rooms::registry::flags::DryRunBy;
use crate::session::{QUICK, Session};
use keiko_client::Client;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{
    ListPeopleRequest, ListPeopleResponse, PersonInfo, RemovePersonRequest, RemovePersonResponse,
};
use keiko_core::refusal::{Code, Refusal};
use serde_json::Value;
use uuid::Uuid;

/// A person as a row.
struct Row(PersonInfo);

impl Shown for Row {
    fn json(&self) -> Value {
        to_json("keiko.v1.PersonInfo", &self.0)
    }
}

impl Row {
    fn reference(&self) -> String {
        format!("person/{}", self.0.name)
    }
}

const COLUMNS: &[Column<Row>] = &[
    Column::new("NAME", |row: &Row, _| Cell::text(&row.0.name)),
    Column::new("ROLE", |row: &Row, _| Cell::text(&row.0.role)),
    Column::new("BINDINGS", |row: &Row, _| Cell::text(row.0.bindings.join(","))).flexible(),
    // A day is all that is kept: hours would say more than is known.
    Column::new("LAST-USED", |row: &Row, clock| Cell::age(clock, row.0.last_used_ms)),
    Column::new("AGE", |row: &Row, clock| Cell::age(clock, row.0.enrolled_ms)),
    Column::new("SCOPE", |row: &Row, _| Cell::text(&row.0.scope)).when(When::Wide),
];

/// Runs a verb of people.
pub(crate) async fn run(verb: PersonVerb, session: &Session) -> Outcome {
    match verb {
        PersonVerb::List(args) => list(&args, session).await,
        PersonVerb::Remove(args) => remove(args, session).await,
    }
}

async fn people(client: &Client, consistency: i32) -> Outcome<ListPeopleResponse> {
    let listed = client
        .read(ListPeopleRequest { consistency }, |client, request| async move {
            client.security().list_people(request).await
        })
        .await?;
    Ok(listed)
}

async fn list(args: &ListArgs, session: &Session) -> Outcome {
    let client = session.client(QUICK).await?;
    let listed = people(&client, args.freshness.wire()).await?;
    let printer = &session.printer;
    if listed.items.is_empty() && printer.format.is_table() {
        printer.note("nobody has a certificate: keikoctl cluster token create makes a way in");
        return Ok(Exit::Done);
    }
    let wanted = args.look.wanted(false);
    let rows: Vec<Row> = listed.items.into_iter().map(Row).collect();
    let rows = wanted.sort(COLUMNS, rows, &printer.clock)?;
    let listing = Listing { revision: listed.revision, name: &Row::reference };
    printer.rows(COLUMNS, &wanted, &rows, !args.look.no_headers, listing)?;
    Ok(Exit::Done)
}

async fn remove(args: PersonRemoveArgs, session: &Session) -> Outcome {
    let printer = &session.printer;
    printer.refuse_csv()?;
    let PersonRemoveArgs { name, yes, dry_run, request } = args;
    let reference = format!("person/{name}");
    let (consent, by) = (session.consent(yes), dry_run.by());
    if by.is_none() && !prompt::can_ask(consent) {
        let what = format!("{reference} would be shut out at once");
        return Err(prompt::needs_yes(&what).into());
    }
    let client = session.client(QUICK).await?;
    let mut told = Told { reference: &reference, did: "removed", revision: 0, dry_run: by };
    if by == Some(DryRunBy::Client) {
        let known = people(&client, 0).await?.items.into_iter().find(|known| known.name == name);
        let known = known.ok_or_else(|| {
            Refusal::new(Code::NotFound, format!("nobody is known as {name:?}"))
                .hint("keikoctl person list")
        })?;
        return tell(session, Row(known).json(), &told);
    }
    if by.is_none() && !consent.yes {
        let radius = ask(&client, &name, true, None).await?;
        for binding in &radius.bindings {
            printer.note(&format!("it is taken out of binding/{binding}, too"));
        }
        if !prompt::confirm(format!("shut {reference} out?")).await {
            printer.note("nobody was removed");
            return Ok(Exit::Refused(1));
        }
    }
    let removed = ask(&client, &name, dry_run.at_server(), request.id).await?;
    told.revision = removed.write.unwrap_or_default().revision;
    let mut document = to_json("keiko.v1.RemovePersonResponse", &removed);
    document["bindings"] = removed.bindings.into();
    let exit = tell(session, document, &told)?;
    if by.is_none() {
        printer.note("calls are refused from now on; live streams end within five seconds");
    }
    Ok(exit)
}

async fn ask(
    client: &Client,
    name: &str,
    dry_run: bool,
    id: Option<Uuid>,
) -> Outcome<RemovePersonResponse> {
    let message = RemovePersonRequest { name: name.to_owned(), request_id: Vec::new(), dry_run };
    let removed = client
        .write(id, message, |client, request| async move {
            client.security().remove_person(request).await
        })
        .await?;
    Ok(removed)
}
