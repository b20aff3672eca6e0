//! Keeps one server linked: links, refreshes the entry, watches, and links again with back-off.
//!
//! Only transitions are proposed: an entry that is as it was costs nothing.

use super::super::Control;
use super::link::{Inventory, Link};
use super::{Metrics, Reach};
use crate::exec::Backoff;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::ObjectKey;
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    Condition, McpServer, McpServerSpec, ObjectRef, ObjectStatus, PutMcpServer, PutMode,
    RegistryOp, SetCondition, registry_op,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What linking may take: a cold interpreter needs seconds.
const LINK_DEADLINE: Duration = Duration::from_secs(30);

/// How often a linked server is asked whether it is still what it was.
const PROBE_EVERY: Duration = Duration::from_secs(15);

/// Probes that fail in a row before a link counts as lost.
const PROBE_FAILURES: u32 = 2;

/// What a supervisor needs.
#[derive(Clone)]
pub(super) struct Supervisor {
    pub(super) control: Control,
    pub(super) reach: Reach,
    pub(super) metrics: Metrics,
    pub(super) key: ObjectKey,
    pub(super) uid: String,
    pub(super) server: McpServer,
}

/// How others use a supervised link.
#[derive(Clone)]
pub(super) struct Supervised {
    pub(super) uid: String,
    /// The spec that the supervisor works with, without what the server says of itself.
    pub(super) spec: McpServerSpec,
    pub(super) link: watch::Receiver<Option<Arc<Link>>>,
    /// Asks for a new link at once: the one at hand is of no use.
    pub(super) again: Arc<Notify>,
    pub(super) stop: CancellationToken,
    /// Cancelled when the supervisor has closed its link.
    pub(super) stopped: CancellationToken,
}

impl Supervisor {
    /// Starts the loop. `link` is what registration left open, if anything.
    pub(super) fn start(self, link: Option<Link>, stop: CancellationToken) -> Supervised {
        let (sender, receiver) = watch::channel(None);
        let (again, stopped) = (Arc::new(Notify::new()), CancellationToken::new());
        let supervised = Supervised {
            uid: self.uid.clone(),
            spec: self.server.spec.clone().unwrap_or_default(),
            link: receiver,
            again: Arc::clone(&again),
            stop: stop.clone(),
            stopped: stopped.clone(),
        };
        tokio::spawn(async move {
            self.run(link, &sender, &again, &stop).await;
            stopped.cancel();
        });
        supervised
    }

