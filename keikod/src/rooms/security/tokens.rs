//! Where the front looks tokens up: this node's own state, so that a revocation counts at once and
//! a look-up needs no leader.

use super::super::Control;
use crate::net::Tokens;
use keiko_core::id::GroupId;
use keiko_core::security;
use keiko_proto::v1::Token;

/// The tokens of the security room.
pub struct StoredTokens(pub Control);

#[tonic::async_trait]
impl Tokens for StoredTokens {
    async fn find(&self, id: &str) -> Option<Token> {
        let id = id.to_owned();
        let query =
            move |view: &crate::store::View<'_>| security::token(view, GroupId::CONTROL, &id);
        self.0.read_local(query).await.ok().flatten()
    }
}
