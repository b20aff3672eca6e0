//! One MCP server as its server.json (schema 2025-12-11), and beside it what the registry knows.
//!
//! The name is `local.NAMESPACE/NAME`: a server of a private fleet has no domain of its own, and
//! nobody owns the domain `local`. A server behind a command has no remotes: there is nothing that
//! another host could run.

use super::line;
use super::query::rfc3339;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::{Kind, ObjectKey};
use keiko_proto::v1::{McpServer, McpServerSpec, Metadata, ObjectStatus};
use serde_json::{Map, Value, json};

const SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";

/// Of names of the namespaces.
const DOMAIN: &str = "local.";

/// What the schema grants to titles and descriptions.
const TEXT_CHARS_MAX: usize = 100;

/// The version of a server that says none.
const NO_VERSION: &str = "0.0.0";

/// Registry-managed metadata as the official registry has it.
const OFFICIAL: &str = "io.modelcontextprotocol.registry/official";
const HEALTH: &str = "dev.keiko/health";
const ENTRY: &str = "dev.keiko/entry";

/// One version of a server.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Release {
    /// As it was, or is.
    pub server: McpServer,
    /// False for the past.
    pub is_latest: bool,
}

/// As in `local.default/time`.
pub(super) fn name(metadata: &Metadata) -> String {
    format!("{DOMAIN}{}/{}", metadata.namespace, metadata.name)
}

/// The key of a published name.
pub(super) fn key(name: &str) -> Result<ObjectKey> {
    let parts = name.strip_prefix(DOMAIN).and_then(|rest| rest.split_once('/'));
    let Some((namespace, server)) = parts.filter(|(namespace, _)| !namespace.is_empty()) else {
        return Err(Refusal::new(Code::NotFound, format!("no server is published as {name:?}"))
            .hint("names are local.NAMESPACE/NAME, with the slash as %2F: GET /v0.1/servers"));
    };
    ObjectKey::parse(Kind::McpServer, namespace, server)
}

/// The server's own version.
pub(super) fn version(server: &McpServer) -> &str {
    match server.spec.as_ref().map_or("", |spec| spec.version.as_str()) {
        "" => NO_VERSION,
        version => version,
    }
}

/// `{server, _meta}` of the API.
pub(super) fn response(release: &Release) -> Value {
    let Release { server, is_latest } = release;
    let metadata = server.metadata.clone().unwrap_or_default();
    let official = json!({
        "status": "active",
        "publishedAt": rfc3339(metadata.created_ms),
        "updatedAt": rfc3339(metadata.updated_ms),
        "isLatest": is_latest,
    });
    let mut meta = Map::from_iter([
        (OFFICIAL.to_owned(), official),
        (ENTRY.to_owned(), entry(&metadata, server.spec.as_ref())),
    ]);
    // What was healthy then helps nobody now.
    if *is_latest {
        let status = server.status.clone().unwrap_or_default();
        meta.insert(HEALTH.to_owned(), health(&status));
    }
    json!({"server": document(server), "_meta": meta})
}

/// The server.json.
pub(super) fn document(server: &McpServer) -> Value {
    let mut document = body(server);
    document.insert("$schema".to_owned(), SCHEMA.into());
    Value::Object(document)
}

/// What server.json and a server card have in common.
pub(super) fn body(server: &McpServer) -> Map<String, Value> {
    let metadata = server.metadata.clone().unwrap_or_default();
    let spec = server.spec.clone().unwrap_or_default();
    let title = line(&spec.title, TEXT_CHARS_MAX);
    let mut body = Map::from_iter([
        ("name".to_owned(), Value::from(name(&metadata))),
        ("description".to_owned(), description(&metadata, &spec).into()),
        ("version".to_owned(), version(server).into()),
    ]);
    if !title.is_empty() {
        body.insert("title".to_owned(), title.into());
    }
    if !spec.url.is_empty() {
        let mut remote = Map::from_iter([
            ("type".to_owned(), Value::from("streamable-http")),
            ("url".to_owned(), spec.url.into()),
        ]);
        let header = |name: &String| json!({"name": name, "isRequired": true, "isSecret": true});
        let headers: Vec<Value> = spec.headers.iter().map(|known| header(&known.name)).collect();
        if !headers.is_empty() {
            remote.insert("headers".to_owned(), headers.into());
        }
        body.insert("remotes".to_owned(), json!([remote]));
    }
    body
}

/// The schema wants one: the first of these that says anything.
fn description(metadata: &Metadata, spec: &McpServerSpec) -> String {
    let annotated = metadata.annotations.get("description").map_or("", String::as_str);
    let said = [annotated, &spec.title, &spec.server_name, &metadata.name];
    let mut said = said.iter().map(|text| line(text, TEXT_CHARS_MAX));
    said.find(|text| !text.is_empty()).unwrap_or_default()
}

fn entry(metadata: &Metadata, spec: Option<&McpServerSpec>) -> Value {
    json!({
        "namespace": metadata.namespace,
        "name": metadata.name,
        "uid": metadata.uid,
        "revision": metadata.revision,
        "labels": metadata.labels,
        "transport": spec.map_or("", |spec| spec.transport.as_str()),
        "protocolVersion": spec.map_or("", |spec| spec.protocol_version.as_str()),
    })
}

/// As of this moment.
fn health(status: &ObjectStatus) -> Value {
    let health = status.health.clone().unwrap_or_default();
    json!({
        "state": state(status),
        "failureClass": health.failure_class,
        "message": health.message,
        "since": (health.since_ms != 0).then(|| rfc3339(health.since_ms)),
        "flapping": health.flapping,
        "adminState": status.admin_state,
    })
}

/// The state of health in one word.
pub(super) fn state(status: &ObjectStatus) -> &str {
    match status.health.as_ref().map_or("", |health| health.state.as_str()) {
        "" => "unknown",
        state => state,
    }
}