    async fn run(
        mut self,
        mut link: Option<Link>,
        sender: &watch::Sender<Option<Arc<Link>>>,
        again: &Notify,
        stop: &CancellationToken,
    ) {
        let mut backoff = Backoff::default();
        loop {
            let begun = Instant::now();
            let ready = tokio::select! {
                ready = self.establish(link.take()) => ready,
                () = stop.cancelled() => return,
            };
            let why = match ready {
                Ok(link) => {
                    let link = Arc::new(link);
                    sender.send_replace(Some(Arc::clone(&link)));
                    self.metrics.links.inc();
                    let why = self.hold(&link, again, stop).await;
                    self.metrics.links.dec();
                    sender.send_replace(None);
                    link.close().await;
                    why
                }
                Err(refusal) => Some(refusal),
            };
            let Some(refusal) = why else { return };
            tracing::info!(server = %self.key.subject(), code = %refusal.code, "not linked: {refusal}");
            self.tell("False", reason(&refusal), &sentence(&refusal)).await;
            let wait = backoff.after(begun.elapsed(), super::super::clock::jitter());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = again.notified() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// A link whose entry says what the server says.
    async fn establish(&mut self, open: Option<Link>) -> Result<Link> {
        let spec = self.server.spec.clone().unwrap_or_default();
        let link = match open {
            Some(link) => link,
            None => self.reach.link(&self.key, &spec, LINK_DEADLINE).await?,
        };
        match self.refresh(&link).await {
            Ok(()) => Ok(link),
            Err(refusal) => {
                link.close().await;
                Err(refusal)
            }
        }
    }

    /// Proposes what the server says now; the law ignores what is already so.
    async fn refresh(&mut self, link: &Link) -> Result<()> {
        let spec = self.server.spec.clone().unwrap_or_default();
        let inventory = link.inventory(&spec).await?;
        let put = self.put(&inventory);
        if self.server.spec.as_ref() != Some(&inventory.spec) {
            self.server.spec = Some(inventory.spec);
        }
        let op = RegistryOp { op: Some(registry_op::Op::PutMcpServer(put)) };
        self.control.write(self.control.as_node(), Room::Registry(op)).await.map(drop)
    }

    fn put(&self, inventory: &Inventory) -> PutMcpServer {
        let server = McpServer {
            spec: Some(inventory.spec.clone()),
            status: Some(ObjectStatus { conditions: vec![ready(inventory)] }),
            ..self.server.clone()
        };
        PutMcpServer {
            mode: PutMode::Refresh.into(),
            uid: self.uid.clone(),
            server: Some(server),
            tools: inventory.tools.clone(),
        }
    }

    /// Returns why the link is of no use any more; `None` if it was asked to stop.
    async fn hold(
        &mut self,
        link: &Link,
        again: &Notify,
        stop: &CancellationToken,
    ) -> Option<Refusal> {
        let (mut failures, mut changes) = (0, link.changes());
        loop {
            tokio::select! {
                () = stop.cancelled() => return None,
                refusal = link.lost() => return Some(refusal),
                () = again.notified() => {
                    return Some(Refusal::new(Code::PeerUnreachable, "a call found the link lost"));
                }
                Ok(()) = changes.changed() => {}
                () = tokio::time::sleep(PROBE_EVERY) => {}
            }
            match self.refresh(link).await {
                Ok(()) => failures = 0,
                Err(refusal) if refusal.code == Code::NotFound => return None,
                Err(refusal) => {
                    failures += 1;
                    if failures >= PROBE_FAILURES {
                        return Some(refusal);
                    }
                }
            }
        }
    }

    async fn tell(&self, status: &str, reason: &str, message: &str) {
        let object = ObjectRef {
            kind: keiko_proto::v1::Kind::McpServer.into(),
            namespace: self.key.namespace.to_string(),
            name: self.key.name.clone(),
        };
        let condition = Condition {
            r#type: "Ready".to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            since_ms: 0,
        };
        let set = SetCondition {
            object: Some(object),
            uid: self.uid.clone(),
            condition: Some(condition),
        };
        let op = RegistryOp { op: Some(registry_op::Op::SetCondition(set)) };
        let written = self.control.write(self.control.as_node(), Room::Registry(op)).await;
        if let Err(refusal) = written {
            tracing::debug!(server = %self.key.subject(), "condition not kept: {refusal}");
        }
    }
}

/// The condition of a server that answers.
pub(super) fn ready(inventory: &Inventory) -> Condition {
    let message = match inventory.left_out.len() {
        0 => String::new(),
        count => format!("{count} tools are left out: {}", inventory.left_out.join("; ")),
    };
    Condition {
        r#type: "Ready".to_owned(),
        status: "True".to_owned(),
        reason: "Linked".to_owned(),
        message,
        since_ms: 0,
    }
}

/// One word for programs.
pub(super) fn reason(refusal: &Refusal) -> &'static str {
    match refusal.code {
        Code::ExecRefused => "ExecRefused",
        Code::CredentialMissing | Code::CredentialRefused => "MissingCredential",
        Code::EgressDenied => "EgressDenied",
        Code::PeerTimeout | Code::DeadlineExceeded => "Timeout",
        Code::PeerUnreachable => "Unreachable",
        Code::ProtocolUnknown => "UnknownProtocol",
        Code::PeerTooLarge | Code::LimitExceeded => "TooLarge",
        Code::ChildFailed => "CommandEnded",
        Code::CardInvalid => "InvalidCard",
        _ => "Failed",
    }
}

/// A sentence for people, bounded: a peer wrote parts of it.
pub(super) fn sentence(refusal: &Refusal) -> String {
    let mut text = refusal.message.clone();
    for cause in refusal.causes.iter().take(2) {
        text.push_str("; ");
        text.push_str(cause);
    }
    text.chars().take(512).collect()
}
