//! What needs what: declared by `dependsOn`, kept as an index from the needed to who needs it.
//!
//! Invariants: the graph of owners has no cycle; a missing or broken dependency never makes an
//! entry uncallable, it is shown. Whether dependencies are ready is derived when an object is read,
//! so that one server's end does not rewrite a thousand agents.

use super::condition::{DEPENDENCIES, merge};
use super::graph;
use super::model::{Kind, ObjectKey, is_ready, metadata, status, status_mut};
use super::query;
use super::state::{NEEDED_BY, table};
use crate::id::GroupId;
use crate::key::{Key, Parts};
use crate::limits::{DEPENDS_MAX, GRAPH_NODES_MAX};
use crate::refusal::{Code, Refusal, Result, refuse};
use crate::store::Store;
use crate::txn::Txn;
use keiko_proto::v1::{Condition, Object, object::Object as Inner};
use std::cell::Cell;

/// Checks and sorts what an owner declares that it needs.
pub(super) fn check(owner: &ObjectKey, needs: &mut Vec<String>) -> Result<()> {
    needs.sort();
    needs.dedup();
    if needs.len() > DEPENDS_MAX {
        return refuse(
            Code::LimitExceeded,
            format!("{} dependencies, at most {DEPENDS_MAX}", needs.len()),
        );
    }
    for need in needs.iter() {
        let key = parse(owner, need)?;
        if key.owner() == *owner {
            return refuse(
                Code::DependencyCycle,
                format!("{} can't depend on itself", owner.short()),
            );
        }
    }
    Ok(())
}

fn parse(owner: &ObjectKey, need: &str) -> Result<ObjectKey> {
    let malformed = || {
        Refusal::new(Code::InvalidArgument, format!("{need:?} does not name a dependency"))
            .hint("as in mcp/time, agent/planner, tool/time.now, skill/planner.plan")
    };
    let (kind, name) = need.split_once('/').ok_or_else(malformed)?;
    let kind = Kind::from_noun(kind).ok_or_else(malformed)?;
    ObjectKey::parse(kind, owner.namespace.as_str(), name)
}

/// What an object declares that it needs, in order.
pub fn needs(object: &Object) -> Vec<ObjectKey> {
    let (kind, declared) = match &object.object {
        Some(Inner::Agent(agent)) => {
            (Kind::Agent, agent.spec.as_ref().map(|spec| spec.depends_on.as_slice()))
        }
        Some(Inner::McpServer(server)) => {
            (Kind::McpServer, server.spec.as_ref().map(|spec| spec.depends_on.as_slice()))
        }
        Some(Inner::Tool(_) | Inner::Skill(_)) | None => return Vec::new(),
    };
    let Some(metadata) = metadata(object) else { return Vec::new() };
    let Ok(owner) = ObjectKey::parse(kind, &metadata.namespace, &metadata.name) else {
        return Vec::new();
    };
    declared.unwrap_or_default().iter().filter_map(|need| parse(&owner, need).ok()).collect()
}

/// Who declares that it needs this object: of an agent or server also who needs a part of it, of a
/// part also who needs all of its owner.
pub fn dependents(store: &dyn Store, group: GroupId, key: &ObjectKey) -> Vec<ObjectKey> {
    let owner = key.owner();
    let mut found: Vec<ObjectKey> = NEEDED_BY
        .scan(store, &needed(group, &owner))
        .filter_map(|row| {
            let mut parts = Parts::of(&row);
            let (namespace, _owner_kind, _owner) = (parts.text()?, parts.text()?, parts.text()?);
            let (kind, name, need) = (parts.text()?, parts.text()?, parts.text()?);
            let counts = key == &owner || need == key.short() || need == owner.short();
            let kind = Kind::from_noun(&kind)?;
            counts.then(|| ObjectKey::parse(kind, &namespace, &name).ok()).flatten()
        })
        .collect();
    found.dedup();
    found
}

fn needed(group: GroupId, owner: &ObjectKey) -> Key {
    NEEDED_BY.key(group).text(owner.namespace.as_str()).text(owner.kind.noun()).text(&owner.name)
}

/// The index keys of what an object needs.
fn rows(group: GroupId, key: &ObjectKey, object: &Object) -> Vec<Key> {
    let row = |need: ObjectKey| {
        needed(group, &need.owner()).text(key.kind.noun()).text(&key.name).text(&need.short())
    };
    needs(object).into_iter().map(row).collect()
}

