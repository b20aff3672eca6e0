//! `delete`: says what goes, and asks.

use super::dry_run::{self, Preview};
use super::flags::{DeleteArgs, DryRunBy};
use super::object::{Item, KindWord};
use super::{describe, get, impact};
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::{Format, FormatKind, prompt};
use crate::session::{QUICK, Session};
use keiko_client::Client;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{DeleteRequest, GetRequest};
use serde_json::json;

/// Runs `delete`.
pub(crate) async fn run(kind: KindWord, args: &DeleteArgs, session: &Session) -> Outcome {
    let name = kind.name(&args.name)?;
    let namespace = args.namespace.one();
    let consent = session.consent(args.yes);
    if args.dry_run.by().is_none() && !prompt::can_ask(consent) {
        return Err(prompt::needs_yes(&format!("{}/{name} would be deleted", kind.word)).into());
    }
    let client = session.client(QUICK).await?;
    let mut revision = args.revision.unwrap_or(0);
    if args.dry_run.by().is_none() && !consent.yes {
        let radius = Radius::of(&client, kind, &namespace, &name).await?;
        if !radius.broken.is_empty() {
            session.printer.note(&radius.broken);
        }
        if !prompt::confirm(format!("delete {}?", radius.goes())).await {
            session.printer.note("nothing was deleted");
            return Ok(Exit::Refused(1));
        }
        // The answer is about what was shown, and not about what was declared since.
        revision = args.revision.unwrap_or_else(|| radius.item.metadata().revision);
    }
    let request = DeleteRequest {
        kind: kind.kind.into(),
        namespace,
        name: name.clone(),
        revision,
        request_id: Vec::new(),
        dry_run: args.dry_run.at_server(),
    };
    if let Some(by) = args.dry_run.by() {
        return preview(&client, kind, by, request, session).await;
    }
    let deleted = client
        .write(args.request.id, request, |client, request| async move {
            client.registry().delete(request).await
        })
        .await?;
    let revision = deleted.write.unwrap_or_default().revision;
    let mut document = to_json("keiko.v1.DeleteResponse", &deleted);
    document["revision"] = json!(revision);
    let reference = deleted
        .object
        .map(Item)
        .map_or_else(|| format!("{}/{name}", kind.word), |item| item.reference());
    session.printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("{reference}\n"),
        _ => format!("{reference} deleted at revision {revision}\n"),
    })?;
    Ok(Exit::Done)
}

/// What would go, and whether the law lets it.
async fn preview(
    client: &Client,
    kind: KindWord,
    by: DryRunBy,
    request: DeleteRequest,
    session: &Session,
) -> Outcome {
    let radius = Radius::of(client, kind, &request.namespace, &request.name).await?;
    if by == DryRunBy::Server {
        client
            .write(None, request, |client, request| async move {
                client.registry().delete(request).await
            })
            .await?;
    }
    let parts = radius.parts.iter().map(|part| format!("- {}", part.reference()));
    let broken = Some(radius.broken.clone()).filter(|broken| !broken.is_empty());
    let preview = Preview {
        by,
        reference: radius.item.reference(),
        change: "deleted",
        notes: parts.chain(broken).collect(),
        before: Some(radius.item),
        after: None,
    };
    dry_run::show(&preview, session)
}

/// What a deletion touches.
struct Radius {
    item: Item,
    /// They go too.
    parts: Vec<Item>,
    /// Who needs it; empty if nobody does.
    broken: String,
}

impl Radius {
    async fn of(client: &Client, kind: KindWord, namespace: &str, name: &str) -> Outcome<Self> {
        let request = GetRequest {
            kind: kind.kind.into(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..GetRequest::default()
        };
        let item = get::fetch(client, request).await?;
        let parts = describe::parts_of(client, &item).await?;
        let broken = impact::sentence(&impact::ask(client, kind, namespace, name).await?);
        Ok(Self { item, parts, broken })
    }

    /// It and its parts, for a question.
    fn goes(&self) -> String {
        let reference = self.item.reference();
        let word = self.parts.first().map_or("", |part| part.kind().word);
        match self.parts.len() {
            0 => reference,
            1 => format!("{reference} and its {word}"),
            count => format!("{reference} and its {count} {word}s"),
        }
    }
}
