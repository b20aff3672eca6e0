use super::{once_in, pick};
use crate::report::Dice;
use crate::sim::world::World;
use keiko_core::cluster;
use keiko_proto::v1::{
    ClusterOp, FoundCluster, Node, NoteNode, NoteReach, RemoveNode, SetNodeState, cluster_op::Op,
};

pub(super) fn op(dice: &mut Dice, world: &World) -> ClusterOp {
    // Nobody joins what is not founded.
    let is_founded = cluster::record(&world.oracle.store, world.group).is_some();
    let turn = if is_founded || once_in(dice, 2) { dice.below(16) } else { 0 };
    let op = match turn {
        0 | 1 => {
            let cluster_id = match once_in(dice, 4) {
                true => "no uuid".to_owned(),
                false => format!("{:036}", dice.below(3)),
            };
            Some(Op::Found(FoundCluster { cluster_id, founder: Some(node(dice, world)) }))
        }
        2 if once_in(dice, 2) => None,
        3 | 4 => {
            let admin_state = pick(dice, &["", "draining", "draining", "asleep"]).to_owned();
            let reason = pick(dice, &["", "upgrade"]).to_owned();
            Some(Op::SetNodeState(SetNodeState { id: id(dice, world), admin_state, reason }))
        }
        5..=7 => Some(Op::NoteReach(NoteReach { id: id(dice, world), down: !once_in(dice, 3) })),
        8 | 9 => Some(Op::RemoveNode(RemoveNode { id: id(dice, world) })),
        _ => Some(Op::NoteNode(NoteNode { node: (!once_in(dice, 12)).then(|| node(dice, world)) })),
    };
    ClusterOp { op }
}

/// Mostly of somebody who is there.
fn id(dice: &mut Dice, world: &World) -> u64 {
    let nodes = cluster::nodes(&world.oracle.store, world.group);
    let some = nodes.get(dice.below(nodes.len().max(1) as u64) as usize);
    some.filter(|_| !once_in(dice, 4)).map_or_else(|| dice.below(4), |node| node.id)
}

fn node(dice: &mut Dice, world: &World) -> Node {
    Node {
        id: id(dice, world),
        name: pick(dice, &["one", "two", "three", "one", "Not A Name"]).to_owned(),
        version: pick(dice, &["0.1.0", "0.2.0"]).to_owned(),
        admin_state: "forged".to_owned(),
        joined_ms: 7,
        ..Default::default()
    }
}
