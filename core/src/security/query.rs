//! What can be read.

use super::rotation::ROTATION;
use super::state::{AUTHORITY, PEOPLE, TOKENS};
use crate::id::GroupId;
use crate::store::Store;
use keiko_proto::v1::{Authority, PersonEntry, Rotation, Token};

/// The certificate authority; `None` before the cluster is founded.
pub fn authority(store: &dyn Store, group: GroupId) -> Option<Authority> {
    AUTHORITY.get(store, &AUTHORITY.key(group))
}

/// The change of the authority that is under way, if one is.
pub fn rotation(store: &dyn Store, group: GroupId) -> Option<Rotation> {
    ROTATION.get(store, &ROTATION.key(group))
}

/// A token by its id, expired, traded or not.
pub fn token(store: &dyn Store, group: GroupId, id: &str) -> Option<Token> {
    TOKENS.get(store, &TOKENS.key(group).text(id))
}

/// Every token, by id.
pub fn tokens(store: &dyn Store, group: GroupId) -> Vec<Token> {
    TOKENS.scan(store, &TOKENS.key(group)).map(|(_, token)| token).collect()
}

/// Whom a certificate names: a person, or an agent as in `agent.default.hello`.
pub fn person(store: &dyn Store, group: GroupId, name: &str) -> Option<PersonEntry> {
    PEOPLE.get(store, &PEOPLE.key(group).text(name))
}

/// Everybody who has a certificate, by name.
pub fn people(store: &dyn Store, group: GroupId) -> Vec<PersonEntry> {
    PEOPLE.scan(store, &PEOPLE.key(group)).map(|(_, person)| person).collect()
}
