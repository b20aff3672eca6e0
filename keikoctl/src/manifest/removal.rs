//! Deleting many: who goes, what breaks with them, and in which order.

use super::read::Id;
use super::{apply, order, send, unified};
use crate::fault::Outcome;
use crate::print::prompt;
use crate::rooms::registry::flags::DryRunBy;
use crate::rooms::registry::object::{Item, KindWord};
use crate::session::Session;
use futures::future::try_join_all;
use keiko_client::Client;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{DeleteRequest, DeleteResponse, ImpactRequest, Object};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Names in a question.
const NAMED_MAX: usize = 10;
/// Objects whose dependents are looked up for a question.
const ASKED_MAX: usize = 256;

/// What is to go.
#[derive(Clone)]
pub(super) struct Doomed {
    pub id: Id,
    pub kind: KindWord,
    pub object: Object,
    /// Refused if it was declared anew since this revision. Zero: whatever it is at.
    pub revision: u64,
    pub needs: Vec<String>,
}

impl Doomed {
    /// As it was just read: refused if somebody declares it anew before it goes.
    pub(super) fn of(kind: KindWord, object: Object) -> Self {
        let item = Item(object);
        let metadata = item.metadata();
        Self {
            id: Id {
                namespace: metadata.namespace.clone(),
                noun: kind.word,
                name: metadata.name.clone(),
            },
            revision: metadata.revision,
            needs: item.depends_on().to_vec(),
            kind,
            object: item.0,
        }
    }
}

impl order::Ordered for Doomed {
    fn id(&self) -> &Id {
        &self.id
    }

    fn needs(&self) -> &[String] {
        &self.needs
    }

    fn place(&self) -> String {
        "the registry".to_owned()
    }
}

/// What went.
pub(super) struct Removed {
    doomed: Doomed,
    response: DeleteResponse,
    diff: String,
}

impl Removed {
    pub(super) fn revision(&self) -> u64 {
        self.response.write.unwrap_or_default().revision
    }

    pub(super) fn diff(&self) -> &str {
        &self.diff
    }

    pub(super) fn reference(&self) -> String {
        self.doomed.id.reference()
    }

    pub(super) fn line(&self, by: Option<DryRunBy>) -> String {
        let name = &self.doomed.id;
        match by {
            Some(by) => format!("{name} would be deleted ({} dry run)\n", apply::by_word(by)),
            None => format!("{name} deleted (revision {})\n", self.revision()),
        }
    }

    pub(super) fn json(&self, by: Option<DryRunBy>) -> Value {
        let mut json = to_json("keiko.v1.DeleteResponse", &self.response);
        match by {
            Some(_) => json["diff"] = json!(self.diff),
            None => json["revision"] = json!(self.revision()),
        }
        json
    }
}

/// True if all of it may go: somebody said so, or nothing goes.
pub(super) async fn consent(
    client: &Client,
    doomed: &[Doomed],
    yes: bool,
    session: &Session,
) -> Outcome<bool> {
    let consent = session.consent(yes);
    if doomed.is_empty() || yes {
        return Ok(true);
    }
    let names = named(doomed.iter().map(|one| one.id.to_string()));
    let what = match doomed.len() {
        1 => names,
        count => format!("{count} objects: {names}"),
    };
    if !prompt::can_ask(consent) {
        return Err(prompt::needs_yes(&format!("this would delete {what}")).into());
    }
    let broken = broken(client, doomed).await?;
    if !broken.is_empty() {
        session.printer.note(&format!("still needed by {}", named(broken.into_iter())));
    }
    Ok(prompt::confirm(format!("delete {what}, with all that they offer?")).await)
}

fn named(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    let more = if names.len() > NAMED_MAX { ", …" } else { "" };
    format!("{}{more}", names[..names.len().min(NAMED_MAX)].join(", "))
}

/// Who stays and needs something that goes.
async fn broken(client: &Client, doomed: &[Doomed]) -> Outcome<BTreeSet<String>> {
    let going: BTreeSet<&Id> = doomed.iter().map(|one| &one.id).collect();
    let mut broken = BTreeSet::new();
    for chunk in doomed[..doomed.len().min(ASKED_MAX)].chunks(send::TOGETHER_MAX) {
        let asked = chunk.iter().map(|one| {
            let request = ImpactRequest {
                kind: one.kind.kind.into(),
                namespace: one.id.namespace.clone(),
                name: one.id.name.clone(),
            };
            client.read(request, |client, request| async move {
                client.registry().impact(request).await
            })
        });
        for affected in try_join_all(asked).await?.into_iter().flat_map(|found| found.items) {
            let stays = !going.iter().any(|id| {
                id.noun == affected.kind
                    && id.namespace == affected.namespace
                    && id.name == affected.name
            });
            if stays {
                broken.insert(format!("{}/{}", affected.kind, affected.name));
            }
        }
    }
    Ok(broken)
}

/// Deletes them, dependents first; `before` calls of the command came earlier.
pub(super) async fn remove(
    client: &Client,
    doomed: &[Doomed],
    by: Option<DryRunBy>,
    id: Option<Uuid>,
    before: usize,
) -> Outcome<Vec<Removed>> {
    let mut rounds = order::rounds(doomed.to_vec())?;
    rounds.reverse();
    send::rounds(
        &rounds,
        |one| one.id.to_string(),
        |nth, one| {
            let (client, doomed) = (client.clone(), one.clone());
            let id = send::nth_id(id, before + nth);
            async move {
                let diff = match by {
                    Some(_) => unified::gone(&doomed.id.reference(), &doomed.object)?,
                    None => String::new(),
                };
                let response = match by {
                    Some(DryRunBy::Client) => {
                        DeleteResponse { object: Some(doomed.object.clone()), write: None }
                    }
                    by => delete(&client, &doomed, by.is_some(), id).await?,
                };
                Ok(Removed { doomed, response, diff })
            }
        },
    )
    .await
}

async fn delete(
    client: &Client,
    doomed: &Doomed,
    dry_run: bool,
    id: Option<Uuid>,
) -> Outcome<DeleteResponse> {
    let request = DeleteRequest {
        kind: doomed.kind.kind.into(),
        namespace: doomed.id.namespace.clone(),
        name: doomed.id.name.clone(),
        revision: doomed.revision,
        request_id: Vec::new(),
        dry_run,
    };
    let response = client
        .write(
            id,
            request,
            |client, request| async move { client.registry().delete(request).await },
        )
        .await?;
    Ok(response)
}
