use super::*;
use crate::house::tests::World;
use crate::limits::{BINDING_SUBJECTS_MAX, ROLE_BYTES_MAX, ROLE_RULES_MAX};
use crate::security::Pattern;
use crate::security::tests::{create, enroll_with, joining, one_use, revoke};
use crate::security::{
    DAY_MS, ROLE_ADMIN, ROLE_GUEST, ROLE_NODE, ROLE_VIEWER, day_of, used, uses_begun,
};
use keiko_proto::v1::{
    DeleteBinding, DeleteRole, NoteUses, Person, RemovePerson, Rule, SecurityOp, SetBinding,
    SetRole, TokenBearer, Uses, entry::Room, security_op::Op,
};

const HOUR_MS: u64 = 3600 * 1000;

fn room(op: Op) -> Room {
    Room::Security(SecurityOp { op: Some(op) })
}

fn texts(words: &str) -> Vec<String> {
    words.split_whitespace().map(str::to_owned).collect()
}

/// A role of one rule.
fn declare(name: &str, permissions: &str, resources: &str) -> Room {
    let rule = Rule { permissions: texts(permissions), resources: texts(resources) };
    let role = wire::Role { name: name.to_owned(), rules: vec![rule], ..Default::default() };
    room(Op::SetRole(SetRole { role: Some(role) }))
}

fn bind_with(binding: Binding) -> Room {
    room(Op::SetBinding(SetBinding { binding: Some(binding) }))
}

fn handing(name: &str, role: &str, subjects: &str) -> Binding {
    let (name, role) = (name.to_owned(), role.to_owned());
    Binding { name, role, subjects: texts(subjects), ..Default::default() }
}

fn bind(name: &str, role: &str, subjects: &str) -> Room {
    bind_with(handing(name, role, subjects))
}

fn person_of(name: &str) -> Actor {
    Actor { who: Some(Who::Person(Person { name: name.to_owned() })) }
}

/// Somebody with a certificate and a built-in role.
fn enroll(world: &mut World, name: &str, role: &str) {
    let token = one_use(world, name, role, name);
    world.accept(create(token));
    world.accept(enroll_with(name, 'a'));
    // The token's own id is the person's name: it is gone, so that the next one may have it.
    world.accept(revoke(name));
}

/// Does it as somebody else.
fn by<R>(world: &mut World, who: &Actor, act: impl FnOnce(&mut World) -> R) -> R {
    let before = std::mem::replace(&mut world.actor, who.clone());
    let done = act(world);
    world.actor = before;
    done
}

fn may(world: &World, actor: &Actor, permission: Permission, resource: &str) -> Option<String> {
    let pattern = Pattern::parse(resource).unwrap();
    let resource = pattern.resource();
    let asked = (permission, &resource);
    let decision = allowed(&world.store, World::GROUP, actor, asked, world.now_ms);
    assert_eq!(decision.allowed, decision.by.is_some());
    decision.by.map(|by| by.to_string())
}

#[test]
fn a_binding_hands_out_exactly_its_rules() {
    let mut world = World::default();
    enroll(&mut world, "ann", ROLE_GUEST);
    let ann = person_of("ann");
    let write = Permission::RegistryWrite;
    assert_eq!(may(&world, &ann, write, "agent/team-a/x"), None, "deny by default");
    world.accept(declare("deployer", "registry.* tool.call", "agent/team-a/* mcp/*/time"));
    assert_eq!(may(&world, &ann, write, "agent/team-a/x"), None, "a role alone grants nothing");
    world.accept(bind("ann-deploys", "deployer", "person/ann"));
    let by = Some("binding ann-deploys, role deployer".to_owned());
    for (permission, resource, expect) in [
        (write, "agent/team-a/x", true),
        (write, "agent/team-a/*", true),
        (write, "agent/team-b/x", false),
        (write, "agent/*", false),
        (write, "mcp/team-b/time", true),
        (write, "mcp/team-b/other", false),
        (write, "tool/team-a/x", false),
        (Permission::RegistryRead, "agent/team-a/x", true),
        (Permission::ToolCall, "agent/team-a/x", true),
        (Permission::AgentCall, "agent/team-a/x", false),
        (Permission::SecurityWrite, "token/*", false),
    ] {
        let expect = by.clone().filter(|_| expect);
        assert_eq!(may(&world, &ann, permission, resource), expect, "{permission} {resource}");
    }
    assert_eq!(may(&world, &person_of("bob"), write, "agent/team-a/x"), None);
    world.accept(room(Op::DeleteBinding(DeleteBinding { name: "ann-deploys".to_owned() })));
    assert_eq!(may(&world, &ann, write, "agent/team-a/x"), None);
}

