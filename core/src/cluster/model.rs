//! The room's ops, checked as far as they can be without state.

use keiko_proto::v1::Node;

/// What can be asked of the room.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    /// The first entry of a cluster.
    Found { cluster_id: String, founder: Node },
    /// A node tells what it is.
    NoteNode(Node),
}
