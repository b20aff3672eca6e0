//! What must go on while the disk is nearly full.

use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{cluster_op, registry_op, security_op};

/// True for what makes room, or tells that something is no longer so.
pub(super) fn frees(room: Option<&Room>) -> bool {
    match room {
        Some(Room::Journal(_)) => true,
        Some(Room::Registry(op)) => {
            use registry_op::Op::{Delete, SetAdminState, SetHealth};
            matches!(op.op, Some(Delete(_) | SetHealth(_) | SetAdminState(_)))
        }
        Some(Room::Security(op)) => {
            use security_op::Op::{PruneTokens, RevokeToken};
            matches!(op.op, Some(RevokeToken(_) | PruneTokens(_)))
        }
        Some(Room::Cluster(op)) => {
            use cluster_op::Op::{NoteReach, RemoveNode, SetNodeState};
            matches!(op.op, Some(NoteReach(_) | RemoveNode(_) | SetNodeState(_)))
        }
        None => false,
    }
}
