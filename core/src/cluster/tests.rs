use crate::house::tests::World;
use crate::journal;
use crate::limits::{NODES_MAX, REASON_CHARS_MAX};
use crate::refusal::Code;
use crate::security::tests::{admit, invite, joining};
use keiko_proto::v1::{
    ClusterOp, FoundCluster, Node, NoteNode, NoteReach, RemoveNode, SetNodeState, cluster_op,
    entry::Room,
};

fn node(id: u64, name: &str) -> Node {
    Node { id, name: name.to_owned(), ..Default::default() }
}

fn room(op: cluster_op::Op) -> Room {
    Room::Cluster(ClusterOp { op: Some(op) })
}

/// The founder has the id 1.
pub(crate) fn found(name: &str) -> Room {
    let cluster_id = "0190b1f0-0000-7000-8000-000000000000".to_owned();
    room(cluster_op::Op::Found(FoundCluster { cluster_id, founder: Some(node(1, name)) }))
}

fn note(node: Node) -> Room {
    room(cluster_op::Op::NoteNode(NoteNode { node: Some(node) }))
}

fn set(id: u64, state: &str, reason: &str) -> Room {
    let (admin_state, reason) = (state.to_owned(), reason.to_owned());
    room(cluster_op::Op::SetNodeState(SetNodeState { id, admin_state, reason }))
}

pub(crate) fn reach(id: u64, down: bool) -> Room {
    room(cluster_op::Op::NoteReach(NoteReach { id, down }))
}

pub(crate) fn remove(id: u64) -> Room {
    room(cluster_op::Op::RemoveNode(RemoveNode { id }))
}

fn stored(world: &World, id: u64) -> Node {
    super::node(&world.store, World::GROUP, id).unwrap()
}

fn ids(world: &World) -> Vec<u64> {
    super::nodes(&world.store, World::GROUP).iter().map(|node| node.id).collect()
}

