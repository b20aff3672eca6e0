//! What can be granted, and which role grants what.
//!
//! Invariant: what no arm of [`Role::grants`] names is granted to nobody but the unix socket. Who
//! has which role is state of the cluster and not decided here.

use std::fmt;

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
    /// Become a member.
    ClusterJoin "cluster.join";
    /// Drain nodes and hand leadership over.
    ClusterOperate "cluster.operate";
    /// Remove nodes.
    ClusterAdmin "cluster.admin";
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

/// Whose job is what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything that can be done from afar.
    Admin,
    /// Declares, calls and operates.
    Operator,
    /// Looks.
    Viewer,
    /// Keeps one agent's entry.
    Agent,
    /// Becomes a member, and nothing else.
    Node,
}

impl Role {
    /// Every role.
    pub const ALL: &[Self] = &[Self::Admin, Self::Operator, Self::Viewer, Self::Agent, Self::Node];

    /// As it stands in tokens and entries.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
            Self::Agent => "agent",
            Self::Node => "node",
        }
    }

    /// The role of this name; none if this release knows no such role.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.name() == name)
    }

    /// True if it grants the permission, be it on one entry only.
    pub const fn grants(self, permission: Permission) -> bool {
        use Permission as P;
        match self {
            // A cluster is founded from where it is to live, and only what has a token joins.
            Self::Admin => !matches!(permission, P::ClusterInit | P::ClusterJoin),
            Self::Operator => {
                Self::Viewer.grants(permission)
                    || matches!(
                        permission,
                        P::RegistryWrite
                            | P::ToolCall
                            | P::AgentCall
                            | P::McpLogs
                            | P::ClusterOperate
                    )
            }
            Self::Viewer => matches!(
                permission,
                P::RegistryRead | P::JournalRead | P::ClusterRead | P::MetricsRead
            ),
            Self::Agent => {
                matches!(permission, P::RegistryRead | P::RegistryWrite | P::ClusterRead)
            }
            Self::Node => matches!(permission, P::ClusterJoin),
        }
    }

    /// True if a token that is shown at each call may have it: what is shown often is lost sooner.
    pub const fn fits_bearer(self) -> bool {
        match self {
            Self::Viewer | Self::Agent => true,
            Self::Admin | Self::Operator | Self::Node => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keiko_core::security::{ROLE_ADMIN, ROLE_AGENT, ROLE_NODE, ROLE_OPERATOR, ROLE_VIEWER};

    /// Admin, operator, viewer, agent, node.
    const TABLE: &[(&str, &str)] = &[
        ("registry.read", "AOVa-"),
        ("registry.write", "AO-a-"),
        ("tool.call", "AO---"),
        ("agent.call", "AO---"),
        ("mcp.exec", "A----"),
        ("mcp.logs", "AO---"),
        ("journal.read", "AOV--"),
        ("cluster.read", "AOVa-"),
        ("cluster.init", "-----"),
        ("cluster.join", "----n"),
        ("cluster.operate", "AO---"),
        ("cluster.admin", "A----"),
        ("security.write", "A----"),
        ("metrics.read", "AOV--"),
    ];

    #[test]
    fn every_role_and_every_permission() {
        assert_eq!(TABLE.len(), Permission::ALL.len());
        for (permission, (name, row)) in Permission::ALL.iter().zip(TABLE) {
            assert_eq!(permission.name(), *name);
            for (role, granted) in Role::ALL.iter().zip(row.chars()) {
                assert_eq!(role.grants(*permission), granted != '-', "{} {name}", role.name());
            }
        }
    }

    #[test]
    fn names_there_and_back() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.name()), Some(*role));
        }
        let names: Vec<_> = Role::ALL.iter().map(|role| role.name()).collect();
        assert_eq!(names, [ROLE_ADMIN, ROLE_OPERATOR, ROLE_VIEWER, ROLE_AGENT, ROLE_NODE]);
        for name in ["", "Admin", "root", "admin "] {
            assert_eq!(Role::parse(name), None, "{name:?}");
        }
    }
}
