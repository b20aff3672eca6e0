//! What the ops do to the room's tables.

use super::model::Op;
use super::{backups, query, wire};
use crate::house::{Emit, Emitted};
use crate::limits::NODES_MAX;
use crate::refusal::{Code, Refusal, Result, refuse};
use crate::stamp::Stamp;
use crate::store::Store;
use crate::table::{RoomByte, Table};
use crate::txn::Txn;
use keiko_proto::v1::{
    ClusterEvent, ClusterFounded, ClusterOp, ClusterRecord, ClusterReply, FoundClusterReply, Node,
    NodeChanged, NodeNoted, NoteBackupReply, NoteNodeReply, cluster_event, cluster_reply,
    event::Body,
};

pub(super) const RECORD: Table<ClusterRecord> = Table::new(RoomByte::Cluster, 1, 1);
pub(super) const NODES: Table<Node> = Table::new(RoomByte::Cluster, 2, 1);
/// The highest id that a node ever had, since the first one was admitted or removed.
pub(super) const LAST_ID: Table<u64> = Table::new(RoomByte::Cluster, 3, 1);

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
        Op::SetNodeState { id, admin_state, reason } => {
            let before = find(txn, stamp, id)?;
            let node = Node { admin_state, admin_reason: reason, ..before.clone() };
            let told = ("state-changed", cluster_event::Event::NodeStateChanged as Told);
            cluster_reply::Reply::Node(change(txn, stamp, &before, node, told, emit))
        }
        Op::NoteReach { id, down } => {
            cluster_reply::Reply::Node(note_reach(txn, stamp, id, down, emit)?)
        }
        Op::RemoveNode(id) => cluster_reply::Reply::Node(remove(txn, stamp, id, emit)?),
        Op::NoteBackup(note) => {
            backups::note(txn, stamp, note, emit)?;
            cluster_reply::Reply::NoteBackup(NoteBackupReply {})
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
    put_noted(txn, stamp, fresh(stamp, founder), emit).map(drop)
}

/// What a node says of itself; the rest is as it was.
fn note_node(txn: &mut Txn<'_>, stamp: &Stamp, told: Node, emit: Emit<'_>) -> Result<bool> {
    let Some(before) = query::node(txn, stamp.group, told.id) else {
        // Behind the founding only a token makes members.
        if query::record(txn, stamp.group).is_some() {
            return Err(not_a_member(&told));
        }
        let node = Node { joined_ms: 0, ..fresh(stamp, told) };
        return put_noted(txn, stamp, node, emit);
    };
    let Node { id, name, api_address, peer_address, version, feature_level, key_hash, .. } = told;
    let key_hash = if key_hash.is_empty() { before.key_hash } else { key_hash };
    let node = Node {
        id,
        name,
        api_address,
        peer_address,
        version,
        feature_level,
        key_hash,
        admin_state: before.admin_state,
        admin_reason: before.admin_reason,
        down_since_ms: before.down_since_ms,
        joined_ms: before.joined_ms,
    };
    put_noted(txn, stamp, node, emit)
}

fn put_noted(txn: &mut Txn<'_>, stamp: &Stamp, node: Node, emit: Emit<'_>) -> Result<bool> {
    let before = query::node(txn, stamp.group, node.id);
    if before.as_ref() == Some(&node) {
        return Ok(false);
    }
    check_free(txn, stamp, &node, before.is_none())?;
    NODES.put(txn, NODES.key(stamp.group).number(node.id), &node);
    emit(Emitted {
        kind: "keiko.cluster.node.noted".to_owned(),
        subject: format!("node/{}", node.name),
        body: body(cluster_event::Event::NodeNoted(NodeNoted { node: Some(node) })),
    });
    Ok(true)
}

/// Makes a node a member, under an id that none had before. Whether it may come in, the security
/// room knows: it calls this.
pub fn admit(txn: &mut Txn<'_>, stamp: &Stamp, node: Node, emit: Emit<'_>) -> Result<Node> {
    if query::record(txn, stamp.group).is_none() {
        return refuse(Code::NotFounded, "this node holds no cluster that could be joined");
    }
    let Some(id) = query::next_id(txn, stamp.group) else {
        return refuse(Code::LimitExceeded, "there are no more ids for nodes");
    };
    let node = Node { id, ..fresh(stamp, node) };
    check_free(txn, stamp, &node, true)?;
    LAST_ID.put(txn, LAST_ID.key(stamp.group), &id);
    NODES.put(txn, NODES.key(stamp.group).number(id), &node);
    tell(&node, ("admitted", cluster_event::Event::NodeAdmitted), emit);
    Ok(node)
}

/// Makes a node a member in the place of the one that has its name and lost what it held. It gets
/// another id: under the old one it may have voted, and confirmed what it forgot.
pub fn readmit(txn: &mut Txn<'_>, stamp: &Stamp, node: Node, emit: Emit<'_>) -> Result<Node> {
    if let Some(lost) = query::member(txn, stamp.group, &node.name) {
        check_silent(&lost)?;
        let last = query::last_id(txn, stamp.group);
        LAST_ID.put(txn, LAST_ID.key(stamp.group), &last);
        NODES.delete(txn, NODES.key(stamp.group).number(lost.id));
        tell(&lost, ("removed", cluster_event::Event::NodeRemoved), emit);
    }
    admit(txn, stamp, node, emit)
}

