//! The MCP registry's API, v0.1: `GET /v0.1/servers` and the versions of a server.
//!
//! The list has each server once, as it is now; past versions are under its own path. With an exact
//! `version` it has whichever servers ever had it, as far as history is kept.

use super::GROUP;
use super::query::Query;
use super::server::{self, Release};
use crate::rooms::Control;
use crate::store::View;
use keiko_core::history::Version;
use keiko_core::journal;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::{self, Filter, Kind, ObjectKey};
use keiko_core::selector::Selector;
use keiko_proto::v1::{McpServer, Object, object::Object as Inner};
use serde_json::{Map, Value, json};

/// As in the official registry.
const LIMIT_DEFAULT: u32 = 30;
const LIMIT_MAX: u32 = 100;

/// Servers that one request looks at: a search that finds little ends here, with a cursor. Whoever
/// wants an exact version has the past of each read, so there it is one full page.
const LOOKED_AT_MAX: u32 = 1000;

/// Past versions of one object that a list looks at; its own path has 1,000, or 3 MiB of them.
const PAST_IN_LIST_MAX: u32 = 100;

/// The newest, whichever it is.
const LATEST: &str = "latest";

/// What a list is asked for.
#[derive(Clone, Debug)]
struct Wanted {
    limit: u32,
    cursor: String,
    /// Lower case.
    search: String,
    since_ms: u64,
    /// Empty: the latest.
    version: String,
}

impl Wanted {
    fn parse(query: &Query) -> Result<Self> {
        let text = |name| query.get(name).unwrap_or_default();
        Ok(Self {
            limit: query.limit(LIMIT_DEFAULT, LIMIT_MAX)?,
            cursor: text("cursor").to_owned(),
            search: text("search").to_lowercase(),
            since_ms: query.moment("updated_since")?.unwrap_or_default(),
            version: match text("version") {
                LATEST => String::new(),
                version => version.to_owned(),
            },
        })
    }

    /// The release of this server that fits.
    fn of(&self, view: &View<'_>, server: &McpServer) -> Result<Option<Release>> {
        let metadata = server.metadata.clone().unwrap_or_default();
        if !server::name(&metadata).contains(&self.search) || metadata.updated_ms < self.since_ms {
            return Ok(None);
        }
        if self.version.is_empty() || server::version(server) == self.version {
            return Ok(Some(Release { server: server.clone(), is_latest: true }));
        }
        let key = ObjectKey::parse(Kind::McpServer, &metadata.namespace, &metadata.name)?;
        let past = releases(view, &key, PAST_IN_LIST_MAX)?;
        Ok(past.into_iter().find(|release| server::version(&release.server) == self.version))
    }
}

/// `GET /v0.1/servers`.
pub(super) async fn list(control: &Control, query: &Query) -> Result<Value> {
    let wanted = Wanted::parse(query)?;
    let (found, next) = control.read_local(move |view: &View<'_>| page(view, &wanted)).await??;
    let mut metadata = Map::from_iter([("count".to_owned(), Value::from(found.len()))]);
    if let Some(next) = next {
        metadata.insert("nextCursor".to_owned(), next.into());
    }
    let servers: Vec<Value> = found.iter().map(server::response).collect();
    Ok(json!({"servers": servers, "metadata": metadata}))
}

fn page(view: &View<'_>, wanted: &Wanted) -> Result<(Vec<Release>, Option<String>)> {
    let filter = Filter { kind: Kind::McpServer, namespace: None, selector: Selector::parse("")? };
    let looked_at_max = if wanted.version.is_empty() { LOOKED_AT_MAX } else { LIMIT_MAX };
    let (mut found, mut cursor, mut looked_at) = (Vec::new(), wanted.cursor.clone(), 0);
    loop {
        let missing = wanted.limit - u32::try_from(found.len()).unwrap_or(wanted.limit);
        let page = registry::list(view, GROUP, &filter, None, missing, &cursor)?;
        looked_at += missing;
        for object in &page.items {
            if let Some(Inner::McpServer(server)) = &object.object {
                found.extend(wanted.of(view, server)?);
            }
        }
        let full = found.len() >= wanted.limit as usize || looked_at >= looked_at_max;
        match page.next {
            None => return Ok((found, None)),
            Some(next) if full => return Ok((found, Some(next))),
            Some(next) => cursor = next,
        }
    }
}

/// `GET /v0.1/servers/{name}/versions`.
pub(super) async fn versions(control: &Control, name: &str) -> Result<Value> {
    let key = server::key(name)?;
    let releases = control.read_local(move |view: &View<'_>| releases(view, &key, 0)).await??;
    let servers: Vec<Value> = releases.iter().map(server::response).collect();
    let count = servers.len();
    Ok(json!({"servers": servers, "metadata": {"count": count}}))
}

/// `GET /v0.1/servers/{name}/versions/{version}`.
pub(super) async fn version(control: &Control, name: &str, version: &str) -> Result<Value> {
    let key = server::key(name)?;
    let releases = control.read_local(move |view: &View<'_>| releases(view, &key, 0)).await??;
    let fits = |release: &&Release| match version {
        LATEST => release.is_latest,
        exact => server::version(&release.server) == exact,
    };
    releases.iter().find(fits).map(server::response).ok_or_else(|| {
        let known = releases.iter().map(|release| server::version(&release.server));
        let text = format!("{name} has no version {version:?}");
        known.fold(Refusal::new(Code::NotFound, text), |refusal, known| {
            refusal.hint(format!("it has {known}"))
        })
    })
}

/// The versions of a server since it was made, newest first; the first is the present. Never empty.
fn releases(view: &View<'_>, key: &ObjectKey, past_max: u32) -> Result<Vec<Release>> {
    // A server that is gone has no present, even if its past is kept.
    registry::get(view, GROUP, key, None)?;
    let oldest = journal::oldest_revision(view, GROUP);
    let past = registry::history(view, GROUP, key, oldest, past_max)?;
    let releases = fold(past);
    if releases.is_empty() { Err(missing(key)) } else { Ok(releases) }
}

fn missing(key: &ObjectKey) -> Refusal {
    Refusal::new(Code::NotFound, format!("{} is gone", key.subject()))
        .hint("list what is there: GET /v0.1/servers")
}

/// From versions of the object, newest first, to versions of the server.
pub(super) fn fold(past: Vec<Version<Object>>) -> Vec<Release> {
    let mut releases: Vec<Release> = Vec::new();
    for version in past {
        // What lies before a deletion was another life.
        let Some(Object { object: Some(Inner::McpServer(server)) }) = version.value else { break };
        let same = |known: &Release| server::version(&known.server) == server::version(&server);
        if !releases.iter().any(same) {
            let is_latest = releases.is_empty();
            releases.push(Release { server, is_latest });
        }
    }
    releases
}
