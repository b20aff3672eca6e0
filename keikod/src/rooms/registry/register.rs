//! Registering: ask the endpoint what it is, then propose what it said.
//!
//! The endpoint is asked before anything is proposed, so that what never answered is never
//! registered. A link that this left open is handed to its supervisor.

use super::super::{Caller, control};
use super::link::Link;
use super::read::require_on;
use super::service::Service;
use super::{agents, supervise};
use crate::net::{Identity, Permission};
use crate::store::View;
use keiko_core::id::{GroupId, slug};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::{self, Kind, ObjectKey};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    Change, Grant, McpServer, McpServerSpec, Metadata, Object, ObjectStatus, PutMcpServer, PutMode,
    PutReply, RegisterAgentRequest, RegisterMcpServerRequest, RegisterResponse, RegistryOp,
    WriteInfo, object::Object as Inner, registry_op, registry_reply, reply,
};
use std::time::Duration;
use tonic::Request;

/// What asking an endpoint may take: a cold interpreter needs seconds.
const ASK_DEADLINE: Duration = Duration::from_secs(30);

/// The name that links and logs have until the server said its own.
const NAMELESS: &str = "unnamed";

pub(super) async fn agent(
    service: &Service,
    request: Request<RegisterAgentRequest>,
) -> Result<RegisterResponse> {
    let identity = Identity::of(&request)?.clone();
    let caller = Caller::of(&request, &request.get_ref().request_id)?;
    let asked = request.into_inner();
    let named = named(Kind::Agent, &asked.namespace, &asked.name)?;
    if let Some(key) = &named {
        require_on(&identity, Permission::RegistryWrite, key)?;
    } else {
        let all = crate::net::Resource::All(Kind::Agent.noun());
        identity.require(Permission::RegistryWrite, &all)?;
    }
    let grant = grant_of(&identity);
    let found =
        agents::ask(&service.reach, &asked.url, &asked.headers, grant, ASK_DEADLINE).await?;
    let key = match named {
        Some(key) => key,
        None => own_name(Kind::Agent, &asked.namespace, &found.title)?,
    };
    let put = found.put(&key, asked.labels, PutMode::Register, "");
    let op = RegistryOp { op: Some(registry_op::Op::PutAgent(put)) };
    let (put, write) = propose(service, caller, op).await?;
    response(service, &key, put, write).await
}

pub(super) async fn server(
    service: &Service,
    request: Request<RegisterMcpServerRequest>,
) -> Result<RegisterResponse> {
    let identity = Identity::of(&request)?.clone();
    let caller = Caller::of(&request, &request.get_ref().request_id)?;
    let asked = request.into_inner();
    let named = named(Kind::McpServer, &asked.namespace, &asked.name)?;
    let placeholder = ObjectKey::parse(Kind::McpServer, &asked.namespace, NAMELESS)?;
    let key = named.clone().unwrap_or(placeholder);
    require_on(&identity, Permission::RegistryWrite, &key)?;
    let mut spec = spec_of(&identity, &key, &asked)?;
    if named.is_some() {
        check_name_is_free(service, &key, &spec).await?;
    }
    let link = open(service, &key, &mut spec).await?;
    let inventory = match link.link().inventory(&spec).await {
        Ok(inventory) => inventory,
        Err(refusal) => {
            link.abandon().await;
            return Err(refusal);
        }
    };
    let key = match named {
        Some(key) => key,
        None => match own_name(Kind::McpServer, &asked.namespace, &inventory.spec.server_name) {
            Ok(key) => key,
            Err(refusal) => {
                link.abandon().await;
                return Err(refusal);
            }
        },
    };
    let metadata = Metadata {
        name: key.name.clone(),
        namespace: key.namespace.to_string(),
        labels: asked.labels,
        ..Default::default()
    };
    let server = McpServer {
        metadata: Some(metadata),
        spec: Some(inventory.spec.clone()),
        status: Some(ObjectStatus { conditions: vec![supervise::ready(&inventory)] }),
        ..Default::default()
    };
    let mode = PutMode::Register.into();
    let put =
        PutMcpServer { mode, uid: String::new(), server: Some(server), tools: inventory.tools };
    let op = RegistryOp { op: Some(registry_op::Op::PutMcpServer(put)) };
    if let Opened::Own(link) = link {
        service.fleet.offer(&key, *link);
    }
    match propose(service, caller, op).await {
        Ok((put, write)) => {
            adopt(service, &key, &put);
            response(service, &key, put, write).await
        }
        Err(refusal) => {
            if let Some(link) = service.fleet.take_back(&key) {
                link.close().await;
            }
            Err(refusal)
        }
    }
}

/// A link for asking: the supervised one of the same endpoint, or a new one.
enum Opened {
    Shared(std::sync::Arc<Link>),
    Own(Box<Link>),
}

impl Opened {
    fn link(&self) -> &Link {
        match self {
            Self::Shared(link) => link,
            Self::Own(link) => link,
        }
    }

    async fn abandon(self) {
        if let Self::Own(link) = self {
            link.close().await;
        }
    }
}

