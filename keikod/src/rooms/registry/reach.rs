//! How an entry is reached from this node: what `keiko.toml` allows, which credentials go along,
//! and over what.
//!
//! Reads the live settings at each use, so that a reload holds from the next connection on.

use super::link::{self, Leash, Link};
use crate::exec::{Children, Command, Credentials, Destination, Grant, Policy, Secret};
use crate::outbound::a2a::CardKey;
use crate::outbound::http::{parse_url, secret_headers};
use crate::outbound::{Http, detect, mcp};
use crate::settings::Current;
use http::HeaderMap;
use keiko_core::refusal::{Refusal, Result};
use keiko_core::registry::ObjectKey;
use keiko_proto::v1::{CredentialRef, Grant as WireGrant, McpServerSpec};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What the end of a command may take, and a little more.
const VACATED_MAX: Duration = Duration::from_secs(10);

/// The way out of this node; a cheap clone.
#[derive(Clone)]
pub struct Reach {
    node: String,
    settings: Arc<Current>,
    children: Children,
    http: Http,
    card_keys: Arc<[CardKey]>,
}

impl Reach {
    /// `node` is this node's name; `card_keys` are those whose signatures on cards count.
    pub fn new(
        node: String,
        settings: Arc<Current>,
        children: Children,
        http: Http,
        card_keys: Arc<[CardKey]>,
    ) -> Self {
        Self { node, settings, children, http, card_keys }
    }

    /// Keys whose signatures on cards count.
    pub(super) fn card_keys(&self) -> &[CardKey] {
        &self.card_keys
    }

    /// The one HTTP client.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// Links a server: starts its command or finds its URL, and asks what it speaks.
    pub async fn link(
        &self,
        key: &ObjectKey,
        spec: &McpServerSpec,
        deadline: Duration,
    ) -> Result<Link> {
        let deadline = Instant::now() + deadline;
        match spec.command.is_empty() {
            true => self.link_url(spec, deadline).await,
            false => self.link_command(key, spec, deadline).await,
        }
    }

    /// The same for an endpoint that is new here: the URL may be the server's address, and then
    /// the spec learns where on it the server answers.
    pub async fn find(
        &self,
        key: &ObjectKey,
        spec: &mut McpServerSpec,
        deadline: Duration,
    ) -> Result<Link> {
        let deadline = Instant::now() + deadline;
        if !spec.command.is_empty() {
            return self.link_command(key, spec, deadline).await;
        }
        let headers = self.headers(&spec.url, &spec.headers, spec.grant.as_ref())?;
        let url = parse_url(&spec.url)?;
        let (url, session) = detect::mcp_server(&self.http, &url, &headers, deadline).await?;
        spec.url = url.to_string();
        Ok(Link::new(session, None))
    }

    async fn link_url(&self, spec: &McpServerSpec, deadline: Instant) -> Result<Link> {
        let url = parse_url(&spec.url)?;
        let headers = self.headers(&spec.url, &spec.headers, spec.grant.as_ref())?;
        let target = mcp::Target::Http { url, credentials: headers };
        let era = spec.protocol_version.parse().ok();
        let session = mcp::connect(&self.http, target, era, deadline).await?;
        Ok(Link::new(session, None))
    }

    async fn link_command(
        &self,
        key: &ObjectKey,
        spec: &McpServerSpec,
        deadline: Instant,
    ) -> Result<Link> {
        let grant = grant(spec.grant.as_ref());
        let run_as = self.policy()?.decide(&spec.command, grant.as_ref())?;
        let bound = self.is_bound(spec.grant.as_ref());
        let destination = Destination::Command(PathBuf::from(&spec.command[0]));
        let credentials = self.credentials()?;
        let env = spec.env.iter().map(|reference| {
            let value = credentials.value_for(&reference.credential, &destination, bound)?;
            Ok((reference.name.clone(), value))
        });
        let env: Vec<(String, Secret)> = env.collect::<Result<_>>()?;
        let command = Command { id: child_id(key), argv: spec.command.clone(), env, run_as };
        // One that was given up may be about to end.
        self.vacated(key).await;
        let child = self.children.spawn(command).await?;
        let leash = Leash::new(child.process);
        let target =
            mcp::Target::Stdio { reader: Box::new(child.stdout), writer: Box::new(child.stdin) };
        let era = spec.protocol_version.parse().ok();
        match mcp::connect(&self.http, target, era, deadline).await {
            Ok(session) => Ok(Link::new(session, Some(leash))),
            Err(refusal) => Err(ended(key, &leash, refusal).await),
        }
    }

