//! The law against hostile bytes in the log.
//!
//! Entries are mutated twice over: as bytes, where most end as unreadable, and as well-formed
//! messages with one field that is not what anybody expects.

use super::tests::World;
use super::{Head, Round};
use crate::fuzz::{WORDS, check_refusal, mutate};
use crate::limits::{DEDUP_EXPIRE_MAX, OBJECT_BYTES_MAX};
use crate::registry::{self, Filter, Kind, ObjectKey};
use crate::selector::Selector;
use crate::store::{MemoryStore, Space, Store};
use keiko_proto::v1::{
    AcquireLock, ArriveAtBarrier, CloseSession, CoordinationOp, DeclareWindow, DueSession,
    ExpireSessions, Fence, KeepSession, LeaveBarrier, MaintenanceWindow, OpenSession, ReleaseLock,
    WithdrawWaiter, coordination_op,
};
use keiko_proto::v1::{
    Actor, AdmitNode, Agent, AgentInterface, AgentSpec, ApplyObject, Authority, ClusterOp, Compact,
    CreateToken, CredentialRef, DeleteObject, EnrollPerson, Entry, FoundCluster, Health, JournalOp,
    Lease, McpServer, McpServerSpec, Metadata, Node, NoteNode, NoteReach, NoteRefusals, Object,
    ObjectRef, Person, PlaceServer, PutAgent, PutMcpServer, PutMode, RefusedAttempt, RegistryOp,
    RemoveNode, Reply, SealedValue, SecurityOp, SetAdminState, SetHealth, SetNodeState, Skill,
    SkillSpec, StoreAuthority, Token, TokenBearer, Tool, ToolSpec, actor::Who, cluster_op,
    entry::Room, journal_op, object::Object as Inner, registry_op::Op, reply, security_op,
};
use prost::{Message, decode_length_delimiter, encode_length_delimiter};
use std::collections::BTreeMap;

fn text(words: &str) -> String {
    words.to_owned()
}

fn metadata(name: &str) -> Option<Metadata> {
    let labels = BTreeMap::from([(text("team"), text("red"))]);
    Some(Metadata { name: text(name), namespace: text("default"), labels, ..Default::default() })
}

fn agent(name: &str) -> Agent {
    let spec = AgentSpec {
        url: text("http://a.test/"),
        protocol: text("a2a"),
        version: text("1.2.3"),
        interfaces: vec![AgentInterface { url: text("http://a.test/"), ..Default::default() }],
        card: text("{\"name\":\"a\"}"),
        headers: vec![CredentialRef { name: text("Authorization"), credential: text("key") }],
        depends_on: vec![text("mcp/time"), text("tool/time.now")],
        lease: Some(Lease { ttl_ms: 10_000, grace_ms: 60_000 }),
        ..Default::default()
    };
    Agent { metadata: metadata(name), spec: Some(spec), ..Default::default() }
}

fn server(name: &str) -> McpServer {
    let spec = McpServerSpec {
        transport: text("stdio"),
        command: vec![text("/bin/time"), text("-x")],
        protocol_version: text("2025-11-25"),
        env: vec![CredentialRef { name: text("KEY"), credential: text("key") }],
        ..Default::default()
    };
    McpServer { metadata: metadata(name), spec: Some(spec), ..Default::default() }
}

/// Of the agent and of the server that the first entries make.
#[derive(Default)]
struct Uids {
    hello: String,
    time: String,
}

