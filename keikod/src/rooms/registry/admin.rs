//! Suspend, drain, resume: what an operator decides about calls.

use super::super::{Caller, control};
use super::read::require_on;
use super::service::Service;
use crate::net::{Identity, Permission};
use keiko_core::refusal::Result;
use keiko_core::registry::{Kind, ObjectKey};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    RegistryOp, SetAdminState, SetAdminStateRequest, SetAdminStateResponse, registry_op,
    registry_reply, reply,
};
use tonic::Request;

/// Proposes it, and answers when it holds on this node: then no new call begins.
pub(super) async fn set(
    service: &Service,
    request: Request<SetAdminStateRequest>,
) -> Result<SetAdminStateResponse> {
    let identity = Identity::of(&request)?.clone();
    let caller = Caller::of(&request, &request.get_ref().request_id)?;
    let asked = request.into_inner();
    let key = ObjectKey::parse(Kind::parse(asked.kind)?, &asked.namespace, &asked.name)?;
    require_on(&identity, Permission::RegistryWrite, &key)?;
    let set =
        SetAdminState { object: Some(key.to_wire()), state: asked.state, reason: asked.reason };
    let room = Room::Registry(RegistryOp { op: Some(registry_op::Op::SetAdminState(set)) });
    let (result, write) = match asked.dry_run {
        true => (service.control.dry_run(caller, room).await?, None),
        false => {
            let (result, write) = service.control.write(caller, room).await?;
            service.feed.caught_up().await;
            (result, Some(write))
        }
    };
    match result {
        reply::Result::Registry(reply) => match reply.reply {
            Some(registry_reply::Reply::Changed(changed)) => Ok(SetAdminStateResponse {
                changed: changed.changed,
                object: changed.object,
                write: write.or_else(|| Some(Default::default())),
            }),
            _ => Err(control::unexpected()),
        },
        _ => Err(control::unexpected()),
    }
}
