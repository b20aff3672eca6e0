//! Notes what this node is, once after each start; the law ignores what is already so.

use super::super::Control;
use keiko_core::refusal::Result;
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{ClusterOp, Node, NoteNode, cluster_op};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The loop.
pub struct Driver {
    /// Where it proposes.
    pub control: Control,
    /// What this node is; the id is the cluster's.
    pub node: Node,
}

impl Driver {
    /// Runs until the note is made, or until shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        while let Err(refusal) = self.note().await {
            tracing::warn!(code = %refusal.code, "this node is not noted yet: {refusal}");
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(RETRY_AFTER) => {}
            }
        }
    }

    async fn note(&self) -> Result<()> {
        let id = self.control.consensus().node_id();
        let node = Node { id, ..self.node.clone() };
        let op = cluster_op::Op::NoteNode(NoteNode { node: Some(node) });
        let room = Room::Cluster(ClusterOp { op: Some(op) });
        self.control.write(self.control.as_node(), room).await.map(drop)
    }
}
