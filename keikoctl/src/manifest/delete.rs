//! `delete -f`: what the files name goes, dependents first.

use super::args::DeleteFilesArgs;
use super::removal::{self, Doomed, Removed};
use super::{load, send, unified};
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::{Format, FormatKind};
use crate::session::{QUICK, Session};
use keiko_core::refusal::{Code, Refusal};
use serde_json::{Value, json};

/// Runs `delete -f`.
pub(crate) async fn run(args: &DeleteFilesArgs, session: &Session) -> Outcome {
    let manifests = load(&args.files)?;
    let by = args.dry_run.by();
    let client = session.client(QUICK).await?;
    let (mut doomed, mut missing) = (Vec::new(), Vec::new());
    for manifest in manifests {
        let id = &manifest.id;
        match send::find(&client, manifest.kind, &id.namespace, &id.name).await? {
            Some(object) => {
                let found = Doomed::of(manifest.kind, object);
                // Without one of its own it is about what was just read.
                let revision = match manifest.revision {
                    0 => found.revision,
                    revision => revision,
                };
                doomed.push(Doomed { revision, ..found });
            }
            None => missing.push(format!("{id} at {}", manifest.place)),
        }
    }
    if !missing.is_empty() && !args.ignore_not_found {
        let message =
            format!("{} of the manifests are not there: nothing was deleted", missing.len());
        let refusal = Refusal { causes: missing, ..Refusal::new(Code::NotFound, message) };
        return Err(refusal.hint("--ignore-not-found deletes the others").into());
    }
    if by.is_none() && !removal::consent(&client, &doomed, args.yes, session).await? {
        session.printer.note("nothing was deleted");
        return Ok(Exit::Refused(1));
    }
    let progress = session.progress(format!("deleting {} objects", doomed.len()));
    let removed = removal::remove(&client, &doomed, by, args.request.id, 0).await?;
    drop(progress);
    let items: Vec<Value> = removed.iter().map(|one| one.json(by)).collect();
    let revision = removed.iter().map(Removed::revision).max().unwrap_or(0);
    let document = json!({"items": items, "revision": revision});
    session.printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => {
            removed.iter().map(|one| format!("{}\n", one.reference())).collect()
        }
        _ => removed
            .iter()
            .map(|one| format!("{}{}", one.line(by), unified::painted(one.diff(), printer)))
            .collect(),
    })?;
    Ok(Exit::Done)
}
