//! Registering: ask the endpoint what it is, then propose what it said.
//!
//! The endpoint is asked before anything is proposed, so that what never answered is never
//! registered. A link that this left open is handed to its supervisor.

use super::super::{Caller, control};
use super::agents;
use super::driver::leads_alike;
use super::link::{Inventory, Link};
use super::read::require_on;
use super::ready::linked;
use super::service::Service;
use crate::net::{Identity, Permission, Resource};
use crate::outbound::http::parse_url;
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
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tonic::Request;

/// What asking an endpoint may take: a cold interpreter needs seconds.
const ASK_DEADLINE: Duration = Duration::from_secs(30);

/// The name that links and logs have until the server said its own.
const NAMELESS: &str = "unnamed";

pub(super) async fn agent(
    service: Service,
    request: Request<RegisterAgentRequest>,
) -> Result<RegisterResponse> {
    let identity = Identity::of(&request)?.clone();
    let caller = Caller::of(&request, &request.get_ref().request_id)?;
    let asked = request.into_inner();
    let named = named(Kind::Agent, &asked.namespace, &asked.name)?;
    require_write(&identity, Kind::Agent, named.as_ref())?;
    if let Some(key) = &named {
        check_agent_name(&service, key, &asked.url).await?;
    }
    let question = agents::Question {
        url: asked.url,
        headers: asked.headers,
        grant: grant_of(&identity),
        // Who has a token only may have an agent's card fetched, and nothing else be tried.
        card_only: identity.socket_uid().is_none(),
    };
    let found = agents::ask(&service.reach, question, ASK_DEADLINE).await?;
    let key = match named {
        Some(key) => key,
        None => own_name(Kind::Agent, &asked.namespace, &found.title)?,
    };
    let put = found.put(&key, asked.labels, PutMode::Register, "");
    let op = RegistryOp { op: Some(registry_op::Op::PutAgent(put)) };
    let (put, write) = propose(&service, caller, op).await?;
    meet(&service, &key, &put).await?;
    response(&service, &key, put, write).await
}

pub(super) async fn server(
    service: Service,
    request: Request<RegisterMcpServerRequest>,
) -> Result<RegisterResponse> {
    let identity = Identity::of(&request)?.clone();
    let caller = Caller::of(&request, &request.get_ref().request_id)?;
    let asked = request.into_inner();
    let named = named(Kind::McpServer, &asked.namespace, &asked.name)?;
    require_write(&identity, Kind::McpServer, named.as_ref())?;
    let placeholder = ObjectKey::parse(Kind::McpServer, &asked.namespace, NAMELESS)?;
    let asked_key = named.clone().unwrap_or(placeholder);
    let mut spec = spec_of(&identity, &asked_key, &asked)?;
    let link = match &named {
        Some(key) => {
            check_server_name(&service, key, &spec).await?;
            open(&service, key, &mut spec).await?
        }
        None => open_new(&service, &asked_key, &mut spec).await?,
    };
    let asked_for = async {
        let inventory = link.link().inventory(&spec).await?;
        let key = match named {
            Some(key) => key,
            None => own_name(Kind::McpServer, &asked.namespace, &inventory.spec.server_name)?,
        };
        Ok((inventory, key))
    };
    let (inventory, key) = match asked_for.await {
        Ok(found) => found,
        Err(refusal) => {
            link.abandon().await;
            return Err(refusal);
        }
    };
    let spec = inventory.spec.clone();
    if let Opened::Own(link) = link
        && let Some(displaced) = service.fleet.offer(&key, &spec, *link)
    {
        displaced.close().await;
    }
    let op =
        RegistryOp { op: Some(registry_op::Op::PutMcpServer(put(&key, asked.labels, inventory))) };
    let proposed = propose(&service, caller, op).await;
    if let Ok((put, _)) = &proposed {
        meet(&service, &key, put).await?;
    }
    // Refused, or the same entry was renewed and its own link lives.
    if let Some(link) = service.fleet.take_back(&key, &spec) {
        link.close().await;
    }
    let (put, write) = proposed?;
    response(&service, &key, put, write).await
}

fn put(key: &ObjectKey, labels: BTreeMap<String, String>, inventory: Inventory) -> PutMcpServer {
    let metadata = Metadata {
        name: key.name.clone(),
        namespace: key.namespace.to_string(),
        labels,
        ..Default::default()
    };
    let server = McpServer {
        metadata: Some(metadata),
        spec: Some(inventory.spec.clone()),
        status: Some(ObjectStatus { conditions: vec![linked(&inventory)] }),
        ..Default::default()
    };
    let mode = PutMode::Register.into();
    PutMcpServer { mode, uid: String::new(), server: Some(server), tools: inventory.tools }
}

