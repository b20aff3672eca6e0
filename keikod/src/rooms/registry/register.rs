//! Registering: ask the endpoint what it is, then propose what it said.
//!
//! The endpoint is asked before anything is proposed, so that what never answered is never
//! registered. A link that this left open is handed to its supervisor. A dry run asks all the same,
//! lets the law decide, and keeps nothing.

use super::super::Caller;
use super::agents::{self, Found};
use super::endpoint::{
    ASK_DEADLINE, NAMELESS, Opened, check_agent_name, check_server_name, forget_home, grant_of,
    named, open, open_new, own_name, spec_of,
};
use super::link::Inventory;
use super::live::Readiness;
use super::place;
use super::prober::Look;
use super::put::put_reply;
use super::read::require_on;
use super::ready::offered;
use super::service::Service;
use crate::net::{Identity, Permission, Resource};
use crate::outbound::http::parse_url;
use crate::store::View;
use keiko_core::id::GroupId;
use keiko_core::limits::{LEASE_GRACE_MS_MAX, LEASE_TTL_MS_MAX, LEASE_TTL_MS_MIN};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::health::{Seen, Tracker};
use keiko_core::registry::{self, Kind, ObjectKey};
use keiko_core::store::Store;
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    AgentSpec, Change, Health, Lease, McpServer, McpServerSpec, Metadata, Object, ObjectStatus,
    PutMcpServer, PutMode, PutReply, RegisterAgentRequest, RegisterMcpServerRequest,
    RegisterResponse, RegistryOp, WriteInfo, registry_op,
};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tonic::Request;

/// How long an entry stays without calls behind its lease, if nobody says otherwise.
const LEASE_GRACE_MS: u64 = 60_000;

pub(super) async fn agent(
    service: Service,
    request: Request<RegisterAgentRequest>,
) -> Result<RegisterResponse> {
    let identity = Identity::of(&request)?.clone();
    let caller = Caller::of(&request, &request.get_ref().request_id)?;
    let asked = request.into_inner();
    let named = named(Kind::Agent, &asked.namespace, &asked.name)?;
    require_write(&identity, Kind::Agent, named.as_ref())?;
    let given = AgentSpec {
        url: parse_url(&asked.url)?.to_string(),
        headers: asked.headers,
        grant: grant_of(&identity),
        depends_on: asked.depends_on,
        lease: lease(asked.lease_ttl_ms, asked.lease_grace_ms)?,
        ..Default::default()
    };
    let known = match &named {
        Some(key) => check_agent_name(&service, key, &given.url).await?,
        None => None,
    };
    // Kept as it was typed by an older release: the same place, and the same endpoint.
    let given = AgentSpec { url: known.unwrap_or(given.url), ..given };
    // Who has a token only may have an agent's card fetched, and nothing else be tried.
    let card_only = identity.socket_uid().is_none();
    let begun = Instant::now();
    let mut found = agents::ask(&service.reach, given, card_only, ASK_DEADLINE).await?;
    found.check_signature()?;
    let key = match named {
        Some(key) => key,
        None => agent_of_own_name(&service, &asked.namespace, &mut found).await?,
    };
    let seen = (found.seen(), begun.elapsed(), found.reasons.clone());
    let health = health(&service, &key, seen, found.spec.lease.is_some(), asked.dry_run);
    let offers = found.skills.iter().filter_map(|skill| skill.spec.as_ref());
    let offers = offers.map(|spec| spec.skill_id.clone()).collect();
    let metadata = metadata(&key, asked.labels, asked.annotations);
    let put = found.put(metadata, Some(health), PutMode::Register, "");
    let op = RegistryOp { op: Some(registry_op::Op::PutAgent(put)) };
    if asked.dry_run {
        return rehearse(&service, &key, caller, op, offers).await;
    }
    let (put, write) = propose(&service, caller, op).await?;
    if meet(&service, &key, &put.uid).await? {
        // As good as a heartbeat: the lease begins anew, and what it said before no longer counts.
        service.feed.caught_up().await;
        service.feed.soft().beat(&key, Readiness::Ready, "", None);
    }
    response(&service, &key, put, write).await
}