async fn open(service: &Service, key: &ObjectKey, spec: &mut McpServerSpec) -> Result<Opened> {
    if let Some(supervised) = service.fleet.server(key)
        && let Some(link) = supervised.link.borrow().clone()
    {
        return Ok(Opened::Shared(link));
    }
    let link = service.reach.find(key, spec, ASK_DEADLINE).await?;
    Ok(Opened::Own(Box::new(link)))
}

fn adopt(service: &Service, key: &ObjectKey, put: &PutReply) {
    if let Some(Object { object: Some(Inner::McpServer(server)) }) = put.object.clone() {
        let uid = server.metadata.as_ref().map(|metadata| metadata.uid.clone()).unwrap_or_default();
        service.fleet.adopt(key, &uid, server);
    }
}

fn spec_of(
    identity: &Identity,
    key: &ObjectKey,
    asked: &RegisterMcpServerRequest,
) -> Result<McpServerSpec> {
    let transport = match (asked.url.is_empty(), asked.command.is_empty()) {
        (false, true) => "http",
        (true, false) => "stdio",
        (true, true) | (false, false) => {
            return Err(Refusal::new(
                Code::InvalidArgument,
                "a server has either a URL or a command",
            )
            .hint("keikoctl mcp register NAME URL")
            .hint("keikoctl mcp register NAME -- COMMAND…"));
        }
    };
    if transport == "stdio" {
        require_on(identity, Permission::McpExec, key)?;
        if asked.name.is_empty() {
            return Err(Refusal::new(Code::InvalidArgument, "a command needs a name")
                .hint("keikoctl mcp register NAME -- COMMAND…"));
        }
    }
    Ok(McpServerSpec {
        transport: transport.to_owned(),
        url: asked.url.clone(),
        command: asked.command.clone(),
        headers: asked.headers.clone(),
        env: asked.env.clone(),
        grant: grant_of(identity),
        ..Default::default()
    })
}

/// Starting a command only to be told that its name is taken would be a waste, and a risk.
async fn check_name_is_free(
    service: &Service,
    key: &ObjectKey,
    spec: &McpServerSpec,
) -> Result<()> {
    let asked = key.clone();
    let read = move |view: &View<'_>| registry::get(view, GroupId::CONTROL, &asked, None).ok();
    let Some(Object { object: Some(Inner::McpServer(known)) }) =
        service.control.read_local(read).await?
    else {
        return Ok(());
    };
    let known = known.spec.unwrap_or_default();
    let bare = spec.url.trim_end_matches('/');
    let same_url = known.url == spec.url || known.url == format!("{bare}/mcp");
    if known.command == spec.command && same_url {
        return Ok(());
    }
    let is = if known.command.is_empty() { known.url } else { format!("{:?}", known.command) };
    Err(Refusal::new(Code::NameTaken, format!("mcp {:?} is another endpoint", key.name))
        .cause(format!("it is registered as {is}"))
        .hint(format!("choose another name, or: keikoctl mcp delete {}", key.name)))
}

async fn propose(
    service: &Service,
    caller: Caller,
    op: RegistryOp,
) -> Result<(PutReply, WriteInfo)> {
    let (result, write) = service.control.write(caller, Room::Registry(op)).await?;
    let reply::Result::Registry(reply) = result else { return Err(control::unexpected()) };
    match reply.reply {
        Some(registry_reply::Reply::Put(put)) => Ok((put, write)),
        Some(registry_reply::Reply::SetCondition(_) | registry_reply::Reply::Delete(_)) | None => {
            Err(control::unexpected())
        }
    }
}

async fn response(
    service: &Service,
    key: &ObjectKey,
    put: PutReply,
    write: WriteInfo,
) -> Result<RegisterResponse> {
    let owner = key.clone();
    let parts = service
        .control
        .read_local(move |view: &View<'_>| registry::tools_of(view, GroupId::CONTROL, &owner))
        .await?;
    let name = |part: &Object| registry::metadata(part).map(|metadata| metadata.name.clone());
    let change = Change::try_from(put.change).unwrap_or_default();
    Ok(RegisterResponse {
        object: put.object,
        change: change.into(),
        provides: parts.iter().filter_map(name).collect(),
        write: Some(write),
    })
}

fn named(kind: Kind, namespace: &str, name: &str) -> Result<Option<ObjectKey>> {
    match name {
        "" => Ok(None),
        name => ObjectKey::parse(kind, namespace, name).map(Some),
    }
}

fn own_name(kind: Kind, namespace: &str, title: &str) -> Result<ObjectKey> {
    match slug(title) {
        Some(name) => ObjectKey::parse(kind, namespace, &name),
        None => Err(Refusal::new(
            Code::InvalidArgument,
            format!("the {kind} calls itself {title:?}, which is no name"),
        )
        .hint(format!("keikoctl {kind} register NAME URL"))),
    }
}

fn grant_of(identity: &Identity) -> Option<Grant> {
    match identity {
        Identity::Socket { node, uid } => Some(Grant { node: node.clone(), uid: Some(*uid) }),
        Identity::Token { .. } => None,
    }
}
