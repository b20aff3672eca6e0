//! The tools of a server, page by page, within limits.
//!
//! Invariants: one odd tool costs the server that tool and no other; what is kept fits one entry;
//! what is left out is counted, and the first are named with a reason. Never: answered from a
//! cache, or read on for ever.

use super::failure;
use super::session::Session;
use super::verdicts::Verdicts;
use crate::outbound::{TEXT_CHARS_MAX, cut, words};
use keiko_core::id::is_part_name;
use keiko_core::limits::{ENTRY_BYTES_MAX, OBJECT_BYTES_MAX, PARTS_MAX};
use keiko_core::refusal::{Code, Refusal, Result};
use rmcp::model::{ClientRequest, ListToolsRequest, PaginatedRequestParams, ServerResult};
use rmcp::service::PeerRequestOptions;
use serde_json::Value;
use std::collections::HashSet;
use tokio::time::Instant;

/// Where a list goes on: an offset, an id or a signed token. Each one is kept while the list is read,
/// 1,024 × 4 KiB.
const CURSOR_BYTES_MAX: usize = 4096;

/// Of all tools, also of those that are not kept: rmcp remembers each while the session lasts.
/// A hundred thousand small ones are 4 MiB.
const READ_BYTES_MAX: usize = 16 << 20;

/// What a tool costs beside its own text: its metadata, and its name once more.
const TOOL_BYTES: usize = 512;

/// Reasons that are told, and what is repeated of a name and a reason in them.
const REASONS_MAX: usize = 8;
const NAME_CHARS_SHOWN: usize = 64;
const WHY_CHARS_SHOWN: usize = 160;

/// What is accepted from one server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Tools in all pages together; also pages, since a server may page one by one.
    pub tools_max: usize,
    /// Bytes of one tool with its schemas.
    pub tool_bytes_max: usize,
    /// Bytes of all tools.
    pub bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tools_max: PARTS_MAX,
            // Its labels and status need room in the object as well.
            tool_bytes_max: OBJECT_BYTES_MAX - (32 << 10),
            // The server itself is in the same entry.
            bytes_max: ENTRY_BYTES_MAX - OBJECT_BYTES_MAX,
        }
    }
}

/// One tool as its server describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// What a call names.
    pub name: String,
    /// A name for people.
    pub title: Option<String>,
    /// For a model to read.
    pub description: Option<String>,
    /// JSON Schema of the arguments.
    pub input_schema: Value,
    /// JSON Schema of the structured result.
    pub output_schema: Option<Value>,
    /// The server says that it changes nothing.
    pub read_only: bool,
    /// The server says that a repeated call has no further effect.
    pub idempotent: bool,
}

/// What a server lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    /// What can be kept.
    pub tools: Vec<Tool>,
    /// What can't.
    pub left_out: LeftOut,
}

/// What is not kept of a list, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// How many.
    pub count: usize,
    /// Why, for the first few.
    pub reasons: Vec<String>,
}

impl LeftOut {
    /// The reasons, and how many more there are. Empty if nothing is left out.
    pub fn lines(&self) -> Vec<String> {
        let more = self.count - self.reasons.len();
        let more = (more > 0).then(|| format!("and {more} more"));
        self.reasons.iter().cloned().chain(more).collect()
    }

    pub(super) fn add(&mut self, name: &str, why: &str) {
        self.count += 1;
        if self.reasons.len() < REASONS_MAX {
            let (name, why) = (words(name, NAME_CHARS_SHOWN), words(why, WHY_CHARS_SHOWN));
            self.reasons.push(format!("{name}: {why}"));
        }
    }
}

impl Session {
    /// Lists all tools. Never answered from a cache.
    ///
    /// # Errors
    /// [`Code::PeerTooLarge`] for a list that never ends or a page beyond the limit of a message.
    pub async fn tools(&self, limits: &Limits, deadline: Instant) -> Result<Listed> {
        let mut list = List::new(limits);
        let mut cursors = HashSet::new();
        let mut cursor = None;
        loop {
            let (tools, next) = self.page(cursor, deadline).await?;
            tools.into_iter().for_each(|tool| list.add(tool));
            if list.read > READ_BYTES_MAX {
                return Err(endless("its tools are more than 16 MiB"));
            }
            match next.filter(|cursor| !cursor.is_empty()) {
                None => break,
                Some(next) if next.len() > CURSOR_BYTES_MAX => {
                    return Err(endless("it goes on at a cursor of more than 4096 bytes"));
                }
                Some(next) if cursors.len() < limits.tools_max && cursors.insert(next.clone()) => {
                    cursor = Some(next);
                }
                Some(_) => return Err(endless("its pages are too many, or go in a circle")),
            }
        }
        Verdicts::sift(&self.verdicts, list.listed).await
    }

