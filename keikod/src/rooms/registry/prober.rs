//! What the prober of one entry knows: its health, what the law was told of it, when to look again.
//!
//! Shared by the loop that looks and by those who want a look now. Invariants: the law is told of
//! transitions and of nothing else; what could not be told is told after the next look; time is
//! monotonic here, whatever the wall clock does.

use super::super::{Control, clock};
use super::live::{ProbeReport, Soft};
use super::millis;
use super::ready::{class_of, is_gone};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::ObjectKey;
use keiko_core::registry::health::{FailureClass, Seen, Tracker};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{Health, RegistryOp, SetHealth, registry_op};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What one look found, for who waits for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    /// How long it took.
    pub(super) took: Duration,
    /// What went wrong.
    pub(super) refusal: Option<Refusal>,
    /// The class of what is wrong; [`Prober::saw`] fills it in.
    pub(super) class: Option<FailureClass>,
    /// What is offered and can't be kept, and why.
    pub(super) left_out: Vec<String>,
}

/// One entry's prober.
pub(super) struct Prober {
    control: Control,
    soft: Soft,
    key: ObjectKey,
    uid: String,
    begun: (u64, Instant),
    kept: Mutex<Kept>,
    nudge: Notify,
    looks: watch::Sender<(u64, Look)>,
    /// Cancelled when nobody looks any more.
    over: CancellationToken,
}

struct Kept {
    tracker: Tracker,
    told: Option<Said>,
    next_ms: u64,
    last_ms: u64,
    /// Of which nobody heard yet.
    look: Option<Look>,
}

/// What makes a transition.
type Said = (String, String, bool);

fn said(health: &Health) -> Said {
    (health.state.clone(), health.failure_class.clone(), health.flapping)
}

impl Prober {
    /// Of an entry whose health is `known`. The first look is not before `pause`.
    pub(super) fn new(
        control: Control,
        soft: Soft,
        key: ObjectKey,
        uid: String,
        known: Option<&Health>,
        pause: Duration,
    ) -> Arc<Self> {
        let now_ms = clock::unix_ms();
        let tracker = match known {
            Some(health) => Tracker::resumed(health, now_ms),
            None => Tracker::new(now_ms),
        };
        let due_ms = tracker.due(now_ms, clock::jitter());
        let next_ms = due_ms.max(now_ms.saturating_add(millis(pause)));
        let kept = Kept { tracker, told: known.map(said), next_ms, last_ms: 0, look: None };
        Arc::new(Self {
            control,
            soft,
            key,
            uid,
            begun: (now_ms, Instant::now()),
            kept: Mutex::new(kept),
            nudge: Notify::new(),
            looks: watch::channel((0, Look::default())).0,
            over: CancellationToken::new(),
        })
    }

    /// Held by the loop that looks: when it is dropped, nobody waits for a look any more.
    pub(super) fn at_work(&self) -> DropGuard {
        self.over.clone().drop_guard()
    }

    /// Takes a look into account; it is over with [`Self::tell`] or [`Self::done`]. The next one is
    /// not before `pause`.
    pub(super) fn saw(&self, seen: Seen, look: Look, pause: Duration) {
        let now_ms = self.now_ms();
        let look = Look { class: class_of(&seen), ..look };
        let report = {
            let mut kept = self.lock();
            kept.tracker.see(now_ms, seen);
            let due_ms = kept.tracker.due(now_ms, clock::jitter());
            kept.next_ms = due_ms.max(now_ms.saturating_add(millis(pause)));
            kept.last_ms = now_ms;
            let took = look.took;
            kept.look = Some(look);
            ProbeReport {
                at_ms: now_ms,
                took,
                next_ms: kept.next_ms,
                failures: kept.tracker.failures(),
                penalty: kept.tracker.penalty(now_ms),
            }
        };
        self.soft.probed(&self.key, report);
    }

    /// The entry says what was seen, as far as it can: who waits for the look may go on.
    pub(super) fn done(&self) {
        let look = self.lock().look.take();
        if let Some(look) = look {
            self.looks.send_modify(|(count, last)| (*count, *last) = (*count + 1, look));
        }
    }

    /// The health as it is seen now.
    pub(super) fn health(&self) -> Health {
        self.lock().tracker.health()
    }

    /// True if the last looks found it answering, called or not.
    pub(super) fn is_up(&self) -> bool {
        self.lock().tracker.is_up()
    }

    /// Waits until it is time for the next look, or somebody wants one.
    pub(super) async fn due(&self) {
        let next_ms = self.lock().next_ms;
        let wait = Duration::from_millis(next_ms.saturating_sub(self.now_ms()));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.nudge.notified() => {}
        }
    }

    /// The entry says so: nobody needs to tell it.
    pub(super) fn told(&self, health: &Health) {
        self.lock().told = Some(said(health));
    }

    /// Tells the law, if there is news. False if the entry is gone.
    pub(super) async fn tell(&self) -> bool {
        let stays = self.tell_news().await;
        self.done();
        stays
    }

    async fn tell_news(&self) -> bool {
        let health = {
            let kept = self.lock();
            let health = kept.tracker.health();
            if kept.told.as_ref() == Some(&said(&health)) {
                return true;
            }
            health
        };
        let told = health.clone();
        let set = SetHealth {
            object: Some(self.key.to_wire()),
            uid: self.uid.clone(),
            health: Some(health),
        };
        let op = RegistryOp { op: Some(registry_op::Op::SetHealth(set)) };
        match self.control.write(self.control.as_node(), Room::Registry(op)).await {
            Ok(_) => {
                self.told(&told);
                true
            }
            Err(refusal) if is_gone(&refusal) => false,
            Err(refusal) => {
                let subject = self.key.subject();
                tracing::debug!(%subject, code = %refusal.code, "its health is not kept: {refusal}");
                true
            }
        }
    }

    /// Wants a look now, and waits for it. One of the last `fresh` will do.
    pub(super) async fn look(&self, fresh: Duration, timeout: Duration) -> Result<Look> {
        let mut looks = self.looks.subscribe();
        let (count, last) = looks.borrow_and_update().clone();
        let age_ms = self.now_ms().saturating_sub(self.lock().last_ms);
        if count > 0 && age_ms < millis(fresh) {
            return Ok(last);
        }
        self.nudge.notify_one();
        let looked = tokio::select! {
            looked = tokio::time::timeout(timeout, looks.changed()) => looked,
            () = self.over.cancelled() => return Err(self.gone()),
        };
        match looked {
            Ok(Ok(())) => Ok(looks.borrow().1.clone()),
            Ok(Err(_)) => Err(self.gone()),
            Err(_) => Err(Refusal::new(
                Code::DeadlineExceeded,
                format!("{} was not looked at in {} ms", self.key.subject(), timeout.as_millis()),
            )
            .hint("ask again with a longer --timeout")),
        }
    }

    fn gone(&self) -> Refusal {
        let message = format!("{} is gone, or was declared anew", self.key.subject());
        Refusal::new(Code::NotFound, message).hint(format!("keikoctl {} list -A", self.key.kind))
    }

    /// Wants a look now, and waits for nothing.
    pub(super) fn nudge(&self) {
        self.nudge.notify_one();
    }

    fn now_ms(&self) -> u64 {
        let (begun_ms, begun) = self.begun;
        begun_ms.saturating_add(millis(begun.elapsed()))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
