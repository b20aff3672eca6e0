//! One call of one tool.

use super::failure;
use super::session::Session;
use crate::outbound::fault::{CallError, CallResult};
use keiko_core::refusal::{Code, Refusal};
use rmcp::model::{CallToolRequestParams, CallToolResponse, RequestParamsMeta};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

/// What a tool answered.
#[derive(Clone, Debug, PartialEq)]
pub struct CallOutcome {
    /// An array of content blocks, as MCP has them.
    pub content: Value,
    /// The result that fits the tool's output schema.
    pub structured: Option<Value>,
    /// The tool ran, and says that it failed.
    pub is_error: bool,
}

impl Session {
    /// Calls once. `arguments` is an object or null; `trace` is a W3C traceparent and travels as
    /// `params._meta.traceparent`.
    ///
    /// The error says whether the call surely did not run; if it may have run and nobody said how
    /// it ended, its code is [`Code::OutcomeUnknown`].
    pub async fn call(
        &self,
        tool: &str,
        arguments: Value,
        trace: Option<&str>,
        deadline: Instant,
    ) -> CallResult<CallOutcome> {
        let arguments = match arguments {
            Value::Object(arguments) => arguments,
            Value::Null => serde_json::Map::new(),
            _ => {
                let message = format!("the arguments of {tool:?} are not an object");
                return Err(CallError::not_run(Refusal::new(Code::ArgumentsInvalid, message)));
            }
        };
        self.check_open()?;
        let _call = self.begin_call();
        let mut params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        if let Some(trace) = trace {
            params.set_traceparent(trace);
        }
        // Dropped at the deadline, the call tells the server that nobody waits any more.
        let answer = match timeout_at(deadline, Box::pin(self.peer.call_tool_once(params))).await {
            Ok(answer) => answer.map_err(|error| failure::of_request(error, &self.link)),
            Err(_) => Err(CallError::maybe_run(failure::late())),
        };
        let what = format!("the tool {tool:?}");
        match answer.map_err(|error| ended(error).of_effect(&what))? {
            CallToolResponse::Complete(result) => Ok(CallOutcome {
                content: serde_json::to_value(&result.content).unwrap_or_default(),
                structured: result.structured_content,
                is_error: result.is_error == Some(true),
            }),
            CallToolResponse::InputRequired(_) => {
                Err(unable(&what, "asks for input, which nobody here can give"))
            }
            _ => Err(unable(&what, "answers with a task, which was not asked for")),
        }
    }
}

/// A child that ended in the middle of a call leaves the outcome as open as a broken connection.
fn ended(mut error: CallError) -> CallError {
    if error.refusal.code == Code::ChildFailed && !error.surely_not_run {
        error.refusal.code = Code::PeerUnreachable;
    }
    error
}

fn unable(what: &str, why: &str) -> CallError {
    CallError::maybe_run(Refusal::new(Code::PeerError, format!("{what} {why}")))
}
