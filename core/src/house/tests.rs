//! A world of one group in memory, and the house's invariants.

use super::{Halt, Head, Round};
use crate::features;
use crate::id::GroupId;
use crate::journal;
use crate::limits::DEDUP_WINDOW_MS;
use crate::refusal::{Code, Refusal};
use crate::store::MemoryStore;
use keiko_proto::v1::{
    AcquireLock, CloseSession, CoordinationOp, OpenSession, ReleaseLock, coordination_op,
};
use keiko_proto::v1::{
    Actor, Agent, AgentSpec, ApplyObject, ClusterOp, Compact, DeleteObject, Entry, JournalOp,
    McpServer, McpServerSpec, Metadata, Node, NoteNode, Object, ObjectRef, PruneTokens, PutAgent,
    PutMcpServer, RegistryOp, Reply, SecurityOp, SetAdminState, SocketPeer, TokenBearer,
    actor::Who, cluster_op, entry::Room, journal_op, object::Object as Inner, registry_op, reply,
    security_op,
};
use proptest::prelude::*;
use prost::Message;

pub(crate) struct World {
    pub(crate) store: MemoryStore,
    pub(crate) now_ms: u64,
    pub(crate) actor: Actor,
    pub(crate) log: Vec<Vec<u8>>,
}

impl Default for World {
    fn default() -> Self {
        let peer = SocketPeer { node: "one".to_owned(), uid: Some(0) };
        Self {
            store: MemoryStore::default(),
            now_ms: 1_800_000_000_000,
            actor: Actor { who: Some(Who::Socket(peer)) },
            log: Vec::new(),
        }
    }
}

impl World {
    pub(crate) const GROUP: GroupId = GroupId::CONTROL;

    pub(crate) fn entry(&self, room: Room) -> Entry {
        Entry {
            format: features::FORMAT,
            feature_level: features::LEVEL,
            proposed_ms: self.now_ms,
            actor: Some(self.actor.clone()),
            room: Some(room),
            ..Default::default()
        }
    }

    pub(crate) fn propose(&mut self, entry: &Entry) -> Reply {
        self.log.push(entry.encode_to_vec());
        let mut round = Round::new(&self.store, Self::GROUP);
        let bytes = self.log.last().unwrap();
        let applied = round.apply(self.log.len() as u64, bytes).unwrap();
        let writes = round.into_writes();
        self.store.commit(writes);
        Reply::decode(applied.reply.as_slice()).unwrap()
    }

    pub(crate) fn accept(&mut self, room: Room) -> reply::Result {
        match self.propose(&self.entry(room)).result.unwrap() {
            reply::Result::Refusal(refusal) => panic!("{}", Refusal::from_wire(refusal)),
            accepted => accepted,
        }
    }

    pub(crate) fn refuse(&mut self, room: Room) -> Code {
        let before = Head::read(&self.store, Self::GROUP).revision;
        let reply = self.propose(&self.entry(room));
        let after = Head::read(&self.store, Self::GROUP).revision;
        assert_eq!(before, after, "a refused entry makes no revision");
        match reply.result.unwrap() {
            reply::Result::Refusal(refusal) => Refusal::from_wire(refusal).code,
            accepted => panic!("accepted: {accepted:?}"),
        }
    }

