//! What can be read.

use super::state::{AUTHORITY, TOKENS};
use crate::id::GroupId;
use crate::store::Store;
use keiko_proto::v1::{Authority, Token};

/// The certificate authority; `None` before the cluster is founded.
pub fn authority(store: &dyn Store, group: GroupId) -> Option<Authority> {
    AUTHORITY.get(store, &AUTHORITY.key(group))
}

/// A token by its id, expired or not.
pub fn token(store: &dyn Store, group: GroupId, id: &str) -> Option<Token> {
    TOKENS.get(store, &TOKENS.key(group).text(id))
}

/// Every token, by id.
pub fn tokens(store: &dyn Store, group: GroupId) -> Vec<Token> {
    TOKENS.scan(store, &TOKENS.key(group)).map(|(_, token)| token).collect()
}
