//! One live MCP server: a session and, for stdio, the process behind it.

use super::convert;
use crate::exec::{Grace, Process};
use crate::outbound::CallResult;
use crate::outbound::mcp::{CallOutcome, Limits, Session};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1::{McpServerSpec, Tool};
use serde_json::Value;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What one look at the tools may take.
const LIST_DEADLINE: Duration = Duration::from_secs(10);

/// A server that answers.
pub struct Link {
    session: Session,
    process: Option<Process>,
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Inventory {
    /// Completes a spec: era, the server's own name and version.
    pub(super) spec: McpServerSpec,
    /// In the law's form; those that can't be kept are left out.
    pub(super) tools: Vec<Tool>,
    /// Why some are left out.
    pub(super) left_out: Vec<String>,
}

impl Link {
    pub(super) fn new(session: Session, process: Option<Process>) -> Self {
        Self { session, process }
    }

    /// Asks what the server is and offers.
    pub(super) async fn inventory(&self, spec: &McpServerSpec) -> Result<Inventory> {
        let tools = self.session.tools(&Limits::default(), Instant::now() + LIST_DEADLINE).await?;
        Ok(convert::inventory(spec, &self.session, &tools))
    }

    /// Calls a tool by its own name.
    pub(super) async fn call(
        &self,
        tool: &str,
        arguments: &Value,
        trace: Option<&str>,
        deadline: Instant,
    ) -> CallResult<CallOutcome> {
        self.session.call(tool, arguments.clone(), trace, deadline).await
    }

    /// Changes whenever the server says that its tools changed.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.session.tools_changed()
    }

    /// Returns why, when the link is lost.
    pub(super) async fn lost(&self) -> Refusal {
        let Some(process) = &self.process else { return self.session.closed().await };
        tokio::select! {
            exit = process.wait() => {
                Refusal::new(Code::ChildFailed, format!("the command ended: {exit}"))
            }
            refusal = self.session.closed() => refusal,
        }
    }

    /// Ends the session and, for stdio, the process: by its input, then TERM, then KILL.
    pub(super) async fn close(&self) {
        self.session.clone().close().await;
        if let Some(process) = &self.process
            && let Err(refusal) = process.stop(Grace::default()).await
        {
            tracing::warn!(code = %refusal.code, pid = process.pid(), "{refusal}");
        }
    }
}