/// The name that an agent has for itself: it may be another's, and what was just seen says nothing
/// of that one's health.
async fn agent_of_own_name(
    service: &Service,
    namespace: &str,
    found: &mut Found,
) -> Result<ObjectKey> {
    let key = own_name(Kind::Agent, namespace, &found.title)?;
    if let Some(known) = check_agent_name(service, &key, &found.spec.url).await? {
        found.spec.url = known;
    }
    Ok(key)
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
    let spec = spec_of(&identity, &asked_key, &asked)?;
    let (runs_command, dry_run) = (!spec.command.is_empty(), asked.dry_run);
    // Boxed: what asking holds would make the future of every other call as large.
    let registered = Box::pin(ask_and_put(&service, caller, asked, named, spec)).await;
    if runs_command && (dry_run || registered.is_err()) {
        forget_home(&service, &asked_key).await;
    }
    registered
}

async fn ask_and_put(
    service: &Service,
    caller: Caller,
    asked: RegisterMcpServerRequest,
    named: Option<ObjectKey>,
    mut spec: McpServerSpec,
) -> Result<RegisterResponse> {
    let begun = Instant::now();
    let link = match &named {
        Some(key) => {
            check_server_name(service, key, &spec).await?;
            open(service, key, &mut spec).await?
        }
        None => {
            let unnamed = ObjectKey::parse(Kind::McpServer, &asked.namespace, NAMELESS)?;
            open_new(service, &unnamed, &mut spec).await?
        }
    };
    let asked_for = async {
        let inventory = link.link().inventory(&spec).await?;
        if let Some(key) = named {
            return Ok::<_, Refusal>((inventory, key));
        }
        // As with agents: what it calls itself may be another's name.
        let key = own_name(Kind::McpServer, &asked.namespace, &inventory.spec.server_name)?;
        check_server_name(service, &key, &inventory.spec).await?;
        Ok((inventory, key))
    };
    let (inventory, key) = match asked_for.await {
        Ok(found) => found,
        Err(refusal) => {
            link.abandon().await;
            return Err(refusal);
        }
    };
    let reasons = inventory.reasons.clone();
    let seen = (offered("tools", inventory.left_out, &reasons), begun.elapsed(), reasons);
    let health = health(service, &key, seen, false, asked.dry_run);
    let metadata = metadata(&key, asked.labels, asked.annotations);
    if asked.dry_run {
        link.abandon().await;
        let offers = inventory.tools.iter().filter_map(|tool| tool.spec.as_ref());
        let offers = offers.map(|spec| spec.tool_name.clone()).collect();
        let op = put_server(metadata, inventory, health);
        return rehearse(service, &key, caller, op, offers).await;
    }
    let spec = inventory.spec.clone();
    if let Opened::Own(link) = link
        && let Some(displaced) = service.fleet.offer(&key, &spec, *link)
    {
        displaced.close().await;
    }
    let proposed = propose(service, caller, put_server(metadata, inventory, health)).await;
    let met = match &proposed {
        Ok((put, _)) => meet(service, &key, &put.uid).await,
        Err(_) => Ok(false),
    };
    // Refused, or the same entry was renewed and has its own link, or waits until it tries again.
    if let Some(link) = service.fleet.take_back(&key, &spec) {
        link.close().await;
        if let Some(known) = service.fleet.server(&key)
            && known.link.borrow().is_none()
        {
            known.prober.nudge();
        }
    }
    let (put, write) = proposed?;
    met?;
    response(service, &key, put, write).await
}

fn metadata(
    key: &ObjectKey,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
) -> Metadata {
    Metadata {
        name: key.name.clone(),
        namespace: key.namespace.to_string(),
        labels,
        annotations,
        ..Default::default()
    }
}

fn put_server(metadata: Metadata, inventory: Inventory, health: Health) -> RegistryOp {
    let server = McpServer {
        metadata: Some(metadata),
        spec: Some(inventory.spec),
        status: Some(ObjectStatus { health: Some(health), ..Default::default() }),
        ..Default::default()
    };
    let mode = PutMode::Register.into();
    let (uid, server) = (String::new(), Some(server));
    let put = PutMcpServer { mode, uid, server, tools: inventory.tools };
    RegistryOp { op: Some(registry_op::Op::PutMcpServer(put)) }
}

/// The health of what just answered. Who is known here and flaps is held back all the same; a new
/// registration of who sends heartbeats begins anew.
fn health(
    service: &Service,
    key: &ObjectKey,
    (seen, took, left_out): (Seen, Duration, Vec<String>),
    beats: bool,
    dry_run: bool,
) -> Health {
    match service.fleet.prober(key) {
        Some(prober) if !beats && !dry_run => {
            prober.saw(seen, Look { took, left_out, ..Look::default() }, Duration::ZERO);
            prober.done();
            prober.health()
        }
        Some(_) | None => {
            let mut tracker = Tracker::new(0);
            tracker.see(0, seen);
            tracker.health()
        }
    }
}

