//! From the log's words to the model: every check that needs no state.

use super::model::{
    AdminState, Apply, Delete, Kind, ObjectKey, Op, Place, Put, metadata, status_mut,
};
use super::{condition, declared, depend, health};
use crate::id::{Name, is_part_name};
use crate::limits::{
    COMMAND_BYTES_MAX, COMMAND_WORDS_MAX, CREDENTIAL_NAME_BYTES_MAX, CREDENTIALS_MAX, LABELS_MAX,
    LEASE_GRACE_MS_MAX, LEASE_TTL_MS_MAX, LEASE_TTL_MS_MIN, OBJECT_BYTES_MAX, PARTS_MAX,
    REASON_CHARS_MAX, URL_CHARS_MAX,
};
use crate::refusal::{Code, Refusal, Result, refuse};
use crate::selector::{label_key, label_value};
use keiko_proto::v1::{self as wire, object::Object as Inner, registry_op};
use prost::Message;

const API_VERSION: &str = "keiko/v1";

pub(super) fn parse(op: wire::RegistryOp) -> Result<Op> {
    match op.op {
        Some(registry_op::Op::PutAgent(put)) => parse_agent(put).map(Box::new).map(Op::Put),
        Some(registry_op::Op::PutMcpServer(put)) => parse_server(put).map(Box::new).map(Op::Put),
        Some(registry_op::Op::Apply(apply)) => parse_apply(apply).map(Box::new).map(Op::Apply),
        Some(registry_op::Op::SetHealth(set)) => {
            let health = set.health.unwrap_or_default();
            health::check(&health)?;
            Ok(Op::SetHealth { object: owner_ref(set.object)?, uid: set.uid, health })
        }
        Some(registry_op::Op::SetAdminState(set)) => {
            check_reason(&set.reason)?;
            let state = AdminState::parse(&set.state)?;
            Ok(Op::SetAdminState { object: owner_ref(set.object)?, state, reason: set.reason })
        }
        Some(registry_op::Op::PlaceServer(place)) => parse_place(place).map(Op::Place),
        Some(registry_op::Op::Delete(delete)) => {
            let wire::DeleteObject { object, revision, uid, expired } = delete;
            let object = owner_ref(object)?;
            if expired && uid.is_empty() {
                return refuse(Code::MalformedEntry, "whose lease ended is not said");
            }
            Ok(Op::Delete(Delete { object, revision, uid, expired }))
        }
        Some(registry_op::Op::Rewind(rewind)) => Ok(Op::Rewind(rewind.revision)),
        None => refuse(Code::MalformedEntry, "the registry entry names no op"),
    }
}

fn parse_place(place: wire::PlaceServer) -> Result<Place> {
    let wire::PlaceServer { object, uid, from, to, reason } = place;
    let server = ObjectKey::from_wire(object)?;
    if server.kind != Kind::McpServer {
        return refuse(Code::InvalidArgument, format!("a {} runs on no node", server.kind));
    }
    check_reason(&reason)?;
    Ok(Place { server, uid, from, to: Name::parse("node name", &to)?, reason })
}

fn check_reason(reason: &str) -> Result<()> {
    if reason.chars().count() <= REASON_CHARS_MAX {
        return Ok(());
    }
    refuse(Code::LimitExceeded, format!("a reason has at most {REASON_CHARS_MAX} characters"))
}

/// An agent or a server: parts come and go with them.
fn owner_ref(object: Option<wire::ObjectRef>) -> Result<ObjectKey> {
    let object = ObjectKey::from_wire(object)?;
    if matches!(object.kind, Kind::Tool | Kind::Skill) {
        let owner = object.owner();
        return Err(Refusal::new(
            Code::InvalidArgument,
            format!("a {} goes with its {}", object.kind, owner_word(object.kind)),
        )
        .hint(format!("name the {}: {}", owner_word(object.kind), owner.short())));
    }
    Ok(object)
}

const fn owner_word(kind: Kind) -> &'static str {
    match kind {
        Kind::McpServer | Kind::Tool => "server",
        Kind::Agent | Kind::Skill => "agent",
    }
}

fn parse_apply(apply: wire::ApplyObject) -> Result<Apply> {
    let (key, owner) = match apply.object.and_then(|object| object.object) {
        Some(Inner::Agent(agent)) => {
            let agent = wire::Agent {
                spec: agent.spec.as_ref().map(declared::of_agent),
                status: None,
                ..agent
            };
            let put = wire::PutAgent { agent: Some(agent), ..declared_put() };
            let put = parse_agent(put)?;
            (put.key, put.owner)
        }
        Some(Inner::McpServer(server)) => {
            let server = wire::McpServer {
                spec: server.spec.as_ref().map(declared::of_server),
                status: None,
                ..server
            };
            let mode = wire::PutMode::Register.into();
            let put = wire::PutMcpServer { mode, server: Some(server), ..Default::default() };
            let put = parse_server(put)?;
            (put.key, put.owner)
        }
        Some(Inner::Tool(_) | Inner::Skill(_)) => {
            return Err(Refusal::new(
                Code::InvalidArgument,
                "tools and skills are not declared: they come with their server or agent",
            )
            .hint("declare the McpServer or the Agent"));
        }
        None => return refuse(Code::InvalidArgument, "there is no object"),
    };
    Ok(Apply { key, owner, revision: apply.revision })
}

