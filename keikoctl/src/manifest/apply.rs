//! `apply -f`: makes the registry say what the files say.

use super::args::ApplyArgs;
use super::prune::Surplus;
use super::read::Manifest;
use super::ready::{self, Unready};
use super::removal::{self, Removed};
use super::{load, order, send, unified};
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::{Format, FormatKind, Printer};
use crate::rooms::registry::flags::DryRunBy;
use crate::rooms::registry::object::Item;
use crate::session::{Interrupt, PATIENT, QUICK, Session};
use keiko_client::Client;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{ApplyRequest, ApplyResponse, Change};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What became of one manifest.
pub(super) struct Applied {
    pub manifest: Manifest,
    pub response: ApplyResponse,
    /// Empty if nothing changed, or if nobody asked.
    pub diff: String,
}

/// Runs `apply -f`.
pub(crate) async fn run(args: &ApplyArgs, session: &Session) -> Outcome {
    let surplus = Surplus::parse(args.selector.as_deref())?;
    let rounds = order::rounds(load(&args.files)?)?;
    let by = args.dry_run.by();
    let client = session.client(QUICK).await?;
    let doomed = match &surplus {
        Some(surplus) => surplus.find(&client, &rounds, session).await?,
        None => Vec::new(),
    };
    if by.is_none() && !removal::consent(&client, &doomed, args.yes, session).await? {
        session.printer.note("nothing was applied or deleted");
        return Ok(Exit::Refused(1));
    }
    let count: usize = rounds.iter().map(Vec::len).sum();
    let progress = session.progress(format!("applying {count} objects"));
    let applied = apply(&client, &rounds, by, args.request.id).await?;
    let removed = removal::remove(&client, &doomed, by, args.request.id, count).await?;
    drop(progress);
    if by.is_some() || !args.patience.or(false) {
        show(&applied, &removed, None, by, session)?;
        return Ok(Exit::Done);
    }
    let unready = wait(&client, &applied, &removed, session).await?;
    Ok(if unready { Exit::EndedBadly } else { Exit::Done })
}

/// Waits until all is ready, and shows what was done; true if something is not. Who sits before a
/// terminal sees it at once: whoever has enough of waiting knows what they have.
async fn wait(
    client: &Client,
    applied: &[Applied],
    removed: &[Removed],
    session: &Session,
) -> Outcome<bool> {
    let printer = &session.printer;
    let at_once = printer.is_terminal && printer.format.is_table();
    if at_once {
        printer.data(&human(applied, removed, &[], None, printer))?;
    }
    session.on_interrupt(Interrupt::Detaches(again(applied)));
    let unready = ready::wait(client, applied, session.timeout(PATIENT), session).await?;
    if at_once {
        printer.data(&human(&[], &[], &unready, None, printer))?;
    } else {
        show(applied, removed, Some(&unready), None, session)?;
    }
    Ok(!unready.is_empty())
}

/// How to go on waiting: the manifests may have come from standard input.
fn again(applied: &[Applied]) -> String {
    let mut names: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for Applied { manifest: Manifest { id, .. }, .. } in applied {
        names.entry(&id.namespace).or_default().push(id.reference());
    }
    let lines = names
        .iter()
        .map(|(namespace, names)| format!("keikoctl wait {} -n {namespace}", names.join(" ")));
    let lines: Vec<String> = lines.collect();
    format!("all was applied; to wait again: {}", lines.join("; "))
}

/// Applies round after round; with `by` nothing changes.
pub(super) async fn apply(
    client: &Client,
    rounds: &[Vec<Manifest>],
    by: Option<DryRunBy>,
    id: Option<Uuid>,
) -> Outcome<Vec<Applied>> {
    let name = |manifest: &Manifest| format!("{} at {}", manifest.id, manifest.place);
    send::rounds(rounds, name, |nth, manifest| {
        let (client, manifest) = (client.clone(), manifest.clone());
        let id = send::nth_id(id, nth);
        async move {
            match by {
                Some(DryRunBy::Client) => compare(&client, manifest).await,
                Some(DryRunBy::Server) => declare(&client, manifest, true, None).await,
                None => declare(&client, manifest, false, id).await,
            }
        }
    })
    .await
}

/// Declares one. What is so already is no entry: the law is asked first, unless the caller brings an
/// id, for which every try must give the same answer.
async fn declare(
    client: &Client,
    manifest: Manifest,
    dry_run: bool,
    id: Option<Uuid>,
) -> Outcome<Applied> {
    let request = ApplyRequest {
        object: Some(manifest.object.clone()),
        revision: manifest.revision,
        dry_run: true,
        ..ApplyRequest::default()
    };
    if dry_run || id.is_none() {
        let response = ask(client, None, request.clone()).await?;
        if dry_run || response.change() == Change::Unchanged {
            let (before, after) = (response.before.as_ref(), response.object.as_ref());
            let diff = match response.change() {
                Change::Unchanged => String::new(),
                _ => unified::between(&manifest, before, after)?,
            };
            return Ok(Applied { manifest, response, diff });
        }
    }
    let response = ask(client, id, ApplyRequest { dry_run: false, ..request }).await?;
    Ok(Applied { manifest, response, diff: String::new() })
}

