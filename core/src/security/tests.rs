use super::{ROLE_ADMIN, ROLE_AGENT, ROLE_NODE, ROLE_OPERATOR, ROLE_VIEWER, person, token};
use crate::cluster::tests::{found, reach, remove};
use crate::house::tests::World;
use crate::journal;
use crate::limits::{REFUSAL_TEXT_BYTES_MAX, REFUSALS_NOTED_MAX, TOKEN_TTL_MS_MAX};
use crate::refusal::Code;
use keiko_proto::v1::{
    AdmitNode, CreateToken, EnrollPerson, Node, NoteRefusals, PersonEntry, PruneTokens,
    RefusedAttempt, RevokeToken, SecurityOp, Token, entry::Room, reply, security_op::Op,
    security_reply::Reply,
};

const HOUR_MS: u64 = 3600 * 1000;

fn room(op: Op) -> Room {
    Room::Security(SecurityOp { op: Some(op) })
}

pub(crate) fn create(token: Token) -> Room {
    room(Op::CreateToken(CreateToken { token: Some(token) }))
}

fn bearer(id: &str, scope: &str, expires_ms: u64) -> Token {
    Token {
        id: id.to_owned(),
        hash_algorithm: "blake3".to_owned(),
        hash: vec![7; 32],
        role: ROLE_AGENT.to_owned(),
        scope: scope.to_owned(),
        expires_ms,
        ..Default::default()
    }
}

/// A token that is traded once, within the hour.
pub(crate) fn one_use(world: &World, id: &str, role: &str, who: &str) -> Token {
    let scope = if role == ROLE_AGENT { "agent/default/hello" } else { "" };
    let (role, who) = (role.to_owned(), who.to_owned());
    Token { role, who, one_use: true, ..bearer(id, scope, world.now_ms + HOUR_MS) }
}

/// Joins with a token that is named as the node is, by a key of its own.
pub(crate) fn joining(name: &str) -> Room {
    admit_with(name, name, 'a')
}

fn admit_with(token: &str, name: &str, key: char) -> Room {
    let key_hash = key.to_string().repeat(64);
    let node = Node { name: name.to_owned(), key_hash, id: 77, ..Default::default() };
    room(Op::AdmitNode(AdmitNode { token_id: token.to_owned(), node: Some(node) }))
}

/// Makes the token with which a node of this name joins.
pub(crate) fn invite(world: &mut World, name: &str) {
    if token(&world.store, World::GROUP, name).is_some() {
        world.accept(room(Op::RevokeToken(RevokeToken { id: name.to_owned() })));
    }
    world.accept(create(one_use(world, name, ROLE_NODE, "")));
}

/// Lets a node join.
pub(crate) fn admit(world: &mut World, name: &str) -> Node {
    invite(world, name);
    admitted(world.accept(joining(name)))
}

fn reply_of(result: reply::Result) -> Reply {
    let reply::Result::Security(reply) = result else { panic!("{result:?}") };
    reply.reply.unwrap()
}

fn admitted(result: reply::Result) -> Node {
    let Reply::Node(node) = reply_of(result) else { panic!("no node") };
    node
}

/// Makes somebody an admin, known by a key.
pub(crate) fn enroll_admin(world: &mut World, name: &str) {
    world.accept(create(one_use(world, name, ROLE_ADMIN, name)));
    world.accept(enroll(name, 'a'));
}

/// Ends a token.
pub(crate) fn revoke(id: &str) -> Room {
    room(Op::RevokeToken(RevokeToken { id: id.to_owned() }))
}

/// Trades a token for a person's entry.
pub(crate) fn enroll_with(token: &str, key: char) -> Room {
    enroll(token, key)
}

fn enroll(token: &str, key: char) -> Room {
    let key_hash = key.to_string().repeat(64);
    room(Op::EnrollPerson(EnrollPerson { token_id: token.to_owned(), key_hash }))
}

fn enrolled(result: reply::Result) -> PersonEntry {
    let Reply::Person(person) = reply_of(result) else { panic!("no person") };
    person
}