fn registry_ops(uids: &Uids) -> Vec<Op> {
    let object = |kind: i32, name: &str| {
        Some(ObjectRef { kind, namespace: text("default"), name: text(name) })
    };
    let spec = |name: &str| ToolSpec {
        tool_name: text(name),
        description: text("tells"),
        input_schema: text("{\"type\":\"object\"}"),
        schema_hash: "ab".repeat(32),
        ..Default::default()
    };
    let tool = |name| Tool { spec: Some(spec(name)), ..Default::default() };
    let skill = SkillSpec { skill_id: text("sum"), tags: vec![text("x")], ..Default::default() };
    let health = Health { state: text("ready"), since_ms: 7, ..Default::default() };
    let put_server = PutMcpServer {
        mode: PutMode::Register.into(),
        server: Some(server("time")),
        tools: vec![tool("now"), tool("zone")],
        ..Default::default()
    };
    let put_agent = PutAgent {
        mode: PutMode::Register.into(),
        agent: Some(agent("hello")),
        skills: vec![Skill { spec: Some(skill), ..Default::default() }],
        ..Default::default()
    };
    let applied =
        |inner| Op::Apply(ApplyObject { object: Some(Object { object: inner }), revision: 0 });
    vec![
        Op::PutMcpServer(put_server),
        Op::PutAgent(put_agent),
        applied(Some(Inner::Agent(agent("other")))),
        applied(Some(Inner::McpServer(server("clock")))),
        Op::SetHealth(SetHealth {
            object: object(1, "hello"),
            uid: uids.hello.clone(),
            health: Some(health),
        }),
        Op::SetAdminState(SetAdminState {
            object: object(2, "time"),
            state: text("draining"),
            reason: text("mended"),
        }),
    ]
}

/// Who comes in, and what becomes of them. The server runs on node one.
fn member_ops(uids: &Uids) -> Vec<Room> {
    let cluster = |op| Room::Cluster(ClusterOp { op: Some(op) });
    let security = |op| Room::Security(SecurityOp { op: Some(op) });
    let token = |id: &str, role: &str, who: &str| Token {
        id: text(id),
        hash_algorithm: text("blake3"),
        hash: vec![7; 32],
        role: text(role),
        expires_ms: 1_800_000_100_000,
        one_use: true,
        who: text(who),
        ..Default::default()
    };
    let bearer = Token {
        scope: text("agent/default/hello"),
        one_use: false,
        ..token("abcdefghijklmnop", "agent", "")
    };
    let create = |token| security(security_op::Op::CreateToken(CreateToken { token: Some(token) }));
    let key_hash = "ab".repeat(32);
    let admit = |token: &str, name: &str| {
        let node = Node { name: text(name), key_hash: key_hash.clone(), ..Default::default() };
        security(security_op::Op::AdmitNode(AdmitNode { token_id: text(token), node: Some(node) }))
    };
    let enroll = EnrollPerson { token_id: text("t3"), key_hash: key_hash.clone() };
    let who = Person { name: text("ada") };
    let refused = RefusedAttempt {
        code: 22,
        actor: Some(Actor { who: Some(Who::Person(who)) }),
        permission: text("tool.call"),
        resource: text("tool/default/time.now"),
        peer: text("::1"),
        count: 3,
    };
    let refusals = NoteRefusals { items: vec![refused], left_out: 1 };
    let drain = SetNodeState { id: 3, admin_state: text("draining"), reason: text("mended") };
    let place = PlaceServer {
        object: Some(ObjectRef { kind: 2, namespace: text("default"), name: text("time") }),
        uid: uids.time.clone(),
        from: text("one"),
        to: text("two"),
        reason: text("down"),
    };
    vec![
        create(bearer),
        create(token("t1", "node", "")),
        create(token("t2", "node", "")),
        create(token("t3", "admin", "ada")),
        create(token("t4", "viewer", "bob")),
        admit("t1", "two"),
        admit("t2", "three"),
        security(security_op::Op::EnrollPerson(enroll)),
        security(security_op::Op::NoteRefusals(refusals)),
        cluster(cluster_op::Op::NoteReach(NoteReach { id: 1, down: true })),
        Room::Registry(RegistryOp { op: Some(Op::PlaceServer(place)) }),
        cluster(cluster_op::Op::SetNodeState(drain)),
        cluster(cluster_op::Op::RemoveNode(RemoveNode { id: 3 })),
    ]
}