fn declared_put() -> wire::PutAgent {
    wire::PutAgent { mode: wire::PutMode::Register.into(), ..Default::default() }
}

fn parse_agent(put: wire::PutAgent) -> Result<Put> {
    let mut agent = put.agent.unwrap_or_default();
    let key = owner_key(Kind::Agent, agent.metadata.as_ref())?;
    let spec = agent.spec.get_or_insert_default();
    check_url(&spec.url)?;
    check_credentials(&spec.headers)?;
    depend::check(&key, &mut spec.depends_on)?;
    check_lease(spec.lease.as_ref())?;
    (agent.api_version, agent.kind) = (API_VERSION.to_owned(), Kind::Agent.title().to_owned());
    let skills = put.skills.into_iter().map(|mut skill| {
        let spec = skill.spec.get_or_insert_default();
        spec.agent.clone_from(&key.name);
        let id = spec.skill_id.clone();
        (skill.api_version, skill.kind) = (API_VERSION.to_owned(), Kind::Skill.title().to_owned());
        (id, Inner::Skill(skill))
    });
    let parts = parse_parts(Kind::Skill, &key, skills.collect())?;
    let owner = checked(Inner::Agent(agent))?;
    Ok(Put { refresh_uid: refresh_uid(put.mode, put.uid)?, key, owner, parts })
}

fn parse_server(put: wire::PutMcpServer) -> Result<Put> {
    let mut server = put.server.unwrap_or_default();
    let key = owner_key(Kind::McpServer, server.metadata.as_ref())?;
    let spec = server.spec.get_or_insert_default();
    match spec.transport.as_str() {
        "http" if spec.command.is_empty() => check_url(&spec.url)?,
        "stdio" if spec.url.is_empty() => check_command(&spec.command)?,
        other => {
            return refuse(
                Code::InvalidArgument,
                format!("transport {other:?}: expected http with a URL, or stdio with a command"),
            );
        }
    }
    check_credentials(&spec.headers)?;
    check_credentials(&spec.env)?;
    depend::check(&key, &mut spec.depends_on)?;
    (server.api_version, server.kind) =
        (API_VERSION.to_owned(), Kind::McpServer.title().to_owned());
    let tools = put.tools.into_iter().map(|mut tool| {
        let spec = tool.spec.get_or_insert_default();
        spec.server.clone_from(&key.name);
        let name = spec.tool_name.clone();
        (tool.api_version, tool.kind) = (API_VERSION.to_owned(), Kind::Tool.title().to_owned());
        (name, Inner::Tool(tool))
    });
    let parts = parse_parts(Kind::Tool, &key, tools.collect())?;
    let owner = checked(Inner::McpServer(server))?;
    Ok(Put { refresh_uid: refresh_uid(put.mode, put.uid)?, key, owner, parts })
}

fn check_lease(lease: Option<&wire::Lease>) -> Result<()> {
    let Some(wire::Lease { ttl_ms, grace_ms }) = lease else { return Ok(()) };
    if !(LEASE_TTL_MS_MIN..=LEASE_TTL_MS_MAX).contains(ttl_ms) || *grace_ms > LEASE_GRACE_MS_MAX {
        return refuse(
            Code::InvalidArgument,
            format!(
                "a lease of {ttl_ms} ms and {grace_ms} ms of grace: a lease lasts \
                 {LEASE_TTL_MS_MIN} ms to {LEASE_TTL_MS_MAX} ms, its grace at most \
                 {LEASE_GRACE_MS_MAX} ms"
            ),
        );
    }
    Ok(())
}

fn refresh_uid(mode: i32, uid: String) -> Result<Option<String>> {
    match wire::PutMode::try_from(mode) {
        Ok(wire::PutMode::Register) => Ok(None),
        Ok(wire::PutMode::Refresh) => Ok(Some(uid)),
        Ok(wire::PutMode::Unspecified) | Err(_) => {
            refuse(Code::MalformedEntry, "the entry does not say whether it registers or refreshes")
        }
    }
}

