//! Who calls, and what they may do.
//!
//! An [`Identity`] is made by the front ([`super::front`]), or of what another node vouches for, and
//! by nobody else; a service takes it from its request and names the permission that it needs. What
//! is not granted is refused, and every refusal is counted and noted.

use super::{metrics, refusals, uses};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::security::{By, Grants};
use keiko_proto::v1::{self as wire, actor::Who};
use std::fmt;
use std::sync::Arc;

pub use super::permission::{Permission, Resource, Role};

/// What bindings hand to a caller beside the role; shared by all calls until a binding changes.
pub type Bound = Arc<Grants>;

/// A caller who proved who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A process on this node's unix socket whose uid is admitted: admin.
    Socket {
        /// This node.
        node: String,
        /// The peer's uid, as the kernel says.
        uid: u32,
    },
    /// The bearer of a token.
    Token {
        /// The token's public half.
        id: String,
        /// As in `agent`.
        role: String,
        /// What it may touch, as in `agent/default/hello`.
        scope: String,
        /// When it ends.
        expires_ms: u64,
        /// It is traded once, and good for nothing else.
        one_use: bool,
        /// What bindings add.
        bound: Bound,
    },
    /// Somebody with a client certificate, as the cluster knows them now.
    Person {
        /// As in the certificate.
        name: String,
        /// As the cluster says, not the certificate.
        role: String,
        /// Of an agent: what it may touch.
        scope: String,
        /// When the certificate ends.
        expires_ms: u64,
        /// What bindings add.
        bound: Bound,
    },
    /// A caller of another node, which vouches for what it says here.
    Remote {
        /// As it stands in entries and events.
        actor: wire::Actor,
        /// As that node found it.
        role: String,
        /// Of an agent: what it may touch.
        scope: String,
        /// What bindings add, as this node knows them.
        bound: Bound,
    },
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket { node, uid } => write!(f, "uid {uid} on the socket of {node}"),
            Self::Token { id, role, scope, .. } if scope.is_empty() => {
                write!(f, "token {id} for {role}")
            }
            Self::Token { id, scope, .. } => write!(f, "token {id} of {scope}"),
            Self::Person { name, role, .. } => write!(f, "{name}, {role}"),
            Self::Remote { actor, role, .. } => {
                write!(f, "{}, {role}, through another node", who(actor))
            }
        }
    }
}

fn who(actor: &wire::Actor) -> String {
    match &actor.who {
        Some(Who::Socket(peer)) => {
            format!("uid {} on the socket of {}", peer.uid.unwrap_or_default(), peer.node)
        }
        Some(Who::Token(bearer)) => format!("token {}", bearer.id),
        Some(Who::Node(node)) => format!("node {node}"),
        Some(Who::Person(person)) => person.name.clone(),
        None => "nobody".to_owned(),
    }
}

