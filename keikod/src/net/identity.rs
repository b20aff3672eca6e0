//! Who calls, and what they may do.
//!
//! An [`Identity`] is made by the front ([`super::front`]) and by nobody else; a service takes it
//! from its request and names the permission that it needs. What is not granted is refused.

use super::metrics;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1::{self as wire, actor::Who};
use std::fmt;

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
    },
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident $text:literal;)*) => {
        /// What a call needs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Permission { $($(#[$doc])* $name,)* }

        impl Permission {
            /// Every permission.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The dotted name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

permissions! {
    /// Read declared objects.
    RegistryRead "registry.read";
    /// Register, change, delete declared objects.
    RegistryWrite "registry.write";
    /// Call a tool.
    ToolCall "tool.call";
    /// Call an agent.
    AgentCall "agent.call";
    /// Register a command that a node runs.
    McpExec "mcp.exec";
    /// Read what a stdio server wrote to its standard error.
    McpLogs "mcp.logs";
    /// Read the journal.
    JournalRead "journal.read";
    /// See the members.
    ClusterRead "cluster.read";
    /// Found the cluster.
    ClusterInit "cluster.init";
    /// Make and revoke tokens.
    SecurityWrite "security.write";
    /// Read metrics.
    MetricsRead "metrics.read";
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a call touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'r> {
    /// One declared object, its namespace resolved. The kind as in `agent`, `mcp`.
    Object {
        /// As in names: lower case.
        kind: &'r str,
        /// Never empty.
        namespace: &'r str,
        /// As in its metadata.
        name: &'r str,
    },
    /// Everything of a kind or room, as in `agent`, `journal`, `cluster`.
    All(&'r str),
}

impl<'r> Resource<'r> {
    /// One declared object.
    pub const fn object(kind: &'r str, namespace: &'r str, name: &'r str) -> Self {
        Self::Object { kind, namespace, name }
    }

    /// True if `scope` is exactly this object.
    fn is(&self, scope: &str) -> bool {
        let Self::Object { kind, namespace, name } = self else { return false };
        let mut parts = scope.splitn(3, '/');
        // An empty part names nothing: it must not match an empty scope.
        !namespace.is_empty()
            && !name.is_empty()
            && parts.next() == Some(kind)
            && parts.next() == Some(namespace)
            && parts.next() == Some(name)
    }
}

impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object { kind, namespace, name } => write!(f, "{kind}/{namespace}/{name}"),
            Self::All(what) => write!(f, "{what}/*"),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket { node, uid } => write!(f, "uid {uid} on the socket of {node}"),
            Self::Token { id, scope, .. } => write!(f, "token {id} of {scope}"),
        }
    }
}

impl Identity {
    /// The caller of a request; every request that the front let through has one, but for health.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<&Self> {
        request.extensions().get::<Self>().ok_or_else(unauthenticated)
    }

    /// As it stands in entries and events.
    pub fn actor(&self) -> wire::Actor {
        let who = match self {
            Self::Socket { node, uid } => {
                Who::Socket(wire::SocketPeer { node: node.clone(), uid: Some(*uid) })
            }
            Self::Token { id, .. } => Who::Token(wire::TokenBearer { id: id.clone() }),
        };
        wire::Actor { who: Some(who) }
    }

    /// The uid of a caller on this node's socket; only they may bring commands and credentials.
    pub fn socket_uid(&self) -> Option<u32> {
        match self {
            Self::Socket { uid, .. } => Some(*uid),
            Self::Token { .. } => None,
        }
    }

    /// Refuses unless the caller may do this to that. Says which permission is missing.
    pub fn require(&self, permission: Permission, resource: &Resource<'_>) -> Result<()> {
        if self.may(permission, resource) {
            return Ok(());
        }
        metrics::refused(Code::PermissionDenied, permission.name());
        tracing::warn!(actor = %self, %permission, %resource, "refused");
        let refusal = Refusal::new(
            Code::PermissionDenied,
            format!("{permission} on {resource} is not permitted to this caller"),
        )
        .cause(format!("the caller is {self}"));
        Err(match permission {
            Permission::ClusterInit | Permission::McpExec => {
                refusal.hint("call over the node's unix socket: keikoctl --endpoint unix:PATH")
            }
            _ => refusal.hint("use an identity whose scope holds it, or the node's unix socket"),
        })
    }

    fn may(&self, permission: Permission, resource: &Resource<'_>) -> bool {
        match self {
            Self::Socket { .. } => true,
            Self::Token { role, scope, .. } if role == "agent" => {
                let granted =
                    matches!(permission, Permission::RegistryRead | Permission::RegistryWrite);
                let agent = matches!(resource, Resource::Object { kind: "agent", .. });
                granted && agent && resource.is(scope)
            }
            Self::Token { .. } => false,
        }
    }
}

/// The refusal of a caller who showed nothing.
pub(super) fn unauthenticated() -> Refusal {
    Refusal::new(Code::Unauthenticated, "this call needs an identity")
        .hint("on the node itself use its unix socket: keikoctl --endpoint unix:PATH")
        .hint("elsewhere send a token: authorization: Bearer keiko.ID.SECRET.HASH")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(role: &str, scope: &str) -> Identity {
        Identity::Token { id: "t1".into(), role: role.into(), scope: scope.into() }
    }

    #[test]
    fn an_agents_token_touches_its_entry_only() {
        let mine = Resource::object("agent", "default", "hello");
        let elsewhere = [
            Resource::object("agent", "default", "hello2"),
            Resource::object("agent", "default", "hell"),
            Resource::object("agent", "other", "hello"),
            Resource::object("tool", "default", "hello"),
            Resource::object("agent", "", ""),
            Resource::All("agent"),
            Resource::All("agent/default/hello"),
        ];
        let bearer = token("agent", "agent/default/hello");
        for permission in Permission::ALL {
            let granted =
                matches!(permission, Permission::RegistryRead | Permission::RegistryWrite);
            assert_eq!(bearer.require(*permission, &mine).is_ok(), granted, "{permission}");
            for resource in &elsewhere {
                assert!(bearer.require(*permission, resource).is_err(), "{permission} {resource}");
            }
            for other in [token("admin", "*"), token("", ""), token("agent", "agent//")] {
                assert!(other.require(*permission, &mine).is_err());
                assert!(other.require(*permission, &Resource::object("agent", "", "")).is_err());
            }
        }
    }

    #[test]
    fn the_socket_is_admin() {
        let admin = Identity::Socket { node: "n1".into(), uid: 0 };
        for permission in Permission::ALL {
            admin.require(*permission, &Resource::All("cluster")).unwrap();
        }
        assert_eq!(admin.socket_uid(), Some(0));
    }

    #[test]
    fn a_refusal_names_what_is_missing_and_is_counted() {
        let before = metrics::refusals(Code::PermissionDenied, "mcp.exec");
        let resource = Resource::object("mcp", "default", "time");
        let refusal = token("agent", "agent/default/hello")
            .require(Permission::McpExec, &resource)
            .unwrap_err();
        assert_eq!(refusal.code, Code::PermissionDenied);
        assert!(refusal.message.contains("mcp.exec"));
        assert!(refusal.message.contains("mcp/default/time"));
        assert!(metrics::refusals(Code::PermissionDenied, "mcp.exec") > before);
    }
}
