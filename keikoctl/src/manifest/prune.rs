//! `--prune`: agents and servers with certain labels, in the namespaces of the manifests, that no
//! manifest names.

use super::read::{Id, Manifest};
use super::removal::Doomed;
use crate::fault::{Outcome, usage};
use crate::rooms::registry::object::{Item, KindWord};
use crate::session::Session;
use keiko_client::Client;
use keiko_client::proto::v1::{Kind, ListRequest};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::selector::Selector;
use std::collections::BTreeSet;

/// What one command may delete: as many as it may apply.
const DELETED_MAX: usize = 10_000;

/// What may be deleted.
pub(super) struct Surplus {
    text: String,
    selector: Selector,
}

impl Surplus {
    /// Reads the selector of `-l`; one that selects everything is refused.
    pub(super) fn parse(text: Option<&str>) -> Result<Option<Self>> {
        let Some(text) = text else { return Ok(None) };
        let selector = Selector::parse(text)?;
        if selector == Selector::default() {
            return Err(usage("--prune without labels would delete whatever no manifest names")
                .hint("as in: --prune -l app=search"));
        }
        Ok(Some(Self { text: text.to_owned(), selector }))
    }

    /// What is there and no manifest names.
    pub(super) async fn find(
        &self,
        client: &Client,
        rounds: &[Vec<Manifest>],
        session: &Session,
    ) -> Outcome<Vec<Doomed>> {
        let manifests = || rounds.iter().flatten();
        let named: BTreeSet<&Id> = manifests().map(|manifest| &manifest.id).collect();
        let namespaces: BTreeSet<&str> =
            manifests().map(|manifest| manifest.id.namespace.as_str()).collect();
        for manifest in manifests().filter(|manifest| !self.covers(manifest)) {
            let words = format!(
                "{} does not have the labels {}: --prune will never delete it",
                manifest.id, self.text
            );
            session.printer.note(&words);
        }
        let mut doomed = Vec::new();
        for namespace in namespaces {
            for kind in [Kind::Agent, Kind::McpServer] {
                self.list(client, KindWord::of(kind), namespace, &named, &mut doomed).await?;
            }
        }
        Ok(doomed)
    }

    fn covers(&self, manifest: &Manifest) -> bool {
        self.selector.matches(&Item(manifest.object.clone()).metadata().labels)
    }

    async fn list(
        &self,
        client: &Client,
        kind: KindWord,
        namespace: &str,
        named: &BTreeSet<&Id>,
        doomed: &mut Vec<Doomed>,
    ) -> Outcome<()> {
        let mut request = ListRequest {
            kind: kind.kind.into(),
            namespace: namespace.to_owned(),
            label_selector: self.text.clone(),
            ..ListRequest::default()
        };
        loop {
            let page = client
                .read(request.clone(), |client, request| async move {
                    client.registry().list(request).await
                })
                .await?;
            let found = page.items.into_iter().map(|object| Doomed::of(kind, object));
            doomed.extend(found.filter(|one| !named.contains(&one.id)));
            if doomed.len() > DELETED_MAX {
                let words = format!("--prune would delete more than {DELETED_MAX} objects");
                return Err(Refusal::new(Code::LimitExceeded, words).into());
            }
            if page.next_page_token.is_empty() {
                return Ok(());
            }
            request.page_token = page.next_page_token;
        }
    }
}