#[test]
fn a_wildcard_never_founds_a_cluster() {
    let mut world = World::default();
    enroll(&mut world, "ann", ROLE_GUEST);
    world.accept(declare("king", "*", ""));
    world.accept(bind("ann", "king", "person/ann"));
    for permission in Permission::ALL.iter().copied() {
        let by = may(&world, &person_of("ann"), permission, "cluster/*");
        assert_eq!(by.is_some(), permission.is_bindable(), "{permission}");
        assert!(may(&world, &world.actor, permission, "cluster/*").is_some(), "{permission}");
    }
    for words in ["cluster.init", "registry", "registry.", ".*", "fly.*", "a"] {
        assert_eq!(world.refuse(declare("odd", words, "*")), Code::InvalidArgument, "{words}");
    }
    for resources in ["agent", "agent/x", "agent//x", "A/*", "a/b/", "*/*", "agent/*/x y", ""] {
        let refused = Pattern::parse(resources).is_err();
        assert!(refused, "{resources}");
    }
    for resources in ["*", "agent/*", "agent/a/b", "agent/*/b", "*/a/*", "tool/a/time.get/x:y"] {
        assert_eq!(Pattern::parse(resources).unwrap().to_string(), resources);
    }
}

#[test]
fn a_namespace_narrows_what_is_handed_out() {
    let mut world = World::default();
    enroll(&mut world, "ann", ROLE_GUEST);
    let ann = person_of("ann");
    let narrow =
        Binding { namespace: "team-a".to_owned(), ..handing("ann", "operator", "person/ann") };
    world.accept(bind_with(narrow));
    for (permission, resource, expect) in [
        (Permission::RegistryWrite, "agent/team-a/x", true),
        (Permission::RegistryWrite, "agent/team-b/x", false),
        (Permission::RegistryRead, "agent/team-a/*", true),
        (Permission::RegistryRead, "agent/*", false),
        // What lies in no namespace lies not in this one.
        (Permission::ClusterOperate, "cluster/*", false),
    ] {
        let got = may(&world, &ann, permission, resource).is_some();
        assert_eq!(got, expect, "{permission} {resource}");
    }
}

#[test]
fn a_binding_ends_when_it_says() {
    let mut world = World::default();
    enroll(&mut world, "ann", ROLE_GUEST);
    let ends = world.now_ms + HOUR_MS;
    let binding = Binding { expires_ms: ends, ..handing("ann", "viewer", "person/ann") };
    world.accept(bind_with(binding.clone()));
    let subjects = texts("person/ann");
    let (_, until_ms) = bound(&world.store, World::GROUP, &subjects, world.now_ms);
    assert_eq!(until_ms, ends);
    let read = |world: &World| may(world, &person_of("ann"), Permission::RegistryRead, "agent/*");
    assert!(read(&world).is_some());
    world.now_ms = ends - 1;
    assert!(read(&world).is_some());
    world.now_ms = ends;
    assert_eq!(read(&world), None);
    assert_eq!(bound(&world.store, World::GROUP, &subjects, ends), (Grants::default(), 0));
    assert_eq!(world.refuse(bind_with(binding)), Code::InvalidArgument, "it is over");
}

