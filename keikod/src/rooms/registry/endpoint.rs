//! The endpoint that somebody registers: what it may be called, and a link to ask it over.
//!
//! Invariant: for a name that is another endpoint's nothing is started and nothing fetched.

use super::driver::leads_alike;
use super::link::Link;
use super::read::require_on;
use super::service::Service;
use crate::net::{Identity, Permission};
use crate::outbound::http::parse_url;
use crate::outbound::words;
use crate::store::View;
use keiko_core::id::{GroupId, slug};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::{self, Kind, ObjectKey};
use keiko_proto::v1::{Grant, McpServerSpec, RegisterMcpServerRequest, object::Object as Inner};
use std::sync::Arc;
use std::time::Duration;

/// What asking an endpoint may take: a cold interpreter needs seconds.
pub(super) const ASK_DEADLINE: Duration = Duration::from_secs(30);

/// The name of what has none, or has not said it yet.
pub(super) const NAMELESS: &str = "unnamed";

/// As much of a name as a refusal repeats: the longest that is one.
const NAME_CHARS_SHOWN: usize = 64;

/// A link for asking: the supervised one of the same endpoint, or a new one.
pub(super) enum Opened {
    Shared(Arc<Link>),
    Own(Box<Link>),
}

impl Opened {
    pub(super) fn link(&self) -> &Link {
        match self {
            Self::Shared(link) => link,
            Self::Own(link) => link,
        }
    }

    pub(super) async fn abandon(self) {
        if let Self::Own(link) = self {
            link.close().await;
        }
    }
}

/// A link to what may be there already: then its own link is asked, and nothing is started twice.
pub(super) async fn open(
    service: &Service,
    key: &ObjectKey,
    spec: &mut McpServerSpec,
) -> Result<Opened> {
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

pub(super) async fn open_new(
    service: &Service,
    key: &ObjectKey,
    spec: &mut McpServerSpec,
) -> Result<Opened> {
    let link = service.reach.find(key, spec, ASK_DEADLINE).await?;
    Ok(Opened::Own(Box::new(link)))
}

/// True if `asked` is where the server is, or the address below which it answers.
fn is_same_place(known: &str, asked: &str) -> bool {
    let (Ok(known), Ok(asked)) = (parse_url(known), parse_url(asked)) else { return false };
    let below = format!("{}/mcp", asked.as_str().trim_end_matches('/'));
    known == asked || known.as_str() == below
}

pub(super) fn spec_of(
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
    let url = match transport {
        "http" => parse_url(&asked.url)?.to_string(),
        _ => String::new(),
    };
    Ok(McpServerSpec {
        transport: transport.to_owned(),
        url,
        command: asked.command.clone(),
        headers: asked.headers.clone(),
        env: asked.env.clone(),
        grant: grant_of(identity),
        depends_on: asked.depends_on.clone(),
        ..Default::default()
    })
}

/// Starting a command only to be told that its name is taken would be a waste, and a risk.
pub(super) async fn check_server_name(
    service: &Service,
    key: &ObjectKey,
    spec: &McpServerSpec,
) -> Result<()> {
    let Some(Inner::McpServer(known)) = find(service, key).await? else { return Ok(()) };
    let known = known.spec.unwrap_or_default();
    let same_url = known.url == spec.url || is_same_place(&known.url, &spec.url);
    if known.command == spec.command && same_url {
        return Ok(());
    }
    let is = if known.command.is_empty() { known.url } else { format!("{:?}", known.command) };
    Err(taken(key, &is))
}

/// Nor is anything fetched for a name that is another agent's. The URL as it is known, if it is.
pub(super) async fn check_agent_name(
    service: &Service,
    key: &ObjectKey,
    url: &str,
) -> Result<Option<String>> {
    let Some(Inner::Agent(known)) = find(service, key).await? else { return Ok(None) };
    let known = known.spec.unwrap_or_default().url;
    let same = known == url || parse_url(&known).is_ok_and(|known| known.as_str() == url);
    if same { Ok(Some(known)) } else { Err(taken(key, &known)) }
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
        .hint(format!("choose another name, or: keikoctl {kind} delete {}", key.typed()))
}

/// What a command that was asked and not registered left in its home. Its log stays: a refusal
/// says that it is there.
pub(super) async fn forget_home(service: &Service, key: &ObjectKey) {
    if matches!(find(service, key).await, Ok(None))
        && service.fleet.server(key).is_none()
        && let Err(refusal) = service.reach.forget_home(key)
    {
        tracing::warn!(code = %refusal.code, "{refusal}");
    }
}

pub(super) fn named(kind: Kind, namespace: &str, name: &str) -> Result<Option<ObjectKey>> {
    match name {
        "" => Ok(None),
        name => ObjectKey::parse(kind, namespace, name).map(Some),
    }
}

pub(super) fn own_name(kind: Kind, namespace: &str, title: &str) -> Result<ObjectKey> {
    if let Some(name) = slug(title) {
        return ObjectKey::parse(kind, namespace, &name);
    }
    let title = words(title, NAME_CHARS_SHOWN);
    let message = format!("the {kind} calls itself \"{title}\", which is no name");
    Err(Refusal::new(Code::InvalidArgument, message)
        .hint(format!("keikoctl {kind} register NAME URL")))
}

pub(super) fn grant_of(identity: &Identity) -> Option<Grant> {
    // Nobody else brings commands and credentials.
    let Identity::Socket { node, uid } = identity else { return None };
    Some(Grant { node: node.clone(), uid: Some(*uid) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_that_is_no_name_is_repeated_in_part_and_never_obeyed() {
        let refused = own_name(Kind::Agent, "", &"…\u{1b}".repeat(100_000)).unwrap_err();
        assert_eq!(refused.code, Code::InvalidArgument);
        assert!(refused.message.len() < 500 && !refused.message.contains('\u{1b}'), "{refused}");
        assert_eq!(own_name(Kind::Agent, "", "Hello World!").unwrap().name, "hello-world");
    }
}
