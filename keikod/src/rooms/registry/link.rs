//! One live MCP server: a session and, for stdio, the process behind it.

use super::convert;
use crate::exec::{Exit, Grace, Process};
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

/// Between the end of a command's output and its own.
const EXIT_PAUSE: Duration = Duration::from_millis(200);

/// A server that answers.
pub struct Link {
    session: Session,
    process: Option<Leash>,
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Inventory {
    /// Completes a spec: era, the server's own name and version.
    pub(super) spec: McpServerSpec,
    /// In the law's form; those that can't be kept are left out.
    pub(super) tools: Vec<Tool>,
    /// How many are left out …
    pub(super) left_out: usize,
    /// … and why: the first few, and how many more.
    pub(super) reasons: Vec<String>,
}

/// A process that never outlives whoever started it: a caller that goes away in the middle of a
/// registration drops it, and it is ended.
pub(super) struct Leash(Process);

impl Leash {
    pub(super) fn new(process: Process) -> Self {
        Self(process)
    }

    pub(super) fn process(&self) -> &Process {
        &self.0
    }

    /// Ends it, in bounded time.
    pub(super) async fn stop(&self) {
        stop(self.0.clone()).await;
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        if self.0.exit().is_none() {
            tokio::spawn(stop(self.0.clone()));
        }
    }
}

/// Why a command is of no use, by how it ended and what was wrong before. Who is cut off for what
/// it wrote ends by that, and how says nothing.
pub(super) fn ended(exit: &Exit, before: Refusal) -> Refusal {
    match before.code {
        Code::PeerTooLarge | Code::PeerGarbage => before,
        _ => gone(exit).cause(before.message),
    }
}

fn gone(exit: &Exit) -> Refusal {
    Refusal::new(Code::ChildFailed, format!("the command ended: {exit}"))
}

async fn stop(process: Process) {
    if let Err(refusal) = process.stop(Grace::default()).await {
        tracing::warn!(code = %refusal.code, pid = process.pid(), "{refusal}");
    }
}

impl Link {
    pub(super) fn new(session: Session, process: Option<Leash>) -> Self {
        Self { session, process }
    }

    /// Asks what the server is and offers.
    pub(super) async fn inventory(&self, spec: &McpServerSpec) -> Result<Inventory> {
        let deadline = Instant::now() + LIST_DEADLINE;
        let listed = self.session.tools(&Limits::default(), deadline).await?;
        Ok(convert::inventory(spec, &self.session, &listed))
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

    /// True once [`Self::lost`] would return at once.
    pub(super) fn is_lost(&self) -> bool {
        let ended = self.process.as_ref().is_some_and(|leash| leash.process().exit().is_some());
        ended || self.session.is_closed()
    }

    /// Returns why, when the link is lost.
    pub(super) async fn lost(&self) -> Refusal {
        let Some(leash) = &self.process else { return self.session.closed().await };
        tokio::select! {
            biased;
            refusal = self.session.closed() => {
                // Its output ends a moment before it does: how it ended says more.
                let exit = tokio::time::timeout(EXIT_PAUSE, leash.process().wait()).await;
                match exit {
                    Ok(exit) => ended(&exit, refusal),
                    Err(_) => refusal,
                }
            }
            exit = leash.process().wait() => gone(&exit),
        }
    }

    /// Ends the session and, for stdio, the process: by its input, then TERM, then KILL.
    pub(super) async fn close(&self) {
        self.session.clone().close().await;
        if let Some(leash) = &self.process {
            leash.stop().await;
        }
    }
}
