//! `diff -f`: what `apply -f` would change, as the law sees it. Nothing changes.

use super::args::DiffArgs;
use super::{apply, load, order, unified};
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::{Format, FormatKind};
use crate::rooms::registry::flags::DryRunBy;
use crate::session::{QUICK, Session};
use serde_json::{Value, json};

/// Runs `diff -f`.
pub(crate) async fn run(args: &DiffArgs, session: &Session) -> Outcome {
    let rounds = order::rounds(load(&args.files)?)?;
    let client = session.client(QUICK).await?;
    let progress = session.progress("comparing");
    let applied = apply::apply(&client, &rounds, Some(DryRunBy::Server), None).await?;
    drop(progress);
    let differing: Vec<_> = applied.iter().filter(|one| one.word() != "unchanged").collect();
    let items: Vec<Value> = differing
        .iter()
        .map(|one| {
            let id = &one.manifest.id;
            json!({
                "kind": id.noun, "namespace": id.namespace, "name": id.name,
                "change": one.word(), "diff": one.diff,
            })
        })
        .collect();
    let document = json!({"items": items, "compared": applied.len()});
    session.printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => {
            differing.iter().map(|one| format!("{}\n", one.manifest.id.reference())).collect()
        }
        _ => differing.iter().map(|one| unified::painted(&one.diff, printer)).collect(),
    })?;
    Ok(if args.exit_code && !differing.is_empty() { Exit::Different } else { Exit::Done })
}