/// How long an agent that sends heartbeats is believed without one.
fn lease(ttl_ms: u64, grace_ms: u64) -> Result<Option<Lease>> {
    if ttl_ms == 0 {
        if grace_ms == 0 {
            return Ok(None);
        }
        return Err(Refusal::new(Code::InvalidArgument, "a grace without a lease means nothing")
            .hint("give the lease too, as in --lease 30s"));
    }
    if !(LEASE_TTL_MS_MIN..=LEASE_TTL_MS_MAX).contains(&ttl_ms) {
        return Err(Refusal::new(
            Code::InvalidArgument,
            format!("a lease of {ttl_ms} ms: it lasts {LEASE_TTL_MS_MIN} to {LEASE_TTL_MS_MAX} ms"),
        ));
    }
    if grace_ms > LEASE_GRACE_MS_MAX {
        return Err(Refusal::new(
            Code::InvalidArgument,
            format!("a grace of {grace_ms} ms: it lasts {LEASE_GRACE_MS_MAX} ms at most"),
        ));
    }
    let grace_ms = if grace_ms == 0 { LEASE_GRACE_MS } else { grace_ms };
    Ok(Some(Lease { ttl_ms, grace_ms }))
}

/// What registering would do. Nothing is kept.
async fn rehearse(
    service: &Service,
    key: &ObjectKey,
    caller: Caller,
    op: RegistryOp,
    offers: Vec<String>,
) -> Result<RegisterResponse> {
    let wanted = key.clone();
    let query = move |state: &dyn Store, revision| {
        registry::written(state, GroupId::CONTROL, &wanted, revision).ok()
    };
    let room = Room::Registry(op);
    let (result, object) = service.control.dry_run_then(caller, room, query).await?;
    let provides = offers.iter().map(|part| format!("{}.{part}", key.name)).collect();
    let change = put_reply(result)?.change;
    Ok(RegisterResponse { object, change, provides, write: None })
}

/// Starts the supervisor of what was registered, unless the journal was faster. The reply may be
/// an old one, of a request that was sent again: then the entry as it is now decides. False if it
/// is gone.
pub(super) async fn meet(service: &Service, key: &ObjectKey, uid: &str) -> Result<bool> {
    let Some(mut object) = find(service, key, uid).await? else { return Ok(false) };
    if place::settle(service, key, &object).await {
        let Some(placed) = find(service, key, uid).await? else { return Ok(false) };
        object = placed;
    }
    service.fleet.meet(&object);
    Ok(true)
}

/// The entry as it is now, if it is still this life of it.
async fn find(service: &Service, key: &ObjectKey, uid: &str) -> Result<Option<Object>> {
    let wanted = key.clone();
    let query = move |view: &View<'_>| registry::get(view, GroupId::CONTROL, &wanted, None);
    let found = service.control.read_local(query).await?.ok();
    Ok(found.filter(|object| registry::metadata(object).is_some_and(|known| known.uid == uid)))
}

fn require_write(identity: &Identity, kind: Kind, named: Option<&ObjectKey>) -> Result<()> {
    match named {
        Some(key) => require_on(identity, Permission::RegistryWrite, key),
        None => identity.require(Permission::RegistryWrite, &Resource::All(kind.noun())),
    }
}

async fn propose(
    service: &Service,
    caller: Caller,
    op: RegistryOp,
) -> Result<(PutReply, WriteInfo)> {
    let (result, write) = service.control.write(caller, Room::Registry(op)).await?;
    Ok((put_reply(result)?, write))
}

async fn response(
    service: &Service,
    key: &ObjectKey,
    put: PutReply,
    write: WriteInfo,
) -> Result<RegisterResponse> {
    let (owner, revision) = (key.clone(), write.revision);
    let query = move |view: &View<'_>| {
        let object = registry::written(view, GroupId::CONTROL, &owner, revision).ok();
        (object, registry::parts(view, GroupId::CONTROL, &owner))
    };
    let (object, parts) = service.control.read_local(query).await?;
    let name = |part: &Object| registry::metadata(part).map(|metadata| metadata.name.clone());
    let change = Change::try_from(put.change).unwrap_or_default();
    Ok(RegisterResponse {
        object,
        change: change.into(),
        provides: parts.iter().filter_map(name).collect(),
        write: Some(write),
    })
}
