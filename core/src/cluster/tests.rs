use crate::house::tests::World;
use crate::refusal::Code;
use keiko_proto::v1::{ClusterOp, FoundCluster, Node, NoteNode, cluster_op, entry::Room};

fn node(id: u64, name: &str) -> Node {
    Node { id, name: name.to_owned(), ..Default::default() }
}

fn found(name: &str) -> Room {
    let cluster_id = "0190b1f0-0000-7000-8000-000000000000".to_owned();
    let op = cluster_op::Op::Found(FoundCluster { cluster_id, founder: Some(node(1, name)) });
    Room::Cluster(ClusterOp { op: Some(op) })
}

fn note(id: u64, name: &str) -> Room {
    let op = cluster_op::Op::NoteNode(NoteNode { node: Some(node(id, name)) });
    Room::Cluster(ClusterOp { op: Some(op) })
}

#[test]
fn is_founded_once() {
    let mut world = World::default();
    world.accept(found("one"));
    assert_eq!(world.refuse(found("two")), Code::AlreadyFounded);
    assert_eq!(super::nodes(&world.store, World::GROUP).len(), 1);
}

#[test]
fn a_name_is_one_node() {
    let mut world = World::default();
    world.accept(found("one"));
    world.accept(note(1, "uno"));
    assert_eq!(world.refuse(note(2, "uno")), Code::NameTaken);
    assert_eq!(world.refuse(note(2, "Bad Name")), Code::InvalidArgument);
    assert_eq!(world.refuse(note(0, "zero")), Code::InvalidArgument);
}