async fn ask(client: &Client, id: Option<Uuid>, request: ApplyRequest) -> Outcome<ApplyResponse> {
    let response = client
        .write(id, request, |client, request| async move { client.registry().apply(request).await })
        .await?;
    Ok(response)
}

/// Against what is there, without asking the law.
async fn compare(client: &Client, manifest: Manifest) -> Outcome<Applied> {
    let id = &manifest.id;
    let before = send::find(client, manifest.kind, &id.namespace, &id.name).await?;
    let diff = unified::between(&manifest, before.as_ref(), None)?;
    let change = match (&before, diff.is_empty()) {
        (None, _) => Change::Created,
        (Some(_), true) => Change::Unchanged,
        (Some(_), false) => Change::Updated,
    };
    let object = Some(manifest.object.clone());
    let response = ApplyResponse { change: change.into(), before, object, write: None };
    Ok(Applied { manifest, response, diff })
}

impl Applied {
    pub(super) fn word(&self) -> &'static str {
        match self.response.change() {
            Change::Created => "created",
            Change::Updated => "updated",
            Change::Unchanged | Change::Unspecified => "unchanged",
        }
    }

    /// Of the write; of what is there, if nothing was written.
    fn revision(&self) -> u64 {
        let there = || self.response.object.clone().map(|object| Item(object).metadata().revision);
        let written = self.response.write.map(|write| write.revision);
        written.or_else(there).unwrap_or(0)
    }

    fn line(&self, by: Option<DryRunBy>) -> String {
        let reference = &self.manifest.id;
        match (by, self.word()) {
            (_, "unchanged") => format!("{reference} unchanged\n"),
            (Some(by), word) => format!("{reference} would be {word} ({} dry run)\n", by_word(by)),
            (None, word) => format!("{reference} {word} (revision {})\n", self.revision()),
        }
    }

    fn json(&self, unready: Option<&[Unready]>, by: Option<DryRunBy>) -> Value {
        let mut json = to_json("keiko.v1.ApplyResponse", &self.response);
        if by.is_some() {
            json["diff"] = json!(self.diff);
        } else if let Some(fields) = json.as_object_mut() {
            fields.retain(|name, _| name != "before" && name != "write");
            fields.insert("revision".to_owned(), json!(self.revision()));
        }
        if let Some(unready) = unready {
            let why = unready.iter().find(|one| one.id == self.manifest.id);
            json["ready"] = json!(why.is_none());
            if let Some(why) = why {
                json["why"] = json!(why.why);
            }
        }
        json
    }
}

pub(super) fn by_word(by: DryRunBy) -> &'static str {
    match by {
        DryRunBy::Client => "client",
        DryRunBy::Server => "server",
    }
}

fn show(
    applied: &[Applied],
    removed: &[Removed],
    unready: Option<&[Unready]>,
    by: Option<DryRunBy>,
    session: &Session,
) -> Outcome<()> {
    let revisions = applied.iter().map(Applied::revision);
    let revision = revisions.chain(removed.iter().map(Removed::revision)).max().unwrap_or(0);
    let items: Vec<Value> = applied.iter().map(|one| one.json(unready, by)).collect();
    let deleted: Vec<Value> = removed.iter().map(|one| one.json(by)).collect();
    let mut document = json!({"items": items, "deleted": deleted});
    match by {
        Some(by) => document["dryRun"] = json!(by_word(by)),
        None => document["revision"] = json!(revision),
    }
    session.printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => {
            applied.iter().map(|one| format!("{}\n", one.manifest.id.reference())).collect()
        }
        _ => human(applied, removed, unready.unwrap_or_default(), by, printer),
    })
}

fn human(
    applied: &[Applied],
    removed: &[Removed],
    unready: &[Unready],
    by: Option<DryRunBy>,
    printer: &Printer,
) -> String {
    let mut text = String::new();
    for one in applied {
        text.push_str(&one.line(by));
        text.push_str(&unified::painted(&one.diff, printer));
    }
    for one in removed {
        text.push_str(&one.line(by));
        text.push_str(&unified::painted(one.diff(), printer));
    }
    for one in unready {
        text.push_str(&format!("{} is not ready: {}\n", one.id, printer.safe(&one.why)));
    }
    text
}
