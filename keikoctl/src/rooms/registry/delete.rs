//! `delete`: says what goes, and asks.

use super::flags::DeleteArgs;
use super::object::{Item, KindWord};
use super::{describe, get};
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
    if !prompt::can_ask(consent) {
        return Err(prompt::needs_yes(&format!("{}/{name} would be deleted", kind.word)).into());
    }
    let client = session.client(QUICK).await?;
    if !consent.yes {
        let question = question(&client, kind, &namespace, &name).await?;
        if !prompt::confirm(&question) {
            session.printer.note("nothing was deleted");
            return Ok(Exit::Refused(1));
        }
    }
    let request = DeleteRequest {
        kind: kind.kind.into(),
        namespace,
        name: name.clone(),
        revision: args.revision.unwrap_or(0),
        request_id: Vec::new(),
    };
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

/// The question, with what goes too.
async fn question(client: &Client, kind: KindWord, namespace: &str, name: &str) -> Outcome<String> {
    let request = GetRequest {
        kind: kind.kind.into(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..GetRequest::default()
    };
    let item = get::fetch(client, request).await?;
    let parts = describe::parts_of(client, &item).await?;
    let word = parts.first().map_or("", |part| part.kind().word);
    Ok(match parts.len() {
        0 => format!("delete {}?", item.reference()),
        1 => format!("delete {} and its {word}?", item.reference()),
        count => format!("delete {} and its {count} {word}s?", item.reference()),
    })
}