fn events(world: &World) -> Vec<String> {
    let events = journal::after(&world.store, World::GROUP, 0);
    events.filter_map(|event| event.r#type.strip_prefix("keiko.").map(str::to_owned)).collect()
}

#[test]
fn what_came_of_backups_is_kept_by_outcome() {
    use keiko_proto::v1::{BackupNote, NoteBackup};
    let mut world = World::default();
    let name = "20261120T081500123Z-0123456789ab";
    let told = |outcome: &str, revision: u64| {
        let (outcome, name) = (outcome.to_owned(), name.to_owned());
        let note = BackupNote { outcome, name, revision, ..Default::default() };
        room(cluster_op::Op::NoteBackup(NoteBackup { note: Some(note) }))
    };
    assert_eq!(world.refuse(told(super::MADE, 1)), Code::NotFounded);
    world.accept(found("one"));
    world.accept(told(super::MADE, 1));
    world.accept(told(super::MADE, 2));
    world.accept(told(super::RESTORED, 2));
    assert_eq!(world.refuse(told("done", 2)), Code::InvalidArgument);
    let made = super::backup_note(&world.store, World::GROUP, super::MADE).unwrap();
    assert_eq!(made.revision, 2);
    assert_eq!(super::backup_notes(&world.store, World::GROUP).len(), 2);
    assert_eq!(super::backup_note(&world.store, World::GROUP, super::FAILED), None);
    let told = events(&world).into_iter().filter(|kind| kind.contains("backup"));
    let expect = ["cluster.backup.made", "cluster.backup.made", "cluster.backup.restored"];
    assert_eq!(told.collect::<Vec<_>>(), expect);
}

#[test]
fn is_founded_once() {
    let mut world = World::default();
    world.accept(found("one"));
    assert_eq!(world.refuse(found("two")), Code::AlreadyFounded);
    assert_eq!(ids(&world), [1]);
    assert_eq!(stored(&world, 1).joined_ms, world.now_ms);
}

#[test]
fn a_name_is_one_node() {
    let mut world = World::default();
    world.accept(found("one"));
    admit(&mut world, "two");
    world.accept(note(node(1, "uno")));
    invite(&mut world, "uno");
    assert_eq!(world.refuse(note(node(2, "uno"))), Code::NameTaken);
    assert_eq!(world.refuse(joining("uno")), Code::NameTaken);
    assert_eq!(world.refuse(note(node(2, "Bad Name"))), Code::InvalidArgument);
    assert_eq!(world.refuse(note(node(0, "zero"))), Code::InvalidArgument);
}

#[test]
fn only_a_member_says_what_it_is() {
    let mut world = World::default();
    // Before the founding there are no members.
    world.accept(note(node(1, "one")));
    world.accept(found("one"));
    assert_eq!(world.refuse(note(node(2, "two"))), Code::NotAMember);
    admit(&mut world, "two");
    world.accept(note(node(2, "two")));
    world.accept(remove(2));
    assert_eq!(world.refuse(note(node(2, "two"))), Code::NotAMember);
}

#[test]
fn an_id_is_never_used_again() {
    let mut world = World::default();
    assert_eq!(world.refuse(remove(1)), Code::NotFounded);
    world.accept(found("one"));
    assert_eq!(super::next_id(&world.store, World::GROUP), Some(2));
    assert_eq!(admit(&mut world, "two").id, 2);
    world.accept(remove(2));
    assert_eq!(admit(&mut world, "two").id, 3, "a name may be used again");
    world.accept(remove(1));
    assert_eq!(world.refuse(remove(1)), Code::NotFound);
    assert_eq!(admit(&mut world, "one").id, 4);
    assert_eq!(ids(&world), [3, 4]);
    world.accept(remove(4));
    assert_eq!(world.refuse(remove(3)), Code::MembershipRefused, "the last one stays");
    assert_eq!(super::next_id(&world.store, World::GROUP), Some(5));
}

#[test]
fn ids_end() {
    let mut world = World::default();
    let cluster_id = "0190b1f0-0000-7000-8000-000000000000".to_owned();
    let founder = Some(node(u64::MAX, "one"));
    world.accept(room(cluster_op::Op::Found(FoundCluster { cluster_id, founder })));
    invite(&mut world, "two");
    assert_eq!(world.refuse(joining("two")), Code::LimitExceeded);
}

#[test]
fn what_a_node_tells_clears_nothing() {
    let mut world = World::default();
    world.accept(found("one"));
    let joined = admit(&mut world, "two");
    world.accept(set(2, "draining", "a new disk"));
    world.now_ms += 1000;
    world.accept(reach(2, true));
    let told = Node {
        version: "0.2.0".to_owned(),
        peer_address: "two:7341".to_owned(),
        admin_state: "forged".to_owned(),
        down_since_ms: 7,
        joined_ms: 7,
        ..node(2, "two")
    };
    world.accept(note(told.clone()));
    let expect = Node {
        version: told.version,
        peer_address: told.peer_address,
        admin_state: "draining".to_owned(),
        admin_reason: "a new disk".to_owned(),
        down_since_ms: world.now_ms,
        ..joined
    };
    assert_eq!(stored(&world, 2), expect, "and who tells no key has the one that is known");
    let other = Node { key_hash: "c".repeat(64), ..expect };
    world.accept(note(other.clone()));
    assert_eq!(stored(&world, 2), other);
}

#[test]
fn only_transitions_are_events() {
    let mut world = World::default();
    world.accept(found("one"));
    admit(&mut world, "two");
    let before = events(&world).len();
    for _ in 0..2 {
        world.accept(set(2, "draining", ""));
    }
    for down in [false, true, true, false, false] {
        world.now_ms += 1000;
        world.accept(reach(2, down));
    }
    world.accept(set(2, "", ""));
    world.accept(remove(2));
    let expect = ["state-changed", "down", "up", "state-changed", "removed"];
    assert_eq!(events(&world)[before..], expect.map(|verb| format!("cluster.node.{verb}")));
    assert_eq!(
        events(&world)[before - 2..before],
        ["security.token.used", "cluster.node.admitted"]
    );
}

#[test]
fn malformed_words_are_refused() {
    let mut world = World::default();
    world.accept(found("one"));
    let long = "a".repeat(300);
    let (address, version) = (long.clone(), long);
    for (op, expect) in [
        (set(1, "asleep", ""), Code::InvalidArgument),
        (set(1, "draining", &"é".repeat(REASON_CHARS_MAX + 1)), Code::LimitExceeded),
        (set(7, "draining", ""), Code::NotFound),
        (reach(7, true), Code::NotFound),
        (remove(7), Code::NotFound),
        (note(Node { api_address: address, ..node(1, "one") }), Code::InvalidArgument),
        (note(Node { peer_address: "a b:1".to_owned(), ..node(1, "one") }), Code::InvalidArgument),
        (note(Node { version, ..node(1, "one") }), Code::InvalidArgument),
        (note(Node { key_hash: "AB".repeat(32), ..node(1, "one") }), Code::InvalidArgument),
    ] {
        assert_eq!(world.refuse(op), expect);
    }
    assert!("é".repeat(REASON_CHARS_MAX).len() > REASON_CHARS_MAX, "characters, not bytes");
    world.accept(set(1, "draining", &"é".repeat(REASON_CHARS_MAX)));
}

#[test]
fn a_cluster_has_an_end() {
    let mut world = World::default();
    world.accept(found("one"));
    for number in 2..=NODES_MAX {
        admit(&mut world, &format!("n{number}"));
    }
    invite(&mut world, "more");
    assert_eq!(world.refuse(joining("more")), Code::LimitExceeded);
    world.accept(remove(2));
    world.accept(joining("more"));
}