/// A session that holds a lock and leads, another one that waits, and a window.
fn coordination_ops() -> Vec<Room> {
    use coordination_op::Op;
    let id = |last: char| format!("0190b1f0-0000-7000-8000-00000000000{last}");
    let open =
        |last| Op::OpenSession(OpenSession { id: id(last), name: text("host/7"), ttl_ms: 10_000 });
    let acquire = |last, name: &str, kind: &str, limit| {
        let (session, value) = (id(last), text("10.0.0.1:80"));
        let (name, kind) = (text(name), text(kind));
        let wish = AcquireLock { session, name, kind, limit, value, ..Default::default() };
        Op::AcquireLock(AcquireLock { namespace: text("default"), wait: true, ..wish })
    };
    let release =
        ReleaseLock { session: id('1'), name: text("spare"), token: 0, ..Default::default() };
    let withdraw =
        WithdrawWaiter { session: id('2'), name: text("lead"), ticket: 7, ..Default::default() };
    let arrive =
        ArriveAtBarrier { session: id('1'), name: text("meet"), parties: 3, ..Default::default() };
    let leave =
        LeaveBarrier { session: id('2'), name: text("meet"), generation: 1, ..Default::default() };
    let due = DueSession { id: id('3'), expires_ms: 1 };
    let window = MaintenanceWindow {
        name: text("disks"),
        scope: text("node/one"),
        ends_ms: 1_800_000_100_000,
        reason: text("mended"),
        ..Default::default()
    };
    let ops = [
        open('1'),
        open('2'),
        open('3'),
        acquire('1', "deploy", "lock", 1),
        acquire('2', "deploy", "lock", 1),
        acquire('1', "lead", "election", 1),
        acquire('2', "pair", "semaphore", 2),
        acquire('1', "spare", "lock", 1),
        Op::ReleaseLock(release),
        Op::WithdrawWaiter(withdraw),
        Op::ArriveAtBarrier(arrive),
        Op::LeaveBarrier(leave),
        Op::KeepSession(KeepSession { id: id('1'), as_admin: true }),
        Op::ExpireSessions(ExpireSessions { items: vec![due] }),
        Op::CloseSession(CloseSession { id: id('3'), as_admin: false }),
        Op::DeclareWindow(DeclareWindow { window: Some(window) }),
    ];
    ops.into_iter().map(|op| Room::Coordination(CoordinationOp { op: Some(op) })).collect()
}

/// An entry of every kind. All but the last three make the state that mutated ones meet.
fn entries(uids: &Uids) -> Vec<Vec<u8>> {
    let node = Node { id: 1, name: text("one"), version: text("0.1.0"), ..Default::default() };
    let key = SealedValue { algorithm: text("a"), ciphertext: vec![1; 32], ..Default::default() };
    let authority = Authority { certificate: text("pem"), key: Some(key), ..Default::default() };
    let cluster = |op| Room::Cluster(ClusterOp { op: Some(op) });
    let security = |op| Room::Security(SecurityOp { op: Some(op) });
    let compact = journal_op::Op::Compact(Compact { before_revision: 2 });
    let rooms =
        registry_ops(uids).into_iter().map(|op| Room::Registry(RegistryOp { op: Some(op) }));
    let id = text("01890f1e-0000-7000-8000-000000000001");
    let found = FoundCluster { cluster_id: id, founder: Some(node.clone()) };
    let rooms = rooms.chain([
        cluster(cluster_op::Op::Found(found)),
        cluster(cluster_op::Op::NoteNode(NoteNode { node: Some(node) })),
        security(security_op::Op::StoreAuthority(StoreAuthority { authority: Some(authority) })),
    ]);
    let rooms = rooms.chain(member_ops(uids)).chain(coordination_ops());
    let world = World::default();
    let bearer = Actor { who: Some(Who::Token(TokenBearer { id: text("t") })) };
    let mut entries: Vec<Entry> = rooms.map(|room| world.entry(room)).collect();
    let mut retry = Entry { trace_id: vec![3; 16], actor: Some(bearer), ..entries[1].clone() };
    retry.request_id = world.now_ms.to_be_bytes()[2..].to_vec();
    retry.request_id.extend([0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1]);
    let hello = Some(ObjectRef { kind: 1, name: text("hello"), ..Default::default() });
    let delete = Op::Delete(DeleteObject { object: hello, ..Default::default() });
    let last = [
        Room::Journal(JournalOp { op: Some(compact) }),
        Room::Registry(RegistryOp { op: Some(delete) }),
    ];
    entries.push(retry);
    entries.extend(last.map(|room| world.entry(room)));
    let fence = Fence { namespace: text("default"), lock: text("deploy"), token: 7 };
    entries.push(Entry { fence: Some(fence), ..entries[0].clone() });
    entries.iter().map(Entry::encode_to_vec).collect()
}

