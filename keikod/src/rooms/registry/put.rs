//! Putting an owner with its parts: what the law answers, and nothing proposed that it has already.

use super::super::{Control, control};
use keiko_core::refusal::Result;
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{Change, PutReply, RegistryOp, registry_op, registry_reply, reply};

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