#[test]
fn nobody_hands_on_what_they_lack() {
    let mut world = World::default();
    enroll(&mut world, "eve", ROLE_GUEST);
    enroll(&mut world, "ann", ROLE_ADMIN);
    let (eve, ann) = (person_of("eve"), person_of("ann"));
    // She may declare, and write in her namespace: not more.
    world.accept(declare("keeper", "security.write security.read", "*"));
    world.accept(declare("writer", "registry.write registry.read", "*/team-a/*"));
    world.accept(bind("eve-keeps", "keeper", "person/eve"));
    world.accept(bind("eve-writes", "writer", "person/eve"));
    by(&mut world, &eve, |world| {
        world.accept(declare("less", "registry.read", "agent/team-a/*"));
        world.accept(bind("bob-reads", "less", "person/bob"));
        let narrow =
            Binding { namespace: "team-a".to_owned(), ..handing("b", "writer", "person/bob") };
        world.accept(bind_with(narrow));
        for more in [
            declare("more", "registry.read", "*"),
            declare("more", "registry.*", "agent/team-a/*"),
            declare("more", "*", "agent/team-a/x"),
            declare("more", "tool.call", "tool/team-a/x"),
            // What is bound already would grant more.
            declare("writer", "registry.write", "*"),
            declare("keeper", "*", "*"),
            bind("more", "admin", "person/eve"),
            bind("more", "viewer", "person/eve"),
            create(one_use(world, "t", ROLE_ADMIN, "eve")),
            create(one_use(world, "t", ROLE_VIEWER, "eve")),
            create(one_use(world, "t", ROLE_NODE, "")),
        ] {
            assert_eq!(world.refuse(more.clone()), Code::PermissionDenied, "{more:?}");
        }
        // A guest's token holds nothing, but for what bindings say of the name.
        world.accept(create(one_use(world, "t", ROLE_GUEST, "cid")));
    });
    by(&mut world, &ann, |world| {
        world.accept(bind("dan-rules", "admin", "person/dan"));
    });
    by(&mut world, &eve, |world| {
        let as_dan = create(one_use(world, "u", ROLE_GUEST, "dan"));
        assert_eq!(world.refuse(as_dan), Code::PermissionDenied);
    });
    for nobody in
        [person_of("nobody"), Actor::default(), Actor { who: Some(Who::Node("one".into())) }]
    {
        by(&mut world, &nobody, |world| {
            let bind = bind("x", "viewer", "person/eve");
            assert_eq!(world.refuse(bind), Code::PermissionDenied, "{nobody:?}");
        });
    }
}

#[test]
fn what_is_used_or_built_in_stays() {
    let mut world = World::default();
    let delete = |name: &str| room(Op::DeleteRole(DeleteRole { name: name.to_owned() }));
    let unbind = |name: &str| room(Op::DeleteBinding(DeleteBinding { name: name.to_owned() }));
    for role in Role::ALL {
        assert_eq!(world.refuse(declare(role.name(), "tool.call", "")), Code::InvalidArgument);
        assert_eq!(world.refuse(delete(role.name())), Code::InvalidArgument);
    }
    assert_eq!(world.refuse(bind("a", "caller", "person/ann")), Code::NotFound);
    world.accept(declare("caller", "tool.call", ""));
    world.accept(bind("a", "caller", "person/ann token/t1"));
    let at = changed_at(&world.store, World::GROUP);
    world.accept(bind("a", "caller", "token/t1 person/ann person/ann"));
    world.accept(declare("caller", "tool.call", ""));
    assert_eq!(changed_at(&world.store, World::GROUP), at, "nothing changed");
    assert_eq!(world.refuse(delete("caller")), Code::InUse);
    world.accept(unbind("a"));
    assert_eq!(world.refuse(unbind("a")), Code::NotFound);
    world.accept(delete("caller"));
    assert_eq!(world.refuse(delete("caller")), Code::NotFound);
    assert!(changed_at(&world.store, World::GROUP) > at);
    let kinds = world.told_after(0);
    let expect = ["role.set", "binding.set", "binding.deleted", "role.deleted"];
    assert_eq!(kinds, expect.map(|kind| format!("keiko.security.{kind}")));
}

