//! Sessions opened, kept, closed and listed.

use super::super::control::unexpected;
use super::asker::Asker;
use super::service::{GROUP, Service};
use crate::net::{Identity, Permission, Resource};
use crate::store::View;
use keiko_core::coordination;
use keiko_core::refusal::Result;
use keiko_proto::v1::coordination_op::Op;
use keiko_proto::v1::coordination_reply::Reply;
use keiko_proto::v1::{
    CloseSession, CloseSessionRequest, CloseSessionResponse, KeepSession, KeepSessionRequest,
    KeepSessionResponse, ListSessionsRequest, ListSessionsResponse, OpenSession,
    OpenSessionRequest, OpenSessionResponse, Session, WriteInfo,
};
use tonic::Request;
use uuid::Uuid;

pub(super) async fn open(
    service: &Service,
    request: Request<OpenSessionRequest>,
) -> Result<OpenSessionResponse> {
    let asker = Asker::of_session(&service.control, &request, &request.get_ref().request_id)?;
    let OpenSessionRequest { name, ttl_ms, .. } = request.into_inner();
    let open = OpenSession { id: Uuid::now_v7().to_string(), name, ttl_ms };
    let (session, write) = propose(&asker, Op::OpenSession(open)).await?;
    Ok(OpenSessionResponse { session: Some(session), write: Some(write) })
}

pub(super) async fn keep(
    service: &Service,
    request: Request<KeepSessionRequest>,
) -> Result<KeepSessionResponse> {
    let asker = Asker::of_session(&service.control, &request, &[])?;
    let keep = KeepSession { id: request.into_inner().id, as_admin: asker.is_admin() };
    let (session, write) = propose(&asker, Op::KeepSession(keep)).await?;
    Ok(KeepSessionResponse { session: Some(session), write: Some(write) })
}

pub(super) async fn close(
    service: &Service,
    request: Request<CloseSessionRequest>,
) -> Result<CloseSessionResponse> {
    let asker = Asker::of_session(&service.control, &request, &request.get_ref().request_id)?;
    let close = CloseSession { id: request.into_inner().id, as_admin: asker.is_admin() };
    let (session, write) = propose(&asker, Op::CloseSession(close)).await?;
    Ok(CloseSessionResponse { session: Some(session), write: Some(write) })
}

async fn propose(asker: &Asker, op: Op) -> Result<(Session, WriteInfo)> {
    match asker.propose(op).await? {
        (Reply::Session(session), write) => Ok((session, write)),
        _ => Err(unexpected()),
    }
}

pub(super) async fn list(
    service: &Service,
    request: Request<ListSessionsRequest>,
) -> Result<ListSessionsResponse> {
    Identity::of(&request)?.require(Permission::LockRead, &Resource::All("session"))?;
    let consistency = request.get_ref().consistency;
    let query = |view: &View<'_>| coordination::sessions(view, GROUP);
    let read = service.control.read(consistency, query).await?;
    let unix_ms = service.control.now_ms();
    Ok(ListSessionsResponse { items: read.value, revision: read.revision, unix_ms })
}