/// The state, the index of the next entry, and the corpus.
fn state() -> (MemoryStore, u64, Vec<Vec<u8>>) {
    let (mut store, mut uids) = (MemoryStore::default(), Uids::default());
    let hello = ObjectKey::parse(Kind::Agent, "", "hello").expect("a name");
    let time = ObjectKey::parse(Kind::McpServer, "", "time").expect("a name");
    for at in 0.. {
        let entries = entries(&uids);
        if at + 3 == entries.len() {
            return (store, at as u64 + 1, entries);
        }
        let mut round = Round::new(&store, World::GROUP);
        let applied = round.apply(at as u64 + 1, &entries[at]).expect("of this release");
        let reply = Reply::decode(applied.reply.as_slice()).expect("a reply");
        let result = reply.result.expect("a result");
        assert!(!matches!(result, reply::Result::Refusal(_)), "entry {at}: {result:?}");
        let writes = round.into_writes();
        store.commit(writes);
        for (key, uid) in [(&hello, &mut uids.hello), (&time, &mut uids.time)] {
            if let Ok(object) = registry::get(&store, World::GROUP, key, None) {
                uid.clone_from(&registry::metadata(&object).expect("an object has metadata").uid);
            }
        }
    }
    unreachable!("the entries end")
}

/// Total, deterministic, and what it leaves can be read.
fn check_entry(store: &MemoryStore, index: u64, bytes: &[u8]) {
    let apply = || {
        let mut round = Round::new(store, World::GROUP);
        (round.apply(index, bytes), round.into_writes())
    };
    let (applied, writes) = apply();
    assert_eq!((&applied, &writes), (&apply().0, &apply().1), "the same twice");
    let Ok(applied) = applied else { return assert!(writes.is_empty(), "a halt writes nothing") };
    let before = Head::read(store, World::GROUP);
    let reply = Reply::decode(applied.reply.as_slice()).expect("a reply can be read");
    assert_eq!(reply.revision, applied.revision);
    let mut after = store.clone();
    after.commit(writes.iter().cloned());
    assert_eq!(Head::read(&after, World::GROUP).revision, applied.revision);
    match reply.result.expect("a reply has a result") {
        reply::Result::Refusal(refusal) => {
            check_refusal(&refusal);
            let nothing = applied.revision == before.revision && applied.events.is_empty();
            assert!(nothing, "a refused entry did something");
            // The head, and if it has an id: the reply, where replies begin, and those forgotten.
            let house = writes.iter().all(|write| write.key[2] == 0);
            let few = writes.len() <= 3 + DEDUP_EXPIRE_MAX;
            assert!(house && few, "a refused entry leaves its reply: {writes:?}");
        }
        _ => read_all(&after),
    }
}

/// Every list, every past, every name: nothing that was let in breaks a read.
fn read_all(store: &MemoryStore) {
    for kind in [Kind::Agent, Kind::McpServer, Kind::Tool, Kind::Skill] {
        let filter = Filter { kind, namespace: None, selector: Selector::default() };
        let page = registry::list(store, World::GROUP, &filter, None, 0, "").expect("a list");
        for object in page.items {
            assert!(object.encoded_len() <= 2 * OBJECT_BYTES_MAX, "an object is bounded");
            let data = registry::metadata(&object).expect("an object has metadata");
            let key = ObjectKey::parse(kind, &data.namespace, &data.name).expect("it has a name");
            registry::get(store, World::GROUP, &key, None).expect("it is there by its name");
            registry::history(store, World::GROUP, &key, 0, 0).expect("it has a past");
        }
    }
    let (start, end) = World::GROUP.range();
    for space in Space::ALL {
        assert!(store.scan(space, &start, &end).all(|(key, _)| key.len() < 64 << 10));
    }
}

