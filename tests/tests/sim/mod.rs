//! The law in a simulator, one file for each invariant. Each plays some seeds in weather that is
//! hard on its invariant, beside tables of its sharp edges.
//!
//! ```text
//! seeds          all invariants, as many seeds as there is time for
//! bugs           what the harness finds when it is there
//! found          what the harness found in earnest, each with its seed
//! ```
//!
//! `./x test --seed 17 sim::` plays one seed again.

mod admission;
mod agreement;
mod bugs;
mod compaction;
mod deduplication;
mod events;
mod found;
mod grants;
mod history;
mod indexes;
mod leases;
mod levels;
mod locks;
mod revisions;
mod seeds;
mod snapshots;
mod stamps;
mod totality;

use keiko_core::house::{Head, Round};
use keiko_core::id::GroupId;
use keiko_core::store::MemoryStore;
use keiko_proto::v1::{self as wire, actor::Who, entry::Room};
use keiko_tests::sim::{Hunted, Invariant, Settings, play};
use prost::Message as _;

/// Seeds that one invariant plays beside the long hunt: about a second.
const SEEDS: u64 = 120;

/// Plays seeds with everything looked at, and says what happened.
fn plays(test: &str, settings: Settings) -> Hunted {
    play(test, &settings, SEEDS)
}

/// Plays seeds with one invariant looked at.
fn holds(test: &str, invariant: Invariant, settings: Settings) -> Hunted {
    plays(test, settings.only(invariant))
}

/// One node and a log, for tables.
struct Law {
    store: MemoryStore,
    index: u64,
    now_ms: u64,
}

impl Default for Law {
    fn default() -> Self {
        Self { store: MemoryStore::default(), index: 0, now_ms: 1_800_000_000_000 }
    }
}

impl Law {
    const GROUP: GroupId = GroupId::CONTROL;

    /// An entry of the node's administrator, now.
    fn entry(&self, room: Room) -> wire::Entry {
        let peer = wire::SocketPeer { node: "one".to_owned(), uid: Some(0) };
        wire::Entry {
            format: keiko_core::features::FORMAT,
            feature_level: keiko_core::features::LEVEL,
            proposed_ms: self.now_ms,
            actor: Some(wire::Actor { who: Some(Who::Socket(peer)) }),
            room: Some(room),
            ..Default::default()
        }
    }

    fn apply(&mut self, entry: &wire::Entry) -> wire::Reply {
        self.index += 1;
        let mut round = Round::new(&self.store, Self::GROUP);
        let applied = round.apply(self.index, &entry.encode_to_vec());
        let applied = applied.expect("an entry of this release stops no node");
        let writes = round.into_writes();
        self.store.commit(writes);
        wire::Reply::decode(applied.reply.as_slice()).expect("a reply is readable")
    }

    /// The code of a refusal, or `None` if it was accepted.
    fn ask(&mut self, room: Room) -> Option<u32> {
        let entry = self.entry(room);
        refusal(&self.apply(&entry))
    }

    fn head(&self) -> Head {
        Head::read(&self.store, Self::GROUP)
    }
}

fn refusal(reply: &wire::Reply) -> Option<u32> {
    match &reply.result {
        Some(wire::reply::Result::Refusal(refusal)) => Some(refusal.code),
        _ => None,
    }
}

/// A node tells its version.
fn note(version: u64) -> Room {
    let name = "one".to_owned();
    let node = wire::Node { id: 1, name, version: version.to_string(), ..Default::default() };
    let op = wire::cluster_op::Op::NoteNode(wire::NoteNode { node: Some(node) });
    Room::Cluster(wire::ClusterOp { op: Some(op) })
}

fn compact(before_revision: u64) -> Room {
    let op = wire::journal_op::Op::Compact(wire::Compact { before_revision });
    Room::Journal(wire::JournalOp { op: Some(op) })
}

fn registry(op: wire::registry_op::Op) -> Room {
    Room::Registry(wire::RegistryOp { op: Some(op) })
}

/// An agent, as its own registration has it.
fn agent(name: &str, lease: Option<wire::Lease>) -> Room {
    let metadata = Some(wire::Metadata { name: name.to_owned(), ..Default::default() });
    let spec = wire::AgentSpec { url: format!("http://{name}/"), lease, ..Default::default() };
    let agent = wire::Agent { metadata, spec: Some(spec), ..Default::default() };
    let mode = wire::PutMode::Register.into();
    let put = wire::PutAgent { mode, agent: Some(agent), ..Default::default() };
    registry(wire::registry_op::Op::PutAgent(put))
}

/// A server with tools; each `schema_hash` is `version`.
fn server(name: &str, tools: u64, version: u64) -> Room {
    let metadata = Some(wire::Metadata { name: name.to_owned(), ..Default::default() });
    let spec = wire::McpServerSpec {
        transport: "http".to_owned(),
        url: format!("http://{name}/"),
        ..Default::default()
    };
    let tool = |number| wire::Tool {
        spec: Some(wire::ToolSpec {
            tool_name: format!("t{number}"),
            schema_hash: version.to_string(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let put = wire::PutMcpServer {
        mode: wire::PutMode::Register.into(),
        server: Some(wire::McpServer { metadata, spec: Some(spec), ..Default::default() }),
        tools: (0..tools).map(tool).collect(),
        ..Default::default()
    };
    registry(wire::registry_op::Op::PutMcpServer(put))
}

fn delete(name: &str, uid: &str, expired: bool) -> Room {
    let kind = wire::Kind::Agent.into();
    let object = wire::ObjectRef { kind, name: name.to_owned(), ..Default::default() };
    let (object, uid) = (Some(object), uid.to_owned());
    registry(wire::registry_op::Op::Delete(wire::DeleteObject {
        object,
        revision: 0,
        uid,
        expired,
    }))
}

/// A UUIDv7 made at a time.
fn request_id(made_ms: u64, tail: u8) -> Vec<u8> {
    let mut id = made_ms.to_be_bytes()[2..].to_vec();
    id.extend([0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, tail]);
    id
}
