//! Makes or renews an owner with its parts, in one entry.

use super::model::{Kind, ObjectKey, Put, metadata, metadata_mut, status_mut};
use super::state::{REGISTERED, remove, write};
use super::wire::check_size;
use super::{condition, declared, depend, offer, place, query};
use crate::hash::hex;
use crate::house::Emit;
use crate::refusal::{Code, Refusal, Result, refuse};
use crate::security;
use crate::stamp::Stamp;
use crate::store::Store;
use crate::txn::Txn;
use keiko_proto::v1::{
    self as wire, Change, Grant, Metadata, Object, PartChange, PutReply, actor::Who,
    object::Object as Inner,
};

pub(super) fn apply(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    put: Put,
    emit: Emit<'_>,
) -> Result<PutReply> {
    let Put { refresh_uid, key, mut owner, parts } = put;
    let before = query::find(txn, stamp.group, &key);
    match (&before, &refresh_uid) {
        (Some(before), None) => check_same_endpoint(&key, before, &owner)?,
        (Some(before), Some(uid)) => check_still_there(&key, before, &owner, uid)?,
        (None, Some(_)) => return Err(key.not_found()),
        (None, None) => {}
    }
    let refresh = refresh_uid.is_some();
    if let Some(before) = before.as_ref().filter(|_| refresh) {
        declared::keep_declared(before, &mut owner);
        check_size(&owner)?;
    }
    settle_grant(txn, stamp, before.as_ref(), &mut owner, refresh)?;
    place::settle(stamp, before.as_ref(), &mut owner, refresh);
    depend::check_acyclic(txn, stamp.group, &key, before.as_ref(), &owner)?;
    let was_seen = before.as_ref().is_some_and(offer::was_seen);
    let mut changed = put_one(txn, stamp, &key, before.as_ref(), owner, emit);
    let offered = put_parts(txn, stamp, &key, parts, emit);
    changed |= !offered.is_empty();
    if was_seen && !offered.is_empty() {
        offer::tell(&key, offered, emit);
    }
    let uid = uid_of(stamp, &key, before.as_ref());
    let change = match (before, changed) {
        (None, _) => Change::Created,
        (Some(_), true) => Change::Updated,
        (Some(_), false) => Change::Unchanged,
    };
    Ok(PutReply { change: change.into(), uid })
}

/// Parts that are gone are removed, the others written if they differ. Returns what changed.
pub(super) fn put_parts(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    owner: &ObjectKey,
    parts: Vec<(ObjectKey, Object)>,
    emit: Emit<'_>,
) -> Vec<PartChange> {
    let mut changes = Vec::new();
    for (old, _) in query::parts_of(txn, stamp.group, owner) {
        if parts.binary_search_by(|(key, _)| key.cmp(&old)).is_err() {
            remove(txn, stamp, &old, emit);
            changes.push(offer::change(&old, "removed", Vec::new()));
        }
    }
    for (key, part) in parts {
        let before = query::find(txn, stamp.group, &key);
        let fields = before.as_ref().map(|before| offer::fields(before, &part));
        if put_one(txn, stamp, &key, before.as_ref(), part, emit) {
            changes.push(match fields {
                None => offer::change(&key, "added", Vec::new()),
                Some(fields) => offer::change(&key, "changed", fields),
            });
        }
    }
    changes
}

/// Writes one object unless it says what is already so. True if it was written.
pub(super) fn put_one(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    key: &ObjectKey,
    before: Option<&Object>,
    mut object: Object,
    emit: Emit<'_>,
) -> bool {
    let old = before.and_then(metadata).cloned();
    let reported = std::mem::take(status_mut(&mut object));
    *status_mut(&mut object) = condition::settle(stamp, key.kind, before, reported);
    let given = std::mem::take(metadata_mut(&mut object));
    *metadata_mut(&mut object) = Metadata {
        name: key.name.clone(),
        namespace: key.namespace.to_string(),
        labels: given.labels,
        annotations: given.annotations,
        ..old.clone().unwrap_or_default()
    };
    if before == Some(&object) {
        return false;
    }
    let redeclared = before.is_none_or(|before| !declared::same(before, &object));
    let new = metadata_mut(&mut object);
    if redeclared && matches!(key.kind, Kind::Agent | Kind::McpServer) {
        new.generation = stamp.revision;
    }
    if old.is_none() {
        new.uid = uid(stamp, key);
        new.created_ms = stamp.unix_ms;
    }
    (new.revision, new.updated_ms) = (stamp.revision, stamp.unix_ms);
    let verb = if old.is_none() { REGISTERED } else { "changed" };
    write(txn, stamp, key, verb, before, object, emit);
    true
}

