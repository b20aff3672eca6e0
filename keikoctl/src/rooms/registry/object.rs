//! What all kinds have in common: a word, a name, metadata, conditions.

use crate::fault::usage;
use crate::print::Shown;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::object::Object as Any;
use keiko_client::proto::v1::{Condition, Health, Kind, Live, Metadata, Object, ObjectStatus};
use keiko_core::refusal::Refusal;
use serde_json::Value;
use std::sync::LazyLock;

/// The noun of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KindWord {
    /// As the calls want it.
    pub kind: Kind,
    /// As the command line has it.
    pub word: &'static str,
}

impl KindWord {
    /// Every kind.
    pub(crate) fn all() -> [Self; 4] {
        [Kind::Agent, Kind::McpServer, Kind::Tool, Kind::Skill].map(Self::of)
    }

    /// The noun.
    pub(crate) fn of(kind: Kind) -> Self {
        let word = match kind {
            Kind::Agent => "agent",
            Kind::McpServer => "mcp",
            Kind::Tool => "tool",
            Kind::Skill => "skill",
            Kind::Unspecified => "object",
        };
        Self { kind, word }
    }

    /// The kind of a noun, as in `mcp`.
    pub(crate) fn read(word: &str) -> Option<Self> {
        Self::all().into_iter().find(|kind| kind.word == word)
    }

    /// Several of them, for people.
    pub(crate) fn plural(self) -> &'static str {
        match self.kind {
            Kind::Agent => "agents",
            Kind::McpServer => "MCP servers",
            Kind::Tool => "tools",
            Kind::Skill => "skills",
            Kind::Unspecified => "objects",
        }
    }

    /// The name in `NAME` or `KIND/NAME`.
    pub(crate) fn name(self, text: &str) -> Result<String, Refusal> {
        let name = match text.split_once('/') {
            None => text,
            Some((word, name)) if word == self.word => name,
            Some((word, _)) => {
                return Err(usage(format!(
                    "{text:?} is of the kind {word:?}, not {:?}",
                    self.word
                ))
                .hint(format!("as in: {}/NAME", self.word)));
            }
        };
        if name.is_empty() {
            return Err(usage("the name is empty"));
        }
        Ok(name.to_owned())
    }
}

/// An object as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Item(pub Object);

impl Shown for Item {
    fn json(&self) -> Value {
        to_json("keiko.v1.Object", &self.0)
    }
}

static NO_METADATA: LazyLock<Metadata> = LazyLock::new(Metadata::default);

impl Item {
    /// Its kind.
    pub(crate) fn kind(&self) -> KindWord {
        KindWord::of(match &self.0.object {
            Some(Any::Agent(_)) => Kind::Agent,
            Some(Any::McpServer(_)) => Kind::McpServer,
            Some(Any::Tool(_)) => Kind::Tool,
            Some(Any::Skill(_)) => Kind::Skill,
            None => Kind::Unspecified,
        })
    }

    /// Its metadata.
    pub(crate) fn metadata(&self) -> &Metadata {
        let metadata = match &self.0.object {
            Some(Any::Agent(agent)) => &agent.metadata,
            Some(Any::McpServer(server)) => &server.metadata,
            Some(Any::Tool(tool)) => &tool.metadata,
            Some(Any::Skill(skill)) => &skill.metadata,
            None => &None,
        };
        metadata.as_ref().unwrap_or(&NO_METADATA)
    }

    /// How it is.
    pub(crate) fn status(&self) -> Option<&ObjectStatus> {
        let status = match &self.0.object {
            Some(Any::Agent(agent)) => &agent.status,
            Some(Any::McpServer(server)) => &server.status,
            Some(Any::Tool(tool)) => &tool.status,
            Some(Any::Skill(skill)) => &skill.status,
            None => &None,
        };
        status.as_ref()
    }

    /// Its conditions.
    pub(crate) fn conditions(&self) -> &[Condition] {
        self.status().map_or(&[], |status| &status.conditions)
    }

    /// One of its conditions; upper and lower case are the same.
    pub(crate) fn condition(&self, name: &str) -> Option<&Condition> {
        self.conditions().iter().find(|condition| condition.r#type.eq_ignore_ascii_case(name))
    }

    /// The condition that says whether it works.
    pub(crate) fn ready(&self) -> Option<&Condition> {
        self.condition("Ready")
    }

    /// As the prober last told; parts have none of their own.
    pub(crate) fn health(&self) -> Option<&Health> {
        self.status()?.health.as_ref()
    }

    /// What the answering node knew when it was read.
    pub(crate) fn live(&self) -> Option<&Live> {
        self.status()?.live.as_ref()
    }

    /// What it needs, as it declares it.
    pub(crate) fn depends_on(&self) -> &[String] {
        match &self.0.object {
            Some(Any::Agent(agent)) => agent.spec.as_ref().map_or(&[], |spec| &spec.depends_on),
            Some(Any::McpServer(server)) => {
                server.spec.as_ref().map_or(&[], |spec| &spec.depends_on)
            }
            _ => &[],
        }
    }

    /// `kind/name`.
    pub(crate) fn reference(&self) -> String {
        format!("{}/{}", self.kind().word, self.metadata().name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_both_forms() {
        let mcp = KindWord::of(Kind::McpServer);
        for (text, expect) in [
            ("time", Some("time")),
            ("mcp/time", Some("time")),
            ("agent/time", None),
            ("mcp/", None),
            ("", None),
            ("time.get_x", Some("time.get_x")),
        ] {
            assert_eq!(mcp.name(text).ok().as_deref(), expect, "{text:?}");
        }
    }
}
