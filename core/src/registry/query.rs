//! What can be read, now and at any revision.

use super::depend;
use super::model::{Kind, ObjectKey, metadata, tool_name_key};
use super::state::{TOOLS_BY_NAME, table};
use crate::history::Version;
use crate::id::{GroupId, Name};
use crate::key::Parts;
use crate::limits::{ANSWER_BYTES_MAX, HISTORY_ITEMS_MAX, PAGE_ITEMS_MAX};
use crate::refusal::{Code, Refusal, Result, refuse};
use crate::selector::Selector;
use crate::store::Store;
use keiko_proto::v1::{Object, Tool, object::Object as Inner};
use prost::Message;

/// Which objects of a kind.
#[derive(Clone, Debug)]
pub struct Filter {
    /// The kind.
    pub kind: Kind,
    /// One namespace, or all.
    pub namespace: Option<Name>,
    /// Their labels.
    pub selector: Selector,
}

impl Filter {
    /// True if an object of this kind fits.
    pub fn matches(&self, object: &Object) -> bool {
        let Some(metadata) = metadata(object) else { return false };
        let namespace = self.namespace.as_ref();
        namespace.is_none_or(|namespace| namespace.as_str() == metadata.namespace)
            && self.selector.matches(&metadata.labels)
    }
}

/// Some of the objects that fit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// In the order of namespace and name.
    pub items: Vec<Object>,
    /// Where the next page goes on; `None` if this was the last.
    pub next: Option<String>,
}

/// One object, now or at a revision.
pub fn get(store: &dyn Store, group: GroupId, key: &ObjectKey, at: Option<u64>) -> Result<Object> {
    let table = table(key.kind);
    let row = key.row(table.key(group));
    let found = match at {
        None => table.get(store, &row),
        Some(revision) => table.get_at(store, &row, revision),
    };
    let found = found.map(|mut object| {
        depend::show(store, group, at, &mut object);
        object
    });
    found.ok_or_else(|| match at {
        None => key.not_found(),
        Some(revision) => {
            let mut refusal = key.not_found();
            refusal.message = format!("{} at revision {revision}", refusal.message);
            refusal.hint(format!("keikoctl {} history {}", key.kind, key.typed()))
        }
    })
}

/// One object as an accepted entry left it: as it was at that entry's revision.
pub fn written(
    store: &dyn Store,
    group: GroupId,
    key: &ObjectKey,
    revision: u64,
) -> Result<Object> {
    match get(store, group, key, None) {
        // Nobody wrote it since, so that is how it was then: one row, where the past is a scan.
        Ok(object) if metadata(&object).is_some_and(|data| data.revision <= revision) => Ok(object),
        Ok(_) | Err(_) => get(store, group, key, Some(revision)),
    }
}

/// The objects that fit, from where the page before ended: at most `limit`, and as many as one
/// answer holds.
pub fn list(
    store: &dyn Store,
    group: GroupId,
    filter: &Filter,
    at: Option<u64>,
    limit: u32,
    page_token: &str,
) -> Result<Page> {
    let limit = match limit {
        0 => PAGE_ITEMS_MAX,
        limit => limit.min(PAGE_ITEMS_MAX),
    } as usize;
    let table = table(filter.kind);
    let all = table.key(group);
    let prefix = match &filter.namespace {
        Some(namespace) => all.clone().text(namespace.as_str()),
        None => all.clone(),
    };
    let after = match page_token.split_once('/') {
        None if page_token.is_empty() => None,
        Some((namespace, name)) => Some(ObjectKey::parse(filter.kind, namespace, name)?.row(all)),
        None => return refuse(Code::InvalidArgument, "the page token is not one of ours"),
    };
    let objects: Box<dyn Iterator<Item = Object>> = match at {
        None => Box::new(table.scan(store, &prefix, after.as_ref())),
        Some(revision) => Box::new(table.scan_at(store, &prefix, after.as_ref(), revision)),
    };
    let (mut items, mut bytes, mut more) = (Vec::new(), 0, false);
    for mut object in objects.filter(|object| filter.matches(object)) {
        depend::show(store, group, at, &mut object);
        bytes += object.encoded_len();
        if items.len() == limit || (bytes > ANSWER_BYTES_MAX && !items.is_empty()) {
            more = true;
            break;
        }
        items.push(object);
    }
    let next = match items.last().and_then(metadata) {
        Some(last) if more => Some(format!("{}/{}", last.namespace, last.name)),
        Some(_) | None => None,
    };
    Ok(Page { items, next })
}

