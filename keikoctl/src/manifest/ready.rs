//! `--wait`: until everything that was applied is Ready. It follows watches, one for each kind and
//! namespace, and never asks twice.

use super::apply::Applied;
use super::read::Id;
use crate::fault::Outcome;
use crate::rooms::registry::object::{Item, KindWord};
use crate::session::Session;
use futures::future::try_join_all;
use keiko_client::Client;
use keiko_client::proto::v1::WatchRequest;
use keiko_client::proto::v1::watch_response::Type;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

/// What did not become Ready in time.
pub(super) struct Unready {
    pub id: Id,
    pub why: String,
}

/// What is waited for, with what it was last.
type Open = RefCell<BTreeMap<Id, String>>;

/// Waits; gives back what is not Ready when the time is over.
pub(super) async fn wait(
    client: &Client,
    applied: &[Applied],
    patience: Duration,
    session: &Session,
) -> Outcome<Vec<Unready>> {
    let (mut open, mut groups) = (BTreeMap::new(), BTreeMap::new());
    for Applied { manifest, .. } in applied {
        open.insert(manifest.id.clone(), "nothing was heard of it".to_owned());
        let group = (manifest.id.namespace.clone(), manifest.id.noun);
        groups.insert(group, manifest.kind);
    }
    let open = Open::new(open);
    let _progress = session.progress(format!("waiting for {} to be ready", applied.len()));
    let follow = groups.iter().map(|((namespace, _), kind)| group(client, *kind, namespace, &open));
    match tokio::time::timeout(patience, try_join_all(follow)).await {
        Ok(ended) => drop(ended?),
        Err(_) => session.printer.note(&format!("not all was ready after {patience:?}")),
    }
    let left = open.into_inner().into_iter();
    Ok(left.map(|(id, why)| Unready { id, why }).collect())
}

/// Follows one kind in one namespace until none of it is open.
async fn group(client: &Client, kind: KindWord, namespace: &str, open: &Open) -> Outcome<()> {
    let is_ours = |id: &Id| id.noun == kind.word && id.namespace == namespace;
    let request = WatchRequest {
        kind: kind.kind.into(),
        namespace: namespace.to_owned(),
        ..WatchRequest::default()
    };
    let mut watch = client.watch(request).await?;
    while open.borrow().keys().any(is_ours) {
        let change = watch.next().await?;
        let (event, Some(object)) = (change.r#type(), change.object) else { continue };
        let item = Item(object);
        let id = Id {
            namespace: item.metadata().namespace.clone(),
            noun: kind.word,
            name: item.metadata().name.clone(),
        };
        let mut open = open.borrow_mut();
        let Some(last) = open.get_mut(&id) else { continue };
        match item.ready() {
            _ if event == Type::Deleted => *last = "it was deleted".to_owned(),
            Some(ready) if ready.status == "True" => drop(open.remove(&id)),
            Some(ready) => *last = format!("{}: {}", ready.reason, ready.message),
            None => *last = "no probe has looked at it yet".to_owned(),
        }
    }
    Ok(())
}