    /// rmcp's own `list_tools` answers an error with the last list it saw, which hides the error.
    async fn page(
        &self,
        cursor: Option<String>,
        deadline: Instant,
    ) -> Result<(Vec<Found>, Option<String>)> {
        self.check_open()?;
        let params = PaginatedRequestParams::default().with_cursor(cursor);
        let request = ListToolsRequest { params: Some(params), ..Default::default() };
        let left = deadline.saturating_duration_since(Instant::now());
        let sending = async {
            let options = PeerRequestOptions::with_timeout(left);
            let handle = self
                .peer
                .send_request_with_option(ClientRequest::ListToolsRequest(request), options)
                .await?;
            handle.await_response().await
        };
        match Box::pin(sending).await.map_err(|error| failure::of_request(error, &self.link))? {
            ServerResult::ListToolsResult(page) => {
                Ok((page.tools.into_iter().map(Ok).collect(), page.next_cursor))
            }
            // A page with one odd tool in it is no page for rmcp.
            ServerResult::CustomResult(page) => one_by_one(page.0),
            _ => Err(no_list()),
        }
    }
}

/// A tool, or the name of what is none and why.
type Found = std::result::Result<rmcp::model::Tool, (String, String)>;

fn one_by_one(page: Value) -> Result<(Vec<Found>, Option<String>)> {
    let Value::Object(mut page) = page else { return Err(no_list()) };
    let next = page.get("nextCursor").and_then(Value::as_str).map(str::to_owned);
    let Some(Value::Array(items)) = page.remove("tools") else { return Err(no_list()) };
    let read = |item: Value| {
        let name = item.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        serde_json::from_value(item).map_err(|error| (name, format!("it is no tool: {error}")))
    };
    Ok((items.into_iter().map(read).collect(), next))
}

fn endless(why: &str) -> Refusal {
    Refusal::new(Code::PeerTooLarge, "the server's list of tools never ends").cause(why)
}

fn no_list() -> Refusal {
    Refusal::new(Code::PeerGarbage, "the server answers tools/list with something else")
}

/// A list as it comes.
struct List<'l> {
    limits: &'l Limits,
    names: HashSet<String>,
    /// Of the tools that are kept.
    bytes: usize,
    /// Of all.
    read: usize,
    listed: Listed,
}

impl<'l> List<'l> {
    fn new(limits: &'l Limits) -> Self {
        Self { limits, names: HashSet::new(), bytes: 0, read: 0, listed: Listed::default() }
    }

    fn add(&mut self, found: Found) {
        let tool = match found {
            Ok(tool) => accept(tool),
            Err((name, why)) => return self.listed.left_out.add(&name, &why),
        };
        let bytes = cost(&tool);
        self.read += bytes - TOOL_BYTES;
        let why = if !is_part_name(&tool.name) {
            "its name is not safe in a shell, a URL and on a screen"
        } else if self.names.contains(&tool.name) {
            "it is listed twice"
        } else if self.listed.tools.len() >= self.limits.tools_max {
            "there are more tools than can be kept"
        } else if bytes > self.limits.tool_bytes_max {
            "it is larger than can be kept"
        } else if self.bytes + bytes > self.limits.bytes_max {
            "all tools together are larger than can be kept"
        } else {
            self.bytes += bytes;
            self.names.insert(tool.name.clone());
            self.listed.tools.push(tool);
            return;
        };
        self.listed.left_out.add(&tool.name, why);
    }
}

fn accept(tool: rmcp::model::Tool) -> Tool {
    let says = |hint: fn(&rmcp::model::ToolAnnotations) -> Option<bool>| {
        tool.annotations.as_ref().and_then(hint) == Some(true)
    };
    Tool {
        read_only: says(|hints| hints.read_only_hint),
        idempotent: says(|hints| hints.idempotent_hint),
        name: tool.name.into_owned(),
        title: tool.title.map(|title| cut(&title, TEXT_CHARS_MAX)),
        description: tool.description.map(|text| cut(&text, TEXT_CHARS_MAX)),
        input_schema: Value::Object((*tool.input_schema).clone()),
        output_schema: tool.output_schema.map(|schema| Value::Object((*schema).clone())),
    }
}

fn cost(tool: &Tool) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let schemas = std::iter::once(&tool.input_schema).chain(&tool.output_schema);
    let schemas: usize = schemas.map(|schema| schema.to_string().len()).sum();
    TOOL_BYTES + tool.name.len() + text(&tool.title) + text(&tool.description) + schemas
}

#[cfg(test)]
mod fuzz;