/// Past versions of one object, newest first, as far as one answer holds them.
pub fn history(
    store: &dyn Store,
    group: GroupId,
    key: &ObjectKey,
    oldest: u64,
    limit: u32,
) -> Result<Vec<Version<Object>>> {
    let limit = match limit {
        0 => HISTORY_ITEMS_MAX,
        limit => limit.min(HISTORY_ITEMS_MAX),
    } as usize;
    let table = table(key.kind);
    let row = key.row(table.key(group));
    let (mut versions, mut bytes) = (Vec::new(), 0);
    for version in table.versions(store, &row, u64::MAX).take(limit) {
        bytes += version.value.as_ref().map_or(0, Message::encoded_len);
        if bytes > ANSWER_BYTES_MAX && !versions.is_empty() {
            break;
        }
        // The newest version below the oldest revision is what was so at that revision.
        let last = version.revision <= oldest;
        versions.push(version);
        if last {
            break;
        }
    }
    if versions.is_empty() { Err(key.not_found()) } else { Ok(versions) }
}

/// The tool that a name means: SERVER.TOOL, or a bare name if all who offer it agree on its schema.
/// Several agreeing ones are all returned, by server.
pub fn resolve_tool(
    store: &dyn Store,
    group: GroupId,
    namespace: &Name,
    name: &str,
) -> Result<Vec<Tool>> {
    let namespace_text = namespace.as_str();
    if let Ok(key) = ObjectKey::parse(Kind::Tool, namespace_text, name)
        && let Some(Object { object: Some(Inner::Tool(tool)) }) = find(store, group, &key)
    {
        return Ok(vec![tool]);
    }
    let by_name = tool_name_key(&TOOLS_BY_NAME, group, namespace, name);
    let mut tools = Vec::new();
    for key in TOOLS_BY_NAME.scan(store, &by_name) {
        let mut parts = Parts::of(&key);
        let server = parts.text().and_then(|_| parts.text()).and_then(|_| parts.text());
        let server = server.expect("invariant: the index holds namespace, tool name, server");
        let key = ObjectKey::parse(Kind::Tool, namespace_text, &format!("{server}.{name}"))?;
        if let Some(Object { object: Some(Inner::Tool(tool)) }) = find(store, group, &key) {
            tools.push(tool);
        }
    }
    let hash = |tool: &Tool| tool.spec.as_ref().map(|spec| spec.schema_hash.clone());
    match tools.as_slice() {
        [] => Err(Refusal::new(
            Code::NotFound,
            format!("no tool {name:?} in namespace {namespace_text}"),
        )
        .hint("keikoctl tool list -A")),
        [first, rest @ ..] if rest.iter().all(|tool| hash(tool) == hash(first)) => Ok(tools),
        several => Err(ambiguous(name, several)),
    }
}

fn ambiguous(name: &str, tools: &[Tool]) -> Refusal {
    let refusal = Refusal::new(
        Code::Ambiguous,
        format!("{} servers offer a tool {name:?}, with different schemas", tools.len()),
    );
    let names = tools.iter().filter_map(|tool| tool.metadata.as_ref()).map(|data| &data.name);
    names
        .fold(refusal, |refusal, name| refusal.cause(format!("{name} is one of them")))
        .hint(format!("say which one: keikoctl tool call SERVER.{name}"))
}

/// The tools of one server, or the skills of one agent, by name.
pub fn parts(store: &dyn Store, group: GroupId, owner: &ObjectKey) -> Vec<Object> {
    parts_of(store, group, owner).into_iter().map(|(_, part)| part).collect()
}

pub(super) fn find(store: &dyn Store, group: GroupId, key: &ObjectKey) -> Option<Object> {
    let table = table(key.kind);
    table.get(store, &key.row(table.key(group)))
}

pub(super) fn parts_of(
    store: &dyn Store,
    group: GroupId,
    owner: &ObjectKey,
) -> Vec<(ObjectKey, Object)> {
    let kind = match owner.kind {
        Kind::Agent => Kind::Skill,
        Kind::McpServer => Kind::Tool,
        Kind::Tool | Kind::Skill => return Vec::new(),
    };
    let table = table(kind);
    let namespace = table.key(group).text(owner.namespace.as_str());
    // Names are text in order, so all that start with `owner.` lie behind `owner.` itself.
    let first = format!("{}.", owner.name);
    let after = namespace.clone().text(&first);
    table
        .scan(store, &namespace, Some(&after))
        .map_while(|object| {
            let name = metadata(&object)?.name.clone();
            let namespace = owner.namespace.clone();
            let part = name.starts_with(&first);
            part.then_some((ObjectKey { kind, namespace, name }, object))
        })
        .collect()
}