/// Refuses to replace a member that runs: its place is taken only when nobody hears it.
pub fn check_silent(lost: &Node) -> Result<()> {
    if lost.down_since_ms != 0 {
        return Ok(());
    }
    Err(Refusal::new(Code::StillHeard, format!("node {} is still heard", lost.name))
        .cause("only a member that is down is replaced by what comes back under its name")
        .hint("stop it; it counts as down a few seconds later: keikoctl node list"))
}

fn note_reach(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    id: u64,
    down: bool,
    emit: Emit<'_>,
) -> Result<Node> {
    let before = find(txn, stamp, id)?;
    if down == (before.down_since_ms != 0) {
        return Ok(before);
    }
    let told = match down {
        true => ("down", cluster_event::Event::NodeDown as Told),
        false => ("up", cluster_event::Event::NodeUp as Told),
    };
    // Zero says that it is heard, also where the stamp clock has not begun.
    let down_since_ms = if down { stamp.unix_ms.max(1) } else { 0 };
    let node = Node { down_since_ms, ..before.clone() };
    Ok(change(txn, stamp, &before, node, told, emit))
}

/// Keeps of a node that it had its id, and nothing else. The security room calls this, too, where
/// the node had a vote.
pub(crate) fn remove(txn: &mut Txn<'_>, stamp: &Stamp, id: u64, emit: Emit<'_>) -> Result<Node> {
    // Before the founding ids are what nodes say that they are, and nobody's for good.
    if query::record(txn, stamp.group).is_none() {
        return refuse(Code::NotFounded, "there is no cluster yet that a node could leave");
    }
    let node = find(txn, stamp, id)?;
    if query::nodes(txn, stamp.group).len() == 1 {
        return Err(Refusal::new(
            Code::MembershipRefused,
            format!("node {} is the last member", node.name),
        )
        .hint("to end the cluster, stop the node and keep or remove its data folder"));
    }
    let last = query::last_id(txn, stamp.group);
    LAST_ID.put(txn, LAST_ID.key(stamp.group), &last);
    NODES.delete(txn, NODES.key(stamp.group).number(id));
    tell(&node, ("removed", cluster_event::Event::NodeRemoved), emit);
    Ok(node)
}

/// As somebody is who comes in.
pub(super) fn fresh(stamp: &Stamp, node: Node) -> Node {
    Node {
        admin_state: String::new(),
        admin_reason: String::new(),
        down_since_ms: 0,
        joined_ms: stamp.unix_ms,
        ..node
    }
}

fn find(store: &dyn Store, stamp: &Stamp, id: u64) -> Result<Node> {
    query::node(store, stamp.group, id).ok_or_else(|| {
        Refusal::new(Code::NotFound, format!("no node has the id {id}")).hint("keikoctl node list")
    })
}

/// Refuses a name that is another member's, and one member too many.
fn check_free(store: &dyn Store, stamp: &Stamp, node: &Node, is_new: bool) -> Result<()> {
    let others = query::nodes(store, stamp.group);
    if let Some(other) = others.iter().find(|other| other.name == node.name && other.id != node.id)
    {
        return Err(Refusal::new(
            Code::NameTaken,
            format!("node name {:?} belongs to node {}", node.name, other.id),
        )
        .hint("give the node a name of its own: [node] name in keiko.toml, or --node-name")
        .hint(format!("if that node is gone for good: keikoctl node remove {}", node.name))
        .hint(format!("if it lost its data and comes back: keikoctl node repair {}", node.name)));
    }
    if is_new && others.len() >= NODES_MAX {
        return refuse(
            Code::LimitExceeded,
            format!("there are {NODES_MAX} nodes, and no cluster has more"),
        );
    }
    Ok(())
}

fn not_a_member(node: &Node) -> Refusal {
    Refusal::new(
        Code::NotAMember,
        format!("node {} with the id {} is no member of this cluster", node.name, node.id),
    )
    .cause("it was removed, or it never joined")
    .hint("to let it join anew: keikoctl cluster token create --for node, and an empty data folder")
}

/// The body of an event that shows a node.
type Told = fn(NodeChanged) -> cluster_event::Event;

/// Writes a node as it is from now on, unless that is as it was, and tells.
fn change(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    before: &Node,
    node: Node,
    told: (&str, Told),
    emit: Emit<'_>,
) -> Node {
    if *before != node {
        NODES.put(txn, NODES.key(stamp.group).number(node.id), &node);
        tell(&node, told, emit);
    }
    node
}

pub(super) fn tell(node: &Node, (verb, event): (&str, Told), emit: Emit<'_>) {
    emit(Emitted {
        kind: format!("keiko.cluster.node.{verb}"),
        subject: format!("node/{}", node.name),
        body: body(event(NodeChanged { node: Some(node.clone()) })),
    });
}

pub(super) fn body(event: cluster_event::Event) -> Body {
    Body::Cluster(ClusterEvent { event: Some(event) })
}