impl Identity {
    /// The caller of a request; every request that the front let through has one, but for health.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<&Self> {
        request.extensions().get::<Self>().ok_or_else(unauthenticated)
    }

    /// Somebody whom another node vouches for: the receiver believes its peers.
    pub const fn on_behalf(actor: wire::Actor, role: String, scope: String, bound: Bound) -> Self {
        Self::Remote { actor, role, scope, bound }
    }

    /// What this node tells another of the caller. Who may only trade a token has no role there.
    pub fn vouch(&self) -> (wire::Actor, String, String) {
        let role = match self {
            Self::Token { one_use: true, .. } => "",
            _ => self.role(),
        };
        (self.actor(), role.to_owned(), self.scope().to_owned())
    }

    /// As it stands in entries and events.
    pub fn actor(&self) -> wire::Actor {
        let who = match self {
            Self::Socket { node, uid } => {
                Who::Socket(wire::SocketPeer { node: node.clone(), uid: Some(*uid) })
            }
            Self::Token { id, .. } => Who::Token(wire::TokenBearer { id: id.clone() }),
            Self::Person { name, .. } => Who::Person(wire::Person { name: name.clone() }),
            Self::Remote { actor, .. } => return actor.clone(),
        };
        wire::Actor { who: Some(who) }
    }

    /// The uid of a caller on this node's socket; only they may bring commands and credentials.
    pub fn socket_uid(&self) -> Option<u32> {
        match self {
            Self::Socket { uid, .. } => Some(*uid),
            Self::Token { .. } | Self::Person { .. } | Self::Remote { .. } => None,
        }
    }

    /// True for a caller of another node.
    pub const fn is_remote(&self) -> bool {
        matches!(self, Self::Remote { .. })
    }

    /// Whose job the caller has.
    pub fn role(&self) -> &str {
        match self {
            Self::Socket { .. } => Role::Admin.name(),
            Self::Token { role, .. } | Self::Person { role, .. } | Self::Remote { role, .. } => {
                role
            }
        }
    }

    /// Of an agent: what it may touch.
    pub fn scope(&self) -> &str {
        match self {
            Self::Socket { .. } => "",
            Self::Token { scope, .. } | Self::Person { scope, .. } | Self::Remote { scope, .. } => {
                scope
            }
        }
    }

    /// When the certificate or the token ends; zero for the socket, and where another node knows.
    pub fn expires_ms(&self) -> u64 {
        match self {
            Self::Token { expires_ms, .. } | Self::Person { expires_ms, .. } => *expires_ms,
            Self::Socket { .. } | Self::Remote { .. } => 0,
        }
    }

    /// What bindings add to the role; nothing to a socket's.
    pub fn bound(&self) -> Option<&Bound> {
        match self {
            Self::Socket { .. } => None,
            Self::Token { bound, .. } | Self::Person { bound, .. } | Self::Remote { bound, .. } => {
                Some(bound)
            }
        }
    }

    /// What the caller may do, be it on one entry only.
    pub fn permissions(&self) -> Vec<Permission> {
        let bound = self.bound().map_or(0, |bound| bound.permissions());
        let held =
            |permission: &Permission| self.grants(*permission) || bound & permission.bit() != 0;
        Permission::ALL.iter().copied().filter(held).collect()
    }

    /// The grant that lets the caller do this to that.
    pub fn by(&self, permission: Permission, resource: &Resource<'_>) -> Option<By> {
        if self.grants(permission) && self.reaches(permission, resource) {
            let role = Role::parse(self.role()).map_or("", Role::name);
            let is_socket = matches!(self, Self::Socket { .. });
            return Some(if is_socket { By::Socket } else { By::BuiltIn(role) });
        }
        self.bound().and_then(|bound| bound.find(permission, resource)).cloned()
    }

    /// True if somebody who was found to be `before` is found again, and lost nothing.
    pub(super) fn is_still(&self, before: &Self) -> bool {
        let same = self.actor() == before.actor()
            && self.role() == before.role()
            && self.scope() == before.scope()
            && self.expires_ms() == before.expires_ms();
        let bound = match (self.bound(), before.bound()) {
            (Some(now), Some(before)) => Arc::ptr_eq(now, before) || now.cover(before),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same && bound
    }

    /// Refuses unless the caller may do this to that. Says which permission is missing.
    pub fn require(&self, permission: Permission, resource: &Resource<'_>) -> Result<()> {
        if self.may(permission, resource) {
            uses::note(self, permission);
            return Ok(());
        }
        let code = Code::PermissionDenied;
        metrics::refused(code, permission.name());
        refusals::note(code, Some(self.actor()), permission.name(), &resource.to_string());
        tracing::warn!(actor = %self, %permission, %resource, "refused");
        let refusal = Refusal::new(
            code,
            format!("{permission} on {resource} is not permitted to this caller"),
        )
        .cause(format!("the caller is {self}"));
        Err(refusal.hint(self.way_to(permission)))
    }

    /// Counts and notes what the law refused to this caller for who they are, or for what they
    /// showed.
    pub fn note(&self, refusal: &Refusal) {
        if refusals::is_attempt(refusal.code) {
            metrics::refused(refusal.code, "");
            refusals::note(refusal.code, Some(self.actor()), "", "");
        }
    }

    /// How the caller comes to a permission.
    fn way_to(&self, permission: Permission) -> String {
        if let Self::Token { one_use: true, role, .. } = self {
            return match Role::parse(role) {
                Some(Role::Node) => {
                    "this token makes a node a member: keikod run --join HOST:PORT --token T"
                }
                _ => {
                    "this token is traded for a certificate: keikoctl context add NAME --endpoint E --token T"
                }
            }
            .to_owned();
        }
        match permission {
            Permission::ClusterInit => {
                "call over the node's unix socket: keikoctl --endpoint unix:PATH".to_owned()
            }
            Permission::ClusterJoin => {
                "a node's token holds it: keikoctl cluster token create --for node".to_owned()
            }
            _ => {
                let roles = Role::ALL.iter().filter(|role| role.grants(permission));
                let roles = roles.map(|role| match role {
                    Role::Agent => "an agent about its own entry",
                    role => role.name(),
                });
                let roles: Vec<_> = roles.collect();
                format!(
                    "who may: {}, whoever a binding lets, or whoever is on the node's unix socket",
                    roles.join(", ")
                )
            }
        }
    }

    /// True if the caller may do this to that; who asks only to know is no attempt.
    pub fn may(&self, permission: Permission, resource: &Resource<'_>) -> bool {
        let by_role = self.grants(permission) && self.reaches(permission, resource);
        by_role || self.bound().is_some_and(|bound| bound.find(permission, resource).is_some())
    }

    /// True if the caller's role has the permission on anything.
    fn grants(&self, permission: Permission) -> bool {
        let role = Role::parse(self.role());
        match self {
            Self::Socket { .. } => true,
            Self::Token { one_use: true, .. } => {
                role == Some(Role::Node) && Role::Node.grants(permission)
            }
            Self::Token { one_use: false, .. } => {
                role.is_some_and(|role| role.fits_bearer() && role.grants(permission))
            }
            Self::Person { .. } | Self::Remote { .. } => {
                role.is_some_and(|role| role.grants(permission))
            }
        }
    }

    /// True unless the role is for one entry, and this is another.
    fn reaches(&self, permission: Permission, resource: &Resource<'_>) -> bool {
        if matches!(self, Self::Socket { .. }) || Role::parse(self.role()) != Some(Role::Agent) {
            return true;
        }
        match permission {
            Permission::RegistryRead | Permission::RegistryWrite => {
                matches!(resource, Resource::Object { kind: "agent", .. })
                    && resource.is(self.scope())
            }
            // The members are everybody's to see: agents look for a node that is up.
            _ => true,
        }
    }
}

/// The refusal of a caller who showed nothing.
pub(super) fn unauthenticated() -> Refusal {
    Refusal::new(Code::Unauthenticated, "this call needs an identity")
        .hint("on the node itself use its unix socket: keikoctl --endpoint unix:PATH")
        .hint(
            "elsewhere show a client certificate: keikoctl context add NAME --endpoint E --token T",
        )
        .hint("or send a token: authorization: Bearer keiko.ID.SECRET.HASH")
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
