//! What a stdio server wrote to its standard error on this node.

use super::super::Control;
use super::Reach;
use super::home::Home;
use super::read::require_on;
use crate::exec::LogLine as Line;
use crate::net::{Identity, Permission};
use crate::store::View;
use keiko_core::cluster;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
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
    let wanted = key.clone();
    let query = move |view: &View<'_>| registry::get(view, GroupId::CONTROL, &wanted, None);
    match control.read_local(query).await? {
        Ok(object) => {
            if let Some(node) = Home::of(&object).hosted_elsewhere(control.node()) {
                return Err(elsewhere(control, &key, node).await);
            }
        }
        Err(refusal) if followed.lines.is_empty() => return Err(refusal),
        // A server that never linked is not registered, but what it wrote says why.
        Err(_) => {}
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

/// What it wrote is where it runs.
async fn elsewhere(control: &Control, key: &ObjectKey, node: &str) -> Refusal {
    let message = format!("the logs of {} are on node {node}", key.subject());
    let refusal = Refusal::new(Code::NotReadyEntry, message);
    let name = node.to_owned();
    let query = move |view: &View<'_>| cluster::member(view, GroupId::CONTROL, &name);
    let known = control.read_local(query).await.ok().flatten();
    match known.map(|known| known.api_address).filter(|address| !address.is_empty()) {
        Some(address) => refusal
            .hint(format!("ask there: keikoctl --endpoint {address} mcp logs {}", key.typed())),
        None => refusal.hint("keikoctl node list"),
    }
}

fn wire(line: Line) -> LogLine {
    LogLine { unix_ms: line.unix_ms, text: line.text }
}
