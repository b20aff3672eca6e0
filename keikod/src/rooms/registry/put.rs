//! What the hands tell the law: an owner with its parts, unless it has that already; its health.

use super::super::{Control, control};
use keiko_core::refusal::Result;
use keiko_core::registry::ObjectKey;
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    Change, Health, PutReply, RegistryOp, SetHealth, registry_op, registry_reply, reply,
};

/// The reply to a put or an apply.
pub(super) fn put_reply(result: reply::Result) -> Result<PutReply> {
    let reply::Result::Registry(reply) = result else { return Err(control::unexpected()) };
    match reply.reply {
        Some(registry_reply::Reply::Put(put)) => Ok(put),
        _ => Err(control::unexpected()),
    }
}

/// Proposes what a look found, unless the entry says so already, as after a registration or a
/// restart: an entry of the log that changes nothing is a revision all the same.
pub(super) async fn refresh(control: &Control, op: registry_op::Op) -> Result<()> {
    let room = Room::Registry(RegistryOp { op: Some(op) });
    let expected = control.dry_run(control.as_node(), room.clone()).await.and_then(put_reply);
    if expected.is_ok_and(|put| put.change == i32::from(Change::Unchanged)) {
        return Ok(());
    }
    control.write(control.as_node(), room).await.map(drop)
}

/// Proposes the health of one life of an agent or a server.
pub(super) async fn set_health(
    control: &Control,
    key: &ObjectKey,
    uid: &str,
    health: Health,
) -> Result<()> {
    let (object, uid) = (Some(key.to_wire()), uid.to_owned());
    let set = SetHealth { object, uid, health: Some(health) };
    let op = RegistryOp { op: Some(registry_op::Op::SetHealth(set)) };
    control.write(control.as_node(), Room::Registry(op)).await.map(drop)
}
