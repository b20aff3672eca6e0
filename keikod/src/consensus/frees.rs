//! What must go on while the disk is nearly full.

use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{cluster_op, coordination_op, registry_op, security_op};

/// True for what makes room, or tells that something is no longer so.
pub(super) fn frees(room: Option<&Room>) -> bool {
    match room {
        Some(Room::Journal(_)) => true,
        Some(Room::Registry(op)) => {
            use registry_op::Op::{Delete, SetAdminState, SetHealth};
            matches!(op.op, Some(Delete(_) | SetHealth(_) | SetAdminState(_)))
        }
        Some(Room::Security(op)) => {
            use security_op::Op::{
                AdvanceAuthority, DeleteBinding, DeleteRole, DropAuthority, ExpelNode,
                FinishRotation, PruneTokens, RemovePerson, RevokeToken, StoreNext,
            };
            let ends = matches!(op.op, Some(RevokeToken(_) | PruneTokens(_) | RemovePerson(_)));
            // A rotation that was begun goes on: certificates end meanwhile.
            let turns = matches!(op.op, Some(StoreNext(_) | AdvanceAuthority(_)));
            let drops = matches!(op.op, Some(DropAuthority(_) | FinishRotation(_) | ExpelNode(_)));
            ends || turns || drops || matches!(op.op, Some(DeleteRole(_) | DeleteBinding(_)))
        }
        Some(Room::Coordination(op)) => {
            use coordination_op::Op::{
                CloseSession, DeleteWindow, ExpireSessions, KeepSession, LeaveBarrier, ReleaseLock,
                WithdrawWaiter,
            };
            // Who can't say that they live would lose what they hold.
            let lives = matches!(op.op, Some(KeepSession(_) | CloseSession(_) | ExpireSessions(_)));
            let gives = matches!(op.op, Some(ReleaseLock(_) | WithdrawWaiter(_) | LeaveBarrier(_)));
            lives || gives || matches!(op.op, Some(DeleteWindow(_)))
        }
        Some(Room::Cluster(op)) => {
            use cluster_op::Op::{NoteReach, RemoveNode, SetNodeState};
            matches!(op.op, Some(NoteReach(_) | RemoveNode(_) | SetNodeState(_)))
        }
        None => false,
    }
}