#[test]
fn what_can_not_be_kept() {
    let mut world = World::default();
    for role in [ROLE_GUEST, ROLE_NODE, "agent", "No", ""] {
        let refused = world.refuse(bind("a", role, "person/ann"));
        assert_eq!(refused, Code::InvalidArgument, "{role}");
    }
    for subject in ["ann", "person/Ann", "person/a.b", "agent/x", "token/", "node/n1", "token/a/b"]
    {
        let refused = world.refuse(bind("a", ROLE_VIEWER, subject));
        assert_eq!(refused, Code::InvalidArgument, "{subject}");
    }
    assert_eq!(world.refuse(bind("a", ROLE_ADMIN, "token/t1")), Code::InvalidArgument);
    assert_eq!(world.refuse(bind("a", ROLE_VIEWER, "")), Code::LimitExceeded);
    let many: Vec<String> = (0..=BINDING_SUBJECTS_MAX).map(|at| format!("person/p{at}")).collect();
    assert_eq!(world.refuse(bind("a", ROLE_VIEWER, &many.join(" "))), Code::LimitExceeded);
    assert_eq!(world.refuse(declare("a", "", "*")), Code::LimitExceeded);
    let rule = Rule { permissions: texts("tool.call"), resources: Vec::new() };
    let role = |rules: Vec<Rule>, description: String| {
        let role = wire::Role { name: "a".to_owned(), rules, description, ..Default::default() };
        room(Op::SetRole(SetRole { role: Some(role) }))
    };
    let rules = vec![rule.clone(); ROLE_RULES_MAX + 1];
    assert_eq!(world.refuse(role(rules, String::new())), Code::LimitExceeded);
    assert_eq!(world.refuse(role(vec![rule.clone()], "a\nb".to_owned())), Code::LimitExceeded);
    let long = format!("agent/team-a/{}", "x".repeat(180));
    let wide = Rule { resources: vec![long; 60], ..rule };
    const { assert!(60 * 180 * 2 > ROLE_BYTES_MAX) };
    assert_eq!(world.refuse(role(vec![wide.clone(), wide], String::new())), Code::LimitExceeded);
}

#[test]
fn who_is_taken_out_is_out_with_every_way_back() {
    let mut world = World::default();
    enroll(&mut world, "ann", ROLE_VIEWER);
    world.accept(bind("both", ROLE_VIEWER, "person/ann person/bob"));
    world.accept(bind("hers", ROLE_ADMIN, "person/ann"));
    let waiting = one_use(&world, "w", ROLE_VIEWER, "ann");
    world.accept(create(waiting));
    let of_bob = one_use(&world, "b", ROLE_VIEWER, "bob");
    world.accept(create(of_bob));
    let remove = || room(Op::RemovePerson(RemovePerson { name: "ann".to_owned() }));
    world.accept(remove());
    assert!(query::person(&world.store, World::GROUP, "ann").is_none());
    assert_eq!(world.refuse(enroll_with("w", 'a')), Code::TokenInvalid);
    let left = bindings(&world.store, World::GROUP);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].subjects, ["person/bob"]);
    assert_eq!(query::tokens(&world.store, World::GROUP).len(), 1);
    assert_eq!(world.refuse(remove()), Code::NotFound);
    // Who comes by the same name later has what the token says, and no more.
    enroll(&mut world, "ann", ROLE_GUEST);
    let read = may(&world, &person_of("ann"), Permission::RegistryRead, "agent/*");
    assert_eq!(read, None);
}

/// A token waits for up to 90 days: who made it is looked at again when it is traded.
#[test]
fn a_token_hands_on_what_its_maker_holds_when_it_is_traded() {
    let mut world = World::default();
    enroll(&mut world, "eve", ROLE_GUEST);
    enroll(&mut world, "bob", ROLE_GUEST);
    world.accept(declare("keeper", "security.write", "*"));
    world.accept(bind("eve-keeps", "keeper", "person/eve"));
    let (eve, token) = (person_of("eve"), one_use(&world, "w", ROLE_GUEST, "bob"));
    by(&mut world, &eve, |world| drop(world.accept(create(token))));
    // Bob gets more while a token with his name is in another one's hands.
    world.accept(bind("bob", ROLE_ADMIN, "person/bob"));
    assert_eq!(world.refuse(enroll_with("w", 'b')), Code::PermissionDenied);
    world.accept(room(Op::DeleteBinding(DeleteBinding { name: "bob".to_owned() })));
    world.accept(enroll_with("w", 'b'));

    // Nor does a token for less take the name of somebody who holds more.
    enroll(&mut world, "ada", ROLE_ADMIN);
    let (ada, token) = (person_of("ada"), one_use(&world, "v", ROLE_GUEST, "ada"));
    let code = by(&mut world, &eve, |world| world.refuse(create(token)));
    assert_eq!(code, Code::PermissionDenied);

    // Who is taken out leaves no way back in under another name.
    for (id, role, who) in [("x", ROLE_ADMIN, "ada-too"), ("n", ROLE_NODE, "")] {
        let token = one_use(&world, id, role, who);
        by(&mut world, &ada, |world| drop(world.accept(create(token))));
    }
    world.accept(room(Op::RemovePerson(RemovePerson { name: "ada".to_owned() })));
    assert_eq!(world.refuse(enroll_with("x", 'a')), Code::PermissionDenied);
    assert_eq!(world.refuse(joining("n")), Code::PermissionDenied);
}

