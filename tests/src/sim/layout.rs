//! Where rows lie. Written down a second time on purpose: these bytes are for ever, and a check
//! that took them from the law would follow it into a mistake.

use keiko_core::id::GroupId;
use keiko_core::store::{Pair, Space, Store};

/// Room and table of a key.
pub(super) type Place = (u8, u8);

pub(super) const HEAD: Place = (0, 0);
/// In the space of history.
pub(super) const SUPERSEDED: Place = (0, 1);
pub(super) const REPLIES: Place = (0, 2);
pub(super) const BEGINNING: Place = (0, 4);
pub(super) const RECORD: Place = (1, 1);
pub(super) const NODES: Place = (1, 2);
pub(super) const LAST_ID: Place = (1, 3);
pub(super) const AUTHORITY: Place = (2, 1);
pub(super) const TOKENS: Place = (2, 2);
pub(super) const PEOPLE: Place = (2, 3);
pub(super) const ROLES: Place = (2, 4);
pub(super) const BINDINGS: Place = (2, 5);
pub(super) const TOOLS_BY_NAME: Place = (3, 16);
pub(super) const NEEDED_BY: Place = (3, 17);
pub(super) const OLDEST: Place = (4, 1);
pub(super) const LAST_TOKEN: Place = (5, 1);
pub(super) const SESSIONS: Place = (5, 2);
pub(super) const LOCKS: Place = (5, 3);
pub(super) const GRANTS: Place = (5, 4);
pub(super) const WAITERS: Place = (5, 5);

/// The room of the house.
pub(super) const HOUSE: u8 = 0;
const REGISTRY: u8 = 3;

/// Where a key lies.
pub(super) fn place(key: &[u8]) -> Place {
    (key[2], key[3])
}

/// True for the tables of agents, servers, tools and skills.
pub(super) fn is_object(place: Place) -> bool {
    place.0 == REGISTRY && (1..=4).contains(&place.1)
}

/// The rows of one table, in order.
pub(super) fn rows(store: &dyn Store, group: GroupId, space: Space, place: Place) -> Vec<Pair> {
    let prefix = keiko_core::key::Key::new(group, place.0, place.1);
    store.scan(space, prefix.as_bytes(), &prefix.end()).collect()
}

/// All rows of a group in one space.
pub(super) fn all(store: &dyn Store, group: GroupId, space: Space) -> Vec<Pair> {
    let (start, end) = group.range();
    store.scan(space, &start, &end).collect()
}
