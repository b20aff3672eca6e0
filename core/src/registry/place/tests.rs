use super::host;
use crate::cluster::tests::{found, reach, remove};
use crate::house::tests::World;
use crate::journal;
use crate::refusal::Code;
use crate::registry::{Kind, ObjectKey, get, metadata, status};
use crate::security::tests::{admit, enroll_admin};
use keiko_proto::v1::{
    Actor, ApplyObject, ClusterOp, McpServer, McpServerSpec, Metadata, Object, ObjectStatus,
    Person, PlaceServer, PutMcpServer, PutMode, RegistryOp, SetNodeState, SocketPeer, actor::Who,
    cluster_op, entry::Room, object::Object as Inner, registry_op::Op,
};

fn room(op: Op) -> Room {
    Room::Registry(RegistryOp { op: Some(op) })
}

/// A server that says itself where it runs.
fn server(command: &str) -> McpServer {
    let metadata = Some(Metadata { name: "time".to_owned(), ..Default::default() });
    let mut spec = McpServerSpec { transport: "stdio".to_owned(), ..Default::default() };
    match command.starts_with('/') {
        true => spec.command = vec![command.to_owned()],
        false => (spec.transport, spec.url) = ("http".to_owned(), command.to_owned()),
    }
    let status = ObjectStatus { node: "forged".to_owned(), ..Default::default() };
    McpServer { metadata, spec: Some(spec), status: Some(status), ..Default::default() }
}

fn put(mode: PutMode, uid: &str, command: &str) -> Room {
    let (mode, uid) = (mode.into(), uid.to_owned());
    let server = Some(server(command));
    room(Op::PutMcpServer(PutMcpServer { mode, uid, server, ..Default::default() }))
}

fn register(command: &str) -> Room {
    put(PutMode::Register, "", command)
}

fn apply(command: &str) -> Room {
    let object = Some(Object { object: Some(Inner::McpServer(server(command))) });
    room(Op::Apply(ApplyObject { object, revision: 0 }))
}

fn key() -> ObjectKey {
    ObjectKey::parse(Kind::McpServer, "", "time").unwrap()
}

fn object(world: &World) -> Object {
    get(&world.store, World::GROUP, &key(), None).unwrap()
}

fn uid(world: &World) -> String {
    metadata(&object(world)).unwrap().uid.clone()
}

fn place(world: &World, from: &str, to: &str) -> Room {
    room(Op::PlaceServer(PlaceServer {
        object: Some(key().to_wire()),
        uid: uid(world),
        from: from.to_owned(),
        to: to.to_owned(),
        reason: "its node is down".to_owned(),
    }))
}

fn runs_on(world: &World) -> String {
    let object = object(world);
    let node = status(&object).unwrap().node.clone();
    assert_eq!(host(&object).unwrap_or_default(), node);
    node
}

fn by(who: Who) -> Actor {
    Actor { who: Some(who) }
}

fn socket(node: &str) -> Actor {
    by(Who::Socket(SocketPeer { node: node.to_owned(), uid: Some(7) }))
}

/// Nodes one, two and three; a command that was registered on one.
fn world() -> World {
    let mut world = World::default();
    world.accept(found("one"));
    admit(&mut world, "two");
    admit(&mut world, "three");
    world.accept(register("/bin/time"));
    world
}

#[test]
fn it_runs_where_it_was_registered() {
    let mut world = world();
    assert_eq!(runs_on(&world), "one");
    world.actor = by(Who::Node("two".to_owned()));
    world.accept(put(PutMode::Refresh, &uid(&world), "/bin/time"));
    assert_eq!(runs_on(&world), "one", "a refresh moves nothing");
    world.accept(apply("/bin/time"));
    assert_eq!(runs_on(&world), "one");
    world.actor = socket("two");
    world.accept(register("/bin/time"));
    assert_eq!(runs_on(&world), "two");
    world.actor = socket("three");
    world.accept(apply("/bin/other"));
    assert_eq!(runs_on(&world), "three");
    // Nobody who could run it asked for it.
    world.actor = by(Who::Node("two".to_owned()));
    world.accept(apply("/bin/time"));
    assert_eq!(runs_on(&world), "");
    world.actor = socket("one");
    world.accept(apply("http://time/"));
    assert_eq!(runs_on(&world), "", "a URL is called from everywhere");
    assert_eq!(world.refuse(place(&world, "", "two")), Code::InvalidArgument);
}