    /// What was told behind this revision, by its types.
    pub(crate) fn told_after(&self, revision: u64) -> Vec<String> {
        journal::after(&self.store, Self::GROUP, revision).map(|event| event.r#type).collect()
    }
}

fn note(version: u32) -> Room {
    let node =
        Node { id: 1, name: "one".to_owned(), version: version.to_string(), ..Default::default() };
    Room::Cluster(ClusterOp { op: Some(cluster_op::Op::NoteNode(NoteNode { node: Some(node) })) })
}

fn request_id(ms: u64, tail: u8) -> Vec<u8> {
    let mut id = ms.to_be_bytes()[2..].to_vec();
    id.extend([0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, tail]);
    id
}

#[test]
fn a_retry_gets_the_same_reply_and_does_nothing() {
    let mut world = World::default();
    let entry = Entry { request_id: request_id(world.now_ms, 1), ..world.entry(note(1)) };
    let first = world.propose(&entry);
    world.accept(note(2));
    let again = Entry { proposed_ms: world.now_ms + 5, ..entry };
    assert_eq!(world.propose(&again), first);
    assert_eq!(Head::read(&world.store, World::GROUP).revision, 2);
}

#[test]
fn an_id_stands_for_one_request_of_one_actor() {
    let mut world = World::default();
    let entry = Entry { request_id: request_id(world.now_ms, 1), ..world.entry(note(1)) };
    world.propose(&entry);
    let other = Entry { request_hash: vec![1], ..entry.clone() };
    let stranger = Actor { who: Some(Who::Node("one".to_owned())) };
    for strange in [other, Entry { actor: Some(stranger), ..entry }] {
        let reply = world.propose(&strange).result.unwrap();
        let reply::Result::Refusal(refusal) = reply else { panic!("{reply:?}") };
        assert_eq!(Refusal::from_wire(refusal).code, Code::InvalidArgument);
    }
}

#[test]
fn replies_are_forgotten_after_the_window() {
    let mut world = World::default();
    for tail in 0..50 {
        let request_id = request_id(world.now_ms, tail);
        world.propose(&Entry { request_id, ..world.entry(note(tail.into())) });
    }
    let kept = |world: &World| {
        use crate::store::{Space, Store};
        world.store.scan(Space::State, &[0, 0, 0, 2], &[0, 0, 0, 3]).count()
    };
    assert_eq!(kept(&world), 50);
    world.now_ms += 2 * DEDUP_WINDOW_MS;
    for tail in 0..25 {
        let request_id = request_id(world.now_ms, tail);
        world.propose(&Entry { request_id, ..world.entry(note(tail.into())) });
    }
    assert_eq!(kept(&world), 25);
}

#[test]
fn time_never_goes_back() {
    let mut world = World::default();
    world.accept(note(1));
    world.now_ms -= 60_000;
    let reply = world.propose(&world.entry(note(2)));
    assert_eq!(reply.unix_ms, world.now_ms + 60_000);
}

#[test]
fn a_newer_entry_stops_the_node_before_its_op_is_read() {
    let store = MemoryStore::default();
    let mut bytes = Entry { feature_level: 99, ..Default::default() }.encode_to_vec();
    bytes.extend([0xA2, 0x06, 0x01, 0xFF]); // field 100: unreadable to this release, and skipped
    let halt = Round::new(&store, World::GROUP).apply(1, &bytes);
    assert_eq!(halt, Err(Halt::FeatureLevel { index: 1, level: 99, known: features::LEVEL }));
}

#[test]
fn the_level_of_a_state_never_falls() {
    let mut world = World::default();
    let mut at = |known: u32, level: u32| {
        let entry = Entry { feature_level: level, ..world.entry(note(level)) };
        world.log.push(entry.encode_to_vec());
        let mut round = Round::new(&world.store, World::GROUP).understanding(known);
        let applied = round.apply(world.log.len() as u64, &entry.encode_to_vec()).map(drop);
        let writes = round.into_writes();
        world.store.commit(writes);
        (applied, Head::read(&world.store, World::GROUP).level)
    };
    assert_eq!(at(1, 0), (Ok(()), 1));
    assert_eq!(at(1, 1), (Ok(()), 1));
    assert_eq!(at(3, 2), (Ok(()), 2));
    // A leader that looks again writes at the lower level for a moment.
    assert_eq!(at(3, 1), (Ok(()), 2));
    let halt = Halt::FeatureLevel { index: 5, level: 2, known: 1 };
    assert_eq!(at(1, 1), (Err(halt), 2));
    let head = Head::read(&world.store, World::GROUP);
    let refused = head.check_level(1).unwrap_err();
    assert_eq!(refused.code, Code::FeatureLevel);
    assert!(head.check_level(2).is_ok());
}

/// What becomes of one session and a lock.
fn coordination(number: u8) -> Room {
    use coordination_op::Op;
    let id = "0190b1f0-0000-7000-8000-000000000001".to_owned();
    let (name, kind) = ("a".to_owned(), "lock".to_owned());
    let op = match number {
        0 => Op::OpenSession(OpenSession { id, ..Default::default() }),
        1 => {
            let acquire = AcquireLock { session: id, name, kind, limit: 1, ..Default::default() };
            Op::AcquireLock(acquire)
        }
        2 => Op::ReleaseLock(ReleaseLock { session: id, name, ..Default::default() }),
        _ => Op::CloseSession(CloseSession { id, as_admin: true }),
    };
    Room::Coordination(CoordinationOp { op: Some(op) })
}

/// One of the ops of every room, from one of three actors.
fn any_entry(kind: u8, number: u8, actor: u8) -> Vec<u8> {
    let name = format!("n{number}");
    let metadata = Some(Metadata { name: name.clone(), ..Default::default() });
    let object = Some(ObjectRef { kind: 1 + i32::from(number % 2), name, ..Default::default() });
    let registry = |op| Room::Registry(RegistryOp { op: Some(op) });
    let room = match kind {
        0 => note(number.into()),
        1 => registry(registry_op::Op::PutMcpServer(PutMcpServer {
            mode: 1 + i32::from(number % 2),
            server: Some(McpServer {
                metadata,
                spec: Some(McpServerSpec {
                    transport: "stdio".to_owned(),
                    command: vec!["/bin/x".to_owned()],
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        })),
        2 => registry(registry_op::Op::PutAgent(PutAgent {
            mode: 1,
            agent: Some(Agent {
                metadata,
                spec: Some(AgentSpec { url: format!("http://a/{kind}"), ..Default::default() }),
                ..Default::default()
            }),
            ..Default::default()
        })),
        3 => registry(registry_op::Op::Delete(DeleteObject { object, ..Default::default() })),
        4 => Room::Journal(JournalOp {
            op: Some(journal_op::Op::Compact(Compact { before_revision: number.into() })),
        }),
        5 => registry(registry_op::Op::SetAdminState(SetAdminState {
            object,
            state: "draining".to_owned(),
            ..Default::default()
        })),
        6 => {
            let needs = vec![format!("mcp/n{}", (number + 1) % 4)];
            let spec =
                AgentSpec { url: "http://a/".to_owned(), depends_on: needs, ..Default::default() };
            let agent = Agent { metadata, spec: Some(spec), ..Default::default() };
            let object = Some(Object { object: Some(Inner::Agent(agent)) });
            registry(registry_op::Op::Apply(ApplyObject { object, revision: 0 }))
        }
        7 => coordination(number),
        _ => Room::Security(SecurityOp { op: Some(security_op::Op::PruneTokens(PruneTokens {})) }),
    };
    let who = match actor {
        0 => Who::Socket(SocketPeer { node: "one".to_owned(), uid: Some(0) }),
        1 => Who::Node("one".to_owned()),
        _ => Who::Token(TokenBearer { id: "t".to_owned() }),
    };
    let world = World { actor: Actor { who: Some(who) }, ..World::default() };
    Entry { request_id: request_id(world.now_ms, number), ..world.entry(room) }.encode_to_vec()
}

proptest! {
    /// Total and deterministic: whatever the bytes, one round or many, the same hash.
    #[test]
    fn any_log_gives_the_same_hash(
        log in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                (0u8..9, 0u8..4, 0u8..3).prop_map(|(kind, number, actor)| any_entry(kind, number, actor)),
            ],
            0..40,
        ),
        cut in 0usize..40,
    ) {
        let replay = |cuts: &[usize]| {
            let mut store = MemoryStore::default();
            let mut at = 0;
            for &end in cuts {
                let mut round = Round::new(&store, World::GROUP);
                for (index, bytes) in log.iter().enumerate().take(end).skip(at) {
                    if round.apply(index as u64 + 1, bytes).is_err() {
                        return None;
                    }
                }
                let writes = round.into_writes();
                store.commit(writes);
                at = end;
            }
            Some((Head::read(&store, World::GROUP), store))
        };
        let each: Vec<_> = (0..=log.len()).collect();
        let whole = replay(&[log.len()]);
        prop_assert_eq!(&replay(&[cut.min(log.len()), log.len()]), &whole);
        prop_assert_eq!(&replay(&each), &whole);
    }
}