#[test]
fn a_bearer_holds_what_names_its_token() {
    let mut world = World::default();
    let token = Token { one_use: false, ..one_use(&world, "t1", ROLE_GUEST, ROLE_GUEST) };
    world.accept(create(token));
    let bearer = Actor { who: Some(Who::Token(TokenBearer { id: "t1".to_owned() })) };
    let call = |world: &World| may(world, &bearer, Permission::ToolCall, "tool/a/x");
    assert_eq!(call(&world), None);
    world.accept(declare("caller", "tool.call", "tool/a/*"));
    world.accept(bind("ci", "caller", "token/t1"));
    assert!(call(&world).is_some());
    world.accept(revoke("t1"));
    assert_eq!(call(&world), None);
    assert!(bindings(&world.store, World::GROUP).is_empty(), "nobody is left in it");
}

#[test]
fn an_agent_is_known_by_its_entry() {
    let mut world = World::default();
    world.accept(create(one_use(&world, "a", "agent", "")));
    world.accept(enroll_with("a", 'a'));
    let agent = person_of("agent.default.hello");
    let own = may(&world, &agent, Permission::RegistryWrite, "agent/default/hello");
    assert_eq!(own.as_deref(), Some("the built-in role agent"));
    assert_eq!(may(&world, &agent, Permission::RegistryWrite, "agent/default/other"), None);
    world.accept(declare("caller", "tool.call", "tool/default/*"));
    world.accept(bind("hello-calls", "caller", "agent/default/hello"));
    assert!(may(&world, &agent, Permission::ToolCall, "tool/default/x").is_some());
}

#[test]
fn a_use_is_told_once_a_day() {
    let mut world = World::default();
    enroll(&mut world, "ann", ROLE_VIEWER);
    let note = |day: u32, subject: &str, permissions: &str| {
        let uses = Uses { subject: subject.to_owned(), permissions: texts(permissions) };
        room(Op::NoteUses(NoteUses { items: vec![uses], day }))
    };
    let told = |world: &World| {
        world.told_after(0).iter().filter(|kind| *kind == "keiko.security.used").count()
    };
    let today = day_of(world.now_ms);
    assert_eq!(uses_begun(&world.store, World::GROUP), None);
    world.accept(note(today, "person/ann", "registry.read"));
    world.accept(note(today, "person/ann", "registry.read"));
    assert_eq!(told(&world), 1);
    world.accept(note(today, "person/ann", "registry.read journal.read"));
    world.accept(note(today - 1, "person/ann", "registry.read"));
    world.accept(note(today, "person/nobody", "registry.read"));
    assert_eq!(told(&world), 2);
    assert_eq!(uses_begun(&world.store, World::GROUP), Some(today));
    let kept = used(&world.store, World::GROUP, "person/ann");
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|used| used.day == today));
    assert!(used(&world.store, World::GROUP, "person/nobody").is_empty());
    world.now_ms += DAY_MS;
    world.accept(note(today + 1, "person/ann", "registry.read"));
    assert_eq!(told(&world), 3);
    for odd in [note(today + 3, "person/ann", "registry.read"), note(today, "person/ann", "fly")] {
        assert_eq!(world.refuse(odd), Code::InvalidArgument);
    }
    world.accept(room(Op::RemovePerson(RemovePerson { name: "ann".to_owned() })));
    assert!(used(&world.store, World::GROUP, "person/ann").is_empty());
}
