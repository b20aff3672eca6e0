//! `status` and `cluster status`: an answer even where no write can be taken. It is on stdout then,
//! too, and the exit code says 8.

use super::table::{self, MEMBERS, NODES, Row};
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::columns::Wanted;
use crate::print::{Column, Format, FormatKind, Printer, Role, escape};
use crate::session::{QUICK, Session};
use keiko_client::proto::v1::StatusResponse;
use keiko_core::refusal::Code;

/// Runs `status`.
pub(crate) async fn brief(session: &Session) -> Outcome {
    run(NODES, session).await
}

/// Runs `cluster status`.
pub(super) async fn full(session: &Session) -> Outcome {
    run(MEMBERS, session).await
}

async fn run(columns: &[Column<Row>], session: &Session) -> Outcome {
    let status = session.client(QUICK).await?.status().await?;
    let printer = &session.printer;
    let rows = table::rows(status.nodes.clone());
    match &printer.format {
        Format::Plain(FormatKind::Csv) => {
            let csv = Wanted::default().csv(columns, &rows, &printer.clock, true)?;
            printer.data(&printer.safe(&csv))?;
        }
        Format::Plain(FormatKind::Name) => {
            let names = rows.iter().map(|row| format!("{}\n", row.reference()));
            printer.data(&names.collect::<String>())?;
        }
        _ => printer.document(&table::document(&status), |printer| {
            human(&status, columns, &rows, printer)
        })?,
    }
    if table::lost(&status).is_none() {
        return Ok(Exit::Done);
    }
    if printer.format.is_table() {
        printer.note("no write is taken now; reads go on with --stale");
    }
    Ok(Exit::Refused(Code::NoLeader.class().exit_code()))
}

fn human(
    status: &StatusResponse,
    columns: &[Column<Row>],
    rows: &[Row],
    printer: &Printer,
) -> String {
    let lost = table::lost(status)
        .map(|words| format!("{}\n", printer.style.paint(Role::Bad, &escape::line(&words))));
    let lost = lost.unwrap_or_default();
    let head = table::summary(status).lay_out(&printer.style, printer.width(), false);
    let kind = match printer.format {
        Format::Plain(kind) => kind,
        Format::Path(_) => FormatKind::Table,
    };
    let nodes = Wanted::default().grid(columns, rows, kind, &printer.clock);
    let nodes = nodes.map(|grid| grid.lay_out(&printer.style, printer.width(), true));
    // The columns are ours, so they are all there.
    format!("{lost}{head}\n{}", nodes.unwrap_or_default())
}
