//! What the ops do to the room's tables.

use super::model::{Delete, Kind, ObjectKey, Op, metadata, table_byte, tool_name_key};
use super::{condition, declare, depend, place, put, query, rewind, wire};
use crate::history::Declared;
use crate::house::{Emit, Emitted};
use crate::refusal::{Code, Result, refuse};
use crate::stamp::Stamp;
use crate::table::{Index, RoomByte};
use crate::txn::Txn;
use keiko_proto::v1::{
    ChangedReply, DeleteReply, Object, ObjectChanged, RegistryEvent, RegistryOp, RegistryReply,
    event::Body, object::Object as Inner, registry_event, registry_reply,
};

/// The table of each kind.
pub(super) const fn table(kind: Kind) -> Declared<Object> {
    Declared::new(RoomByte::Registry, table_byte(kind), 1)
}

/// Namespace, a tool's own name, its server.
pub(super) const TOOLS_BY_NAME: Index = Index::new(RoomByte::Registry, 16);

/// The namespace, kind and name of an owner, then the kind and name of who needs it, and what of it.
pub(super) const NEEDED_BY: Index = Index::new(RoomByte::Registry, 17);

/// The verb of an event that says that an object is new.
pub(super) const REGISTERED: &str = "registered";

/// Applies one op.
pub fn apply(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    op: RegistryOp,
    emit: Emit<'_>,
) -> Result<RegistryReply> {
    let reply = match wire::parse(op)? {
        Op::Put(put) => registry_reply::Reply::Put(put::apply(txn, stamp, *put, emit)?),
        Op::Apply(apply) => registry_reply::Reply::Put(declare::apply(txn, stamp, *apply, emit)?),
        Op::SetHealth { object, uid, health } => {
            let done = condition::set_health(txn, stamp, &object, &uid, health, emit)?;
            changed(done)
        }
        Op::SetAdminState { object, state, reason } => {
            let done = condition::set_admin_state(txn, stamp, &object, state, reason, emit)?;
            changed(done)
        }
        Op::Place(asked) => changed(place::apply(txn, stamp, asked, emit)?),
        Op::Delete(asked) => {
            let object = delete(txn, stamp, &asked, emit)?;
            registry_reply::Reply::Delete(DeleteReply { object: Some(object) })
        }
        Op::Rewind(revision) => {
            let changed = rewind::apply(txn, stamp, revision, emit)?;
            registry_reply::Reply::Changed(ChangedReply { changed, object: None })
        }
    };
    Ok(RegistryReply { reply: Some(reply) })
}

fn changed((changed, object): (bool, Object)) -> registry_reply::Reply {
    registry_reply::Reply::Changed(ChangedReply { changed, object: Some(object) })
}

fn delete(txn: &mut Txn<'_>, stamp: &Stamp, asked: &Delete, emit: Emit<'_>) -> Result<Object> {
    let Delete { object: key, revision, uid, expired } = asked;
    let object = query::find(txn, stamp.group, key).ok_or_else(|| key.not_found())?;
    declare::check_generation(key, Some(&object), *revision, stamp)?;
    let metadata = metadata(&object).cloned().unwrap_or_default();
    if !uid.is_empty() && *uid != metadata.uid {
        return refuse(
            Code::RevisionConflict,
            format!("{} was deleted and made anew", key.subject()),
        );
    }
    let has_lease = matches!(&object.object, Some(Inner::Agent(agent))
        if agent.spec.as_ref().is_some_and(|spec| spec.lease.is_some()));
    if *expired && !has_lease {
        return refuse(Code::RevisionConflict, format!("{} has no lease", key.subject()));
    }
    for (part, _) in query::parts_of(txn, stamp.group, key) {
        remove(txn, stamp, &part, emit);
    }
    remove_as(txn, stamp, key, if *expired { "expired" } else { "deleted" }, emit);
    Ok(object)
}

/// Writes an object as it is from now on, in place of what was there before, and tells.
pub(super) fn write(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    key: &ObjectKey,
    verb: &str,
    before: Option<&Object>,
    object: Object,
    emit: Emit<'_>,
) {
    let table = table(key.kind);
    let row = key.row(table.key(stamp.group));
    depend::index(txn, stamp.group, key, before, Some(&object));
    table.put(txn, &row, stamp.revision, &object);
    if let Some(index) = index_key(stamp, key, &object) {
        TOOLS_BY_NAME.add(txn, index);
    }
    let changed = ObjectChanged { created: verb == REGISTERED, object: Some(object) };
    tell(key, verb, registry_event::Event::Changed(changed), emit);
}

/// Removes an object, and tells.
pub(super) fn remove(txn: &mut Txn<'_>, stamp: &Stamp, key: &ObjectKey, emit: Emit<'_>) {
    remove_as(txn, stamp, key, "deleted", emit);
}

fn remove_as(txn: &mut Txn<'_>, stamp: &Stamp, key: &ObjectKey, verb: &str, emit: Emit<'_>) {
    let Some(object) = query::find(txn, stamp.group, key) else { return };
    let table = table(key.kind);
    table.delete(txn, &key.row(table.key(stamp.group)), stamp.revision);
    if let Some(index) = index_key(stamp, key, &object) {
        TOOLS_BY_NAME.remove(txn, index);
    }
    depend::index(txn, stamp.group, key, Some(&object), None);
    tell(key, verb, registry_event::Event::Deleted(object), emit);
}

fn index_key(stamp: &Stamp, key: &ObjectKey, object: &Object) -> Option<crate::key::Key> {
    let Some(Inner::Tool(tool)) = &object.object else { return None };
    let spec = tool.spec.as_ref()?;
    let by_name = tool_name_key(&TOOLS_BY_NAME, stamp.group, &key.namespace, &spec.tool_name);
    Some(by_name.text(&spec.server))
}

fn tell(key: &ObjectKey, verb: &str, event: registry_event::Event, emit: Emit<'_>) {
    emit(Emitted {
        kind: format!("keiko.registry.{}.{verb}", key.kind),
        subject: key.subject(),
        body: Body::Registry(RegistryEvent { event: Some(event) }),
    });
}