fn events(world: &World) -> Vec<String> {
    journal::after(&world.store, World::GROUP, 0).map(|event| event.r#type).collect()
}

#[test]
fn tokens_come_and_go() {
    let mut world = World::default();
    let now = world.now_ms;
    world.accept(create(bearer("a", "agent/default/hello", now + 1000)));
    world.accept(create(bearer("b", "agent/default/hello", now + 9000)));
    let again = create(bearer("a", "agent/default/hello", now));
    assert_eq!(world.refuse(again), Code::NameTaken);
    world.now_ms += 2000;
    world.accept(room(Op::PruneTokens(PruneTokens {})));
    assert!(token(&world.store, World::GROUP, "a").is_none());
    world.accept(room(Op::RevokeToken(RevokeToken { id: "b".to_owned() })));
    assert!(super::tokens(&world.store, World::GROUP).is_empty());
    let again = room(Op::RevokeToken(RevokeToken { id: "b".to_owned() }));
    assert_eq!(world.refuse(again), Code::NotFound);
}

#[test]
fn a_token_says_what_it_may_touch() {
    let mut world = World::default();
    let now = world.now_ms;
    for scope in ["", "agent/hello", "agent/default/*", "tool/default/x", "agent/default/a/b"] {
        assert_eq!(
            world.refuse(create(bearer("a", scope, now))),
            Code::InvalidArgument,
            "{scope:?}"
        );
    }
    let long = create(bearer("a", "agent/default/a", now + 2 * TOKEN_TTL_MS_MAX));
    assert_eq!(world.refuse(long), Code::LimitExceeded);
}

#[test]
fn a_role_says_what_its_token_is() {
    let mut world = World::default();
    for (number, (role, who, one_use, scope, fits)) in [
        (ROLE_NODE, "", true, "", true),
        (ROLE_NODE, "", false, "", false),
        (ROLE_NODE, "ada", true, "", false),
        (ROLE_NODE, "", true, "agent/default/hello", false),
        (ROLE_NODE, "", true, "node/n3", true),
        (ROLE_NODE, "", true, "node/N3", false),
        (ROLE_NODE, "", true, "node/", false),
        (ROLE_NODE, "", false, "node/n3", false),
        (ROLE_ADMIN, "ada", true, "", true),
        (ROLE_ADMIN, "ada", false, "", false),
        (ROLE_ADMIN, "", true, "", false),
        (ROLE_ADMIN, "Ada", true, "", false),
        (ROLE_ADMIN, "agent.default.hello", true, "", false),
        (ROLE_OPERATOR, "ada", true, "", true),
        (ROLE_OPERATOR, "ada", false, "", false),
        (ROLE_VIEWER, "ada", true, "", true),
        (ROLE_VIEWER, "ada", false, "", true),
        (ROLE_VIEWER, "", false, "", false),
        (ROLE_VIEWER, "ada", false, "agent/default/hello", false),
        (ROLE_AGENT, "", true, "agent/default/hello", true),
        (ROLE_AGENT, "", false, "agent/default/hello", true),
        (ROLE_AGENT, "ada", true, "agent/default/hello", false),
        (ROLE_AGENT, "", true, "", false),
        ("king", "ada", true, "", false),
        ("", "", true, "", false),
    ]
    .into_iter()
    .enumerate()
    {
        let (role, who, scope) = (role.to_owned(), who.to_owned(), scope.to_owned());
        let id = format!("t{number}");
        let given = bearer(&id, "", world.now_ms + HOUR_MS);
        let given = Token { role, who, scope, one_use, used_for: "x".to_owned(), ..given };
        let what = format!("{given:?}");
        match fits {
            true => drop(world.accept(create(given))),
            false => assert_eq!(world.refuse(create(given)), Code::InvalidArgument, "{what}"),
        }
        let kept = token(&world.store, World::GROUP, &id);
        assert_eq!(kept.is_some(), fits, "{what}");
        assert!(kept.is_none_or(|kept| kept.used_for.is_empty()), "nobody makes a traded one");
    }
}

#[test]
fn of_two_that_race_one_joins() {
    let mut world = World::default();
    world.accept(found("one"));
    world.accept(create(one_use(&world, "t", ROLE_NODE, "")));
    let node = admitted(world.accept(admit_with("t", "two", 'a')));
    assert_eq!((node.id, node.joined_ms), (2, world.now_ms));
    assert_eq!(world.refuse(admit_with("t", "three", 'b')), Code::TokenUsed);
    assert_eq!(world.refuse(admit_with("t", "two", 'b')), Code::TokenUsed);
    assert_eq!(world.refuse(admit_with("t", "three", 'a')), Code::TokenUsed);
    // Who lost the answer asks again.
    let before = events(&world).len();
    world.now_ms += 1000;
    assert_eq!(admitted(world.accept(admit_with("t", "two", 'a'))), node);
    assert_eq!(events(&world).len(), before);
    let kept = token(&world.store, World::GROUP, "t").unwrap();
    assert_eq!((kept.used_ms, kept.used_for.as_str()), (world.now_ms - 1000, "node/two"));
    world.accept(remove(2));
    assert_eq!(world.refuse(admit_with("t", "two", 'a')), Code::TokenUsed, "it was removed");
}

#[test]
fn a_member_that_lost_everything_comes_back_under_another_id() {
    let mut world = World::default();
    world.accept(found("one"));
    let lost = admit(&mut world, "two");
    let last = admit(&mut world, "three");
    let token = one_use(&world, "again", ROLE_NODE, "");
    world.accept(create(Token { scope: "node/two".to_owned(), ..token }));
    assert_eq!(world.refuse(admit_with("again", "two", 'b')), Code::StillHeard);
    world.accept(reach(lost.id, true));
    assert_eq!(world.refuse(admit_with("again", "three", 'b')), Code::PermissionDenied);
    let before = events(&world).len();
    let back = admitted(world.accept(admit_with("again", "two", 'b')));
    assert_eq!((back.id, back.name.as_str(), back.down_since_ms), (last.id + 1, "two", 0));
    let names = |world: &World| {
        let nodes = crate::cluster::nodes(&world.store, World::GROUP);
        nodes.into_iter().map(|node| (node.id, node.name)).collect::<Vec<_>>()
    };
    let expect = [(1, "one"), (last.id, "three"), (back.id, "two")];
    assert_eq!(names(&world), expect.map(|(id, name)| (id, name.to_owned())));
    let told = ["security.token.used", "cluster.node.removed", "cluster.node.admitted"];
    assert_eq!(events(&world)[before..], told.map(|kind| format!("keiko.{kind}")));
    // Who lost the answer asks again.
    assert_eq!(admitted(world.accept(admit_with("again", "two", 'b'))), back);
    assert_eq!(world.refuse(admit_with("again", "two", 'c')), Code::TokenUsed);
    // Where the member was removed meanwhile, its name is free.
    world.accept(remove(back.id));
    let token = one_use(&world, "anew", ROLE_NODE, "");
    world.accept(create(Token { scope: "node/two".to_owned(), ..token }));
    let anew = admitted(world.accept(admit_with("anew", "two", 'a')));
    assert_eq!(anew.id, back.id + 1);
}

#[test]
fn a_token_is_good_for_its_role_and_time() {
    let mut world = World::default();
    assert_eq!(world.refuse(joining("two")), Code::TokenInvalid);
    world.accept(create(one_use(&world, "two", ROLE_NODE, "")));
    assert_eq!(world.refuse(joining("two")), Code::NotFounded);
    world.accept(found("one"));
    world.accept(create(one_use(&world, "ada", ROLE_ADMIN, "ada")));
    assert_eq!(world.refuse(admit_with("ada", "two", 'a')), Code::PermissionDenied);
    assert_eq!(world.refuse(enroll("two", 'a')), Code::PermissionDenied);
    assert_eq!(world.refuse(enroll("nobody", 'a')), Code::TokenInvalid);
    assert_eq!(world.refuse(joining("one")), Code::TokenInvalid, "a token of no such id");
    assert_eq!(world.refuse(admit_with("two", "one", 'a')), Code::NameTaken);
    for bad in ['A', 'x'] {
        assert_eq!(world.refuse(admit_with("two", "two", bad)), Code::InvalidArgument);
        assert_eq!(world.refuse(enroll("ada", bad)), Code::InvalidArgument);
    }
    let kept = token(&world.store, World::GROUP, "two").unwrap();
    assert!(kept.used_for.is_empty(), "what is refused uses nothing up");
    world.now_ms += HOUR_MS - 1;
    world.accept(joining("two"));
    world.now_ms += 1;
    assert_eq!(world.refuse(enroll("ada", 'a')), Code::TokenExpired);
    assert_eq!(world.refuse(joining("two")), Code::TokenExpired);
    world.accept(room(Op::PruneTokens(PruneTokens {})));
    assert_eq!(world.refuse(joining("two")), Code::TokenInvalid);
}

#[test]
fn a_person_is_known_by_the_last_key() {
    let mut world = World::default();
    world.accept(create(one_use(&world, "a", ROLE_VIEWER, "ada")));
    world.accept(create(one_use(&world, "b", ROLE_ADMIN, "ada")));
    let ada = enrolled(world.accept(enroll("a", 'a')));
    let expect = PersonEntry {
        name: "ada".to_owned(),
        role: ROLE_VIEWER.to_owned(),
        scope: String::new(),
        key_hash: "a".repeat(64),
        enrolled_ms: world.now_ms,
    };
    assert_eq!(ada, expect);
    assert_eq!(person(&world.store, World::GROUP, "ada"), Some(expect));
    let before = events(&world).len();
    assert_eq!(enrolled(world.accept(enroll("a", 'a'))), ada);
    assert_eq!(events(&world).len(), before, "asked again");
    assert_eq!(world.refuse(enroll("a", 'b')), Code::TokenUsed);
    world.now_ms += 1;
    let ada = enrolled(world.accept(enroll("b", 'b')));
    assert_eq!((ada.role.as_str(), ada.enrolled_ms), (ROLE_ADMIN, world.now_ms));
    assert_eq!(world.refuse(enroll("a", 'a')), Code::TokenUsed, "that key is of the past");
    assert_eq!(super::people(&world.store, World::GROUP), [ada]);
    let expect = ["keiko.security.token.used", "keiko.security.person.enrolled"];
    assert_eq!(events(&world)[before..], expect);
}

#[test]
fn an_agent_is_named_after_its_scope() {
    let mut world = World::default();
    world.accept(create(one_use(&world, "a", ROLE_AGENT, "")));
    let agent = enrolled(world.accept(enroll("a", 'a')));
    assert_eq!((agent.name.as_str(), agent.role.as_str()), ("agent.default.hello", ROLE_AGENT));
    assert_eq!(agent.scope, "agent/default/hello");
    world.accept(create(bearer("b", "agent/default/hello", world.now_ms + HOUR_MS)));
    assert_eq!(world.refuse(enroll("b", 'a')), Code::InvalidArgument, "a bearer token");
    let last = journal::after(&world.store, World::GROUP, 0)
        .filter(|event| event.r#type == "keiko.security.person.enrolled")
        .last();
    assert_eq!(last.unwrap().subject, "person/agent.default.hello");
}

#[test]
fn refusals_are_told_in_bounds() {
    let mut world = World::default();
    let attempt = |peer: String| RefusedAttempt { code: 22, peer, count: 1, ..Default::default() };
    let tell =
        |items: Vec<RefusedAttempt>| room(Op::NoteRefusals(NoteRefusals { items, left_out: 7 }));
    let longest = attempt("x".repeat(REFUSAL_TEXT_BYTES_MAX));
    world.accept(tell(vec![longest; REFUSALS_NOTED_MAX]));
    let event = journal::after(&world.store, World::GROUP, 0).next().unwrap();
    assert_eq!(
        (event.r#type.as_str(), event.subject.as_str()),
        ("keiko.security.refused", "refusals")
    );
    for (items, expect) in [
        (vec![], Code::InvalidArgument),
        (vec![attempt(String::new()); REFUSALS_NOTED_MAX + 1], Code::LimitExceeded),
        (vec![attempt("x".repeat(REFUSAL_TEXT_BYTES_MAX + 1))], Code::LimitExceeded),
    ] {
        assert_eq!(world.refuse(tell(items)), expect);
    }
}
