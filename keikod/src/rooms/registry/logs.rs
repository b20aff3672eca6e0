//! What a stdio server wrote to its standard error on this node.

use super::super::Control;
use super::Reach;
use super::read::require_on;
use crate::exec::LogLine as Line;
use crate::net::{Identity, Permission};
use crate::store::View;
use keiko_core::id::GroupId;
use keiko_core::refusal::Result;
use keiko_core::registry::{self, Kind, ObjectKey};
use keiko_proto::v1::{LogLine, LogsRequest};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tonic::Status;

/// Lines that wait for one reader.
const QUEUE: usize = 64;

/// The last lines; with `follow` every further one too.
pub(super) async fn logs(
    control: &Control,
    reach: &Reach,
    caller: &Identity,
    asked: LogsRequest,
) -> Result<mpsc::Receiver<Result<LogLine, Status>>> {
    let key = ObjectKey::parse(Kind::McpServer, &asked.namespace, &asked.name)?;
    require_on(caller, Permission::McpLogs, &key)?;
    let tail = match asked.tail {
        0 => usize::MAX,
        tail => tail as usize,
    };
    let followed = reach.follow_logs(&key, tail);
    if followed.lines.is_empty() {
        // A server that never linked is not registered, but what it wrote says why.
        control
            .read_local(move |view: &View<'_>| registry::get(view, GroupId::CONTROL, &key, None))
            .await??;
    }
    let (sender, receiver) = mpsc::channel(QUEUE);
    let closing = control.closing().clone();
    tokio::spawn(async move {
        for line in followed.lines {
            if sender.send(Ok(wire(line))).await.is_err() {
                return;
            }
        }
        let mut next = followed.next;
        if !asked.follow {
            return;
        }
        loop {
            let line = tokio::select! {
                line = next.recv() => line,
                () = sender.closed() => return,
                () = closing.cancelled() => return,
            };
            let line = match line {
                Ok(line) => wire(line),
                Err(RecvError::Lagged(count)) => LogLine {
                    unix_ms: 0,
                    text: format!("… {count} lines were written too fast …"),
                },
                Err(RecvError::Closed) => return,
            };
            if sender.send(Ok(line)).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

fn wire(line: Line) -> LogLine {
    LogLine { unix_ms: line.unix_ms, text: line.text }
}
