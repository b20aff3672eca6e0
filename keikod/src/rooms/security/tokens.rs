//! Where the front looks tokens and people up: this node's own state, so that a revocation counts
//! as soon as it is applied here and a look-up needs no leader.

use super::super::Control;
use crate::net::Tokens;
use keiko_core::id::GroupId;
use keiko_core::security;
use keiko_proto::v1::{PersonEntry, Token};

/// The tokens and people of the security room.
pub struct StoredTokens(pub Control);

#[tonic::async_trait]
impl Tokens for StoredTokens {
    async fn find(&self, id: &str) -> Option<Token> {
        let id = id.to_owned();
        let query =
            move |view: &crate::store::View<'_>| security::token(view, GroupId::CONTROL, &id);
        self.0.read_local(query).await.ok().flatten()
    }

    async fn person(&self, name: &str) -> Option<PersonEntry> {
        let name = name.to_owned();
        let query =
            move |view: &crate::store::View<'_>| security::person(view, GroupId::CONTROL, &name);
        self.0.read_local(query).await.ok().flatten()
    }
}
