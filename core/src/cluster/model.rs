//! The room's ops, checked as far as they can be without state.

use keiko_proto::v1::{BackupNote, Node};

/// The administrative state of a node that takes nothing new.
pub const DRAINING: &str = "draining";

/// What can be asked of the room.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    /// The first entry of a cluster.
    Found { cluster_id: String, founder: Node },
    /// A node tells what it is.
    NoteNode(Node),
    /// What an operator decides about a node.
    SetNodeState { id: u64, admin_state: String, reason: String },
    /// The leader hears nothing from a node, or hears it again.
    NoteReach { id: u64, down: bool },
    /// A node leaves for good.
    RemoveNode(u64),
    /// What came of a backup, or of rehearsing its restore.
    NoteBackup(BackupNote),
}
