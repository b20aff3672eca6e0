//! Roles and bindings: declared, read, deleted.

use super::super::Caller;
use super::super::control::unexpected;
use super::service::Service;
use crate::net::{Identity, Permission, Resource, Role};
use crate::store::View;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::security;
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    DeleteBinding, DeleteBindingRequest, DeleteBindingResponse, DeleteRole, DeleteRoleRequest,
    DeleteRoleResponse, GetBindingRequest, GetBindingResponse, GetRoleRequest, GetRoleResponse,
    ListBindingsRequest, ListBindingsResponse, ListRolesRequest, ListRolesResponse,
    PutBindingRequest, PutBindingResponse, PutRoleRequest, PutRoleResponse, SecurityOp, SetBinding,
    SetRole, WriteInfo, reply, security_op, security_reply,
};
use tonic::Request;

const GROUP: GroupId = GroupId::CONTROL;
const ROLE: Resource<'_> = Resource::All("role");
const BINDING: Resource<'_> = Resource::All("binding");

/// Proposes an op, or asks the law what it would say; what the law refuses for who asks is noted.
pub(super) async fn propose(
    service: &Service,
    identity: &Identity,
    caller: Caller,
    (op, dry_run): (security_op::Op, bool),
) -> Result<(security_reply::Reply, WriteInfo)> {
    let room = Room::Security(SecurityOp { op: Some(op) });
    let written = match dry_run {
        true => {
            let result = service.control.dry_run(caller, room).await;
            result.map(|result| (result, WriteInfo::default()))
        }
        false => service.control.write(caller, room).await,
    };
    let (result, write) = written.inspect_err(|refusal| identity.note(refusal))?;
    match result {
        reply::Result::Security(reply) => {
            reply.reply.map(|reply| (reply, write)).ok_or_else(unexpected)
        }
        _ => Err(unexpected()),
    }
}

pub(super) async fn put_role(
    service: &Service,
    request: Request<PutRoleRequest>,
) -> Result<PutRoleResponse> {
    let identity = Identity::of(&request)?.clone();
    identity.require(Permission::SecurityWrite, &ROLE)?;
    let caller = Caller::of(&request, &request.get_ref().request_id)?;
    let PutRoleRequest { role, request_id: _, dry_run } = request.into_inner();
    let op = security_op::Op::SetRole(SetRole { role });
    match propose(service, &identity, caller, (op, dry_run)).await? {
        (security_reply::Reply::Role(role), write) => {
            Ok(PutRoleResponse { role: Some(role), write: Some(write) })
        }
        _ => Err(unexpected()),
    }
}

pub(super) async fn delete_role(
    service: &Service,
    request: Request<DeleteRoleRequest>,
) -> Result<DeleteRoleResponse> {
    let identity = Identity::of(&request)?.clone();
    identity.require(Permission::SecurityWrite, &ROLE)?;
    let caller = Caller::of(&request, &request.get_ref().request_id)?;
    let DeleteRoleRequest { name, request_id: _, dry_run } = request.into_inner();
    let op = security_op::Op::DeleteRole(DeleteRole { name });
    match propose(service, &identity, caller, (op, dry_run)).await? {
        (security_reply::Reply::Role(role), write) => {
            Ok(DeleteRoleResponse { role: Some(role), write: Some(write) })
        }
        _ => Err(unexpected()),
    }
}

pub(super) async fn get_role(
    service: &Service,
    request: Request<GetRoleRequest>,
) -> Result<GetRoleResponse> {
    Identity::of(&request)?.require(Permission::SecurityRead, &ROLE)?;
    let GetRoleRequest { name, consistency } = request.into_inner();
    let asked = name.clone();
    let query = move |view: &View<'_>| {
        let role = match Role::parse(&asked) {
            Some(role) => Some(security::built_in_role(role)),
            None => security::role(view, GROUP, &asked),
        };
        let all = security::bindings(view, GROUP).into_iter();
        let bindings: Vec<String> =
            all.filter(|binding| binding.role == asked).map(|binding| binding.name).collect();
        (role, bindings)
    };
    let read = service.control.read(consistency, query).await?;
    let (role, bindings) = read.value;
    let role = role.ok_or_else(|| {
        Refusal::new(Code::NotFound, format!("no role {name:?}")).hint("keikoctl role list")
    })?;
    Ok(GetRoleResponse { role: Some(role), bindings, revision: read.revision })
}

