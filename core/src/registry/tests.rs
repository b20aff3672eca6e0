use super::{Filter, Kind, ObjectKey, get, history, list, resolve_tool};
use crate::house::tests::World;
use crate::id::Name;
use crate::refusal::Code;
use crate::selector::Selector;
use crate::{house, journal};
use keiko_proto::v1::{
    Actor, Agent, AgentSpec, ApplyObject, Change, CredentialRef, DeleteObject, Health, McpServer,
    McpServerSpec, Metadata, ObjectRef, PutMcpServer, PutMode, RegistryOp, SetAdminState,
    SetHealth, Tool, ToolSpec, actor::Who, entry::Room, object::Object as Inner, registry_op::Op,
    registry_reply, reply,
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
    world.accept(room(Op::Delete(DeleteObject { object: Some(object), ..Default::default() })));
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

fn reference(kind: Kind, name: &str) -> Option<ObjectRef> {
    Some(key(kind, name).to_wire())
}

fn set_health(uid: &str, state: &str, class: &str) -> Room {
    let health =
        Health { state: state.to_owned(), failure_class: class.to_owned(), ..Default::default() };
    room(Op::SetHealth(SetHealth {
        object: reference(Kind::McpServer, "time"),
        uid: uid.to_owned(),
        health: Some(health),
    }))
}

fn events(world: &World) -> Vec<String> {
    journal::after(&world.store, World::GROUP, 0).map(|event| event.r#type).collect()
}

fn object(world: &World, kind: Kind, name: &str) -> keiko_proto::v1::Object {
    get(&world.store, World::GROUP, &key(kind, name), None).unwrap()
}

#[test]
fn health_changes_only_on_transitions() {
    let mut world = World::default();
    world.accept(put("time", &["/bin/time"], &[]));
    let uid = uid(&world, Kind::McpServer, "time");
    world.accept(set_health(&uid, "ready", ""));
    assert!(super::is_ready(&object(&world, Kind::McpServer, "time")));
    let before = events(&world).len();
    world.now_ms += 1000;
    world.accept(set_health(&uid, "ready", ""));
    assert_eq!(events(&world).len(), before);
    world.accept(set_health(&uid, "cooling-down", "timeout"));
    assert_eq!(events(&world)[before..], ["keiko.registry.mcp.health-changed"]);
    let cold = object(&world, Kind::McpServer, "time");
    assert!(!super::is_ready(&cold));
    assert_eq!(super::metadata(&cold).unwrap().generation, 1, "health declares nothing");
    assert_eq!(world.refuse(set_health("other", "ready", "")), Code::RevisionConflict);
    assert_eq!(world.refuse(set_health(&uid, "so-so", "")), Code::InvalidArgument);
}

#[test]
fn an_operator_stops_calls_and_probes_do_not_undo_it() {
    let mut world = World::default();
    world.accept(put("time", &["/bin/time"], &[("now", "a")]));
    let set = |state: &str| {
        room(Op::SetAdminState(SetAdminState {
            object: reference(Kind::McpServer, "time"),
            state: state.to_owned(),
            reason: "upgrade".to_owned(),
        }))
    };
    world.accept(set("suspended"));
    world.accept(put("time", &["/bin/time"], &[("now", "b")]));
    let now = object(&world, Kind::McpServer, "time");
    assert_eq!(super::status(&now).unwrap().admin_state, "suspended");
    world.accept(set(""));
    assert_eq!(world.refuse(set("asleep")), Code::InvalidArgument);
    let kinds = events(&world);
    assert!(kinds.contains(&"keiko.registry.mcp.suspended".to_owned()), "{kinds:?}");
    assert_eq!(kinds.last().unwrap(), "keiko.registry.mcp.resumed");
}

fn apply(server: McpServer, revision: u64) -> Room {
    let object = keiko_proto::v1::Object { object: Some(Inner::McpServer(server)) };
    room(Op::Apply(ApplyObject { object: Some(object), revision }))
}

#[test]
fn a_manifest_declares_and_keeps_what_probes_found() {
    let mut world = World::default();
    world.accept(put("time", &["/bin/time"], &[("now", "a")]));
    let mut declared = server("time", &["/bin/time"]);
    declared.metadata.as_mut().unwrap().labels.insert("team".to_owned(), "red".to_owned());
    assert_eq!(change_of(world.accept(apply(declared.clone(), 0))), Change::Updated);
    assert_eq!(change_of(world.accept(apply(declared.clone(), 0))), Change::Unchanged);
    assert_eq!(names(&world, Kind::Tool, None), ["time.now"]);
    let generation = super::metadata(&object(&world, Kind::McpServer, "time")).unwrap().generation;
    assert_eq!(world.refuse(apply(declared.clone(), generation - 1)), Code::RevisionConflict);
    let uid = uid(&world, Kind::McpServer, "time");
    world.accept(set_health(&uid, "ready", ""));
    assert_eq!(change_of(world.accept(apply(declared.clone(), generation))), Change::Unchanged);
    // Any revision since then will do, also one that came with something else.
    world.accept(put("twin", &["/bin/twin"], &[]));
    let last = house::revision(&world.store, World::GROUP);
    assert_eq!(world.refuse(apply(declared.clone(), last + 1)), Code::RevisionConflict);
    assert_eq!(change_of(world.accept(apply(declared, last))), Change::Unchanged);
    let delete = |revision| {
        let object = reference(Kind::McpServer, "twin");
        room(Op::Delete(DeleteObject { object, revision, ..Default::default() }))
    };
    assert_eq!(world.refuse(delete(last + 2)), Code::RevisionConflict, "there is no such one yet");
    assert_eq!(world.refuse(delete(last - 1)), Code::RevisionConflict, "it was not there yet");
    world.accept(delete(last + 1));
    // Another endpoint: everything is to be found anew.
    world.accept(apply(server("time", &["/bin/other"]), 0));
    assert!(names(&world, Kind::Tool, None).is_empty());
    assert!(!super::is_ready(&object(&world, Kind::McpServer, "time")));
}

fn agent_at(url: &str) -> Room {
    let spec = AgentSpec {
        url: url.to_owned(),
        headers: vec![CredentialRef { name: "A".to_owned(), credential: "c".to_owned() }],
        ..Default::default()
    };
    let metadata = Metadata { name: "poet".to_owned(), ..Default::default() };
    let agent = Agent { metadata: Some(metadata), spec: Some(spec), ..Default::default() };
    let object = keiko_proto::v1::Object { object: Some(Inner::Agent(agent)) };
    room(Op::Apply(ApplyObject { object: Some(object), revision: 0 }))
}

#[test]
fn a_credential_does_not_move_to_another_endpoint_with_a_token() {
    let mut world = World::default();
    world.accept(agent_at("http://a/"));
    let grant = |world: &World| {
        let Some(Inner::Agent(agent)) = object(world, Kind::Agent, "poet").object else {
            panic!("no agent")
        };
        agent.spec.unwrap().grant
    };
    assert!(grant(&world).is_some());
    world.actor = Actor { who: Some(Who::Token(Default::default())) };
    world.accept(agent_at("http://a/"));
    assert!(grant(&world).is_some(), "nothing changed");
    world.accept(agent_at("http://evil/"));
    assert_eq!(grant(&world), None);
    assert_eq!(world.refuse(agent_at("http://user:secret@a/")), Code::InvalidArgument);
}

fn needing(name: &str, needs: &[&str]) -> Room {
    let mut server = server(name, &["/bin/x"]);
    server.spec.as_mut().unwrap().depends_on =
        needs.iter().map(|need| (*need).to_owned()).collect();
    apply(server, 0)
}

#[test]
fn dependencies_have_no_cycle_and_are_shown() {
    let mut world = World::default();
    world.accept(needing("a", &["mcp/b", "tool/time.now"]));
    world.accept(needing("b", &["agent/c"]));
    assert_eq!(world.refuse(needing("b", &["mcp/a"])), Code::DependencyCycle);
    assert_eq!(world.refuse(needing("b", &["tool/b.x"])), Code::DependencyCycle);
    assert_eq!(world.refuse(needing("b", &["b"])), Code::InvalidArgument);
    let shown = |world: &World| {
        let conditions = super::conditions(&object(world, Kind::McpServer, "a")).to_vec();
        let found = conditions.into_iter().find(|known| known.r#type == "DependenciesReady");
        let condition = found.unwrap();
        (condition.status, condition.message)
    };
    let (status, message) = shown(&world);
    assert_eq!(status, "False");
    assert_eq!(message, "mcp/b is not ready; mcp/time is not there");
    world.accept(put("time", &["/bin/time"], &[("now", "a")]));
    let time = uid(&world, Kind::McpServer, "time");
    world.accept(set_health(&time, "ready", ""));
    assert_eq!(shown(&world).1, "mcp/b is not ready");
    let who = |name: &str, kind| {
        let found = super::dependents(&world.store, World::GROUP, &key(kind, name));
        found.iter().map(ObjectKey::short).collect::<Vec<_>>()
    };
    assert_eq!(who("time", Kind::McpServer), ["mcp/a"]);
    assert_eq!(who("time.now", Kind::Tool), ["mcp/a"]);
    assert!(who("time.zone", Kind::Tool).is_empty());
    assert_eq!(who("c", Kind::Agent), ["mcp/b"]);
    world.accept(needing("a", &[]));
    assert!(super::dependents(&world.store, World::GROUP, &key(Kind::McpServer, "b")).is_empty());
}

#[test]
fn a_look_for_a_circle_has_an_end() {
    let mut world = World::default();
    for (name, need) in [("b", "mcp/c"), ("c", "mcp/d"), ("d", "mcp/e")] {
        world.accept(needing(name, &[need]));
    }
    let look = |world: &World, limit| {
        let (from, own) = (key(Kind::McpServer, "a"), [key(Kind::McpServer, "b")]);
        super::depend::check_way(&world.store, World::GROUP, &from, &own, limit)
            .map_err(|refusal| refusal.code)
    };
    // It would need b, c, d and e.
    assert_eq!(look(&world, 4), Ok(()));
    assert_eq!(look(&world, 3), Err(Code::LimitExceeded));
    world.accept(needing("e", &["mcp/a"]));
    assert_eq!(look(&world, 4), Err(Code::DependencyCycle));
    // What it needs already is not looked at again.
    let mut server = server("a", &["/bin/x"]);
    server.spec.as_mut().unwrap().depends_on = vec!["mcp/b".to_owned()];
    let a = keiko_proto::v1::Object { object: Some(Inner::McpServer(server)) };
    let check = |before| {
        let key = key(Kind::McpServer, "a");
        super::depend::check_acyclic(&world.store, World::GROUP, &key, before, &a)
            .map_err(|refusal| refusal.code)
    };
    assert_eq!(check(None), Err(Code::DependencyCycle));
    assert_eq!(check(Some(&a)), Ok(()));
}

#[test]
fn a_changed_offer_is_one_event_with_the_difference() {
    let mut world = World::default();
    let with_version = |names: &[(&str, &str)]| {
        let mut server = server("time", &["/bin/time"]);
        server.spec.as_mut().unwrap().protocol_version = "2025-11-25".to_owned();
        let put = PutMcpServer {
            mode: PutMode::Register.into(),
            server: Some(server),
            tools: tools(names),
            ..Default::default()
        };
        room(Op::PutMcpServer(put))
    };
    world.accept(with_version(&[("now", "a"), ("zone", "b")]));
    assert!(!events(&world).iter().any(|kind| kind.ends_with("offer-changed")));
    world.accept(with_version(&[("later", "b"), ("zone", "b")]));
    let event = journal::after(&world.store, World::GROUP, 0)
        .find(|event| event.r#type == "keiko.registry.mcp.offer-changed")
        .unwrap();
    assert_eq!(event.subject, "mcp/default/time");
    let text = format!("{:?}", event.body);
    assert!(text.contains("removed") && text.contains("added") && text.contains("later"), "{text}");
}

#[test]
fn only_a_lease_can_end() {
    let mut world = World::default();
    world.accept(put("time", &["/bin/time"], &[]));
    let uid = uid(&world, Kind::McpServer, "time");
    let expire = |uid: &str| {
        let object = reference(Kind::McpServer, "time");
        room(Op::Delete(DeleteObject {
            object,
            uid: uid.to_owned(),
            expired: true,
            ..Default::default()
        }))
    };
    assert_eq!(world.refuse(expire(&uid)), Code::RevisionConflict);
    assert_eq!(world.refuse(expire("")), Code::MalformedEntry);
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

fn refresh(uid: &str, server: McpServer) -> Room {
    room(Op::PutMcpServer(PutMcpServer {
        mode: PutMode::Refresh.into(),
        uid: uid.to_owned(),
        server: Some(server),
        tools: tools(&[("later", "b")]),
    }))
}

#[test]
fn a_refresh_changes_only_what_the_server_says() {
    let mut world = World::default();
    world.accept(put("time", &["/bin/time"], &[("now", "a")]));
    let uid = uid(&world, Kind::McpServer, "time");
    world.actor = Actor { who: Some(Who::Node("one".to_owned())) };
    let mut seen = server("time", &["/bin/time"]);
    let spec = seen.spec.as_mut().unwrap();
    (spec.depends_on, spec.version) = (vec!["mcp/evil".to_owned()], "2".to_owned());
    world.accept(refresh(&uid, seen));
    let object = get(&world.store, World::GROUP, &key(Kind::McpServer, "time"), None).unwrap();
    let Some(Inner::McpServer(kept)) = object.object else { panic!("no server") };
    let spec = kept.spec.unwrap();
    assert_eq!((spec.version.as_str(), spec.depends_on.len()), ("2", 0));
    assert_eq!(spec.command, ["/bin/time"]);
    assert_eq!(spec.grant.map(|grant| grant.uid()), Some(0));
    assert_eq!(names(&world, Kind::Tool, None), ["time.later"]);
    let elsewhere = refresh(&uid, server("time", &["/bin/evil"]));
    assert_eq!(world.refuse(elsewhere), Code::RevisionConflict);
}

#[test]
fn a_late_refresh_is_not_taken_for_another_endpoint() {
    let mut world = World::default();
    world.accept(put("time", &["/bin/time"], &[("now", "a")]));
    let uid = uid(&world, Kind::McpServer, "time");
    world.accept(apply(server("time", &["/bin/other"]), 0));
    world.actor = Actor { who: Some(Who::Node("one".to_owned())) };
    let late = refresh(&uid, server("time", &["/bin/time"]));
    assert_eq!(world.refuse(late), Code::RevisionConflict);
    assert!(names(&world, Kind::Tool, None).is_empty());
    world.accept(refresh(&uid, server("time", &["/bin/other"])));
    assert_eq!(names(&world, Kind::Tool, None), ["time.later"]);
}

#[test]
fn what_is_declared_and_what_is_found_are_one_object() {
    let (much, more) = ("x".repeat(100 << 10), "y".repeat(200 << 10));
    let declared = |text: &str| {
        let mut server = server("time", &["/bin/time"]);
        let annotations = &mut server.metadata.as_mut().unwrap().annotations;
        annotations.insert("note".to_owned(), text.to_owned());
        server
    };
    let found = |text: &str| {
        let mut server = server("time", &["/bin/time"]);
        text.clone_into(&mut server.spec.as_mut().unwrap().instructions);
        server
    };
    let mut world = World::default();
    world.accept(apply(declared(&more), 0));
    let uid = uid(&world, Kind::McpServer, "time");
    assert_eq!(world.refuse(refresh(&uid, found(&much))), Code::LimitExceeded);
    world.accept(apply(declared(""), 0));
    world.accept(refresh(&uid, found(&much)));
    assert_eq!(world.refuse(apply(declared(&more), 0)), Code::LimitExceeded);
}
