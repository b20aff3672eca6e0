//! From the log's words to the room's own.

use super::backups;
use super::model::{DRAINING, Op};
use crate::id::Name;
use crate::limits::{NODE_ADDRESS_CHARS_MAX, NODE_VERSION_CHARS_MAX, REASON_CHARS_MAX};
use crate::refusal::{Code, Refusal, Result, refuse};
use keiko_proto::v1::{ClusterOp, Node, SetNodeState, cluster_op};

const CLUSTER_ID_CHARS: usize = 36;
/// BLAKE3, hex.
const KEY_HASH_CHARS: usize = 2 * blake3::OUT_LEN;

pub(super) fn parse(op: ClusterOp) -> Result<Op> {
    match op.op {
        Some(cluster_op::Op::Found(found)) => {
            check_cluster_id(&found.cluster_id)?;
            Ok(Op::Found { cluster_id: found.cluster_id, founder: parse_node(found.founder)? })
        }
        Some(cluster_op::Op::NoteNode(note)) => Ok(Op::NoteNode(parse_node(note.node)?)),
        Some(cluster_op::Op::SetNodeState(set)) => parse_state(set),
        Some(cluster_op::Op::NoteReach(note)) => Ok(Op::NoteReach { id: note.id, down: note.down }),
        Some(cluster_op::Op::RemoveNode(remove)) => Ok(Op::RemoveNode(remove.id)),
        Some(cluster_op::Op::NoteBackup(note)) => {
            let note = note.note.unwrap_or_default();
            backups::check(&note)?;
            Ok(Op::NoteBackup(note))
        }
        None => Err(Refusal::new(Code::MalformedEntry, "the cluster entry names no op")),
    }
}

/// The text of a UUID, as far as its length says so.
pub(crate) fn check_cluster_id(text: &str) -> Result<()> {
    match text.len() {
        CLUSTER_ID_CHARS => Ok(()),
        _ => refuse(Code::InvalidArgument, "the cluster id is not a UUID"),
    }
}

fn parse_state(set: SetNodeState) -> Result<Op> {
    let SetNodeState { id, admin_state, reason } = set;
    if !["", DRAINING].contains(&admin_state.as_str()) {
        return Err(Refusal::new(
            Code::InvalidArgument,
            format!("no administrative state of a node is called {admin_state:?}"),
        )
        .hint("draining; empty: in use"));
    }
    if reason.chars().count() > REASON_CHARS_MAX {
        return refuse(
            Code::LimitExceeded,
            format!("a reason has at most {REASON_CHARS_MAX} characters"),
        );
    }
    Ok(Op::SetNodeState { id, admin_state, reason })
}

fn parse_node(node: Option<Node>) -> Result<Node> {
    let node = node.unwrap_or_default();
    check_node(&node)?;
    if node.id == 0 {
        return refuse(Code::InvalidArgument, "a node's id is never 0");
    }
    Ok(node)
}

/// What a node tells of itself, apart from its id. One alone may tell no key.
pub(crate) fn check_node(node: &Node) -> Result<()> {
    Name::parse("node name", &node.name)?;
    for address in [&node.api_address, &node.peer_address] {
        let is_text = address.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_text || address.len() > NODE_ADDRESS_CHARS_MAX {
            return refuse(Code::InvalidArgument, format!("{address:?} is not HOST:PORT"));
        }
    }
    let version = &node.version;
    if version.len() > NODE_VERSION_CHARS_MAX || version.contains(char::is_control) {
        return refuse(Code::InvalidArgument, format!("{version:?} is not a version"));
    }
    if node.key_hash.is_empty() { Ok(()) } else { check_key_hash(&node.key_hash) }
}

/// The hash of the key in a certificate.
pub(crate) fn check_key_hash(text: &str) -> Result<()> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() == KEY_HASH_CHARS && text.bytes().all(is_digit) {
        return Ok(());
    }
    refuse(Code::InvalidArgument, format!("{text:?} is not the BLAKE3 of a key"))
}
