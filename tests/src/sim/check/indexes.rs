//! Indexes say what the tables say: tools by their name, who is needed by whom, replies by their
//! age, and the directory that nodes keep in memory. Each is compared with a full scan. So are the
//! reads that go by an index, and what may not be: parts without an owner, two nodes of one name,
//! owners that need themselves.

use super::objects::{self, metadata};
use super::{Check, ensure};
use crate::sim::layout::{BEGINNING, NEEDED_BY, NODES, REPLIES, TOOLS_BY_NAME, rows};
use crate::sim::oracle::Step;
use keiko_core::id::{GroupId, Name};
use keiko_core::key::{Key, Parts};
use keiko_core::registry::directory::Directory;
use keiko_core::registry::{self, Filter, Kind, ObjectKey};
use keiko_core::selector::Selector;
use keiko_core::store::{MemoryStore, Space, Store as _};
use keiko_proto::v1::event::Body;
use keiko_proto::v1::{self as wire, Object, object::Object as Inner, registry_event};
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};

/// Entries between two starts of the node whose directory this is.
const STARTS_EVERY: u64 = 17;

#[derive(Default)]
pub(super) struct Indexes {
    /// Fed by the journal, as a node feeds it.
    directory: Directory,
}

/// Every object of one kind, by its key.
type Table = BTreeMap<ObjectKey, Object>;

impl Indexes {
    pub(super) fn step(&mut self, step: &Step<'_>) -> Check {
        // A node that starts reads the tables first, and follows the journal from there.
        if step.index.is_multiple_of(STARTS_EVERY) {
            self.directory = directory_of(&everything(step.store, step.group));
            return Ok(());
        }
        for event in objects::events(step) {
            let Some(Body::Registry(body)) = event.body else { continue };
            match body.event {
                Some(registry_event::Event::Changed(changed)) => {
                    self.directory.put(&changed.object.unwrap_or_default());
                }
                Some(registry_event::Event::Deleted(object)) => self.directory.remove(&object),
                Some(registry_event::Event::OfferChanged(_)) | None => {}
            }
        }
        Ok(())
    }

    pub(super) fn finish(&self, store: &MemoryStore, group: GroupId) -> Check {
        let objects = everything(store, group);
        tools_by_name(store, group, &objects)?;
        needed_by(store, group, &objects)?;
        parts(store, group, &objects)?;
        labels(store, group, &objects)?;
        acyclic(&objects)?;
        replies(store, group)?;
        nodes(store, group)?;
        self.same_directory(&objects)
    }

    fn same_directory(&self, objects: &Table) -> Check {
        let fresh = directory_of(objects);
        let counts = |directory: &Directory| (directory.len(), directory.parts());
        ensure(counts(&self.directory) == counts(&fresh), || {
            format!(
                "the directory has {:?}, the tables {:?}",
                counts(&self.directory),
                counts(&fresh)
            )
        })?;
        for key in objects.keys() {
            let (owner, namespace) = (key.owner(), key.namespace.as_str());
            let show = |directory: &Directory| match key.name.split_once('.') {
                None => format!("{:?}", directory.owner(key.kind, namespace, &key.name)),
                Some((_, part)) => {
                    format!("{:?}", directory.part(owner.kind, namespace, &owner.name, part))
                }
            };
            ensure(show(&self.directory) == show(&fresh), || {
                format!("the directory has {} as {}", key.subject(), show(&self.directory))
            })?;
        }
        Ok(())
    }
}

fn directory_of(objects: &Table) -> Directory {
    let mut directory = Directory::default();
    objects.values().for_each(|object| directory.put(object));
    directory
}

fn everything(store: &MemoryStore, group: GroupId) -> Table {
    let kinds = [Kind::Agent, Kind::McpServer, Kind::Tool, Kind::Skill];
    kinds.into_iter().flat_map(|kind| table(store, group, kind)).collect()
}