pub(super) async fn list_roles(
    service: &Service,
    request: Request<ListRolesRequest>,
) -> Result<ListRolesResponse> {
    Identity::of(&request)?.require(Permission::SecurityRead, &ROLE)?;
    let query = |view: &View<'_>| security::roles(view, GROUP);
    let read = service.control.read(request.get_ref().consistency, query).await?;
    let built_in = Role::ALL.iter().map(|role| security::built_in_role(*role));
    Ok(ListRolesResponse { items: built_in.chain(read.value).collect(), revision: read.revision })
}

pub(super) async fn put_binding(
    service: &Service,
    request: Request<PutBindingRequest>,
) -> Result<PutBindingResponse> {
    let identity = Identity::of(&request)?.clone();
    identity.require(Permission::SecurityWrite, &BINDING)?;
    let caller = Caller::of(&request, &request.get_ref().request_id)?;
    let PutBindingRequest { binding, request_id: _, dry_run } = request.into_inner();
    let op = security_op::Op::SetBinding(SetBinding { binding });
    match propose(service, &identity, caller, (op, dry_run)).await? {
        (security_reply::Reply::Binding(binding), write) => {
            Ok(PutBindingResponse { binding: Some(binding), write: Some(write) })
        }
        _ => Err(unexpected()),
    }
}

pub(super) async fn delete_binding(
    service: &Service,
    request: Request<DeleteBindingRequest>,
) -> Result<DeleteBindingResponse> {
    let identity = Identity::of(&request)?.clone();
    identity.require(Permission::SecurityWrite, &BINDING)?;
    let caller = Caller::of(&request, &request.get_ref().request_id)?;
    let DeleteBindingRequest { name, request_id: _, dry_run } = request.into_inner();
    let op = security_op::Op::DeleteBinding(DeleteBinding { name });
    match propose(service, &identity, caller, (op, dry_run)).await? {
        (security_reply::Reply::Binding(binding), write) => {
            Ok(DeleteBindingResponse { binding: Some(binding), write: Some(write) })
        }
        _ => Err(unexpected()),
    }
}

pub(super) async fn get_binding(
    service: &Service,
    request: Request<GetBindingRequest>,
) -> Result<GetBindingResponse> {
    Identity::of(&request)?.require(Permission::SecurityRead, &BINDING)?;
    let GetBindingRequest { name, consistency } = request.into_inner();
    let asked = name.clone();
    let query = move |view: &View<'_>| security::binding(view, GROUP, &asked);
    let read = service.control.read(consistency, query).await?;
    let binding = read.value.ok_or_else(|| {
        Refusal::new(Code::NotFound, format!("no binding {name:?}")).hint("keikoctl binding list")
    })?;
    Ok(GetBindingResponse { binding: Some(binding), revision: read.revision })
}

pub(super) async fn list_bindings(
    service: &Service,
    request: Request<ListBindingsRequest>,
) -> Result<ListBindingsResponse> {
    Identity::of(&request)?.require(Permission::SecurityRead, &BINDING)?;
    let ListBindingsRequest { subject, consistency } = request.into_inner();
    if !subject.is_empty() {
        security::check_subject(&subject)?;
    }
    let query = |view: &View<'_>| security::bindings(view, GROUP);
    let read = service.control.read(consistency, query).await?;
    let mut items = read.value;
    items.retain(|binding| subject.is_empty() || binding.subjects.contains(&subject));
    Ok(ListBindingsResponse { items, revision: read.revision })
}
