//! Where the front looks tokens and people up: this node's own state, so that a revocation counts
//! as soon as it is applied here and a look-up needs no leader.
//!
//! Before it says no, a node that may lag catches up with the leader: who was let in at another node
//! a moment ago is let in here.

use super::super::Control;
use crate::net::Tokens;
use crate::store::View;
use keiko_core::id::GroupId;
use keiko_core::security;
use keiko_proto::v1::{Consistency, PersonEntry, Token};
use std::time::Duration;

/// What catching up may take before somebody unknown is refused.
const CATCH_UP_MAX: Duration = Duration::from_secs(1);

/// The tokens and people of the security room.
pub struct StoredTokens(pub Control);

impl StoredTokens {
    async fn look<R: Send + 'static>(
        &self,
        query: impl FnOnce(&View<'_>) -> Option<R> + Clone + Send + 'static,
    ) -> Option<R> {
        let here = self.0.read_local(query.clone()).await.ok().flatten();
        if here.is_some() || self.0.is_leader() {
            return here;
        }
        let there = self.0.read(Consistency::Lease.into(), query);
        tokio::time::timeout(CATCH_UP_MAX, there).await.ok()?.ok()?.value
    }
}

#[tonic::async_trait]
impl Tokens for StoredTokens {
    async fn find(&self, id: &str) -> Option<Token> {
        let id = id.to_owned();
        self.look(move |view| security::token(view, GroupId::CONTROL, &id)).await
    }

    async fn person(&self, name: &str, key_hash: &str) -> Option<PersonEntry> {
        let (wanted, key_hash) = (name.to_owned(), key_hash.to_owned());
        let of_key = move |view: &View<'_>| {
            security::person(view, GroupId::CONTROL, &wanted)
                .filter(|entry| entry.key_hash == key_hash)
        };
        if let Some(entry) = self.look(of_key).await {
            return Some(entry);
        }
        let name = name.to_owned();
        let of_name = move |view: &View<'_>| security::person(view, GroupId::CONTROL, &name);
        self.0.read_local(of_name).await.ok().flatten()
    }
}
