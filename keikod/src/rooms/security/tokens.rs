//! Where the front looks tokens and people up: this node's own state, so that a revocation counts
//! as soon as it is applied here and a look-up needs no leader.
//!
//! Before it says no, a node that may lag catches up with the leader: who was let in at another node
//! a moment ago is let in here.

use super::super::Control;
use super::bound::Bindings;
use crate::net::{Bound, Tokens};
use crate::store::View;
use keiko_core::id::GroupId;
use keiko_core::security;
use keiko_proto::v1::{Consistency, PersonEntry, Token};
use std::time::Duration;

/// What catching up may take before somebody unknown is refused.
const CATCH_UP_MAX: Duration = Duration::from_secs(1);

/// The tokens and people of the security room, with what bindings hand to them.
pub struct StoredTokens {
    /// Where it reads.
    pub control: Control,
    /// What is known of bindings.
    pub bindings: Bindings,
}

impl StoredTokens {
    async fn look<R: Send + 'static>(
        &self,
        query: impl FnOnce(&View<'_>) -> Option<R> + Clone + Send + 'static,
    ) -> Option<R> {
        let here = self.control.read_local(query.clone()).await.ok().flatten();
        if here.is_some() || self.control.is_leader() {
            return here;
        }
        let there = self.control.read(Consistency::Lease.into(), query);
        tokio::time::timeout(CATCH_UP_MAX, there).await.ok()?.ok()?.value
    }
}

#[tonic::async_trait]
impl Tokens for StoredTokens {
    async fn find(&self, id: &str) -> Option<(Token, Bound)> {
        let (id, bindings) = (id.to_owned(), self.bindings.clone());
        let query = move |view: &View<'_>| {
            let token = security::token(view, GroupId::CONTROL, &id)?;
            let bound = bindings.of(view, &security::subjects_of_token(&token));
            Some((token, bound))
        };
        self.look(query).await
    }

    async fn person(&self, name: &str, key_hash: &str) -> Option<(PersonEntry, Bound)> {
        let (wanted, bindings) = (name.to_owned(), self.bindings.clone());
        let of_name = move |view: &View<'_>| {
            let person = security::person(view, GroupId::CONTROL, &wanted)?;
            let bound = bindings.of(view, &[security::subject_of_person(&person)]);
            Some((person, bound))
        };
        let (query, key_hash) = (of_name.clone(), key_hash.to_owned());
        let of_key =
            move |view: &View<'_>| query(view).filter(|(entry, _)| entry.key_hash == key_hash);
        if let Some(found) = self.look(of_key).await {
            return Some(found);
        }
        self.control.read_local(of_name).await.ok().flatten()
    }

    async fn is_former(&self, ca_hash: &str) -> bool {
        let ca_hash = ca_hash.to_owned();
        let query = move |view: &View<'_>| {
            let stored = security::authority(view, GroupId::CONTROL);
            stored.is_some_and(|stored| stored.former.contains(&ca_hash))
        };
        self.control.read_local(query).await.unwrap_or(false)
    }
}
