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

/// An entry that changes nothing makes a revision and no event, so nothing tells when that was.
#[test]
fn a_time_is_readable_though_the_oldest_revision_has_no_event() {
    let mut world = World::default();
    let start = world.now_ms;
    for (number, version) in [1, 2, 2, 2, 3, 4].into_iter().enumerate() {
        world.now_ms = start + 10 * (number as u64 + 1);
        world.accept(note(version));
    }
    assert!(super::events_of(&world.store, World::GROUP, 4).is_empty());
    world.now_ms = start + 1000;
    world.accept(compact(4));
    assert_eq!(at(&world, Point::Revision(3)), Err(Code::Compacted));
    for revision in 4..=7 {
        assert_eq!(at(&world, Point::Revision(revision)), Ok(Some(revision)));
    }
    for (ms, expect) in [
        (30, Err(Code::Compacted)),
        (49, Err(Code::Compacted)),
        (50, Ok(Some(5))),
        (59, Ok(Some(5))),
        (60, Ok(Some(6))),
        (999, Ok(Some(6))),
        (1000, Ok(Some(7))),
    ] {
        assert_eq!(at(&world, Point::UnixMs(start + ms)), expect, "{ms}");
    }
}
