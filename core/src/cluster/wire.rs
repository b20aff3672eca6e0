//! From the log's words to the room's own.

use super::model::Op;
use crate::id::Name;
use crate::refusal::{Code, Refusal, Result};
use keiko_proto::v1::{ClusterOp, Node, cluster_op};

const CLUSTER_ID_CHARS: usize = 36;

pub(super) fn parse(op: ClusterOp) -> Result<Op> {
    match op.op {
        Some(cluster_op::Op::Found(found)) => {
            if found.cluster_id.len() != CLUSTER_ID_CHARS {
                return Err(Refusal::new(Code::InvalidArgument, "the cluster id is not a UUID"));
            }
            Ok(Op::Found { cluster_id: found.cluster_id, founder: parse_node(found.founder)? })
        }
        Some(cluster_op::Op::NoteNode(note)) => Ok(Op::NoteNode(parse_node(note.node)?)),
        None => Err(Refusal::new(Code::MalformedEntry, "the cluster entry names no op")),
    }
}

fn parse_node(node: Option<Node>) -> Result<Node> {
    let node = node.unwrap_or_default();
    Name::parse("node name", &node.name)?;
    if node.id == 0 {
        return Err(Refusal::new(Code::InvalidArgument, "a node's id is never 0"));
    }
    Ok(node)
}
