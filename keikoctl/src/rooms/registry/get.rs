//! `get`: one object, now or at a point in the past.

use super::flags::GetArgs;
use super::list::Fields;
use super::object::{Item, KindWord};
use super::{table, watch};
use crate::exit::Exit;
use crate::fault::{Outcome, Stop};
use crate::print::time::{Point, point};
use crate::print::{Format, FormatKind, Listing, Shown};
use crate::session::{QUICK, Session};
use keiko_client::Client;
use keiko_client::proto::v1::at::Point as WirePoint;
use keiko_client::proto::v1::{At, GetRequest, Object};
use keiko_core::refusal::{Code, Refusal};

/// Runs `get`.
pub(crate) async fn run(kind: KindWord, args: &GetArgs, session: &Session) -> Outcome {
    let name = kind.name(&args.name)?;
    let printer = &session.printer;
    let at = args.at.as_deref().map(|text| point(text, printer.clock.now_ms)).transpose()?;
    let wanted = args.look.wanted(false);
    let with_headings = !args.look.no_headers;
    let client = session.client(QUICK).await?;
    if args.watch {
        let subject = watch::Subject {
            kind,
            namespace: args.namespace.one(),
            name,
            selector: String::new(),
            fields: Fields::default(),
            wanted,
            with_headings,
        };
        return watch::run(subject, &client, session).await;
    }
    let request = GetRequest {
        kind: kind.kind.into(),
        namespace: args.namespace.one(),
        name,
        at: at.map(wire),
        consistency: args.freshness.wire(),
    };
    let item = fetch(&client, request).await?;
    match &printer.format {
        Format::Plain(
            FormatKind::Table | FormatKind::Wide | FormatKind::Csv | FormatKind::Name,
        ) => {
            let listing = Listing { revision: 0, name: &Item::reference };
            printer.rows(table::columns(kind.kind), &wanted, &[item], with_headings, listing)?;
        }
        _ => printer.document(&item.json(), |_| String::new())?,
    }
    Ok(Exit::Done)
}

/// One object.
pub(crate) async fn fetch(client: &Client, request: GetRequest) -> Outcome<Item> {
    let response = client
        .read(request, |client, request| async move { client.registry().get(request).await })
        .await?;
    match response.object {
        Some(object @ Object { object: Some(_) }) => Ok(Item(object)),
        _ => Err(Refusal::new(Code::Internal, "keikod answered without an object").into()),
    }
}

/// One object, or none if it does not exist.
pub(crate) async fn maybe(client: &Client, request: GetRequest) -> Outcome<Option<Item>> {
    match fetch(client, request).await {
        Ok(item) => Ok(Some(item)),
        Err(Stop::Refused(fault)) if fault.refusal.code == Code::NotFound => Ok(None),
        Err(stop) => Err(stop),
    }
}

fn wire(point: Point) -> At {
    let point = match point {
        Point::Revision(revision) => WirePoint::Revision(revision),
        Point::UnixMs(unix_ms) => WirePoint::UnixMs(unix_ms),
    };
    At { point: Some(point) }
}
