//! What can be read.

use super::state::{NODES, RECORD};
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
