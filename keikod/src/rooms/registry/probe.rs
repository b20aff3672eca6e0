//! Probe: looks at a registered agent or server now, or once at any endpoint.
//!
//! A registered one is looked at by its own prober, so that there is one look at a time and its
//! health hears of it; by the node that tells of it, if that is another one. Of an endpoint that is
//! not registered nothing is kept, and no credential is sent to it.

use super::super::Control;
use super::agents;
use super::endpoint::{ASK_DEADLINE, NAMELESS};
use super::forward::{PROBE, To, forward};
use super::home::Home;
use super::millis;
use super::read::require_on;
use super::ready::{class_of, offered};
use super::service::Service;
use crate::net::{Identity, Permission, Resource};
use crate::outbound::http::parse_url;
use crate::store::View;
use keiko_core::cluster;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::health::{FailureClass, Seen};
use keiko_core::registry::{self, AdminState, Kind, ObjectKey};
use keiko_proto::v1::{
    AgentSpec, McpServerSpec, Object, ProbeRequest, ProbeResponse, object::Object as Inner,
};
use std::time::{Duration, Instant};

const TIMEOUT_MAX: Duration = Duration::from_secs(120);

/// Who asks again within a second is told what was just found.
const FRESH: Duration = Duration::from_secs(1);

/// What the answer of another node may take beyond its look.
const WAY_BACK: Duration = Duration::from_secs(1);

pub(super) async fn probe(
    service: Service,
    caller: Identity,
    asked: ProbeRequest,
) -> Result<ProbeResponse> {
    let kind = Kind::parse(asked.kind)?;
    if !matches!(kind, Kind::Agent | Kind::McpServer) {
        return Err(Refusal::new(
            Code::InvalidArgument,
            format!("a {kind} is not probed by itself"),
        )
        .hint("probe the agent or the mcp server that offers it"));
    }
    let timeout = match asked.timeout_ms {
        0 => ASK_DEADLINE,
        ms => Duration::from_millis(ms).min(TIMEOUT_MAX),
    };
    match (asked.name.as_str(), asked.url.as_str()) {
        (name, "") if !name.is_empty() => {
            let key = ObjectKey::parse(kind, &asked.namespace, name)?;
            require_on(&caller, Permission::RegistryRead, &key)?;
            let object = read(&service, &key).await?;
            match elsewhere(&service, &caller, &object, &asked, timeout).await {
                Some(answer) => answer,
                None => by_name(&service, &key, object, timeout).await,
            }
        }
        ("", url) if !url.is_empty() => {
            caller.require(Permission::RegistryWrite, &Resource::All(kind.noun()))?;
            by_url(&service, &caller, kind, url, timeout).await
        }
        _ => Err(Refusal::new(Code::InvalidArgument, "a probe has either a name or a URL")
            .hint(format!("keikoctl {kind} probe NAME, or: keikoctl {kind} probe URL"))),
    }
}

/// What the node answers that tells of the entry, unless that is this one, or was asked by another.
/// A command is looked at by the node that runs it; for everything else this node will do.
async fn elsewhere(
    service: &Service,
    caller: &Identity,
    object: &Object,
    asked: &ProbeRequest,
    timeout: Duration,
) -> Option<Result<ProbeResponse>> {
    if caller.is_remote() {
        return None;
    }
    let (own, home) = (service.control.node(), Home::of(object));
    let hosted = matches!(home, Home::Hosted(_));
    let node = match home.node() {
        Some(node) => node.to_string(),
        None => leader(&service.control).await?,
    };
    let peers = service.fleet.peers();
    if node == own || (!hosted && peers.is_down(&node)) {
        return None;
    }
    let deadline = tokio::time::Instant::now() + timeout + WAY_BACK;
    let to = To { node: &node, method: PROBE, caller, trace: None, deadline };
    match forward(peers, &to, asked).await {
        Ok(answer) => Some(Ok(answer)),
        Err(error) if error.surely_not_run && !hosted => None,
        Err(error) => Some(Err(error.refusal)),
    }
}

/// The name of the node that leads, as far as this one knows.
async fn leader(control: &Control) -> Option<String> {
    let id = control.group().ok()?.leader()?;
    let query = move |view: &View<'_>| cluster::node(view, GroupId::CONTROL, id);
    Some(control.read_local(query).await.ok()??.name)
}

async fn by_name(
    service: &Service,
    key: &ObjectKey,
    object: Object,
    timeout: Duration,
) -> Result<ProbeResponse> {
    let status = registry::status(&object).cloned().unwrap_or_default();
    let suspended = AdminState::Suspended.as_str();
    if key.kind == Kind::McpServer && status.admin_state == suspended {
        return Err(Refusal::new(Code::Suspended, format!("{} is suspended", key.subject()))
            .hint(format!("keikoctl {} resume {}", key.kind, key.typed())));
    }
    let prober = service.fleet.prober(key).ok_or_else(|| {
        let message = format!("this node does not probe {}", key.subject());
        let refusal = Refusal::new(Code::NotReadyEntry, message);
        match Home::of(&object).elsewhere(service.control.node()) {
            Some(node) => refusal.cause(format!("node {node} runs it")),
            None => refusal,
        }
    })?;
    let look = prober.look(FRESH, timeout).await?;
    let object = read(service, key).await?;
    let parts = key.clone();
    let parts = move |view: &View<'_>| registry::parts(view, GroupId::CONTROL, &parts);
    let parts = service.control.read_local(parts).await?;
    let own = |part: &Object| {
        let name = registry::metadata(part)?.name.clone();
        name.split_once('.').map(|(_, own)| own.to_owned())
    };
    let health = prober.health();
    let response = ProbeResponse {
        ok: look.refusal.is_none() && health.failure_class.is_empty(),
        failure_class: health.failure_class,
        provides: parts.iter().filter_map(own).collect(),
        left_out: look.left_out,
        latency_ms: millis(look.took),
        health: registry::status(&object).and_then(|status| status.health.clone()),
        ..describe(&object)
    };
    Ok(match look.refusal {
        None => response,
        Some(refusal) => ProbeResponse {
            failure_class: text_of(look.class),
            refusal: Some(refusal.to_wire()),
            ..response
        },
    })
}

