//! Status and founding.

use super::args::ClusterVerb;
use super::table::{self, NODES};
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::columns::Wanted;
use crate::print::{Format, FormatKind, Printer};
use crate::session::{QUICK, Session};
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1 as wire;

/// Runs a verb of the cluster.
pub(crate) async fn run(verb: ClusterVerb, session: &Session) -> Outcome {
    match verb {
        ClusterVerb::Status => status(session).await,
        ClusterVerb::Init => init(session).await,
    }
}

async fn status(session: &Session) -> Outcome {
    let status = session.client(QUICK).await?.status().await?;
    let printer = &session.printer;
    match &printer.format {
        Format::Plain(FormatKind::Csv) => {
            let csv = Wanted::default().csv(NODES, &status.nodes, &printer.clock, true)?;
            printer.data(&printer.safe(&csv))?;
        }
        Format::Plain(FormatKind::Name) => {
            let names = status.nodes.iter().map(|node| format!("node/{}\n", node.name));
            printer.data(&names.collect::<String>())?;
        }
        _ => printer.document(&table::document(&status), |printer| human(&status, printer))?,
    }
    Ok(Exit::Done)
}

fn human(status: &wire::StatusResponse, printer: &Printer) -> String {
    let head = table::summary(status).lay_out(&printer.style, printer.width(), false);
    let kind = match printer.format {
        Format::Plain(kind) => kind,
        Format::Path(_) => FormatKind::Table,
    };
    let nodes = Wanted::default().grid(NODES, &status.nodes, kind, &printer.clock);
    let nodes = nodes.map(|grid| grid.lay_out(&printer.style, printer.width(), true));
    // The columns are ours, so they are all there.
    format!("{head}\n{}", nodes.unwrap_or_default())
}

async fn init(session: &Session) -> Outcome {
    let client = session.client(QUICK).await?;
    let founded = client
        .once(wire::InitRequest {}, |client, request| async move {
            client.cluster().init(request).await
        })
        .await?;
    let document = to_json("keiko.v1.InitResponse", &founded);
    session.printer.document(&document, |_| format!("cluster {} founded\n", founded.cluster_id))?;
    Ok(Exit::Done)
}
