//! The state goes on with one node alone: behind a restore, or behind a quorum that was given up.

use super::state::{LAST_ID, NODES, RECORD, body, fresh, tell};
use super::{backups, query};
use crate::house::{Emit, Emitted, revision};
use crate::limits::REOPEN_NODE_IDS;
use crate::refusal::{Code, Refusal, Result, refuse};
use crate::stamp::Stamp;
use crate::txn::Txn;
use keiko_proto::v1::{ClusterRecord, ClusterReopened, Node, cluster_event};

/// With whom, and as what.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reopening {
    /// What the state says that it is.
    pub from: String,
    /// What it is from now on; the same after a lost quorum.
    pub cluster_id: String,
    /// The only member: one that is known, or one with an id that none had.
    pub node: Node,
    /// Why.
    pub reason: String,
}

/// Leaves this one member, and makes the cluster another one if it is to be. The security room calls
/// this: it knows who may still come in.
pub(crate) fn reopen(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    asked: Reopening,
    emit: Emit<'_>,
) -> Result<Node> {
    let Reopening { from, cluster_id, node, reason } = asked;
    let Some(record) = query::record(txn, stamp.group) else {
        return refuse(Code::NotFounded, "this state is of no cluster yet");
    };
    if record.cluster_id != from {
        return Err(Refusal::new(Code::WrongCluster, "this state is of another cluster")
            .cause(format!("it is {}, not {from}", record.cluster_id)));
    }
    let known = query::node(txn, stamp.group, node.id);
    let last_id = query::last_id(txn, stamp.group);
    let node = match known {
        Some(known) => Node {
            admin_state: String::new(),
            admin_reason: String::new(),
            down_since_ms: 0,
            ..known
        },
        None if node.id > last_id => fresh(stamp, node),
        None => {
            let message = format!("the id {} was another node's", node.id);
            return refuse(Code::InvalidArgument, message);
        }
    };
    let behind_revision = revision(txn, stamp.group);
    for other in query::nodes(txn, stamp.group) {
        if other.id != node.id {
            NODES.delete(txn, NODES.key(stamp.group).number(other.id));
            tell(&other, ("removed", cluster_event::Event::NodeRemoved), emit);
        }
    }
    let last_id = match cluster_id == from {
        true => last_id.saturating_add(REOPEN_NODE_IDS),
        // Nobody of the old cluster is heard in another one.
        false => last_id.max(node.id),
    };
    LAST_ID.put(txn, LAST_ID.key(stamp.group), &last_id);
    NODES.put(txn, NODES.key(stamp.group).number(node.id), &node);
    if cluster_id != from {
        let record = ClusterRecord { cluster_id: cluster_id.clone(), founded_ms: stamp.unix_ms };
        RECORD.put(txn, RECORD.key(stamp.group), &record);
        backups::forget(txn, stamp.group);
    }
    let verb = if cluster_id == from { "recovered" } else { "restored" };
    let told = ClusterReopened {
        cluster_id: cluster_id.clone(),
        before: from,
        node: Some(node.clone()),
        reason,
        behind_revision,
    };
    emit(Emitted {
        kind: format!("keiko.cluster.{verb}"),
        subject: format!("cluster/{cluster_id}"),
        body: body(cluster_event::Event::Reopened(told)),
    });
    Ok(node)
}
