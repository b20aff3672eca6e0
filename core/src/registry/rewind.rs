//! Back to how everything declared was at a revision: what a restore to an earlier point does.
//!
//! Nothing of the past is taken away: what was declared since stays readable at its revisions, and
//! what is taken back is a change as any other, with its events. Whether the past reaches back that
//! far is asked before this is proposed; a revision below that would give only what is kept.

use super::declared;
use super::model::{Kind, ObjectKey, metadata, metadata_mut};
use super::state::{REGISTERED, remove, table, write};
use crate::house::Emit;
use crate::refusal::{Code, Result, refuse};
use crate::stamp::Stamp;
use crate::txn::Txn;
use keiko_proto::v1::Object;
use std::collections::BTreeMap;

/// Owners first, so that what is written in this order never has a part without its owner.
const KINDS: [Kind; 4] = [Kind::Agent, Kind::McpServer, Kind::Tool, Kind::Skill];

/// True if anything had changed since.
pub(super) fn apply(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    revision: u64,
    emit: Emit<'_>,
) -> Result<bool> {
    if revision >= stamp.revision {
        return refuse(
            Code::FutureRevision,
            format!("can't go back to revision {revision}: it is not there yet"),
        );
    }
    let mut changed = false;
    for kind in KINDS {
        let table = table(kind);
        let all = table.key(stamp.group);
        let now = by_key(kind, table.scan(txn, &all, None));
        let then = by_key(kind, table.scan_at(txn, &all, None, revision));
        for key in now.keys().filter(|key| !then.contains_key(*key)) {
            remove(txn, stamp, key, emit);
            changed = true;
        }
        for (key, object) in then {
            let before = now.get(&key);
            if before != Some(&object) {
                put_back(txn, stamp, &key, before, object, emit);
                changed = true;
            }
        }
    }
    Ok(changed)
}

fn by_key(kind: Kind, objects: impl Iterator<Item = Object>) -> BTreeMap<ObjectKey, Object> {
    let keyed = |object: Object| {
        let data = metadata(&object)?;
        Some((ObjectKey::parse(kind, &data.namespace, &data.name).ok()?, object))
    };
    objects.filter_map(keyed).collect()
}

/// As it was, but for when: whoever compares revisions must see that it changed.
fn put_back(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    key: &ObjectKey,
    before: Option<&Object>,
    mut object: Object,
    emit: Emit<'_>,
) {
    let redeclared = before.is_none_or(|before| !declared::same(before, &object));
    let data = metadata_mut(&mut object);
    if redeclared && matches!(key.kind, Kind::Agent | Kind::McpServer) {
        data.generation = stamp.revision;
    }
    (data.revision, data.updated_ms) = (stamp.revision, stamp.unix_ms);
    let verb = if before.is_none() { REGISTERED } else { "changed" };
    write(txn, stamp, key, verb, before, object, emit);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::revision;
    use crate::house::tests::World;
    use crate::id::Name;
    use crate::registry::{Filter, get, list, resolve_tool};
    use crate::selector::Selector;
    use keiko_proto::v1::{
        Agent, AgentSpec, DeleteObject, McpServer, McpServerSpec, Metadata, ObjectRef, PutAgent,
        PutMcpServer, PutMode, RegistryOp, Rewind, Tool, ToolSpec, entry::Room, registry_op::Op,
    };

    fn room(op: Op) -> Room {
        Room::Registry(RegistryOp { op: Some(op) })
    }

    fn data(name: &str, label: &str) -> Option<Metadata> {
        let labels = BTreeMap::from([("value".to_owned(), label.to_owned())]);
        Some(Metadata { name: name.to_owned(), labels, ..Default::default() })
    }

    fn agent(name: &str, label: &str) -> Room {
        let spec = AgentSpec { url: format!("http://{name}.test/"), ..Default::default() };
        let agent = Agent { metadata: data(name, label), spec: Some(spec), ..Default::default() };
        let mode = PutMode::Register.into();
        room(Op::PutAgent(PutAgent { mode, agent: Some(agent), ..Default::default() }))
    }

    fn server(tools: &[&str]) -> Room {
        let spec = McpServerSpec {
            transport: "http".to_owned(),
            url: "http://time.test/".to_owned(),
            ..Default::default()
        };
        let tool = |name: &&str| {
            let spec = ToolSpec {
                tool_name: (*name).to_owned(),
                input_schema: "{\"type\":\"object\"}".to_owned(),
                schema_hash: "ab".repeat(32),
                ..Default::default()
            };
            Tool { spec: Some(spec), ..Default::default() }
        };
        let server =
            McpServer { metadata: data("time", "a"), spec: Some(spec), ..Default::default() };
        room(Op::PutMcpServer(PutMcpServer {
            mode: PutMode::Register.into(),
            server: Some(server),
            tools: tools.iter().map(tool).collect(),
            ..Default::default()
        }))
    }

    /// Everything, without when it was written.
    fn all(world: &World, at: Option<u64>) -> Vec<Object> {
        let mut found = Vec::new();
        for kind in KINDS {
            let selector = Selector::parse("").unwrap();
            let filter = Filter { kind, namespace: None, selector };
            let page = list(&world.store, World::GROUP, &filter, at, 0, "").unwrap();
            found.extend(page.items);
        }
        for object in &mut found {
            let data = metadata_mut(object);
            (data.revision, data.updated_ms, data.generation) = (0, 0, 0);
        }
        found
    }

    #[test]
    fn everything_is_as_it_was_and_nothing_of_the_past_is_lost() {
        let mut world = World::default();
        world.accept(agent("kept", "1"));
        world.accept(agent("gone", "1"));
        world.accept(server(&["now", "zone"]));
        let then = revision(&world.store, World::GROUP);
        let expect = all(&world, None);
        world.now_ms += 1000;
        world.accept(agent("kept", "2"));
        world.accept(agent("new", "1"));
        world.accept(server(&["now", "later"]));
        let hit = Some(ObjectRef { kind: 1, name: "gone".to_owned(), ..Default::default() });
        world.accept(room(Op::Delete(DeleteObject { object: hit, ..Default::default() })));
        let later = revision(&world.store, World::GROUP);
        let since = all(&world, None);
        assert_ne!(since, expect);

        world.accept(room(Op::Rewind(Rewind { revision: then })));
        assert_eq!(all(&world, None), expect);
        assert_eq!(all(&world, Some(then)), expect);
        assert_eq!(all(&world, Some(later)), since);
        let resolves = |name: &str| {
            let namespace = Name::parse_namespace("").unwrap();
            resolve_tool(&world.store, World::GROUP, &namespace, name).is_ok()
        };
        assert_eq!((resolves("zone"), resolves("later")), (true, false));
        let key = ObjectKey::parse(Kind::Agent, "", "kept").unwrap();
        let kept = get(&world.store, World::GROUP, &key, None).unwrap();
        let kept = metadata(&kept).unwrap();
        assert_eq!((kept.revision, kept.generation), (later + 1, later + 1));
        // Once more changes nothing, and what is not there yet is refused.
        world.accept(room(Op::Rewind(Rewind { revision: then })));
        assert_eq!(all(&world, None), expect);
        let refused = world.refuse(room(Op::Rewind(Rewind { revision: 1 << 40 })));
        assert_eq!(refused, Code::FutureRevision);
    }
}
