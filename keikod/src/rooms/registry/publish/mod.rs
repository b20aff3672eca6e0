//! The registry as others read it: documents whose form somebody else laid down.
//!
//! ```text
//! servers.rs   the MCP registry's API, v0.1: lists and versions
//! server.rs    one MCP server as its server.json (2025-12-11), and what we know of it
//! catalog.rs   /.well-known/ai-catalog.json
//! card.rs      an agent's A2A card as it was fetched
//! targets.rs   Prometheus HTTP service discovery
//! query.rs     parameters of a query; times
//! ```
//!
//! Invariants: everything is a projection of declared objects, read from this node's own state, so
//! it is there without a leader; every answer has a bound; no credential's name or value is in any
//! of them; the text of peers is data.
//!
//! Never: writes, asks the outside world, tells a command line.

mod card;
mod catalog;
mod query;
mod server;
mod servers;
mod targets;
#[cfg(test)]
mod tests;

use crate::net::{Asked, Document, Pages, Permission, Resource, decode};
use crate::outbound::cut;
use crate::rooms::Control;
use crate::store::View;
use bytes::Bytes;
use keiko_core::id::{GroupId, Name};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::{self, Filter, Kind};
use keiko_core::selector::Selector;
use keiko_proto::v1::Object;
use query::Query;
use serde_json::Value;

const GROUP: GroupId = GroupId::CONTROL;

const JSON: &str = "application/json";

/// Entries of one document that has no pages: the fleet that Keiko is made for.
const ENTRIES_MAX: usize = 10_000;

/// All entries of such a document as text: 1.6 KiB for each of the most that there may be.
const ENTRIES_BYTES_MAX: usize = 16 << 20;

/// Serves what others read.
#[derive(Clone)]
pub struct Publisher {
    /// Where it reads.
    pub control: Control,
    /// Of the API, for links, where the caller does not say what it calls this node.
    pub api_address: String,
}

/// Which document a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Page {
    Servers,
    Versions { name: String },
    Version { name: String, version: String },
    Catalog,
    Card { namespace: String, name: String },
    Targets,
}

#[tonic::async_trait]
impl Pages for Publisher {
    fn has(&self, path: &str) -> bool {
        find(path).is_some()
    }

    async fn read(&self, asked: Asked) -> Result<Document> {
        let page = find(&asked.path).ok_or_else(|| {
            Refusal::new(Code::UnknownMethod, format!("there is nothing at {}", asked.path))
        })?;
        let query = Query::parse(&asked.query)?;
        let may_read = |kind: Kind| {
            asked.identity.require(Permission::RegistryRead, &Resource::All(kind.noun()))
        };
        let value = match page {
            Page::Servers => {
                may_read(Kind::McpServer)?;
                servers::list(&self.control, &query).await?
            }
            Page::Versions { name } => {
                may_read(Kind::McpServer)?;
                servers::versions(&self.control, &name).await?
            }
            Page::Version { name, version } => {
                may_read(Kind::McpServer)?;
                servers::version(&self.control, &name, &version).await?
            }
            Page::Card { namespace, name } => {
                let body = card::read(&self.control, &asked.identity, &namespace, &name).await?;
                return Ok(Document { content_type: JSON, body });
            }
            Page::Catalog => {
                may_read(Kind::Agent)?;
                may_read(Kind::McpServer)?;
                let base = asked.authority.unwrap_or_else(|| self.api_address.clone());
                let base = format!("https://{base}");
                let value = catalog::read(&self.control, &query, &base).await?;
                return Ok(document(catalog::MEDIA_TYPE, &value));
            }
            Page::Targets => {
                may_read(Kind::Agent)?;
                may_read(Kind::McpServer)?;
                targets::read(&self.control, &query).await?
            }
        };
        Ok(document(JSON, &value))
    }
}

fn document(content_type: &'static str, value: &Value) -> Document {
    let mut text = value.to_string();
    text.push('\n');
    Document { content_type, body: Bytes::from(text) }
}

fn find(path: &str) -> Option<Page> {
    let parts: Option<Vec<String>> = path.strip_prefix('/')?.split('/').map(decode).collect();
    let parts = parts?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    if parts.iter().any(|part| part.is_empty()) {
        return None;
    }
    let owned = |text: &str| text.to_owned();
    Some(match parts.as_slice() {
        ["v0.1", "servers"] => Page::Servers,
        ["v0.1", "servers", name, "versions"] => Page::Versions { name: owned(name) },
        ["v0.1", "servers", name, "versions", version] => {
            Page::Version { name: owned(name), version: owned(version) }
        }
        [".well-known", "ai-catalog.json"] => Page::Catalog,
        ["v1", "agents", namespace, name, "card"] => {
            Page::Card { namespace: owned(namespace), name: owned(name) }
        }
        ["v1", "sd"] => Page::Targets,
        _ => return None,
    })
}

/// An entry for each agent and server that a query means: `kind`, `namespace`, `selector`.
async fn entries(
    control: &Control,
    query: &Query,
    entry: impl Fn(Kind, &Object) -> Option<Value> + Send + 'static,
) -> Result<Vec<Value>> {
    let kinds = match query.get("kind") {
        None => vec![Kind::Agent, Kind::McpServer],
        Some(word) => match Kind::from_noun(word) {
            Some(kind @ (Kind::Agent | Kind::McpServer)) => vec![kind],
            Some(Kind::Tool | Kind::Skill) | None => {
                let text = format!("the kind can't be {word:?}");
                return Err(Refusal::new(Code::InvalidArgument, text).hint("one of agent, mcp"));
            }
        },
    };
    let namespace = match query.get("namespace") {
        None | Some("") => None,
        Some(text) => Some(Name::parse("namespace", text)?),
    };
    let selector = Selector::parse(query.get("selector").unwrap_or_default())?;
    let read = move |view: &View<'_>| {
        let (mut found, mut bytes) = (Vec::new(), 0);
        for kind in kinds {
            let filter = Filter { kind, namespace: namespace.clone(), selector: selector.clone() };
            let mut token = String::new();
            loop {
                let page = registry::list(view, GROUP, &filter, None, 0, &token)?;
                for value in page.items.iter().filter_map(|object| entry(kind, object)) {
                    bytes += value.to_string().len();
                    if found.len() == ENTRIES_MAX || bytes > ENTRIES_BYTES_MAX {
                        return Err(too_many());
                    }
                    found.push(value);
                }
                match page.next {
                    Some(next) => token = next,
                    None => break,
                }
            }
        }
        Ok(found)
    };
    control.read_local(read).await?
}

fn too_many() -> Refusal {
    let mebibytes = ENTRIES_BYTES_MAX >> 20;
    Refusal::new(Code::LimitExceeded, "there is more than one document holds")
        .cause(format!("at most {ENTRIES_MAX} entries, or {mebibytes} MiB of them"))
        .hint("ask for less: ?namespace=NAMESPACE, ?kind=agent, ?selector=team=red")
}

/// The first characters of a text, on one line.
fn line(text: &str, chars_max: usize) -> String {
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    cut(&words.join(" "), chars_max)
}