fn owner_key(kind: Kind, metadata: Option<&wire::Metadata>) -> Result<ObjectKey> {
    let missing = || Refusal::new(Code::InvalidArgument, "the object has no metadata");
    let metadata = metadata.ok_or_else(missing)?;
    for map in [&metadata.labels, &metadata.annotations] {
        if map.len() > LABELS_MAX {
            return refuse(Code::LimitExceeded, format!("at most {LABELS_MAX} labels are kept"));
        }
    }
    for (name, value) in &metadata.labels {
        if label_key(name)? != *name || label_value(value)? != *value {
            return refuse(Code::InvalidArgument, format!("label {name:?} has space around it"));
        }
    }
    ObjectKey::parse(kind, &metadata.namespace, &metadata.name)
}

/// Parts by name; their own metadata is made here and nowhere else.
fn parse_parts(
    kind: Kind,
    owner: &ObjectKey,
    parts: Vec<(String, Inner)>,
) -> Result<Vec<(ObjectKey, wire::Object)>> {
    if parts.len() > PARTS_MAX {
        return refuse(
            Code::LimitExceeded,
            format!("{} {}s, at most {PARTS_MAX} are kept", parts.len(), kind),
        );
    }
    let mut parsed = Vec::with_capacity(parts.len());
    for (name, part) in parts {
        if !is_part_name(&name) {
            return refuse(Code::InvalidArgument, format!("{kind} name {name:?} can't be kept"));
        }
        let name = format!("{}.{name}", owner.name);
        let namespace = owner.namespace.clone();
        parsed.push((ObjectKey { kind, namespace, name }, checked(part)?));
    }
    parsed.sort_by(|(left, _), (right, _)| left.cmp(right));
    if let Some(pair) = parsed.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return refuse(Code::InvalidArgument, format!("{kind} {} is there twice", pair[0].0.name));
    }
    Ok(parsed)
}

fn checked(inner: Inner) -> Result<wire::Object> {
    let mut object = wire::Object { object: Some(inner) };
    let status = status_mut(&mut object);
    status.live = None;
    // Decided here, never told.
    status.node.clear();
    status.conditions.retain(|condition| !condition::is_derived(&condition.r#type));
    if let Some(health) = &status.health {
        health::check(health)?;
    }
    check_size(&object)?;
    Ok(object)
}

/// Refuses an object that is too large to be kept: as it comes, and again with what is kept of it.
pub(super) fn check_size(object: &wire::Object) -> Result<()> {
    let bytes = object.encoded_len();
    if bytes > OBJECT_BYTES_MAX {
        let name = metadata(object).map(|metadata| metadata.name.clone()).unwrap_or_default();
        return refuse(
            Code::LimitExceeded,
            format!("object {name:?} has {bytes} bytes, at most {OBJECT_BYTES_MAX}"),
        );
    }
    Ok(())
}

fn check_url(url: &str) -> Result<()> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let authority = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    if authority.is_some_and(|authority| authority.contains('@')) {
        return Err(Refusal::new(Code::InvalidArgument, "a URL carries no user and no password")
            .hint("name a credential of the node: --header Authorization=@CRED"));
    }
    let scheme_fits = rest.is_some();
    let text_fits = url.len() <= URL_CHARS_MAX && url.bytes().all(|byte| byte.is_ascii_graphic());
    if scheme_fits && text_fits {
        return Ok(());
    }
    refuse(Code::InvalidArgument, format!("{url:?} is not an http or https URL"))
}

fn check_command(command: &[String]) -> Result<()> {
    let first_is_absolute = command.first().is_some_and(|word| word.starts_with('/'));
    let bytes: usize = command.iter().map(|word| word.len() + 1).sum();
    let words_fit = command.len() <= COMMAND_WORDS_MAX
        && bytes <= COMMAND_BYTES_MAX
        && !command.iter().any(|word| word.contains('\0'));
    if first_is_absolute && words_fit {
        return Ok(());
    }
    Err(Refusal::new(Code::InvalidArgument, "the command is not an absolute path with arguments")
        .hint(
            "keikoctl resolves the first word on your PATH: keikoctl mcp register NAME -- COMMAND",
        ))
}

/// No folder, nothing hidden, nothing unprintable; the same rule as where the file is opened.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= CREDENTIAL_NAME_BYTES_MAX
        && !text.starts_with('.')
        && !text.contains(|c: char| c == '/' || c == '\\' || c.is_control())
}

fn check_credentials(refs: &[wire::CredentialRef]) -> Result<()> {
    if refs.len() > CREDENTIALS_MAX {
        return refuse(Code::LimitExceeded, format!("at most {CREDENTIALS_MAX} credentials"));
    }
    for wire::CredentialRef { name, credential } in refs {
        if !is_plain(name) || !is_plain(credential) {
            return Err(Refusal::new(
                Code::CredentialRefused,
                format!("{credential:?} does not name a credential"),
            )
            .hint("give the plain name of a file in the node's credentials folder"));
        }
    }
    Ok(())
}
