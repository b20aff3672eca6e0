//! What can be read.

use super::state::{LAST_ID, NODES, RECORD};
use crate::id::GroupId;
use crate::store::Store;
use keiko_proto::v1::{ClusterRecord, Node};

/// What this cluster is; `None` before it is founded.
pub fn record(store: &dyn Store, group: GroupId) -> Option<ClusterRecord> {
    RECORD.get(store, &RECORD.key(group))
}

/// A node by its id.
pub fn node(store: &dyn Store, group: GroupId, id: u64) -> Option<Node> {
    NODES.get(store, &NODES.key(group).number(id))
}

/// Every node, by id.
pub fn nodes(store: &dyn Store, group: GroupId) -> Vec<Node> {
    NODES.scan(store, &NODES.key(group)).map(|(_, node)| node).collect()
}

/// A node by its name.
pub fn member(store: &dyn Store, group: GroupId, name: &str) -> Option<Node> {
    NODES.scan(store, &NODES.key(group)).map(|(_, node)| node).find(|node| node.name == name)
}

/// The id of the node that is admitted next; `None` if there are no more.
pub fn next_id(store: &dyn Store, group: GroupId) -> Option<u64> {
    last_id(store, group).checked_add(1)
}

/// The highest id that a node has or had. The row says nothing of a founder.
pub(super) fn last_id(store: &dyn Store, group: GroupId) -> u64 {
    let kept = LAST_ID.get(store, &LAST_ID.key(group)).unwrap_or(0);
    NODES.scan(store, &NODES.key(group)).map(|(_, node)| node.id).fold(kept, u64::max)
}