    /// Waits, in bounded time, until no command of this name runs here any more: one that was let
    /// go in the middle of linking ends by itself.
    pub(super) async fn vacated(&self, key: &ObjectKey) {
        if let Some(process) = self.children.process(&child_id(key)) {
            // Who still runs after that is told by whoever starts the next.
            let _waited = tokio::time::timeout(VACATED_MAX, process.wait()).await;
        }
    }

    /// The headers with their values, for one origin.
    pub fn headers(
        &self,
        url: &str,
        references: &[CredentialRef],
        grant: Option<&WireGrant>,
    ) -> Result<HeaderMap> {
        let destination = Destination::origin(&parse_url(url)?)?;
        let (credentials, bound) = (self.credentials()?, self.is_bound(grant));
        let values: Vec<(&str, Secret)> = references
            .iter()
            .map(|reference| {
                let value = credentials.value_for(&reference.credential, &destination, bound)?;
                Ok((reference.name.as_str(), value))
            })
            .collect::<Result<_>>()?;
        secret_headers(values.iter().map(|(name, value)| (*name, value.expose())))
    }

    /// The last lines of a server's standard error, and then every further one.
    pub fn follow_logs(&self, key: &ObjectKey, tail: usize) -> crate::exec::child::Follow {
        self.children.follow(&child_id(key), tail)
    }

    /// Forgets the home and the log of a server that was deleted.
    pub fn forget(&self, key: &ObjectKey) -> Result<()> {
        self.children.forget(&child_id(key))
    }

    /// Forgets the home of a command that was not registered.
    pub(super) fn forget_home(&self, key: &ObjectKey) -> Result<()> {
        self.children.forget_home(&child_id(key))
    }

    /// A line of `[exec] allow` lets the command run here, whoever registered it.
    fn allows(&self, spec: &McpServerSpec) -> bool {
        self.policy().is_ok_and(|policy| policy.decide(&spec.command, None).is_ok())
    }

    /// True if this node may run the command, has it, and has what it is given in its environment.
    pub(super) fn can_take(&self, spec: &McpServerSpec) -> bool {
        let Some(program) = spec.command.first().map(PathBuf::from) else { return false };
        if !self.allows(spec) || !program.is_file() {
            return false;
        }
        let destination = Destination::Command(program);
        let Ok(credentials) = self.credentials() else { return false };
        let has = |reference: &CredentialRef| {
            credentials.value_for(&reference.credential, &destination, false).is_ok()
        };
        spec.env.iter().all(has)
    }

    /// Registered over this node's own socket: its credentials are bound to where it points.
    fn is_bound(&self, grant: Option<&WireGrant>) -> bool {
        grant.is_some_and(|grant| grant.node == self.node)
    }

    fn policy(&self) -> Result<Policy> {
        let live = self.settings.live();
        let user = live.exec_user.as_ref().map(|user| user.value.clone());
        let root = nix::unistd::Uid::effective().is_root();
        Policy::new(self.node.clone(), root, user, live.exec_allow.value.clone())
    }

    fn credentials(&self) -> Result<Credentials> {
        // The folder holds until the next start, as it is covered from commands that run as root.
        let dir = self.settings.settings().live.credentials_dir.value.clone();
        Credentials::new(dir, &self.settings.live().credentials_to())
    }
}

/// Why a command did not become a server; it is gone when this returns.
async fn ended(key: &ObjectKey, leash: &Leash, refusal: Refusal) -> Refusal {
    let exit = leash.process().exit();
    leash.stop().await;
    match exit {
        Some(exit) => link::ended(&exit, refusal),
        None => refusal,
    }
    .hint(format!("keikoctl mcp logs {}", key.typed()))
}

fn grant(grant: Option<&WireGrant>) -> Option<Grant> {
    let grant = grant?;
    Some(Grant { node: grant.node.clone(), uid: grant.uid? })
}

fn child_id(key: &ObjectKey) -> String {
    format!("{}.{}", key.namespace, key.name)
}
