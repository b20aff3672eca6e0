//! How a change of who may what is told.

use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::table::{Grid, Heading};
use crate::print::{Cell, Format, FormatKind, Role};
use crate::rooms::registry::flags::DryRunBy;
use crate::session::Session;
use serde_json::{Value, json};

/// What was done to what.
pub(super) struct Told<'t> {
    /// As in `role/deployer`.
    pub reference: &'t str,
    /// As in `declared`.
    pub did: &'t str,
    pub revision: u64,
    /// Who said what would happen, if nothing did.
    pub dry_run: Option<DryRunBy>,
}

/// Prints it, in every format.
pub(super) fn tell(session: &Session, mut document: Value, told: &Told<'_>) -> Outcome {
    let Told { reference, did, revision, dry_run } = told;
    match dry_run {
        None => document["revision"] = json!(revision),
        Some(DryRunBy::Client) => document["dryRun"] = json!("client"),
        Some(DryRunBy::Server) => document["dryRun"] = json!("server"),
    }
    session.printer.document(&document, |printer| match (&printer.format, dry_run) {
        (Format::Plain(FormatKind::Name), _) => format!("{reference}\n"),
        (_, None) => format!("{reference} {did} at revision {revision}\n"),
        (_, Some(_)) => format!("{reference} would be {did}; nothing was changed\n"),
    })?;
    Ok(Exit::Done)
}

/// A page of a name and a value each; what is empty is not worth a line.
pub(super) fn page(lines: Vec<(&str, Cell)>) -> Grid {
    let known = lines.into_iter().filter(|(_, cell)| !cell.text.is_empty());
    let rows = known.map(|(title, cell)| vec![Cell::role(Role::Muted, title), cell]).collect();
    Grid { headings: vec![Heading::default(), Heading::default()], rows, ..Grid::default() }
}
