//! Keeps one server linked: links, refreshes the entry, watches, and links again with back-off.
//!
//! Only transitions are proposed: a server that says what it said costs nothing. That a proposal
//! fails says nothing of the server: it stays linked, and calls go on.

use super::super::Control;
use super::link::{Inventory, Link};
use super::ready::{is_gone, linked, not_ready, tell};
use super::{Metrics, Reach};
use crate::exec::Backoff;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::ObjectKey;
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    McpServer, McpServerSpec, ObjectStatus, PutMcpServer, PutMode, RegistryOp, registry_op,
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

/// Between a server's word that its tools changed and the look at them, so that a server that
/// never stops saying so is asked once a second.
const CHANGE_PAUSE: Duration = Duration::from_secs(1);

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
    /// The spec that the supervisor began with.
    pub(super) spec: McpServerSpec,
    pub(super) link: watch::Receiver<Option<Arc<Link>>>,
    /// Asks for a new link at once: the one at hand is of no use.
    pub(super) again: Arc<Notify>,
    pub(super) stop: CancellationToken,
    /// Cancelled when the supervisor has closed its link.
    pub(super) stopped: CancellationToken,
}

/// Why a link ended.
enum End {
    /// Nobody wants it any more.
    Asked,
    /// It is of no use.
    Lost(Refusal),
}

/// What a server said last, as far as the entry knows it.
#[derive(Default)]
struct Told(Option<Inventory>);

impl Supervisor {
    /// Starts the loop, once `after` is cancelled: one child of a name lives at a time. `link` is
    /// what registration left open, if anything.
    pub(super) fn start(
        self,
        link: Option<Link>,
        stop: CancellationToken,
        after: Option<CancellationToken>,
    ) -> Supervised {
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
            if let Some(after) = after {
                after.cancelled().await;
            }
            self.run(link, &sender, &again, &stop).await;
            stopped.cancel();
        });
        supervised
    }

    async fn run(
        mut self,
        mut open: Option<Link>,
        sender: &watch::Sender<Option<Arc<Link>>>,
        again: &Notify,
        stop: &CancellationToken,
    ) {
        let mut backoff = Backoff::default();
        loop {
            if stop.is_cancelled() {
                if let Some(link) = open {
                    link.close().await;
                }
                return;
            }
            let begun = Instant::now();
            let why = match self.link(open.take()).await {
                Ok(link) => {
                    let link = Arc::new(link);
                    let end = self.serve(&link, sender, again, stop).await;
                    link.close().await;
                    match end {
                        End::Asked => return,
                        End::Lost(refusal) => refusal,
                    }
                }
                Err(refusal) => refusal,
            };
            tracing::info!(server = %self.key.subject(), code = %why.code, "not linked: {why}");
            let told = tell(&self.control, &self.key, &self.uid, not_ready(&why)).await;
            if told.is_err_and(|refusal| is_gone(&refusal)) {
                return;
            }
            let wait = backoff.after(begun.elapsed(), super::super::clock::jitter());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = again.notified() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn link(&self, open: Option<Link>) -> Result<Link> {
        match open {
            Some(link) => Ok(link),
            None => {
                let spec = self.server.spec.clone().unwrap_or_default();
                self.reach.link(&self.key, &spec, LINK_DEADLINE).await
            }
        }
    }

    /// Shows the link as soon as the entry says what the server says.
    async fn serve(
        &mut self,
        link: &Arc<Link>,
        sender: &watch::Sender<Option<Arc<Link>>>,
        again: &Notify,
        stop: &CancellationToken,
    ) -> End {
        let mut told = Told::default();
        let begun = tokio::select! {
            begun = self.refresh(link, &mut told) => begun,
            () = stop.cancelled() => return End::Asked,
            refusal = link.lost() => return End::Lost(refusal),
        };
        match begun {
            Ok(true) => {}
            Ok(false) => return End::Asked,
            Err(refusal) => return End::Lost(refusal),
        }
        sender.send_replace(Some(Arc::clone(link)));
        self.metrics.links.inc();
        let end = self.hold(link, &mut told, again, stop).await;
        self.metrics.links.dec();
        sender.send_replace(None);
        end
    }

    async fn hold(
        &mut self,
        link: &Link,
        told: &mut Told,
        again: &Notify,
        stop: &CancellationToken,
    ) -> End {
        let (mut failures, mut changes) = (0, link.changes());
        loop {
            tokio::select! {
                () = stop.cancelled() => return End::Asked,
                refusal = link.lost() => return End::Lost(refusal),
                () = again.notified() => {
                    let text = "a call found the link lost";
                    return End::Lost(Refusal::new(Code::PeerUnreachable, text));
                }
                Ok(()) = changes.changed() => tokio::time::sleep(CHANGE_PAUSE).await,
                () = tokio::time::sleep(PROBE_EVERY) => {}
            }
            let refreshed = tokio::select! {
                refreshed = self.refresh(link, told) => refreshed,
                () = stop.cancelled() => return End::Asked,
                refusal = link.lost() => return End::Lost(refusal),
            };
            match refreshed {
                Ok(true) => failures = 0,
                Ok(false) => return End::Asked,
                Err(refusal) => {
                    failures += 1;
                    if failures >= PROBE_FAILURES {
                        return End::Lost(refusal);
                    }
                }
            }
        }
    }

    /// Proposes what the server says, if it is news. False if the entry is gone; an error if the
    /// server does not answer.
    async fn refresh(&mut self, link: &Link, told: &mut Told) -> Result<bool> {
        let spec = self.server.spec.clone().unwrap_or_default();
        let inventory = link.inventory(&spec).await?;
        if told.0.as_ref() == Some(&inventory) {
            return Ok(true);
        }
        let put = self.put(&inventory);
        let op = RegistryOp { op: Some(registry_op::Op::PutMcpServer(put)) };
        let written = self.control.write(self.control.as_node(), Room::Registry(op)).await;
        match written {
            Ok(_) => {
                self.server.spec = Some(inventory.spec.clone());
                told.0 = Some(inventory);
                Ok(true)
            }
            Err(refusal) if is_gone(&refusal) => Ok(false),
            // The next probe says it again; until then the server serves.
            Err(refusal) => {
                tracing::warn!(
                    server = %self.key.subject(), code = %refusal.code,
                    "what the server offers is not kept: {refusal}"
                );
                Ok(true)
            }
        }
    }

    fn put(&self, inventory: &Inventory) -> PutMcpServer {
        let server = McpServer {
            spec: Some(inventory.spec.clone()),
            status: Some(ObjectStatus { conditions: vec![linked(inventory)] }),
            ..self.server.clone()
        };
        PutMcpServer {
            mode: PutMode::Refresh.into(),
            uid: self.uid.clone(),
            server: Some(server),
            tools: inventory.tools.clone(),
        }
    }
}