fn table(store: &MemoryStore, group: GroupId, kind: Kind) -> Vec<(ObjectKey, Object)> {
    let byte = match kind {
        Kind::Agent => 1,
        Kind::McpServer => 2,
        Kind::Tool => 3,
        Kind::Skill => 4,
    };
    let row = |(key, row): (Vec<u8>, Vec<u8>)| {
        let mut parts = Parts::of(&key);
        let (namespace, name) =
            (parts.text().unwrap_or_default(), parts.text().unwrap_or_default());
        Some((ObjectKey::parse(kind, &namespace, &name).ok()?, objects::now(&row).1))
    };
    rows(store, group, Space::State, (3, byte)).into_iter().filter_map(row).collect()
}

fn same_index(
    store: &MemoryStore,
    group: GroupId,
    place: (u8, u8),
    expect: &BTreeSet<Vec<u8>>,
) -> Check {
    let found = rows(store, group, Space::State, place);
    let found: BTreeSet<_> = found.into_iter().map(|(key, _)| key).collect();
    ensure(found == *expect, || {
        let show = |key: &Vec<u8>| String::from_utf8_lossy(&key[4..]).replace("\0\u{1}", "/");
        let missing: Vec<_> = expect.difference(&found).map(show).collect();
        let extra: Vec<_> = found.difference(expect).map(show).collect();
        format!("index {place:?} lacks {missing:?} and has {extra:?} too many")
    })
}

fn tools_by_name(store: &MemoryStore, group: GroupId, objects: &Table) -> Check {
    let mut by_name: BTreeMap<(Name, String), Vec<&wire::ToolSpec>> = BTreeMap::new();
    for (key, object) in objects {
        if let Some(Inner::Tool(wire::Tool { spec: Some(spec), .. })) = &object.object {
            let name = (key.namespace.clone(), spec.tool_name.clone());
            by_name.entry(name).or_default().push(spec);
        }
    }
    let index = |(name, specs): (&(Name, String), &Vec<&wire::ToolSpec>)| {
        let by_name = Key::new(group, TOOLS_BY_NAME.0, TOOLS_BY_NAME.1);
        let by_name = by_name.text(name.0.as_str()).text(&name.1);
        specs.iter().map(|spec| by_name.clone().text(&spec.server).into_bytes()).collect::<Vec<_>>()
    };
    same_index(store, group, TOOLS_BY_NAME, &by_name.iter().flat_map(index).collect())?;
    for ((namespace, name), specs) in &by_name {
        // SERVER.TOOL means just that one, whoever else has a tool of such a name.
        let meant = ObjectKey::parse(Kind::Tool, namespace.as_str(), name).ok();
        if meant.is_some_and(|key| objects.contains_key(&key)) {
            continue;
        }
        let agree = specs.iter().all(|spec| spec.schema_hash == specs[0].schema_hash);
        let expect = agree.then_some(specs.len());
        let found = registry::resolve_tool(store, group, namespace, name).ok();
        let found = found.map(|tools| tools.len());
        ensure(found == expect, || {
            format!("tool {name} of {namespace} is offered by {expect:?}, found by {found:?}")
        })?;
    }
    Ok(())
}

fn needed_by(store: &MemoryStore, group: GroupId, objects: &Table) -> Check {
    let mut expect = BTreeSet::new();
    for (key, object) in objects {
        for need in registry::needs(object) {
            let owner = need.owner();
            let row = Key::new(group, NEEDED_BY.0, NEEDED_BY.1)
                .text(owner.namespace.as_str())
                .text(owner.kind.noun())
                .text(&owner.name)
                .text(key.kind.noun())
                .text(&key.name)
                .text(&need.short());
            expect.insert(row.into_bytes());
        }
    }
    same_index(store, group, NEEDED_BY, &expect)?;
    for key in objects.keys() {
        let owner = key.owner();
        let counts = |need: &ObjectKey| match *key == owner {
            true => need.owner() == owner,
            false => need == key || *need == owner,
        };
        let expect: BTreeSet<_> = objects
            .iter()
            .filter(|(_, object)| registry::needs(object).iter().any(counts))
            .map(|(key, _)| key.clone())
            .collect();
        let found = registry::dependents(store, group, key);
        ensure(
            found.len() == expect.len() && found.iter().all(|key| expect.contains(key)),
            || format!("{} is needed by {expect:?}, found are {found:?}", key.subject()),
        )?;
    }
    Ok(())
}

