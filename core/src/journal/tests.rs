use crate::house::tests::World;
use crate::refusal::Code;
use keiko_proto::v1::{
    At, ClusterOp, Compact, JournalOp, Node, NoteNode, at::Point, cluster_op, entry::Room,
    journal_op,
};

fn note(version: u64) -> Room {
    let node =
        Node { id: 1, name: "one".to_owned(), version: version.to_string(), ..Default::default() };
    Room::Cluster(ClusterOp { op: Some(cluster_op::Op::NoteNode(NoteNode { node: Some(node) })) })
}

fn compact(before_revision: u64) -> Room {
    Room::Journal(JournalOp { op: Some(journal_op::Op::Compact(Compact { before_revision })) })
}

fn at(world: &World, point: Point) -> Result<Option<u64>, Code> {
    let at = At { point: Some(point) };
    super::resolve(&world.store, World::GROUP, Some(&at)).map_err(|refusal| refusal.code)
}

#[test]
fn time_finds_its_revision() {
    let mut world = World::default();
    let start = world.now_ms;
    for version in 1..=20 {
        world.now_ms = start + version * 10;
        world.accept(note(version));
    }
    for (ms, expect) in
        [(start, 0), (start + 10, 1), (start + 19, 1), (start + 20, 2), (start + 999, 20)]
    {
        assert_eq!(at(&world, Point::UnixMs(ms)), Ok(Some(expect)), "{ms}");
    }
    assert_eq!(at(&world, Point::Revision(21)), Err(Code::FutureRevision));
}

#[test]
fn compaction_names_what_is_left() {
    let mut world = World::default();
    for version in 1..=10 {
        world.accept(note(version));
    }
    assert_eq!(world.refuse(compact(99)), Code::FutureRevision);
    world.accept(compact(5));
    assert_eq!(at(&world, Point::Revision(4)), Err(Code::Compacted));
    assert_eq!(at(&world, Point::Revision(5)), Ok(Some(5)));
    let then = world.now_ms;
    assert_eq!(at(&world, Point::UnixMs(then - 1)), Err(Code::Compacted));
    assert!(at(&world, Point::UnixMs(then)).is_ok());
    let kept: Vec<_> =
        super::after(&world.store, World::GROUP, 0).map(|event| event.revision).collect();
    assert_eq!(kept, [5, 6, 7, 8, 9, 10, 11]);
}
