//! The room's types: what names an object, and the ops once they are checked.

use crate::id::{GroupId, Name};
use crate::key::Key;
use crate::refusal::{Code, Refusal, Result};
use keiko_proto::v1::{self as wire, object::Object as Inner};
use std::fmt;

/// What sort of object it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Speaks A2A.
    Agent,
    /// Speaks MCP.
    McpServer,
    /// A server's part.
    Tool,
    /// An agent's part.
    Skill,
}

impl Kind {
    /// The word in manifests.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Agent => "Agent",
            Self::McpServer => "McpServer",
            Self::Tool => "Tool",
            Self::Skill => "Skill",
        }
    }

    /// The noun of the command line, of subjects and of event types.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::McpServer => "mcp",
            Self::Tool => "tool",
            Self::Skill => "skill",
        }
    }

    /// From the noun.
    pub fn from_noun(noun: &str) -> Option<Self> {
        [Self::Agent, Self::McpServer, Self::Tool, Self::Skill]
            .into_iter()
            .find(|kind| kind.noun() == noun)
    }

    /// From the wire.
    pub fn parse(kind: i32) -> Result<Self> {
        match wire::Kind::try_from(kind) {
            Ok(wire::Kind::Agent) => Ok(Self::Agent),
            Ok(wire::Kind::McpServer) => Ok(Self::McpServer),
            Ok(wire::Kind::Tool) => Ok(Self::Tool),
            Ok(wire::Kind::Skill) => Ok(Self::Skill),
            Ok(wire::Kind::Unspecified) | Err(_) => {
                Err(Refusal::new(Code::InvalidArgument, "no kind of object is named")
                    .hint("one of agent, mcp_server, tool, skill"))
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.noun())
    }
}

/// What names one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Its sort.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: Name,
    /// Its name: a DNS label, or OWNER.PART for tools and skills.
    pub name: String,
}

impl ObjectKey {
    /// Checks a kind, a namespace (empty: the default) and a name.
    pub fn parse(kind: Kind, namespace: &str, name: &str) -> Result<Self> {
        let namespace = Name::parse_namespace(namespace)?;
        let owner = match kind {
            Kind::Agent | Kind::McpServer => name,
            Kind::Tool | Kind::Skill => match name.split_once('.') {
                Some((owner, part)) if crate::id::is_part_name(part) => owner,
                Some(_) | None => {
                    let words = format!("{kind} {name:?} is not a name of the form OWNER.NAME");
                    return Err(Refusal::new(Code::InvalidArgument, words)
                        .hint(format!("keikoctl find {name} -o name")));
                }
            },
        };
        Name::parse(&format!("{} name", kind.noun()), owner)?;
        Ok(Self { kind, namespace, name: name.to_owned() })
    }

    /// From the wire.
    pub fn from_wire(object: Option<wire::ObjectRef>) -> Result<Self> {
        let object = object.unwrap_or_default();
        Self::parse(Kind::parse(object.kind)?, &object.namespace, &object.name)
    }

    /// As in `agent/default/hello`.
    pub fn subject(&self) -> String {
        format!("{}/{}/{}", self.kind, self.namespace, self.name)
    }

    /// The agent or server that it is, or is a part of.
    #[must_use]
    pub fn owner(&self) -> Self {
        let kind = match self.kind {
            Kind::Agent | Kind::Skill => Kind::Agent,
            Kind::McpServer | Kind::Tool => Kind::McpServer,
        };
        let owner = match self.kind {
            Kind::Agent | Kind::McpServer => self.name.as_str(),
            Kind::Tool | Kind::Skill => self.name.split_once('.').map_or("", |(owner, _)| owner),
        };
        Self { kind, namespace: self.namespace.clone(), name: owner.to_owned() }
    }

    /// As in `mcp/time`: without the namespace.
    pub fn short(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    /// As it is typed behind a verb: `time -n default`.
    pub fn typed(&self) -> String {
        format!("{} -n {}", self.name, self.namespace)
    }

    /// On the wire.
    pub fn to_wire(&self) -> wire::ObjectRef {
        let kind = match self.kind {
            Kind::Agent => wire::Kind::Agent,
            Kind::McpServer => wire::Kind::McpServer,
            Kind::Tool => wire::Kind::Tool,
            Kind::Skill => wire::Kind::Skill,
        };
        let (namespace, name) = (self.namespace.to_string(), self.name.clone());
        wire::ObjectRef { kind: kind.into(), namespace, name }
    }

    /// The row's key: under `table`, by namespace and name.
    pub(super) fn row(&self, table: Key) -> Key {
        table.text(self.namespace.as_str()).text(&self.name)
    }

    pub(super) fn not_found(&self) -> Refusal {
        let Self { kind, namespace, name } = self;
        Refusal::new(Code::NotFound, format!("no {kind} {name:?} in namespace {namespace}"))
            .hint(format!("keikoctl {kind} list -A"))
    }
}

/// What can be asked of the room.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    /// Makes or renews an owner with its parts.
    Put(Box<Put>),
    /// Declares an owner as a manifest has it.
    Apply(Box<Apply>),
    /// A transition that the prober saw.
    SetHealth { object: ObjectKey, uid: String, health: wire::Health },
    /// What an operator decides about calls.
    SetAdminState { object: ObjectKey, state: AdminState, reason: String },
    /// Another node takes a server over.
    Place(Place),
    /// Removes an object with its parts.
    Delete(Delete),
    /// Everything becomes what it was at a revision.
    Rewind(u64),
}