/// Parts live and die with their owner.
fn parts(store: &MemoryStore, group: GroupId, objects: &Table) -> Check {
    for key in objects.keys() {
        let owner = key.owner();
        ensure(objects.contains_key(&owner), || format!("{} has no owner", key.subject()))?;
        if *key == owner {
            let expect = objects.iter().filter(|(part, _)| *part != key && part.owner() == *key);
            let expect: Vec<_> = expect.map(|(_, part)| part.clone()).collect();
            let found = registry::parts(store, group, key);
            ensure(found == expect, || {
                format!("{} has {} parts, found are {}", key.subject(), expect.len(), found.len())
            })?;
        }
    }
    Ok(())
}

/// Lists by labels and in pages are the whole list, filtered.
fn labels(store: &MemoryStore, group: GroupId, objects: &Table) -> Check {
    for (selector, fits) in [
        ("", (|_| true) as fn(Option<&str>) -> bool),
        ("team=red", |team| team == Some("red")),
        ("team!=red", |team| team != Some("red")),
        ("!team", |team| team.is_none()),
    ] {
        for kind in [Kind::Agent, Kind::McpServer] {
            let selector = Selector::parse(selector).map_err(|refusal| refusal.to_string())?;
            let filter = Filter { kind, namespace: None, selector };
            let expect = objects.iter().filter(|(key, object)| {
                let labels = metadata(object).map(|metadata| &metadata.labels);
                let team = labels.and_then(|labels| labels.get("team"));
                key.kind == kind && fits(team.map(String::as_str))
            });
            let mut found = Vec::new();
            let mut token = String::new();
            loop {
                let page = registry::list(store, group, &filter, None, 2, &token);
                let page = page.map_err(|refusal| refusal.to_string())?;
                found.extend(page.items.iter().filter_map(metadata).map(|data| data.uid.clone()));
                let Some(next) = page.next else { break };
                token = next;
            }
            let uid = |object| metadata(object).map(|metadata| metadata.uid.clone());
            let expect: Vec<_> = expect.filter_map(|(_, object)| uid(object)).collect();
            ensure(found == expect, || format!("{filter:?} lists {found:?}, not {expect:?}"))?;
        }
    }
    Ok(())
}

/// No owner needs itself, by whatever way.
fn acyclic(objects: &Table) -> Check {
    let mut open: BTreeMap<&ObjectKey, BTreeSet<ObjectKey>> = objects
        .iter()
        .filter(|(key, _)| **key == key.owner())
        .map(|(key, object)| (key, registry::needs(object).iter().map(ObjectKey::owner).collect()))
        .collect();
    loop {
        let there: BTreeSet<ObjectKey> = open.keys().map(|key| (*key).clone()).collect();
        let before = open.len();
        open.retain(|_, needs| needs.iter().any(|need| there.contains(need)));
        if open.len() == before {
            return ensure(open.is_empty(), || format!("in a circle: {:?}", open.keys()));
        }
    }
}

/// Every reply that is kept will be forgotten: they are in the order of their age.
fn replies(store: &MemoryStore, group: GroupId) -> Check {
    let beginning = store.get(Space::State, Key::new(group, BEGINNING.0, BEGINNING.1).as_bytes());
    let first = rows(store, group, Space::State, REPLIES).into_iter().next().map(|(key, _)| key);
    ensure(beginning.is_none() || first.is_none() || beginning <= first, || {
        "a reply lies before where forgetting begins: it would be kept for ever".to_owned()
    })
}

fn nodes(store: &MemoryStore, group: GroupId) -> Check {
    let nodes = rows(store, group, Space::State, NODES);
    let nodes: Vec<_> =
        nodes.iter().filter_map(|(_, row)| wire::Node::decode(&row[1..]).ok()).collect();
    let names: BTreeSet<_> = nodes.iter().map(|node| &node.name).collect();
    ensure(names.len() == nodes.len(), || format!("two nodes have one name: {nodes:?}"))
}
