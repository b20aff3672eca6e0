//! Keeps one server linked: links, refreshes the entry, looks again, and links anew with back-off.
//!
//! Only transitions are proposed: a server that says what it said costs nothing. That a proposal
//! fails says nothing of the server: it stays linked, and calls go on. A suspended server has no
//! link and no process until it is resumed. A server with a URL is linked by every node, and one of
//! them proposes what it says ([`super::teller`]).

use super::super::Control;
use super::link::{Inventory, Link};
use super::prober::{Look, Prober};
use super::put::refresh;
use super::ready::{failed, is_gone, lost, offered, unkept};
use super::restless::Restless;
use super::{Metrics, Reach};
use futures::FutureExt;
use keiko_core::refusal::{Class, Code, Refusal, Result};
use keiko_core::registry::health::{FailureClass, Seen};
use keiko_core::registry::{AdminState, ObjectKey};
use keiko_proto::v1::{
    Health, McpServer, McpServerSpec, ObjectStatus, PutMcpServer, PutMode, registry_op,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What linking may take: a cold interpreter needs seconds.
const LINK_DEADLINE: Duration = Duration::from_secs(30);

/// Between a server's word that its tools changed and the look at them, so that a server that
/// never stops saying so is asked once a second.
const CHANGE_PAUSE: Duration = Duration::from_secs(1);

/// What a supervisor needs.
pub(super) struct Supervisor {
    pub(super) control: Control,
    pub(super) reach: Reach,
    pub(super) metrics: Metrics,
    pub(super) key: ObjectKey,
    pub(super) uid: String,
    pub(super) server: McpServer,
    pub(super) prober: Arc<Prober>,
}

/// How others use a supervised link.
#[derive(Clone)]
pub(super) struct Supervised {
    pub(super) uid: String,
    /// The spec that the supervisor began with.
    pub(super) spec: Arc<McpServerSpec>,
    pub(super) link: watch::Receiver<Option<Arc<Link>>>,
    /// Asks for a new link at once: the one at hand is of no use.
    pub(super) again: Arc<Notify>,
    pub(super) prober: Arc<Prober>,
    /// What an operator decided.
    pub(super) admin: watch::Sender<AdminState>,
    pub(super) stop: CancellationToken,
    /// Cancelled when the supervisor has closed its link.
    pub(super) stopped: CancellationToken,
}

/// Why a link ended.
enum End {
    /// Nobody wants it any more.
    Asked,
    /// An operator suspended it.
    Suspended,
    /// It is of no use; the prober knows why.
    Down,
}

/// What a server said last.
#[derive(Default)]
struct Told {
    /// As far as the entry knows it.
    kept: Option<Inventory>,
    /// What the law did not take, and why.
    refused: Option<(Inventory, Refusal)>,
    /// By what right this node told that; without one, it knows and did not tell.
    right: Option<u64>,
}

/// A supervisor at work.
struct Work {
    supervisor: Supervisor,
    shown: watch::Sender<Option<Arc<Link>>>,
    again: Arc<Notify>,
    admin: watch::Receiver<AdminState>,
    stop: CancellationToken,
    told: Told,
    restless: Restless,
}

impl Supervisor {
    /// Starts the loop, once `after` is cancelled: one child of a name lives at a time. `link` is
    /// what registration left open, if anything.
    pub(super) fn start(
        self,
        link: Option<Link>,
        stop: CancellationToken,
        after: Option<CancellationToken>,
    ) -> Supervised {
        let status = self.server.status.clone().unwrap_or_default();
        let admin = AdminState::parse(&status.admin_state).unwrap_or(AdminState::Active);
        let (shown, link_receiver) = watch::channel(None);
        let (admin, admin_receiver) = watch::channel(admin);
        let (again, stopped) = (Arc::new(Notify::new()), CancellationToken::new());
        let supervised = Supervised {
            uid: self.uid.clone(),
            spec: Arc::new(self.server.spec.clone().unwrap_or_default()),
            link: link_receiver,
            again: Arc::clone(&again),
            prober: Arc::clone(&self.prober),
            admin,
            stop: stop.clone(),
            stopped: stopped.clone(),
        };
        let work = Work {
            supervisor: self,
            shown,
            again,
            admin: admin_receiver,
            stop,
            told: Told::default(),
            restless: Restless::default(),
        };
        tokio::spawn(async move {
            let _at_work = work.supervisor.prober.at_work();
            if let Some(after) = after {
                after.cancelled().await;
            }
            Box::pin(work.run(link)).await;
            stopped.cancel();
        });
        supervised
    }

    fn put(&self, inventory: &Inventory, health: Health) -> PutMcpServer {
        let server = McpServer {
            spec: Some(inventory.spec.clone()),
            status: Some(ObjectStatus { health: Some(health), ..Default::default() }),
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

impl Work {
    async fn run(mut self, mut open: Option<Link>) {
        loop {
            if self.stop.is_cancelled() || self.is_suspended() {
                if let Some(link) = open.take() {
                    link.close().await;
                }
                if !self.resumed().await {
                    return;
                }
            }
            match self.attempt(open.take()).await {
                End::Asked => return,
                End::Suspended => continue,
                End::Down => {}
            }
            if !self.supervisor.prober.tell().await {
                return;
            }
            tokio::select! {
                () = self.supervisor.prober.due() => {}
                () = suspended(&mut self.admin) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    fn is_suspended(&self) -> bool {
        *self.admin.borrow() == AdminState::Suspended
    }

    /// False if it is to stop for good.
    async fn resumed(&mut self) -> bool {
        let resumed = self.admin.wait_for(|state| *state != AdminState::Suspended);
        tokio::select! {
            resumed = resumed => resumed.is_ok() && !self.stop.is_cancelled(),
            () = self.stop.cancelled() => false,
        }
    }

    /// Links, and serves for as long as that goes well.
    async fn attempt(&mut self, open: Option<Link>) -> End {
        // What a call found belongs to the link before.
        let _found = self.again.notified().now_or_never();
        let begun = Instant::now();
        let supervisor = &self.supervisor;
        let linked = match open {
            Some(link) => Ok(link),
            None => {
                let spec = supervisor.server.spec.clone().unwrap_or_default();
                let attempted = tokio::select! {
                    linked = supervisor.reach.link(&supervisor.key, &spec, LINK_DEADLINE) => {
                        Ok(linked)
                    }
                    () = self.stop.cancelled() => Err(End::Asked),
                    () = suspended(&mut self.admin) => Err(End::Suspended),
                };
                match attempted {
                    Ok(linked) => linked,
                    Err(end) => {
                        supervisor.reach.vacated(&supervisor.key).await;
                        return end;
                    }
                }
            }
        };
        let link = match linked {
            Ok(link) => Arc::new(link),
            Err(refusal) => {
                self.forget_era(&refusal);
                return self.down(failed(&refusal), refusal, begun.elapsed());
            }
        };
        let end = self.serve(&link).await;
        self.shown.send_replace(None);
        link.close().await;
        end
    }

    /// A command is greeted once, in the era that it spoke last: if it speaks another one by now,
    /// the next is asked for it.
    fn forget_era(&mut self, why: &Refusal) {
        let may_be_another = matches!(
            why.code,
            Code::ProtocolUnknown | Code::PeerError | Code::PeerVersion | Code::PeerTimeout
        );
        if let Some(spec) = self.supervisor.server.spec.as_mut().filter(|_| may_be_another) {
            spec.protocol_version.clear();
        }
    }

    /// Shows the link once the server was looked at, even if the entry could not be told of it.
    async fn serve(&mut self, link: &Arc<Link>) -> End {
        if let Some(end) = self.look_or_end(link).await {
            return end;
        }
        self.shown.send_replace(Some(Arc::clone(link)));
        self.supervisor.metrics.links.inc();
        let end = self.hold(link).await;
        self.supervisor.metrics.links.dec();
        end
    }

    async fn hold(&mut self, link: &Link) -> End {
        let mut changes = link.changes();
        loop {
            let calmed = self.restless.is_calmed();
            tokio::select! {
                () = self.stop.cancelled() => return End::Asked,
                () = suspended(&mut self.admin) => return End::Suspended,
                refusal = link.lost() => return self.down(lost(&refusal), refusal, Duration::ZERO),
                () = self.again.notified() => {
                    let refusal = Refusal::new(Code::PeerUnreachable, "a call found the link lost");
                    return self.down(lost(&refusal), refusal, Duration::ZERO);
                }
                () = changed(&mut changes), if !calmed => {}
                () = self.supervisor.prober.due() => {}
            }
            if let Some(end) = self.look_or_end(link).await {
                return end;
            }
        }
    }

    /// Looks, unless that is of no use any more.
    async fn look_or_end(&mut self, link: &Link) -> Option<End> {
        let (stop, mut admin) = (self.stop.clone(), self.admin.clone());
        let looked = tokio::select! {
            looked = self.look(link) => looked,
            () = stop.cancelled() => return Some(End::Asked),
            () = suspended(&mut admin) => return Some(End::Suspended),
            refusal = link.lost() => Err(refusal),
        };
        match looked {
            Ok(true) => None,
            Ok(false) => Some(End::Asked),
            Err(refusal) if link.is_lost() => {
                Some(self.down(lost(&refusal), refusal, Duration::ZERO))
            }
            Err(refusal) => {
                self.saw(failed(&refusal), Look { refusal: Some(refusal), ..Look::default() });
                let stands = self.supervisor.prober.is_up();
                (!stands || !self.supervisor.prober.tell().await).then_some(End::Down)
            }
        }
    }

    /// Asks the server, and proposes what it says if that is news. False if the entry is gone; an
    /// error if the server does not answer.
    async fn look(&mut self, link: &Link) -> Result<bool> {
        let begun = Instant::now();
        let spec = self.supervisor.server.spec.clone().unwrap_or_default();
        let inventory = link.inventory(&spec).await?;
        if let Some(spec) = &mut self.supervisor.server.spec {
            spec.protocol_version.clone_from(&inventory.spec.protocol_version);
        }
        let known = self.told.kept.as_ref();
        let is_known = known == Some(&inventory);
        self.restless.saw(known.is_some() && !is_known, Instant::now());
        let right = self.supervisor.prober.right();
        // Under another right another node told meanwhile, and the entry may say something else.
        let holds = right.is_some() && right == self.told.right;
        let refused = self.told.refused.as_ref();
        let refused = refused.filter(|(refused, _)| holds && *refused == inventory);
        let seen = match refused {
            _ if self.restless.is_calmed() => Seen::Incomplete {
                class: FailureClass::Schema,
                message: "its tools keep changing: looked at once a minute".to_owned(),
            },
            Some((_, refusal)) => unkept(refusal),
            None => offered("tools", inventory.left_out, &inventory.reasons),
        };
        let is_told = holds && (is_known || refused.is_some());
        let left_out = inventory.reasons.clone();
        let look = Look { took: begun.elapsed(), left_out, ..Look::default() };
        self.saw(seen, look.clone());
        if is_told {
            return Ok(self.supervisor.prober.tell().await);
        }
        let Some(right) = right else {
            // Another node tells it.
            self.supervisor.server.spec = Some(inventory.spec.clone());
            self.told = Told { kept: Some(inventory), ..Told::default() };
            return Ok(self.supervisor.prober.tell().await);
        };
        Ok(self.keep(inventory, look, right).await)
    }

    /// False if the entry is gone.
    async fn keep(&mut self, inventory: Inventory, look: Look, right: u64) -> bool {
        let supervisor = &mut self.supervisor;
        let put = supervisor.put(&inventory, supervisor.prober.health());
        match refresh(&supervisor.control, registry_op::Op::PutMcpServer(put)).await {
            Ok(()) => {
                supervisor.prober.done();
                supervisor.server.spec = Some(inventory.spec.clone());
                self.told = Told { kept: Some(inventory), refused: None, right: Some(right) };
                true
            }
            Err(refusal) if is_gone(&refusal) => false,
            Err(refusal) => {
                let server = supervisor.key.subject();
                let code = refusal.code;
                tracing::warn!(%server, %code, "what the server offers is not kept: {refusal}");
                // A fault of the cluster passes: the next look says it again. A limit does not.
                if matches!(code.class(), Class::Usage | Class::Exhausted) && !code.retryable() {
                    self.saw(unkept(&refusal), look);
                    if self.told.right != Some(right) {
                        self.told = Told { right: Some(right), ..Told::default() };
                    }
                    self.told.refused = Some((inventory, refusal));
                }
                self.supervisor.prober.tell().await
            }
        }
    }

    fn saw(&self, seen: Seen, look: Look) {
        self.supervisor.prober.saw(seen, look, self.restless.pause());
    }

    fn down(&self, seen: Seen, why: Refusal, took: Duration) -> End {
        let server = self.supervisor.key.subject();
        tracing::info!(%server, code = %why.code, "not linked: {why}");
        let look = Look { took, refusal: Some(why), ..Look::default() };
        self.supervisor.prober.saw(seen, look, Duration::ZERO);
        End::Down
    }
}

/// Returns a moment after the server said that its tools changed. Dropped before, it forgets
/// nothing.
async fn changed(changes: &mut watch::Receiver<u64>) {
    if changes.clone().changed().await.is_err() {
        // It says nothing any more: that the link is lost is heard elsewhere.
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(CHANGE_PAUSE).await;
    changes.mark_unchanged();
}

/// Returns when an operator suspends it.
async fn suspended(admin: &mut watch::Receiver<AdminState>) {
    if admin.wait_for(|state| *state == AdminState::Suspended).await.is_err() {
        // Nobody can suspend it any more: it is about to be stopped.
        std::future::pending::<()>().await;
    }
}