fn text_of(class: Option<FailureClass>) -> String {
    class.map(FailureClass::as_str).unwrap_or_default().to_owned()
}

/// What it says of itself, as the entry has it.
fn describe(object: &Object) -> ProbeResponse {
    match &object.object {
        Some(Inner::Agent(agent)) => of_agent(agent.spec.as_ref()),
        Some(Inner::McpServer(server)) => of_server(server.spec.as_ref()),
        Some(Inner::Tool(_) | Inner::Skill(_)) | None => ProbeResponse::default(),
    }
}

fn of_agent(spec: Option<&AgentSpec>) -> ProbeResponse {
    let spec = spec.cloned().unwrap_or_default();
    ProbeResponse {
        protocol_version: spec.protocol_version,
        title: spec.title,
        version: spec.version,
        ..Default::default()
    }
}

fn of_server(spec: Option<&McpServerSpec>) -> ProbeResponse {
    let spec = spec.cloned().unwrap_or_default();
    ProbeResponse {
        protocol_version: spec.protocol_version,
        title: if spec.title.is_empty() { spec.server_name } else { spec.title },
        version: spec.version,
        ..Default::default()
    }
}

async fn by_url(
    service: &Service,
    caller: &Identity,
    kind: Kind,
    url: &str,
    timeout: Duration,
) -> Result<ProbeResponse> {
    let url = parse_url(url)?.to_string();
    let begun = Instant::now();
    let asked = match kind {
        Kind::Agent | Kind::Skill => {
            let given = AgentSpec { url, ..Default::default() };
            // As with registering: by token a card is fetched, and nothing else is tried.
            agent(service, given, caller.socket_uid().is_none(), timeout).await
        }
        Kind::McpServer | Kind::Tool => server(service, url, timeout).await,
    };
    let latency_ms = millis(begun.elapsed());
    Ok(match asked {
        Ok((seen, response)) => {
            let failure_class = text_of(class_of(&seen));
            ProbeResponse { ok: seen == Seen::Well, failure_class, latency_ms, ..response }
        }
        Err(refusal) => ProbeResponse {
            failure_class: text_of(Some(FailureClass::of(&refusal))),
            refusal: Some(refusal.to_wire()),
            latency_ms,
            ..Default::default()
        },
    })
}

async fn agent(
    service: &Service,
    given: AgentSpec,
    card_only: bool,
    timeout: Duration,
) -> Result<(Seen, ProbeResponse)> {
    let found = agents::ask(&service.reach, given, card_only, timeout).await?;
    let specs = found.skills.iter().filter_map(|skill| skill.spec.as_ref());
    let provides = specs.map(|spec| spec.skill_id.clone()).collect();
    let left_out = found.reasons.clone();
    Ok((found.seen(), ProbeResponse { provides, left_out, ..of_agent(Some(&found.spec)) }))
}

async fn server(
    service: &Service,
    url: String,
    timeout: Duration,
) -> Result<(Seen, ProbeResponse)> {
    let key = ObjectKey::parse(Kind::McpServer, "", NAMELESS)?;
    let transport = "http".to_owned();
    let mut spec = McpServerSpec { transport, url, ..Default::default() };
    let deadline = tokio::time::Instant::now() + timeout;
    let link = service.reach.find(&key, &mut spec, timeout).await?;
    let listed = tokio::time::timeout_at(deadline, link.inventory(&spec)).await;
    // Who asks need not wait until the server has taken leave; that ends in bounded time.
    tokio::spawn(async move { link.close().await });
    let inventory = listed.unwrap_or_else(|_| {
        let message = format!("it did not list its tools within {} ms", millis(timeout));
        Err(Refusal::new(Code::PeerTimeout, message).hint("ask again with a longer --timeout"))
    })?;
    let specs = inventory.tools.iter().filter_map(|tool| tool.spec.as_ref());
    let provides = specs.map(|spec| spec.tool_name.clone()).collect();
    let seen = offered("tools", inventory.left_out, &inventory.reasons);
    let left_out = inventory.reasons;
    Ok((seen, ProbeResponse { provides, left_out, ..of_server(Some(&inventory.spec)) }))
}

async fn read(service: &Service, key: &ObjectKey) -> Result<Object> {
    let key = key.clone();
    let query = move |view: &View<'_>| registry::get(view, GroupId::CONTROL, &key, None);
    service.control.read_local(query).await?
}