/// Which node takes a server over, and what it knows of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub server: ObjectKey,
    pub uid: String,
    /// Where it runs; empty: nowhere.
    pub from: String,
    pub to: Name,
    pub reason: String,
}

/// Whether calls go to an agent or a server, as an operator decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminState {
    /// In use.
    Active,
    /// What runs may end, nothing new begins.
    Draining,
    /// Nothing runs.
    Suspended,
}

impl AdminState {
    /// As in the status; empty if in use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "",
            Self::Draining => "draining",
            Self::Suspended => "suspended",
        }
    }

    /// From the status or a request.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "" => Ok(Self::Active),
            "draining" => Ok(Self::Draining),
            "suspended" => Ok(Self::Suspended),
            other => Err(Refusal::new(
                Code::InvalidArgument,
                format!("no administrative state is called {other:?}"),
            )
            .hint("one of draining, suspended; empty: in use")),
        }
    }
}

/// What is to be removed, and under which conditions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Delete {
    pub object: ObjectKey,
    /// Nothing was declared after it; zero: whatever was.
    pub revision: u64,
    /// The object's; empty: any.
    pub uid: String,
    /// Its lease ended.
    pub expired: bool,
}

/// An owner as a manifest has it, all names checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Apply {
    pub key: ObjectKey,
    /// An agent or a server, with what is declared and nothing that probes find.
    pub owner: wire::Object,
    /// Nothing was declared after it; zero: whatever was.
    pub revision: u64,
}

/// An owner with its parts, all names checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Put {
    /// Set: renews only an object that still has this uid.
    pub refresh_uid: Option<String>,
    /// The owner's key.
    pub key: ObjectKey,
    /// An agent or a server.
    pub owner: wire::Object,
    /// Its skills or tools.
    pub parts: Vec<(ObjectKey, wire::Object)>,
}

/// The metadata of an object of any kind.
pub fn metadata(object: &wire::Object) -> Option<&wire::Metadata> {
    match object.object.as_ref()? {
        Inner::Agent(agent) => agent.metadata.as_ref(),
        Inner::McpServer(server) => server.metadata.as_ref(),
        Inner::Tool(tool) => tool.metadata.as_ref(),
        Inner::Skill(skill) => skill.metadata.as_ref(),
    }
}

/// The status of an object of any kind.
pub fn status(object: &wire::Object) -> Option<&wire::ObjectStatus> {
    match object.object.as_ref()? {
        Inner::Agent(agent) => agent.status.as_ref(),
        Inner::McpServer(server) => server.status.as_ref(),
        Inner::Tool(tool) => tool.status.as_ref(),
        Inner::Skill(skill) => skill.status.as_ref(),
    }
}

/// The conditions of an object of any kind.
pub fn conditions(object: &wire::Object) -> &[wire::Condition] {
    status(object).map(|status| status.conditions.as_slice()).unwrap_or_default()
}

/// True if the condition Ready of an object is True.
pub fn is_ready(object: &wire::Object) -> bool {
    conditions(object).iter().any(|known| known.r#type == READY && known.status == "True")
}

/// The type of the condition that says whether an agent or a server can be called.
pub const READY: &str = "Ready";

/// The metadata, made if it is missing.
pub(super) fn metadata_mut(object: &mut wire::Object) -> &mut wire::Metadata {
    match object.object.get_or_insert_with(|| Inner::Agent(wire::Agent::default())) {
        Inner::Agent(agent) => agent.metadata.get_or_insert_default(),
        Inner::McpServer(server) => server.metadata.get_or_insert_default(),
        Inner::Tool(tool) => tool.metadata.get_or_insert_default(),
        Inner::Skill(skill) => skill.metadata.get_or_insert_default(),
    }
}

/// The status, made if it is missing.
pub fn status_mut(object: &mut wire::Object) -> &mut wire::ObjectStatus {
    match object.object.get_or_insert_with(|| Inner::Agent(wire::Agent::default())) {
        Inner::Agent(agent) => agent.status.get_or_insert_default(),
        Inner::McpServer(server) => server.status.get_or_insert_default(),
        Inner::Tool(tool) => tool.status.get_or_insert_default(),
        Inner::Skill(skill) => skill.status.get_or_insert_default(),
    }
}

/// The byte of each kind's table in keys. For ever: never changed, never used again.
pub(super) const fn table_byte(kind: Kind) -> u8 {
    match kind {
        Kind::Agent => 1,
        Kind::McpServer => 2,
        Kind::Tool => 3,
        Kind::Skill => 4,
    }
}

/// The key prefix of the index of tools by their own name.
pub(super) fn tool_name_key(
    index: &crate::table::Index,
    group: GroupId,
    namespace: &Name,
    tool_name: &str,
) -> Key {
    index.key(group).text(namespace.as_str()).text(tool_name)
}
