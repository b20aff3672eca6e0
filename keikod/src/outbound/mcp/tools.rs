//! The tools of a server, page by page, within limits.

use super::failure;
use super::session::Session;
use crate::outbound::schema::SCHEMA_BYTES_MAX;
use keiko_core::limits::PARTS_MAX;
use keiko_core::refusal::{Code, Refusal, Result};
use rmcp::model::{
    ClientRequest, ListToolsRequest, ListToolsResult, PaginatedRequestParams, ServerResult,
};
use rmcp::service::PeerRequestOptions;
use serde_json::Value;
use std::collections::HashSet;
use tokio::time::Instant;

/// What is accepted from one server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Tools in all pages together.
    pub tools_max: usize,
    /// Bytes of one schema.
    pub schema_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { tools_max: PARTS_MAX, schema_bytes_max: SCHEMA_BYTES_MAX }
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

impl Session {
    /// Lists all tools. Never answered from a cache.
    pub async fn tools(&self, limits: &Limits, deadline: Instant) -> Result<Vec<Tool>> {
        let mut tools = Vec::new();
        let (mut names, mut cursors) = (HashSet::new(), HashSet::new());
        let mut cursor = None;
        loop {
            let page = self.page(cursor, deadline).await?;
            for tool in page.tools {
                let tool = accept(tool, limits)?;
                if tools.len() == limits.tools_max {
                    let message = format!("the server lists more than {} tools", limits.tools_max);
                    return Err(Refusal::new(Code::PeerTooLarge, message));
                }
                if !names.insert(tool.name.clone()) {
                    let message = format!("the server lists the tool {:?} twice", tool.name);
                    return Err(Refusal::new(Code::PeerError, message));
                }
                tools.push(tool);
            }
            match page.next_cursor.filter(|cursor| !cursor.is_empty()) {
                None => return Ok(tools),
                // As many pages as tools: a server may page one by one, but not for ever.
                Some(next) if cursors.len() < limits.tools_max && cursors.insert(next.clone()) => {
                    cursor = Some(next);
                }
                Some(_) => {
                    return Err(Refusal::new(
                        Code::PeerError,
                        "the server's list of tools never ends",
                    ));
                }
            }
        }
    }

    /// rmcp's own `list_tools` answers an error with the last list it saw, which hides the error.
    async fn page(&self, cursor: Option<String>, deadline: Instant) -> Result<ListToolsResult> {
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
            ServerResult::ListToolsResult(page) => Ok(page),
            _ => Err(Refusal::new(
                Code::PeerError,
                "the server answers tools/list with something else",
            )),
        }
    }
}

fn accept(tool: rmcp::model::Tool, limits: &Limits) -> Result<Tool> {
    let input_schema = Value::Object((*tool.input_schema).clone());
    let output_schema = tool.output_schema.map(|schema| Value::Object((*schema).clone()));
    for schema in std::iter::once(&input_schema).chain(&output_schema) {
        if schema.to_string().len() > limits.schema_bytes_max {
            let message = format!(
                "the schema of the tool {:?} is larger than {} bytes",
                tool.name, limits.schema_bytes_max
            );
            return Err(Refusal::new(Code::PeerTooLarge, message));
        }
    }
    let says = |hint: fn(&rmcp::model::ToolAnnotations) -> Option<bool>| {
        tool.annotations.as_ref().and_then(hint) == Some(true)
    };
    Ok(Tool {
        read_only: says(|hints| hints.read_only_hint),
        idempotent: says(|hints| hints.idempotent_hint),
        name: tool.name.into_owned(),
        title: tool.title,
        description: tool.description.map(std::borrow::Cow::into_owned),
        input_schema,
        output_schema,
    })
}
