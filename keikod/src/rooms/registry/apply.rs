//! Apply: declares an agent or a server as a manifest has it. Nothing is asked outside: whether it
//! answers is for its supervisor to find out.

use super::super::Caller;
use super::put::put_reply;
use super::read::require_on;
use super::register::meet;
use super::service::Service;
use crate::net::{Identity, Permission};
use crate::outbound::http::parse_url;
use crate::store::View;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::{self, Kind, ObjectKey};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    ApplyObject, ApplyRequest, ApplyResponse, Object, RegistryOp, object::Object as Inner,
    registry_op,
};
use tonic::Request;

pub(super) async fn apply(
    service: Service,
    request: Request<ApplyRequest>,
) -> Result<ApplyResponse> {
    let identity = Identity::of(&request)?.clone();
    let caller = Caller::of(&request, &request.get_ref().request_id)?;
    let ApplyRequest { object, revision, dry_run, .. } = request.into_inner();
    let mut object = object.unwrap_or_default();
    normalise(&mut object)?;
    let key = key(&object)?;
    require_on(&identity, Permission::RegistryWrite, &key)?;
    if runs_command(&object) {
        require_on(&identity, Permission::McpExec, &key)?;
    }
    let wanted = key.clone();
    let find = move |view: &View<'_>| registry::get(view, GroupId::CONTROL, &wanted, None).ok();
    let before = service.control.read_local(find).await?;
    let apply = ApplyObject { object: Some(object), revision };
    let room = Room::Registry(RegistryOp { op: Some(registry_op::Op::Apply(apply)) });
    let (put, write) = if dry_run {
        (put_reply(service.control.dry_run(caller, room).await?)?, None)
    } else {
        let (result, write) = service.control.write(caller, room).await?;
        let put = put_reply(result)?;
        meet(&service, &key, &put).await?;
        (put, Some(write))
    };
    Ok(ApplyResponse { change: put.change, before, object: put.object, write })
}

/// The same place is the same text, however it was typed; as registering has it.
fn normalise(object: &mut Object) -> Result<()> {
    let url = match object.object.as_mut() {
        Some(Inner::Agent(agent)) => agent.spec.as_mut().map(|spec| &mut spec.url),
        Some(Inner::McpServer(server)) => server.spec.as_mut().map(|spec| &mut spec.url),
        Some(Inner::Tool(_) | Inner::Skill(_)) | None => None,
    };
    if let Some(url) = url.filter(|url| !url.is_empty()) {
        *url = parse_url(url)?.to_string();
    }
    Ok(())
}

/// What the manifest names.
fn key(object: &Object) -> Result<ObjectKey> {
    let (kind, metadata) = match &object.object {
        Some(Inner::Agent(agent)) => (Kind::Agent, agent.metadata.as_ref()),
        Some(Inner::McpServer(server)) => (Kind::McpServer, server.metadata.as_ref()),
        Some(Inner::Tool(_) | Inner::Skill(_)) | None => {
            return Err(Refusal::new(
                Code::InvalidArgument,
                "only agents and servers are declared: tools and skills come with them",
            )
            .hint("declare an object of kind Agent or McpServer"));
        }
    };
    let metadata = metadata.cloned().unwrap_or_default();
    ObjectKey::parse(kind, &metadata.namespace, &metadata.name)
}

fn runs_command(object: &Object) -> bool {
    matches!(&object.object, Some(Inner::McpServer(server))
        if server.spec.as_ref().is_some_and(|spec| !spec.command.is_empty()))
}