/// Starts the supervisor of what was registered, unless the journal was faster. The reply may be
/// an old one, of a request that was sent again: then the entry as it is now decides.
async fn meet(service: &Service, key: &ObjectKey, put: &PutReply) -> Result<()> {
    let Some(uid) = put.object.as_ref().and_then(registry::metadata).map(|data| data.uid.clone())
    else {
        return Ok(());
    };
    let wanted = key.clone();
    let query = move |view: &View<'_>| registry::get(view, GroupId::CONTROL, &wanted, None);
    if let Ok(object) = service.control.read_local(query).await?
        && registry::metadata(&object).is_some_and(|metadata| metadata.uid == uid)
    {
        service.fleet.meet(object);
    }
    Ok(())
}

fn require_write(identity: &Identity, kind: Kind, named: Option<&ObjectKey>) -> Result<()> {
    match named {
        Some(key) => require_on(identity, Permission::RegistryWrite, key),
        None => identity.require(Permission::RegistryWrite, &Resource::All(kind.noun())),
    }
}

/// A link for asking: the supervised one of the same endpoint, or a new one.
enum Opened {
    Shared(Arc<Link>),
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

/// A link to what may be there already: then its own link is asked, and nothing is started twice.
async fn open(service: &Service, key: &ObjectKey, spec: &mut McpServerSpec) -> Result<Opened> {
    if let Some(supervised) = service.fleet.server(key) {
        let known = &supervised.spec;
        if is_same_place(&known.url, &spec.url) {
            spec.url.clone_from(&known.url);
        }
        let same_command = !spec.command.is_empty() && known.command == spec.command;
        if (same_command || leads_alike(known, spec))
            && let Some(link) = supervised.link.borrow().clone()
        {
            return Ok(Opened::Shared(link));
        }
    }
    open_new(service, key, spec).await
}

async fn open_new(service: &Service, key: &ObjectKey, spec: &mut McpServerSpec) -> Result<Opened> {
    let link = service.reach.find(key, spec, ASK_DEADLINE).await?;
    Ok(Opened::Own(Box::new(link)))
}

/// True if `asked` is where the server is, or the address below which it answers.
fn is_same_place(known: &str, asked: &str) -> bool {
    let (Ok(known), Ok(asked)) = (parse_url(known), parse_url(asked)) else { return false };
    let below = format!("{}/mcp", asked.as_str().trim_end_matches('/'));
    known == asked || known.as_str() == below
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
async fn check_server_name(service: &Service, key: &ObjectKey, spec: &McpServerSpec) -> Result<()> {
    let Some(Inner::McpServer(known)) = find(service, key).await? else { return Ok(()) };
    let known = known.spec.unwrap_or_default();
    let same_url = known.url == spec.url || is_same_place(&known.url, &spec.url);
    if known.command == spec.command && same_url {
        return Ok(());
    }
    let is = if known.command.is_empty() { known.url } else { format!("{:?}", known.command) };
    Err(taken(key, &is))
}

/// Nor is anything fetched for a name that is another agent's.
async fn check_agent_name(service: &Service, key: &ObjectKey, url: &str) -> Result<()> {
    let Some(Inner::Agent(known)) = find(service, key).await? else { return Ok(()) };
    let known = known.spec.unwrap_or_default();
    if known.url == url { Ok(()) } else { Err(taken(key, &known.url)) }
}

async fn find(service: &Service, key: &ObjectKey) -> Result<Option<Inner>> {
    let key = key.clone();
    let query = move |view: &View<'_>| registry::get(view, GroupId::CONTROL, &key, None).ok();
    Ok(service.control.read_local(query).await?.and_then(|object| object.object))
}

fn taken(key: &ObjectKey, is: &str) -> Refusal {
    let ObjectKey { kind, name, .. } = key;
    Refusal::new(Code::NameTaken, format!("{kind} {name:?} is another endpoint"))
        .cause(format!("it is registered as {is}"))
        .hint(format!("choose another name, or: keikoctl {kind} delete {name}"))
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
        .read_local(move |view: &View<'_>| registry::parts(view, GroupId::CONTROL, &owner))
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