/// Keeps the index in line with an object that changes from `before` to `after`.
pub(super) fn index(
    txn: &mut Txn<'_>,
    group: GroupId,
    key: &ObjectKey,
    before: Option<&Object>,
    after: Option<&Object>,
) {
    let old = before.map(|object| rows(group, key, object)).unwrap_or_default();
    let new = after.map(|object| rows(group, key, object)).unwrap_or_default();
    if old == new {
        return;
    }
    for row in old {
        NEEDED_BY.remove(txn, row);
    }
    for row in new {
        NEEDED_BY.add(txn, row);
    }
}

/// Refuses what would make an owner need itself. What it needed before makes no circle now.
pub(super) fn check_acyclic(
    store: &dyn Store,
    group: GroupId,
    key: &ObjectKey,
    before: Option<&Object>,
    object: &Object,
) -> Result<()> {
    let own = owners(object);
    if own.is_empty() || before.is_some_and(|before| owners(before) == own) {
        return Ok(());
    }
    check_way(store, group, key, &own, GRAPH_NODES_MAX)
}

/// The owners of what an object needs.
fn owners(object: &Object) -> Vec<ObjectKey> {
    needs(object).iter().map(ObjectKey::owner).collect()
}

/// Refuses a way from `key` by `own` back to `key`, and one that is too long to be looked at: what
/// nobody looked at is not known to be without a circle.
pub(super) fn check_way(
    store: &dyn Store,
    group: GroupId,
    key: &ObjectKey,
    own: &[ObjectKey],
    limit: usize,
) -> Result<()> {
    let looked_at = Cell::new(0_usize);
    let needs_of = |node: &ObjectKey| {
        if node == key {
            return own.to_vec();
        }
        looked_at.set(looked_at.get() + 1);
        query::find(store, group, node).map(|object| owners(&object)).unwrap_or_default()
    };
    // One more than may be, to tell whether there are more.
    let Some(cycle) = graph::find_cycle(key, needs_of, limit + 1) else {
        if looked_at.get() > limit {
            let message = format!("{} needs more than {limit} entries", key.short());
            return refuse(Code::LimitExceeded, message);
        }
        return Ok(());
    };
    let path: Vec<_> = cycle.iter().map(ObjectKey::short).collect();
    Err(Refusal::new(Code::DependencyCycle, format!("{} would need itself", key.short()))
        .cause(path.join(" needs "))
        .hint("leave one of these dependencies out"))
}

/// Adds the condition DependenciesReady to an object that declares dependencies, as of now or of a
/// revision. Since when it is so, nobody keeps.
pub fn show(store: &dyn Store, group: GroupId, at: Option<u64>, object: &mut Object) {
    let needs = needs(object);
    if needs.is_empty() {
        return;
    }
    let broken: Vec<_> = needs.iter().filter_map(|need| why_not(store, group, at, need)).collect();
    let (status, reason) = match broken.is_empty() {
        true => ("True", "AllReady"),
        false if broken.iter().any(|(_, missing)| *missing) => ("False", "DependencyMissing"),
        false => ("False", "DependencyNotReady"),
    };
    let message = broken.into_iter().map(|(why, _)| why).collect::<Vec<_>>().join("; ");
    let condition = Condition {
        r#type: DEPENDENCIES.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        since_ms: 0,
    };
    merge(&mut status_mut(object).conditions, condition);
}

/// Why a dependency is of no use, and whether it is because it is not there; `None` if it is.
fn why_not(
    store: &dyn Store,
    group: GroupId,
    at: Option<u64>,
    need: &ObjectKey,
) -> Option<(String, bool)> {
    let read = |key: &ObjectKey| {
        let table = table(key.kind);
        let row = key.row(table.key(group));
        match at {
            None => table.get(store, &row),
            Some(revision) => table.get_at(store, &row, revision),
        }
    };
    let owner = need.owner();
    let Some(found) = read(&owner) else {
        return Some((format!("{} is not there", owner.short()), true));
    };
    if *need != owner && read(need).is_none() {
        return Some((format!("{} does not offer {}", owner.short(), need.short()), true));
    }
    let admin = status(&found).map(|status| status.admin_state.as_str()).unwrap_or_default();
    match (is_ready(&found), admin) {
        (true, "") => None,
        (true, admin) => Some((format!("{} is {admin}", owner.short()), false)),
        (false, _) => Some((format!("{} is not ready", owner.short()), false)),
    }
}
