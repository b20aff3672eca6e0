//! The registry's requests. Names are prefixes of each other, tools have dots and colons in their
//! names, and what needs what goes in circles if it is let.

use super::{once_in, pick};
use crate::report::Dice;
use crate::sim::world::World;
use keiko_core::registry::{self, Filter, Kind};
use keiko_core::selector::Selector;
use keiko_proto::v1::{
    self as wire, Agent, AgentSpec, ApplyObject, Condition, CredentialRef, DeleteObject, Health,
    Lease, McpServer, McpServerSpec, Metadata, Object, ObjectRef, ObjectStatus, PlaceServer,
    PutAgent, PutMcpServer, PutMode, RegistryOp, SetAdminState, SetHealth, Skill, SkillSpec, Tool,
    ToolHints, ToolSpec, object::Object as Inner, registry_op::Op,
};
use std::collections::BTreeMap;

const NAMES: &[&str] = &["a", "b", "a-b", "ab"];
const PARTS: &[&str] = &["now", "b", "b.now", "x:y/z"];
const NEEDS: &[&str] = &[
    "mcp/a",
    "mcp/b",
    "agent/a",
    "agent/b",
    "agent/ab",
    "tool/a.now",
    "tool/b.b",
    "skill/a.now",
    "tool/a.b.now",
    "mcp/gone",
];

pub(super) fn op(dice: &mut Dice, world: &World) -> RegistryOp {
    let op = match dice.below(22) {
        0..=4 => Op::PutAgent(put_agent(dice, world)),
        5..=9 => Op::PutMcpServer(put_server(dice, world)),
        10..=12 => Op::Apply(apply(dice, world)),
        13..=15 => {
            let (object, known) = named(dice, world);
            let uid = uid(dice, known.as_ref());
            Op::SetHealth(SetHealth { object, uid, health: Some(health(dice)) })
        }
        16 => {
            let (object, _) = named(dice, world);
            let state = pick(dice, &["", "draining", "suspended", "asleep"]).to_owned();
            let reason = pick(dice, &["", "upgrade"]).to_owned();
            Op::SetAdminState(SetAdminState { object, state, reason })
        }
        17..=18 => Op::Delete(delete(dice, world)),
        19..=20 => Op::PlaceServer(place(dice, world)),
        _ if once_in(dice, 6) => return RegistryOp { op: None },
        _ => Op::Delete(expire(dice, world)),
    };
    RegistryOp { op: Some(op) }
}

/// An object that is there, by its reference, or one that may not be.
fn named(dice: &mut Dice, world: &World) -> (Option<ObjectRef>, Option<Metadata>) {
    let kind = [Kind::Agent, Kind::McpServer][dice.below(2) as usize];
    let filter = Filter { kind, namespace: None, selector: Selector::default() };
    let page = registry::list(&world.oracle.store, world.group, &filter, None, 0, "");
    let items = page.map(|page| page.items).unwrap_or_default();
    if items.is_empty() || once_in(dice, 8) {
        let kind = dice.below(6) as i32;
        let name = pick(dice, &["a", "b", "ab", "a.now", "", "No"]).to_owned();
        let object = ObjectRef { kind, namespace: namespace(dice), name };
        return (Some(object), None);
    }
    let known = registry::metadata(&items[dice.below(items.len() as u64) as usize]).cloned();
    let Metadata { namespace, name, .. } = known.clone().unwrap_or_default();
    let kind = if kind == Kind::Agent { wire::Kind::Agent } else { wire::Kind::McpServer };
    (Some(ObjectRef { kind: kind.into(), namespace, name }), known)
}

/// A node takes a server over that may run elsewhere by now, or nowhere.
fn place(dice: &mut Dice, world: &World) -> PlaceServer {
    let (object, known) = named(dice, world);
    let uid = uid(dice, known.as_ref());
    let host = known.as_ref().and_then(|known| {
        let key =
            registry::ObjectKey::parse(Kind::McpServer, &known.namespace, &known.name).ok()?;
        registry::host(&registry::get(&world.oracle.store, world.group, &key, None).ok()?)
    });
    let from = match once_in(dice, 6) {
        true => pick(dice, &["", "one", "nobody"]).to_owned(),
        false => host.unwrap_or_default(),
    };
    let to = pick(dice, &["one", "two", "three", "three", "nobody", "Not A Name"]).to_owned();
    let reason = pick(dice, &["", "its node is down"]).to_owned();
    PlaceServer { object, uid, from, to, reason }
}

fn uid(dice: &mut Dice, known: Option<&Metadata>) -> String {
    match (once_in(dice, 10), known) {
        (false, Some(known)) => known.uid.clone(),
        _ => pick(dice, &["", "another"]).to_owned(),
    }
}

