//! What can be granted, and which built-in role grants what.
//!
//! It is law, because the law judges whether somebody may hand on what they hold. Invariant: what no
//! arm of [`Role::grants`] names is granted by no built-in role. Who has which role is state and not
//! decided here, and so are the roles that a cluster declares ([`super::roles`]).

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
    /// See roles, bindings, people, and who uses what.
    SecurityRead "security.read";
    /// Make and revoke tokens, declare roles and bindings, take people out.
    SecurityWrite "security.write";
    /// Read metrics.
    MetricsRead "metrics.read";
    /// See sessions, locks, barriers, maintenance windows.
    LockRead "lock.read";
    /// Use and declare them.
    LockWrite "lock.write";
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Permission {
    /// The permission of this name; none if this release knows no such permission.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|permission| permission.name() == name)
    }

    /// True if a declared role can grant it. A cluster is founded from where it is to live, and only
    /// what has a token joins.
    pub const fn is_bindable(self) -> bool {
        !matches!(self, Self::ClusterInit | Self::ClusterJoin)
    }

    /// Its place in a set of 32.
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }
}

const _: () = assert!(Permission::ALL.len() <= 32);

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
    /// Nothing but what bindings add.
    Guest,
    /// Becomes a member, and nothing else.
    Node,
}

impl Role {
    /// Every role.
    pub const ALL: &[Self] =
        &[Self::Admin, Self::Operator, Self::Viewer, Self::Agent, Self::Guest, Self::Node];

    /// As it stands in tokens and entries.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
            Self::Agent => "agent",
            Self::Guest => "guest",
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
            Self::Admin => permission.is_bindable(),
            Self::Operator => {
                Self::Viewer.grants(permission)
                    || matches!(
                        permission,
                        P::RegistryWrite
                            | P::ToolCall
                            | P::AgentCall
                            | P::McpLogs
                            | P::ClusterOperate
                            | P::LockWrite
                    )
            }
            Self::Viewer => matches!(
                permission,
                P::RegistryRead | P::JournalRead | P::ClusterRead | P::MetricsRead | P::LockRead
            ),
            Self::Agent => matches!(
                permission,
                P::RegistryRead | P::RegistryWrite | P::ClusterRead | P::LockRead
            ),
            Self::Guest => false,
            Self::Node => matches!(permission, P::ClusterJoin),
        }
    }

    /// True if a token that is shown at each call may have it: what is shown often is lost sooner.
    pub const fn fits_bearer(self) -> bool {
        match self {
            Self::Viewer | Self::Agent | Self::Guest => true,
            Self::Admin | Self::Operator | Self::Node => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::{
        ROLE_ADMIN, ROLE_AGENT, ROLE_GUEST, ROLE_NODE, ROLE_OPERATOR, ROLE_VIEWER,
    };

    /// Admin, operator, viewer, agent, guest, node.
    const TABLE: &[(&str, &str)] = &[
        ("registry.read", "AOVa--"),
        ("registry.write", "AO-a--"),
        ("tool.call", "AO----"),
        ("agent.call", "AO----"),
        ("mcp.exec", "A-----"),
        ("mcp.logs", "AO----"),
        ("journal.read", "AOV---"),
        ("cluster.read", "AOVa--"),
        ("cluster.init", "------"),
        ("cluster.join", "-----n"),
        ("cluster.operate", "AO----"),
        ("cluster.admin", "A-----"),
        ("security.read", "A-----"),
        ("security.write", "A-----"),
        ("metrics.read", "AOV---"),
        ("lock.read", "AOVa--"),
        ("lock.write", "AO----"),
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
        assert_eq!(
            names,
            [ROLE_ADMIN, ROLE_OPERATOR, ROLE_VIEWER, ROLE_AGENT, ROLE_GUEST, ROLE_NODE]
        );
        for name in ["", "Admin", "root", "admin "] {
            assert_eq!(Role::parse(name), None, "{name:?}");
        }
    }
}
