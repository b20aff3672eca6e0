//! What the prober of one entry knows: its health, what the law was told of it, when to look again.
//!
//! Shared by the loop that looks and by those who want a look now. Invariants: the law is told of
//! transitions and of nothing else, by one node; what could not be told is told after the next
//! look; time is monotonic here, whatever the wall clock does.
//!
//! Of whom another node tells, an agent is not looked at here at all, and a server that answers
//! hardly ever: its link is kept for calls. What is seen of it stays here.

use super::super::{Control, clock};
use super::driver::Fleet;
use super::home::Home;
use super::live::{ProbeReport, Soft};
use super::millis;
use super::ready::{class_of, is_gone};
use super::teller::Teller;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::health::{FailureClass, Seen, State, Tracker};
use keiko_core::registry::{Kind, ObjectKey};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{Health, RegistryOp, SetHealth, registry_op};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often somebody is looked at whose health others tell: the node that leads, or its heartbeats.
/// 20 % more or less.
const SELDOM: Duration = Duration::from_secs(300);

/// How often it is asked again whether this node tells of what is bound to another one.
const ASK_AGAIN: Duration = Duration::from_secs(15);

/// Without a reason to look, this long.
const LONG: Duration = Duration::from_secs(3600);

/// How long to leave somebody alone whose health others tell.
pub(super) fn seldom() -> Duration {
    let spread = u32::try_from(clock::jitter() % 401).unwrap_or(0);
    SELDOM * 4 / 5 + SELDOM * spread / 1000
}

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
    teller: Teller,
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
    home: Home,
    /// Another node tells of it, so that the next look is far away.
    rests: bool,
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
        fleet: &Fleet,
        key: ObjectKey,
        uid: String,
        home: Home,
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
        let told = known.map(said);
        let kept = Kept { tracker, told, home, rests: false, next_ms, last_ms: 0, look: None };
        Arc::new(Self {
            control: fleet.control.clone(),
            soft: fleet.soft().clone(),
            teller: fleet.teller.clone(),
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
        let tells = self.right().is_some();
        let report = {
            let mut kept = self.lock();
            kept.tracker.see(now_ms, seen);
            kept.rests = !tells && kept.tracker.is_up();
            let seldom = kept.rests && self.key.kind == Kind::McpServer;
            let pause = if seldom { pause.max(self::seldom()) } else { pause };
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

    /// By what right this node tells of it, if it does: under another one, what was told before may
    /// not be so any more.
    pub(super) fn right(&self) -> Option<u64> {
        let home = self.lock().home.clone();
        self.teller.right(&home)
    }

    /// It is at home there from now on.
    pub(super) fn moved(&self, home: &Home) {
        let moved = {
            let mut kept = self.lock();
            let moved = kept.home != *home;
            kept.home.clone_from(home);
            moved
        };
        if moved {
            self.nudge();
        }
    }

    /// Waits until it is time for the next look, or somebody wants one.
    pub(super) async fn due(&self) {
        let mut changes = self.teller.changes();
        loop {
            let (wait, looks) = self.wait();
            tokio::select! {
                () = tokio::time::sleep(wait) => if looks { return },
                () = self.nudge.notified() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }

    /// How long to wait, and whether there is a look at the end of that.
    fn wait(&self) -> (Duration, bool) {
        let tells = self.right().is_some();
        let (now_ms, is_agent) = (self.now_ms(), self.key.kind == Kind::Agent);
        let mut kept = self.lock();
        if tells && std::mem::take(&mut kept.rests) {
            // From now on this node tells, also of all the others: looks are spread.
            let due_ms = kept.tracker.due(now_ms, clock::jitter());
            let soon_ms = now_ms + clock::jitter() % (due_ms.saturating_sub(now_ms) + 1);
            if kept.next_ms <= now_ms || (!is_agent && soon_ms < kept.next_ms) {
                kept.next_ms = soon_ms;
            }
        }
        kept.rests |= !tells && is_agent;
        let wait = Duration::from_millis(kept.next_ms.saturating_sub(now_ms));
        let most = match &kept.home {
            Home::Bound(_) if !tells => ASK_AGAIN,
            Home::Bound(_) | Home::Everywhere | Home::Hosted(_) | Home::Nowhere => LONG,
        };
        let looks = tells || !is_agent;
        if looks && wait <= most { (wait, true) } else { (most, false) }
    }

    /// The entry says so: nobody needs to tell it.
    pub(super) fn told(&self, health: &Health) {
        let tells = self.right().is_some();
        let answers = State::parse(&health.state).is_some_and(State::is_callable);
        let now_ms = self.now_ms();
        let mut kept = self.lock();
        kept.told = Some(said(health));
        if tells {
            return;
        }
        match self.key.kind {
            // It is not looked at from here: what is declared is all that there is.
            Kind::Agent => kept.tracker = Tracker::resumed(health, now_ms),
            // Another node reaches it again: so may this one.
            Kind::McpServer if answers && !kept.tracker.is_up() => self.nudge(),
            Kind::McpServer | Kind::Tool | Kind::Skill => {}
        }
    }

    /// Tells the law, if there is news and it is this node's to tell. False if the entry is gone.
    pub(super) async fn tell(&self) -> bool {
        let stays = self.tell_news().await;
        self.done();
        stays
    }

    async fn tell_news(&self) -> bool {
        if self.right().is_none() {
            return true;
        }
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