fn put_agent(dice: &mut Dice, world: &World) -> PutAgent {
    let agent = agent(dice);
    let known = known(world, Kind::Agent, agent.metadata.as_ref());
    let (mode, uid) = mode(dice, known.as_ref());
    let skill = |dice: &mut Dice, name: &str| Skill {
        spec: Some(SkillSpec {
            skill_id: name.to_owned(),
            title: pick(dice, &["", "Title"]).to_owned(),
            tags: pick(dice, &[&[][..], &["now"], &["time", "b"]])
                .iter()
                .map(|tag| (*tag).to_owned())
                .collect(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let skills = part_names(dice).into_iter().map(|name| skill(dice, name)).collect();
    PutAgent { mode, uid, agent: Some(agent), skills }
}

fn put_server(dice: &mut Dice, world: &World) -> PutMcpServer {
    let server = server(dice);
    let known = known(world, Kind::McpServer, server.metadata.as_ref());
    let (mode, uid) = mode(dice, known.as_ref());
    let tool = |dice: &mut Dice, name: &str| Tool {
        spec: Some(ToolSpec {
            server: "of nobody".to_owned(),
            tool_name: name.to_owned(),
            schema_hash: pick(dice, &["1111", "1111", "2222"]).to_owned(),
            hints: once_in(dice, 3).then_some(ToolHints { read_only: true, idempotent: false }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let tools = part_names(dice).into_iter().map(|name| tool(dice, name)).collect();
    PutMcpServer { mode, uid, server: Some(server), tools }
}

fn apply(dice: &mut Dice, world: &World) -> ApplyObject {
    let (kind, object) = match dice.below(2) {
        0 => (Kind::Agent, Inner::Agent(agent(dice))),
        _ => (Kind::McpServer, Inner::McpServer(server(dice))),
    };
    let object = Object { object: Some(object) };
    let known = known(world, kind, registry::metadata(&object));
    let revision = revision(dice, world, known.as_ref());
    let object = match dice.below(24) {
        0 => None,
        1 => Some(Object { object: Some(Inner::Tool(Tool::default())) }),
        _ => Some(object),
    };
    ApplyObject { object, revision }
}

fn delete(dice: &mut Dice, world: &World) -> DeleteObject {
    let (object, known) = named(dice, world);
    let revision = revision(dice, world, known.as_ref());
    let uid = if once_in(dice, 2) { uid(dice, known.as_ref()) } else { String::new() };
    DeleteObject { object, revision, uid, expired: false }
}

/// What the leader proposes when a lease ended; it may have been renewed, or reach the log late.
fn expire(dice: &mut Dice, world: &World) -> DeleteObject {
    let (object, known) = named(dice, world);
    DeleteObject { object, revision: 0, uid: uid(dice, known.as_ref()), expired: true }
}

fn revision(dice: &mut Dice, world: &World, known: Option<&Metadata>) -> u64 {
    let newest = world.oracle.head().revision;
    match (dice.below(8), known) {
        (0, Some(known)) => known.generation,
        (1, Some(known)) => known.revision,
        (2, Some(known)) => known.generation.saturating_sub(1),
        (3, _) => newest,
        (4, _) => newest + 1,
        _ => 0,
    }
}

fn known(world: &World, kind: Kind, metadata: Option<&Metadata>) -> Option<Metadata> {
    let Metadata { namespace, name, .. } = metadata?;
    let key = registry::ObjectKey::parse(kind, namespace, name).ok()?;
    let object = registry::get(&world.oracle.store, world.group, &key, None).ok()?;
    registry::metadata(&object).cloned()
}

fn mode(dice: &mut Dice, known: Option<&Metadata>) -> (i32, String) {
    let mode = match (dice.below(32), known) {
        (0, _) => PutMode::Unspecified,
        (1, _) | (2..=16, Some(_)) => PutMode::Refresh,
        _ => PutMode::Register,
    };
    (mode.into(), uid(dice, known))
}

fn namespace(dice: &mut Dice) -> String {
    match once_in(dice, 32) {
        true => "-".to_owned(),
        false => pick(dice, &["", "", "default", "red"]).to_owned(),
    }
}

fn part_names(dice: &mut Dice) -> Vec<&'static str> {
    match dice.below(24) {
        0 => vec!["now", "now"],
        1 => vec!["a b"],
        _ => PARTS.iter().copied().filter(|_| once_in(dice, 2)).collect(),
    }
}

fn metadata(dice: &mut Dice) -> Option<Metadata> {
    let mut labels = BTreeMap::new();
    if once_in(dice, 2) {
        labels.insert("team".to_owned(), pick(dice, &["red", "blue", ""]).to_owned());
    }
    if once_in(dice, 32) {
        labels.insert(" not a label".to_owned(), String::new());
    }
    let name = match once_in(dice, 32) {
        true => "Not A Name",
        false => pick(dice, NAMES),
    };
    let namespace = namespace(dice);
    let metadata = Metadata {
        name: name.to_owned(),
        namespace,
        labels,
        uid: "forged".to_owned(),
        generation: 99,
        ..Default::default()
    };
    (!once_in(dice, 48)).then_some(metadata)
}

fn depends_on(dice: &mut Dice) -> Vec<String> {
    let needs = dice.below(4).saturating_sub(1);
    let mut needs: Vec<_> = (0..needs).map(|_| pick(dice, NEEDS).to_owned()).collect();
    if once_in(dice, 32) {
        needs.push("nonsense".to_owned());
    }
    needs
}

fn credentials(dice: &mut Dice) -> Vec<CredentialRef> {
    let name = "Authorization".to_owned();
    match dice.below(12) {
        0 => vec![CredentialRef { name, credential: "../key".to_owned() }],
        1..=3 => vec![CredentialRef { name, credential: "key".to_owned() }],
        _ => Vec::new(),
    }
}

fn agent(dice: &mut Dice) -> Agent {
    let lease = match dice.below(16) {
        0 => Some(Lease { ttl_ms: 1, grace_ms: 0 }),
        1..=6 => Some(Lease { ttl_ms: 5000 + dice.below(2) * 1000, grace_ms: 60_000 }),
        _ => None,
    };
    let urls = ["http://a/", "http://a/", "http://a/", "https://b/", "http://u@a/", "ftp://a"];
    let spec = AgentSpec {
        url: urls[dice.below(24).saturating_sub(18) as usize].to_owned(),
        version: pick(dice, &["1.0.0", "1.1.0"]).to_owned(),
        protocol_version: pick(dice, &["", "1.0"]).to_owned(),
        depends_on: depends_on(dice),
        headers: credentials(dice),
        lease,
        ..Default::default()
    };
    let status = once_in(dice, 2).then(|| status(dice));
    Agent { metadata: metadata(dice), spec: Some(spec), status, ..Default::default() }
}

fn server(dice: &mut Dice) -> McpServer {
    let mut spec = McpServerSpec {
        transport: "http".to_owned(),
        url: pick(dice, &["http://s/", "http://s/", "http://s/", "http://s/", "http://other/"])
            .to_owned(),
        protocol_version: pick(dice, &["", "2025-11-25"]).to_owned(),
        depends_on: depends_on(dice),
        headers: credentials(dice),
        ..Default::default()
    };
    // Names that end in b run a command, so that an endpoint is mostly the one that is known.
    let metadata = metadata(dice);
    let is_command = metadata.as_ref().is_some_and(|metadata| metadata.name.ends_with('b'));
    if is_command != once_in(dice, 16) {
        let word = match once_in(dice, 16) {
            true => "relative",
            false => pick(dice, &["/bin/s", "/bin/s", "/bin/s", "/bin/t"]),
        };
        (spec.transport, spec.command) = ("stdio".to_owned(), vec![word.to_owned()]);
        if !once_in(dice, 12) {
            spec.url = String::new();
        }
    }
    let status = once_in(dice, 2).then(|| status(dice));
    McpServer { metadata, spec: Some(spec), status, ..Default::default() }
}

fn status(dice: &mut Dice) -> ObjectStatus {
    let condition = |kind: &str, status: &str| Condition {
        r#type: kind.to_owned(),
        status: status.to_owned(),
        ..Default::default()
    };
    let mut conditions = Vec::new();
    for kind in ["Ready", "Placed", "DependenciesReady", "Attested"] {
        if once_in(dice, 4) {
            conditions.push(condition(kind, pick(dice, &["True", "False"])));
        }
    }
    let health = once_in(dice, 2).then(|| health(dice));
    ObjectStatus { conditions, health, node: "forged".to_owned(), ..Default::default() }
}

fn health(dice: &mut Dice) -> Health {
    let states = ["ready", "ready", "degraded", "cooling-down", "recovering", "dead", "so-so"];
    let classes = ["", "", "timeout", "lease-expired", "schema", "unheard"];
    Health {
        state: states[dice.below(19).saturating_sub(12) as usize % 7].to_owned(),
        failure_class: classes[dice.below(16).saturating_sub(10) as usize].to_owned(),
        message: pick(dice, &["", "because"]).to_owned(),
        since_ms: dice.below(2),
        flapping: once_in(dice, 6),
    }
}
