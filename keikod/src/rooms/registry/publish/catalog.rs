//! `/.well-known/ai-catalog.json`: agents and remote servers as an AI Catalog 1.0 (draft).
//!
//! An agent is a link to its card, a server its card inline. Who has neither is not in it: an agent
//! that was never seen, a server behind a command. The publisher in identifiers stands for "this
//! fleet": it is no domain that anybody could own.

use super::query::{Query, encode, rfc3339};
use super::{entries, server};
use crate::rooms::Control;
use keiko_core::refusal::Result;
use keiko_core::registry::{self, Kind};
use keiko_proto::v1::{Agent, McpServer, Metadata, Object, object::Object as Inner};
use serde_json::{Value, json};

/// Of the whole document.
pub(super) const MEDIA_TYPE: &str = "application/ai-catalog+json";

const A2A_CARD: &str = "application/a2a-agent-card+json";
const MCP_CARD: &str = "application/mcp-server-card+json";
const PUBLISHER: &str = "keiko.localhost";
const SERVER_CARD_SCHEMA: &str =
    "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json";

/// `base` is where this node is for the caller, as in `https://n1:7340`.
pub(super) async fn read(control: &Control, query: &Query, base: &str) -> Result<Value> {
    let base = base.to_owned();
    let entries = entries(control, query, move |_, object| entry(object, &base)).await?;
    Ok(json!({
        "specVersion": "1.0",
        "host": {"displayName": format!("Keiko on {}", control.node())},
        "entries": entries,
    }))
}

/// One entry, if there is a document of it.
pub(super) fn entry(object: &Object, base: &str) -> Option<Value> {
    let metadata = registry::metadata(object)?;
    match object.object.as_ref()? {
        Inner::Agent(agent) => agent_entry(metadata, agent, base),
        Inner::McpServer(server) => server_entry(metadata, server),
        Inner::Tool(_) | Inner::Skill(_) => None,
    }
}

fn agent_entry(metadata: &Metadata, agent: &Agent, base: &str) -> Option<Value> {
    let spec = agent.spec.as_ref().filter(|spec| !spec.card.is_empty())?;
    let (namespace, name) = (encode(&metadata.namespace), encode(&metadata.name));
    let mut entry = common(Kind::Agent, metadata, A2A_CARD);
    entry["displayName"] = shown(&spec.title, metadata);
    entry["url"] = format!("{base}/v1/agents/{namespace}/{name}/card").into();
    if !spec.version.is_empty() {
        entry["version"] = spec.version.clone().into();
    }
    Some(entry)
}

fn server_entry(metadata: &Metadata, server: &McpServer) -> Option<Value> {
    let spec = server.spec.as_ref().filter(|spec| !spec.url.is_empty())?;
    let mut card = server::body(server);
    card.insert("$schema".to_owned(), SERVER_CARD_SCHEMA.into());
    let mut entry = common(Kind::McpServer, metadata, MCP_CARD);
    entry["displayName"] = shown(&spec.title, metadata);
    entry["version"] = server::version(server).into();
    entry["data"] = Value::Object(card);
    Some(entry)
}

fn common(kind: Kind, metadata: &Metadata, media_type: &str) -> Value {
    let Metadata { namespace, name, labels, .. } = metadata;
    let tags: Vec<String> = labels
        .iter()
        .map(|(key, value)| if value.is_empty() { key.clone() } else { format!("{key}={value}") })
        .collect();
    json!({
        "identifier": format!("urn:air:{PUBLISHER}:{namespace}:{kind}:{name}"),
        "type": media_type,
        "tags": tags,
        "updatedAt": rfc3339(metadata.updated_ms),
    })
}

/// The name that people read.
fn shown(title: &str, metadata: &Metadata) -> Value {
    match super::line(title, 100) {
        empty if empty.is_empty() => metadata.name.clone().into(),
        title => title.into(),
    }
}