#[test]
fn the_first_takes_it_over_once_its_node_is_down() {
    let mut world = world();
    assert_eq!(world.refuse(place(&world, "one", "two")), Code::NotReadyEntry);
    world.accept(reach(1, true));
    assert_eq!(world.refuse(place(&world, "one", "four")), Code::NotFound);
    let generation = metadata(&object(&world)).unwrap().generation;
    world.accept(place(&world, "one", "two"));
    assert_eq!(runs_on(&world), "two");
    assert_eq!(metadata(&object(&world)).unwrap().generation, generation);
    assert_eq!(world.refuse(place(&world, "one", "three")), Code::RevisionConflict, "too late");
    let placed = object(&world);
    let condition =
        status(&placed).unwrap().conditions.iter().find(|known| known.r#type == "Placed");
    assert_eq!(condition.unwrap().message, "its node is down");
    let last = journal::after(&world.store, World::GROUP, 0).last().unwrap();
    assert_eq!(
        (last.r#type.as_str(), last.subject.as_str()),
        ("keiko.registry.mcp.placed", "mcp/default/time")
    );
    // It is back, and somebody says there that it shall run there again.
    world.accept(reach(1, false));
    world.accept(register("/bin/time"));
    assert_eq!(runs_on(&world), "one");
    let back = object(&world);
    assert!(!status(&back).unwrap().conditions.iter().any(|known| known.r#type == "Placed"));
}

#[test]
fn what_a_removed_node_ran_is_free() {
    let mut world = world();
    world.accept(remove(1));
    world.accept(place(&world, "one", "three"));
    let before = world.log.len();
    world.accept(place(&world, "three", "three"));
    assert_eq!(journal::events_of(&world.store, World::GROUP, before as u64 + 1).len(), 0);
    let other = Room::Registry(RegistryOp {
        op: Some(Op::PlaceServer(PlaceServer {
            object: Some(key().to_wire()),
            uid: "another".to_owned(),
            from: "three".to_owned(),
            to: "two".to_owned(),
            ..Default::default()
        })),
    });
    assert_eq!(world.refuse(other), Code::RevisionConflict);
}

#[test]
fn a_node_that_is_drained_takes_nothing() {
    let mut world = world();
    world.accept(reach(1, true));
    let drain = SetNodeState { id: 2, admin_state: "draining".to_owned(), ..Default::default() };
    let op = Some(cluster_op::Op::SetNodeState(drain));
    world.accept(Room::Cluster(ClusterOp { op }));
    assert_eq!(world.refuse(place(&world, "one", "two")), Code::NotReadyEntry);
    world.accept(place(&world, "one", "three"));
}

#[test]
fn an_admin_brings_a_command_that_a_node_then_takes() {
    let mut world = World::default();
    world.accept(found("one"));
    enroll_admin(&mut world, "ada");
    world.actor = by(Who::Person(Person { name: "bob".to_owned() }));
    assert_eq!(world.refuse(register("/bin/time")), Code::ExecRefused, "nobody knows him");
    world.actor = by(Who::Person(Person { name: "ada".to_owned() }));
    world.accept(register("/bin/time"));
    assert_eq!(runs_on(&world), "");
    let Some(Inner::McpServer(kept)) = object(&world).object else { panic!("no server") };
    assert_eq!(kept.spec.unwrap().grant, None, "she was on no node's socket");
    world.accept(place(&world, "", "one"));
    assert_eq!(runs_on(&world), "one");
    world.accept(register("/bin/time"));
    assert_eq!(runs_on(&world), "one");
}