/// The message with its `left`th field, counted as they come and through all levels, replaced: a
/// number by that of `fresh`, all else by its bytes; or taken out. The lengths around it are made
/// right. Nothing if these bytes are no message.
fn graft(mut rest: &[u8], left: &mut usize, fresh: Option<(&[u8], usize)>) -> Option<Vec<u8>> {
    let mut grafted = Vec::new();
    while !rest.is_empty() {
        let key = decode_length_delimiter(&mut rest).ok().filter(|key| *key >= 8)?;
        let value = decode_length_delimiter(&mut rest).ok()?;
        let (inner, behind) = match key & 7 {
            0 => (&[][..], rest),
            2 => rest.split_at_checked(value)?,
            _ => return None,
        };
        rest = behind;
        let chosen = (*left == 0).then_some(fresh);
        *left = left.wrapping_sub(1);
        let counted = *left;
        let (inner, value) = match chosen {
            Some(None) => continue,
            Some(Some((bytes, number))) => (bytes.to_vec(), number),
            None => match graft(inner, left, fresh) {
                Some(inner) => (inner, value),
                None => {
                    *left = counted;
                    (inner.to_vec(), value)
                }
            },
        };
        encode_length_delimiter(key, &mut grafted).ok()?;
        let value = if key & 7 == 0 { value } else { inner.len() };
        encode_length_delimiter(value, &mut grafted).ok()?;
        if key & 7 == 2 {
            grafted.extend(inner);
        }
    }
    Some(grafted)
}

#[test]
fn any_bytes_in_the_log() {
    let (store, index, entries) = state();
    mutate::run("log entries", &entries, WORDS, |bytes| check_entry(&store, index, bytes));
}

/// How many there are on all levels.
fn fields(message: &[u8]) -> usize {
    let mut left = usize::MAX;
    graft(message, &mut left, None).expect("our own entry is a message");
    usize::MAX - left
}

#[test]
fn every_field_may_be_missing() {
    let (store, index, entries) = state();
    for entry in &entries {
        for at in 0..fields(entry) {
            let grafted = graft(entry, &mut { at }, None).expect("our own entry is a message");
            assert!(grafted.len() < entry.len());
            check_entry(&store, index, &grafted);
        }
    }
}

#[test]
fn any_field_of_an_entry() {
    let (store, index, entries) = state();
    let leaves = [
        "hello",
        "time",
        "time.now",
        "default",
        "agent/default/hello",
        "http://a.test:80/x?y#z",
        "mcp/time",
        "{\"type\":\"object\",\"properties\":{\"a\":{}}}",
        "ready",
        "a,b",
        "/bin/sh",
        "7",
    ];
    mutate::run("fields of entries", &leaves, WORDS, |leaf| {
        let chosen = *blake3::hash(leaf).as_bytes();
        let entry = &entries[usize::from(chosen[0]) % entries.len()];
        let mut at = usize::from(chosen[1]) % fields(entry);
        let fresh = (leaf, usize::MAX >> chosen[2].min(63));
        let grafted = graft(entry, &mut at, Some(fresh)).expect("our own entry is a message");
        check_entry(&store, index, &grafted);
    });
}

/// Where a page goes on is said by whoever asks for it.
#[test]
fn any_page_token() {
    let (store, ..) = state();
    let kinds = [Kind::Agent, Kind::McpServer, Kind::Tool, Kind::Skill];
    let whole = kinds.map(|kind| {
        let filter = Filter { kind, namespace: None, selector: Selector::default() };
        let page = registry::list(&store, World::GROUP, &filter, None, 0, "").expect("a list");
        (filter, page.items)
    });
    let tokens = ["default/hello", "default/time.now", "default/", "zzz/other", "a/b/c"];
    mutate::run("page tokens", &tokens, WORDS, |bytes| {
        let token = String::from_utf8_lossy(bytes);
        for (filter, items) in &whole {
            match registry::list(&store, World::GROUP, filter, None, 1, &token) {
                Ok(page) => {
                    assert!(
                        page.items.len() <= 1 && page.items.iter().all(|item| items.contains(item))
                    );
                    let Some(next) = page.next else { continue };
                    let rest = registry::list(&store, World::GROUP, filter, None, 0, &next);
                    let rest = rest.expect("our own token").items;
                    assert!(!rest.is_empty() && !rest.contains(&page.items[0]), "{next}");
                }
                Err(refusal) => check_refusal(&refusal.to_wire()),
            }
        }
    });
}
