use super::{once_in, pick};
use crate::report::Dice;
use keiko_proto::v1::{ClusterOp, FoundCluster, Node, NoteNode, cluster_op::Op};

pub(super) fn op(dice: &mut Dice) -> ClusterOp {
    let op = match dice.below(8) {
        0 => {
            let cluster_id = match once_in(dice, 4) {
                true => "no uuid".to_owned(),
                false => format!("{:036}", dice.below(3)),
            };
            Some(Op::Found(FoundCluster { cluster_id, founder: Some(node(dice)) }))
        }
        1 if once_in(dice, 4) => None,
        _ => Some(Op::NoteNode(NoteNode { node: (!once_in(dice, 12)).then(|| node(dice)) })),
    };
    ClusterOp { op }
}

fn node(dice: &mut Dice) -> Node {
    Node {
        id: dice.below(4),
        name: pick(dice, &["one", "two", "three", "one", "Not A Name"]).to_owned(),
        version: pick(dice, &["0.1.0", "0.2.0"]).to_owned(),
        ..Default::default()
    }
}
