use super::{Filter, Kind, ObjectKey, get, history, list, resolve_tool};
use crate::house::tests::World;
use crate::id::Name;
use crate::refusal::Code;
use crate::selector::Selector;
use crate::{house, journal};
use keiko_proto::v1::{
    Actor, Change, Condition, DeleteObject, McpServer, McpServerSpec, Metadata, ObjectRef,
    PutMcpServer, PutMode, RegistryOp, SetCondition, Tool, ToolSpec, actor::Who, entry::Room,
    object::Object as Inner, registry_op::Op, registry_reply, reply,
};

fn room(op: Op) -> Room {
    Room::Registry(RegistryOp { op: Some(op) })
}

fn server(name: &str, command: &[&str]) -> McpServer {
    let words = command.iter().map(|word| (*word).to_owned()).collect();
    let spec =
        McpServerSpec { transport: "stdio".to_owned(), command: words, ..Default::default() };
    let metadata = Metadata { name: name.to_owned(), ..Default::default() };
    McpServer { metadata: Some(metadata), spec: Some(spec), ..Default::default() }
}

fn tools(names: &[(&str, &str)]) -> Vec<Tool> {
    let tool = |(name, hash): &(&str, &str)| Tool {
        spec: Some(ToolSpec {
            tool_name: (*name).to_owned(),
            schema_hash: (*hash).to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    names.iter().map(tool).collect()
}

fn put(name: &str, command: &[&str], names: &[(&str, &str)]) -> Room {
    room(Op::PutMcpServer(PutMcpServer {
        mode: PutMode::Register.into(),
        uid: String::new(),
        server: Some(server(name, command)),
        tools: tools(names),
    }))
}

fn change_of(result: reply::Result) -> Change {
    let reply::Result::Registry(reply) = result else { panic!("{result:?}") };
    let Some(registry_reply::Reply::Put(put)) = reply.reply else { panic!("{reply:?}") };
    put.change()
}

fn key(kind: Kind, name: &str) -> ObjectKey {
    ObjectKey::parse(kind, "", name).unwrap()
}

fn names(world: &World, kind: Kind, at: Option<u64>) -> Vec<String> {
    let filter = Filter { kind, namespace: None, selector: Selector::default() };
    let page = list(&world.store, World::GROUP, &filter, at, 0, "").unwrap();
    let name = |object| super::metadata(object).unwrap().name.clone();
    page.items.iter().map(name).collect()
}

fn resolve(world: &World, name: &str) -> Result<usize, Code> {
    let namespace = Name::parse_namespace("").unwrap();
    resolve_tool(&world.store, World::GROUP, &namespace, name)
        .map(|tools| tools.len())
        .map_err(|refusal| refusal.code)
}

fn uid(world: &World, kind: Kind, name: &str) -> String {
    let object = get(&world.store, World::GROUP, &key(kind, name), None).unwrap();
    super::metadata(&object).unwrap().uid.clone()
}

#[test]
fn a_server_comes_with_its_tools_and_goes_with_them() {
    let mut world = World::default();
    let result = world.accept(put("time", &["/bin/time"], &[("now", "a"), ("zone", "b")]));
    assert_eq!(change_of(result), Change::Created);
    assert_eq!(names(&world, Kind::Tool, None), ["time.now", "time.zone"]);
    let result = world.accept(put("time", &["/bin/time"], &[("now", "a"), ("zone", "b")]));
    assert_eq!(change_of(result), Change::Unchanged);
    let result = world.accept(put("time", &["/bin/time"], &[("now", "c")]));
    assert_eq!(change_of(result), Change::Updated);
    assert_eq!(names(&world, Kind::Tool, None), ["time.now"]);
    let object = ObjectRef { kind: 2, namespace: String::new(), name: "time".to_owned() };
    world.accept(room(Op::Delete(DeleteObject { object: Some(object), revision: 0 })));
    assert!(names(&world, Kind::Tool, None).is_empty());
    assert_eq!(resolve(&world, "now"), Err(Code::NotFound));
    assert_eq!(names(&world, Kind::Tool, Some(1)), ["time.now", "time.zone"]);
    let versions = history(&world.store, World::GROUP, &key(Kind::Tool, "time.now"), 0, 0).unwrap();
    let revisions: Vec<_> =
        versions.iter().map(|version| (version.revision, version.value.is_some())).collect();
    assert_eq!(revisions, [(4, false), (3, true), (1, true)]);
}

#[test]
fn a_name_is_one_endpoint() {
    let mut world = World::default();
    world.accept(put("time", &["/bin/time"], &[]));
    assert_eq!(world.refuse(put("time", &["/bin/evil"], &[])), Code::NameTaken);
}

#[test]
fn no_server_shadows_the_tool_of_another() {
    let mut world = World::default();
    world.accept(put("time", &["/bin/time"], &[("now", "a")]));
    assert_eq!(resolve(&world, "now"), Ok(1));
    world.accept(put("twin", &["/bin/twin"], &[("now", "a")]));
    assert_eq!(resolve(&world, "now"), Ok(2));
    world.accept(put("evil", &["/bin/evil"], &[("now", "b")]));
    assert_eq!(resolve(&world, "now"), Err(Code::Ambiguous));
    assert_eq!(resolve(&world, "time.now"), Ok(1));
}

#[test]
fn a_grant_is_the_actor_and_never_the_text() {
    let mut world = World::default();
    let mut forged = server("time", &["/bin/time"]);
    forged.spec.as_mut().unwrap().grant =
        Some(keiko_proto::v1::Grant { node: "other".to_owned(), uid: Some(7) });
    world.accept(room(Op::PutMcpServer(PutMcpServer {
        mode: PutMode::Register.into(),
        server: Some(forged),
        ..Default::default()
    })));
    let object = get(&world.store, World::GROUP, &key(Kind::McpServer, "time"), None).unwrap();
    let Some(Inner::McpServer(server)) = object.object else { panic!("no server") };
    let grant = server.spec.unwrap().grant.unwrap();
    assert_eq!((grant.node.as_str(), grant.uid), ("one", Some(0)));

    world.actor = Actor { who: Some(Who::Token(Default::default())) };
    assert_eq!(world.refuse(put("other", &["/bin/sh"], &[])), Code::ExecRefused);
}

#[test]
fn conditions_change_only_on_transitions() {
    let mut world = World::default();
    world.accept(put("time", &["/bin/time"], &[]));
    let set = |uid: String, status: &str| {
        room(Op::SetCondition(SetCondition {
            object: Some(ObjectRef { kind: 2, namespace: String::new(), name: "time".to_owned() }),
            uid,
            condition: Some(Condition {
                r#type: "Ready".to_owned(),
                status: status.to_owned(),
                ..Default::default()
            }),
        }))
    };
    let uid = uid(&world, Kind::McpServer, "time");
    world.accept(set(uid.clone(), "True"));
    let events = |world: &World| journal::after(&world.store, World::GROUP, 0).count();
    let before = events(&world);
    world.now_ms += 1000;
    world.accept(set(uid.clone(), "True"));
    assert_eq!(events(&world), before);
    world.accept(set(uid, "False"));
    assert_eq!(events(&world), before + 1);
    assert_eq!(world.refuse(set("other".to_owned(), "True")), Code::RevisionConflict);
}

#[test]
fn malformed_objects_are_refused() {
    let mut world = World::default();
    let many: Vec<_> = (0..1025).map(|n| format!("t{n}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "")).collect();
    for (case, op, expect) in [
        ("upper case", put("Time", &["/bin/time"], &[]), Code::InvalidArgument),
        ("relative", put("time", &["time"], &[]), Code::InvalidArgument),
        ("no command", put("time", &[], &[]), Code::InvalidArgument),
        ("escape", put("time", &["/x"], &[("\u{1b}[2J", "")]), Code::InvalidArgument),
        ("twice", put("time", &["/x"], &[("a", ""), ("a", "")]), Code::InvalidArgument),
        ("too many", put("time", &["/x"], &many), Code::LimitExceeded),
    ] {
        assert_eq!(world.refuse(op), expect, "{case}");
    }
    assert_eq!(house::revision(&world.store, World::GROUP), 0);
}

#[test]
fn pages_hold_everything_once() {
    let mut world = World::default();
    for number in 0..25 {
        world.accept(put(&format!("s{number:02}"), &["/bin/x"], &[]));
    }
    let filter = Filter { kind: Kind::McpServer, namespace: None, selector: Selector::default() };
    let (mut seen, mut token) = (0, String::new());
    loop {
        let page = list(&world.store, World::GROUP, &filter, None, 10, &token).unwrap();
        seen += page.items.len();
        match page.next {
            Some(next) => token = next,
            None => break,
        }
    }
    assert_eq!(seen, 25);
}

#[test]
fn a_refresh_changes_only_what_the_server_says() {
    let mut world = World::default();
    world.accept(put("time", &["/bin/time"], &[("now", "a")]));
    let uid = uid(&world, Kind::McpServer, "time");
    world.actor = Actor { who: Some(Who::Node("one".to_owned())) };
    world.accept(room(Op::PutMcpServer(PutMcpServer {
        mode: PutMode::Refresh.into(),
        uid,
        server: Some(server("time", &["/bin/evil"])),
        tools: tools(&[("later", "b")]),
    })));
    let object = get(&world.store, World::GROUP, &key(Kind::McpServer, "time"), None).unwrap();
    let Some(Inner::McpServer(server)) = object.object else { panic!("no server") };
    let spec = server.spec.unwrap();
    assert_eq!(spec.command, ["/bin/time"]);
    assert_eq!(spec.grant.map(|grant| grant.uid()), Some(0));
    assert_eq!(names(&world, Kind::Tool, None), ["time.later"]);
}
