//! Barriers: several wait until all of them are there.

use super::args::{ArriveArgs, BarrierVerb, ListArgs};
use super::life::Life;
use super::run::nothing;
use super::table::{BARRIERS, BarrierRow};
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::{Format, FormatKind, Listing};
use crate::session::{PATIENT, QUICK, Session};
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{ArriveRequest, ListBarriersRequest};
use serde_json::json;

/// Runs a verb of barriers.
pub(super) async fn run(verb: BarrierVerb, session: &Session) -> Outcome {
    match verb {
        BarrierVerb::Arrive(args) => arrive(args, session).await,
        BarrierVerb::List(args) => list(&args, session).await,
    }
}

async fn arrive(args: ArriveArgs, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let ArriveArgs { name, namespace, parties, ttl } = args;
    let client = session.client(QUICK).await?;
    let life = Life::open(&client, ttl).await?;
    let progress = session.progress(format!("waiting at barrier/{name}"));
    let (namespace, asked) = (namespace.one(), name.clone());
    let asked = ArriveRequest { namespace, name: asked, parties, ..ArriveRequest::default() };
    let arrived = life.arrive(&asked, session.timeout(PATIENT)).await?;
    drop(progress);
    let mut document = to_json("keiko.v1.ArriveResponse", &arrived);
    document["revision"] = json!(arrived.write.unwrap_or_default().revision);
    session.printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("barrier/{name}\n"),
        _ => format!("barrier/{name} opened: all {parties} are there\n"),
    })?;
    Ok(Exit::Done)
}

async fn list(args: &ListArgs, session: &Session) -> Outcome {
    let client = session.client(QUICK).await?;
    let request =
        ListBarriersRequest { namespace: args.scope.wire(), consistency: args.freshness.wire() };
    let listed = client
        .read(request, |client, request| async move {
            client.coordination().list_barriers(request).await
        })
        .await?;
    let printer = &session.printer;
    if listed.items.is_empty() && printer.format.is_table() {
        printer.note(&nothing("barriers", args));
        return Ok(Exit::Done);
    }
    let wanted = args.look.wanted(args.scope.all_namespaces);
    let rows: Vec<BarrierRow> = listed.items.into_iter().map(BarrierRow).collect();
    let rows = wanted.sort(BARRIERS, rows, &printer.clock)?;
    let listing = Listing { revision: listed.revision, name: &BarrierRow::reference };
    printer.rows(BARRIERS, &wanted, &rows, !args.look.no_headers, listing)?;
    Ok(Exit::Done)
}
