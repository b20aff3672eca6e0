//! Where an entry is at home: which node runs its command, or holds the credentials that are bound
//! to it. Everything else is at home everywhere.

use keiko_core::registry;
use keiko_proto::v1::{AgentSpec, CredentialRef, Grant, Object, object::Object as Inner};
use std::sync::Arc;

/// Where an entry is at home.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Home {
    /// Everywhere: each node reaches it by itself.
    #[default]
    Everywhere,
    /// This node has its credentials, which are bound by a registration there. Others may have them
    /// too.
    Bound(Arc<str>),
    /// This node runs its command, and no other does.
    Hosted(Arc<str>),
    /// It has a command, and no node runs it yet.
    Nowhere,
}

impl Home {
    /// Of an agent or a server.
    pub(super) fn of(object: &Object) -> Self {
        match &object.object {
            Some(Inner::McpServer(server)) => {
                let Some(spec) = &server.spec else { return Self::Everywhere };
                match (spec.command.is_empty(), registry::host(object)) {
                    (true, _) => Self::bound(&spec.headers, spec.grant.as_ref()),
                    (false, Some(node)) => Self::Hosted(node.into()),
                    (false, None) => Self::Nowhere,
                }
            }
            Some(Inner::Agent(agent)) => {
                agent.spec.as_ref().map(Self::of_agent).unwrap_or_default()
            }
            Some(Inner::Tool(_) | Inner::Skill(_)) | None => Self::Everywhere,
        }
    }

    /// Of an agent.
    pub(super) fn of_agent(spec: &AgentSpec) -> Self {
        Self::bound(&spec.headers, spec.grant.as_ref())
    }

    fn bound(credentials: &[CredentialRef], grant: Option<&Grant>) -> Self {
        match grant {
            Some(grant) if !credentials.is_empty() => Self::Bound(grant.node.as_str().into()),
            Some(_) | None => Self::Everywhere,
        }
    }

    /// The one node, if there is one.
    pub(super) fn node(&self) -> Option<&Arc<str>> {
        match self {
            Self::Bound(node) | Self::Hosted(node) => Some(node),
            Self::Everywhere | Self::Nowhere => None,
        }
    }

    /// The same, if it is another one than this.
    pub(super) fn elsewhere(&self, own: &str) -> Option<&Arc<str>> {
        self.node().filter(|node| ***node != *own)
    }

    /// The node that alone can run it, if it is another one than this.
    pub(super) fn hosted_elsewhere(&self, own: &str) -> Option<&Arc<str>> {
        match self {
            Self::Hosted(_) => self.elsewhere(own),
            Self::Bound(_) | Self::Everywhere | Self::Nowhere => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keiko_proto::v1::{Agent, McpServer, McpServerSpec, ObjectStatus};

    fn server(command: &str, headers: bool, grant: &str, node: &str) -> Object {
        let credential = CredentialRef { name: "Authorization".into(), credential: "key".into() };
        let spec = McpServerSpec {
            command: command.split_whitespace().map(str::to_owned).collect(),
            headers: if headers { vec![credential] } else { Vec::new() },
            grant: (!grant.is_empty()).then(|| Grant { node: grant.into(), uid: Some(0) }),
            ..Default::default()
        };
        let status = ObjectStatus { node: node.to_owned(), ..Default::default() };
        let server = McpServer { spec: Some(spec), status: Some(status), ..Default::default() };
        Object { object: Some(Inner::McpServer(server)) }
    }

    #[test]
    fn where_an_entry_is_at_home() {
        let (bound, hosted) =
            (|node: &str| Home::Bound(node.into()), |node: &str| Home::Hosted(node.into()));
        for (command, headers, grant, node, expect) in [
            ("", false, "", "", Home::Everywhere),
            ("", false, "n1", "", Home::Everywhere),
            ("", true, "", "", Home::Everywhere),
            ("", true, "n1", "", bound("n1")),
            ("/srv/x", false, "", "", Home::Nowhere),
            ("/srv/x", false, "n1", "", hosted("n1")),
            ("/srv/x", true, "n1", "n2", hosted("n2")),
        ] {
            let home = Home::of(&server(command, headers, grant, node));
            assert_eq!(home, expect, "{command} {headers} {grant} {node}");
        }
        let agent = Object { object: Some(Inner::Agent(Agent::default())) };
        assert_eq!(Home::of(&agent), Home::Everywhere);
    }

    #[test]
    fn elsewhere_is_another_node() {
        let node = |home: &Home| home.elsewhere("n1").map(ToString::to_string);
        assert_eq!(node(&Home::Hosted("n1".into())), None);
        assert_eq!(node(&Home::Hosted("n2".into())).as_deref(), Some("n2"));
        assert_eq!(node(&Home::Bound("n2".into())).as_deref(), Some("n2"));
        assert_eq!(node(&Home::Nowhere), None);
        assert_eq!(Home::Bound("n2".into()).hosted_elsewhere("n1"), None);
    }
}
