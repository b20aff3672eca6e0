//! What the ops do to the room's tables.

use super::model::Op;
use super::{query, wire};
use crate::house::{Emit, Emitted};
use crate::refusal::{Code, Refusal, Result};
use crate::stamp::Stamp;
use crate::table::{RoomByte, Table};
use crate::txn::Txn;
use keiko_proto::v1::{
    ClusterEvent, ClusterFounded, ClusterOp, ClusterRecord, ClusterReply, FoundClusterReply, Node,
    NodeNoted, NoteNodeReply, cluster_event, cluster_reply, event::Body,
};

pub(super) const RECORD: Table<ClusterRecord> = Table::new(RoomByte::Cluster, 1, 1);
pub(super) const NODES: Table<Node> = Table::new(RoomByte::Cluster, 2, 1);

/// Applies one op.
pub fn apply(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    op: ClusterOp,
    emit: Emit<'_>,
) -> Result<ClusterReply> {
    let reply = match wire::parse(op)? {
        Op::Found { cluster_id, founder } => {
            found(txn, stamp, cluster_id, founder, emit)?;
            cluster_reply::Reply::Found(FoundClusterReply {})
        }
        Op::NoteNode(node) => {
            let changed = note_node(txn, stamp, node, emit)?;
            cluster_reply::Reply::NoteNode(NoteNodeReply { changed })
        }
    };
    Ok(ClusterReply { reply: Some(reply) })
}

fn found(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    cluster_id: String,
    founder: Node,
    emit: Emit<'_>,
) -> Result<()> {
    if let Some(record) = query::record(txn, stamp.group) {
        return Err(Refusal::new(
            Code::AlreadyFounded,
            format!("this is already cluster {}", record.cluster_id),
        ));
    }
    let record = ClusterRecord { cluster_id: cluster_id.clone(), founded_ms: stamp.unix_ms };
    RECORD.put(txn, RECORD.key(stamp.group), &record);
    emit(Emitted {
        kind: "keiko.cluster.founded".to_owned(),
        subject: format!("cluster/{cluster_id}"),
        body: body(cluster_event::Event::Founded(ClusterFounded { cluster_id })),
    });
    note_node(txn, stamp, founder, emit).map(drop)
}

fn note_node(txn: &mut Txn<'_>, stamp: &Stamp, node: Node, emit: Emit<'_>) -> Result<bool> {
    let before = query::node(txn, stamp.group, node.id);
    if before.as_ref() == Some(&node) {
        return Ok(false);
    }
    if let Some(other) = query::nodes(txn, stamp.group)
        .into_iter()
        .find(|other| other.name == node.name && other.id != node.id)
    {
        return Err(Refusal::new(
            Code::NameTaken,
            format!("node name {:?} belongs to node {}", node.name, other.id),
        ));
    }
    NODES.put(txn, NODES.key(stamp.group).number(node.id), &node);
    emit(Emitted {
        kind: "keiko.cluster.node.noted".to_owned(),
        subject: format!("node/{}", node.name),
        body: body(cluster_event::Event::NodeNoted(NodeNoted { node: Some(node) })),
    });
    Ok(true)
}

fn body(event: cluster_event::Event) -> Body {
    Body::Cluster(ClusterEvent { event: Some(event) })
}