/// Of the life that goes on, or that begins now.
pub(super) fn uid_of(stamp: &Stamp, key: &ObjectKey, before: Option<&Object>) -> String {
    let known = before.and_then(metadata).map(|metadata| metadata.uid.clone());
    known.unwrap_or_else(|| uid(stamp, key))
}

/// The stamp alone would not tell the objects of one entry apart.
fn uid(stamp: &Stamp, key: &ObjectKey) -> String {
    let text = format!("{}/{}", stamp.uid(), key.subject());
    hex(&blake3::hash(text.as_bytes()).as_bytes()[..16])
}

/// What a probe saw is true of the life and of the endpoint that it knew, and of no other.
fn check_still_there(key: &ObjectKey, before: &Object, after: &Object, uid: &str) -> Result<()> {
    let conflict = |what: &str| {
        let message = format!("{} was {what} since it was probed", key.subject());
        refuse(Code::RevisionConflict, message)
    };
    if metadata(before).is_none_or(|metadata| metadata.uid != uid) {
        return conflict("deleted and made anew");
    }
    if declared::endpoint(before) != declared::endpoint(after) {
        return conflict("declared elsewhere");
    }
    Ok(())
}

/// A name is one thing: only the same endpoint may register it again.
fn check_same_endpoint(key: &ObjectKey, before: &Object, after: &Object) -> Result<()> {
    let (old, new) = (declared::endpoint(before), declared::endpoint(after));
    if old == new {
        return Ok(());
    }
    Err(Refusal::new(Code::NameTaken, format!("{} {:?} is another endpoint", key.kind, key.name))
        .cause(format!("it is registered as {old}"))
        .hint(format!("choose another name, or: keikoctl {} delete {}", key.kind, key.typed())))
}

/// Decides for whom the command may run and the credentials are bound. What the entry says itself
/// is ignored: only the actor counts.
pub(super) fn settle_grant(
    store: &dyn Store,
    stamp: &Stamp,
    before: Option<&Object>,
    owner: &mut Object,
    refresh: bool,
) -> Result<()> {
    let kept = before.and_then(grant_of);
    let same = before.is_some_and(|before| references(before) == references(owner));
    let grant = match stamp.actor.who.as_ref() {
        Some(Who::Socket(peer)) if !refresh => {
            Some(Grant { node: peer.node.clone(), uid: peer.uid })
        }
        // Who changes what credentials go out with unbinds them. A refresh changes none.
        Some(Who::Socket(_) | Who::Node(_)) => kept.filter(|_| same),
        Some(Who::Person(person)) => {
            let role = security::person(store, stamp.group, &person.name).map(|known| known.role);
            if place::runs_command(owner) && role.as_deref() != Some(security::ROLE_ADMIN) {
                return refuse_command("a command is registered by admins only");
            }
            kept.filter(|_| same)
        }
        Some(Who::Token(_)) | None => {
            if place::runs_command(owner) {
                return refuse_command("a command is never registered by token");
            }
            kept.filter(|_| same)
        }
    };
    match owner.object.as_mut() {
        Some(Inner::Agent(agent)) => agent.spec.get_or_insert_default().grant = grant,
        Some(Inner::McpServer(server)) => server.spec.get_or_insert_default().grant = grant,
        Some(Inner::Tool(_) | Inner::Skill(_)) | None => {}
    }
    Ok(())
}

fn refuse_command(message: &str) -> Result<()> {
    Err(Refusal::new(Code::ExecRefused, message)
        .hint("register it on its node, over the local socket"))
}

pub(super) fn grant_of(object: &Object) -> Option<Grant> {
    match object.object.as_ref()? {
        Inner::Agent(agent) => agent.spec.as_ref()?.grant.clone(),
        Inner::McpServer(server) => server.spec.as_ref()?.grant.clone(),
        Inner::Tool(_) | Inner::Skill(_) => None,
    }
}

fn references(object: &Object) -> Vec<wire::CredentialRef> {
    match &object.object {
        Some(Inner::Agent(agent)) => {
            agent.spec.as_ref().map(|spec| spec.headers.clone()).unwrap_or_default()
        }
        Some(Inner::McpServer(server)) => {
            let spec = server.spec.clone().unwrap_or_default();
            spec.headers.into_iter().chain(spec.env).collect()
        }
        Some(Inner::Tool(_) | Inner::Skill(_)) | None => Vec::new(),
    }
}
