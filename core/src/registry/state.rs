//! What the ops do to the room's tables.

use super::model::{Kind, ObjectKey, Op, metadata, table_byte, tool_name_key};
use super::{condition, put, query, wire};
use crate::history::Declared;
use crate::house::{Emit, Emitted};
use crate::refusal::{Code, Refusal, Result};
use crate::stamp::Stamp;
use crate::table::{Index, RoomByte};
use crate::txn::Txn;
use keiko_proto::v1::{
    DeleteReply, Object, ObjectChanged, RegistryEvent, RegistryOp, RegistryReply,
    SetConditionReply, event::Body, object::Object as Inner, registry_event, registry_reply,
};

/// The table of each kind.
pub(super) const fn table(kind: Kind) -> Declared<Object> {
    Declared::new(RoomByte::Registry, table_byte(kind), 1)
}

/// Namespace, a tool's own name, its server.
pub(super) const TOOLS_BY_NAME: Index = Index::new(RoomByte::Registry, 16);

/// Applies one op.
pub fn apply(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    op: RegistryOp,
    emit: Emit<'_>,
) -> Result<RegistryReply> {
    let reply = match wire::parse(op)? {
        Op::Put(put) => registry_reply::Reply::Put(put::apply(txn, stamp, *put, emit)?),
        Op::SetCondition { object, uid, condition } => {
            let changed = condition::set(txn, stamp, &object, &uid, condition, emit)?;
            registry_reply::Reply::SetCondition(SetConditionReply { changed })
        }
        Op::Delete { object, revision } => {
            let object = delete(txn, stamp, &object, revision, emit)?;
            registry_reply::Reply::Delete(DeleteReply { object: Some(object) })
        }
    };
    Ok(RegistryReply { reply: Some(reply) })
}

fn delete(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    key: &ObjectKey,
    revision: u64,
    emit: Emit<'_>,
) -> Result<Object> {
    let object = query::find(txn, stamp.group, key).ok_or_else(|| key.not_found())?;
    let current = metadata(&object).map_or(0, |metadata| metadata.revision);
    if revision != 0 && revision != current {
        return Err(Refusal::new(
            Code::RevisionConflict,
            format!("{} is at revision {current}, not {revision}", key.subject()),
        )
        .hint("read it again, then decide"));
    }
    for (part, _) in query::parts_of(txn, stamp.group, key) {
        remove(txn, stamp, &part, emit);
    }
    remove(txn, stamp, key, emit);
    Ok(object)
}

/// Writes an object as it is from now on, and tells.
pub(super) fn write(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    key: &ObjectKey,
    created: bool,
    object: Object,
    emit: Emit<'_>,
) {
    let table = table(key.kind);
    table.put(txn, &key.row(table.key(stamp.group)), stamp.revision, &object);
    if let Some(index) = index_key(stamp, key, &object) {
        TOOLS_BY_NAME.add(txn, index);
    }
    let verb = if created { "registered" } else { "changed" };
    let changed = ObjectChanged { created, object: Some(object) };
    tell(key, verb, registry_event::Event::Changed(changed), emit);
}

/// Removes an object, and tells.
pub(super) fn remove(txn: &mut Txn<'_>, stamp: &Stamp, key: &ObjectKey, emit: Emit<'_>) {
    let Some(object) = query::find(txn, stamp.group, key) else { return };
    let table = table(key.kind);
    table.delete(txn, &key.row(table.key(stamp.group)), stamp.revision);
    if let Some(index) = index_key(stamp, key, &object) {
        TOOLS_BY_NAME.remove(txn, index);
    }
    tell(key, "deleted", registry_event::Event::Deleted(object), emit);
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
