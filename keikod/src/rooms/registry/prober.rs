//! What the prober of one entry knows: its health, what the law was told of it, when to look again.
//!
//! Shared by the loop that looks and by those who want a look now. Invariants: the law is told of
//! transitions and of nothing else, by one node; what was told is what the entry says by now,
//! whoever said it; what could not be told is told after the next look; time is monotonic here,
//! whatever the wall clock does.
//!
//! Of whom another node tells, an agent is not looked at here at all, and a server that answers
//! hardly ever: its link is kept for calls. What is seen of it stays here.

use super::super::{Control, clock};
use super::driver::Fleet;
use super::home::Home;
use super::live::{ProbeReport, Soft};
use super::millis;
use super::put::set_health;
use super::ready::{class_of, is_gone};
use super::teller::Teller;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::health::{FailureClass, Seen, State, Tracker};
use keiko_core::registry::{Kind, ObjectKey};
use keiko_proto::v1::Health;
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
    /// What the entry says.
    told: Option<Said>,
    home: Home,
    /// Another node tells of it, so that the next look is far away.
    rests: bool,
    next_ms: u64,
    last_ms: u64,
    /// Of which nobody heard yet.
    look: Option<Look>,
}

impl Kept {
    /// How long to wait, and whether there is a look at the end of that. `tells`: this node does.
    fn wait(&mut self, kind: Kind, tells: bool, now_ms: u64, dice: u64) -> (Duration, bool) {
        let is_agent = kind == Kind::Agent;
        if tells && std::mem::take(&mut self.rests) {
            // From now on this node tells, also of all the others: looks are spread.
            let span_ms = self.tracker.due(now_ms, dice).saturating_sub(now_ms);
            let soon_ms = now_ms.saturating_add(dice % (span_ms + 1));
            if self.next_ms <= now_ms || (!is_agent && soon_ms < self.next_ms) {
                self.next_ms = soon_ms;
            }
        }
        self.rests |= !tells && is_agent;
        let wait = Duration::from_millis(self.next_ms.saturating_sub(now_ms));
        let most = match &self.home {
            Home::Bound(_) if !tells => ASK_AGAIN,
            Home::Bound(_) | Home::Everywhere | Home::Hosted(_) | Home::Nowhere => LONG,
        };
        let looks = (tells || !is_agent) && wait <= most;
        (if looks { wait } else { most }, looks)
    }

    /// The entry says so. True if it should be looked at now.
    fn told(&mut self, kind: Kind, tells: bool, health: &Health, now_ms: u64) -> bool {
        self.told = Some(said(health));
        match kind {
            // It is not looked at from here: what is declared is all that there is.
            Kind::Agent if !tells => {
                self.tracker = Tracker::resumed(health, now_ms);
                false
            }
            // Another node reaches it again: so may this one.
            Kind::McpServer if !tells => {
                let answers = State::parse(&health.state).is_some_and(State::is_callable);
                answers && !self.tracker.is_up()
            }
            // This node was taken for down: it says how what it runs is.
            Kind::McpServer => health.failure_class == FailureClass::NodeDown.as_str(),
            Kind::Agent | Kind::Tool | Kind::Skill => false,
        }
    }
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
            if !looks {
                // What this node knew of its looks is no more of use.
                self.soft.unprobed(&self.key);
            }
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
        let now_ms = self.now_ms();
        self.lock().wait(self.key.kind, tells, now_ms, clock::jitter())
    }

    /// The entry says so now, as the journal has it.
    pub(super) fn told(&self, health: &Health) {
        let tells = self.right().is_some();
        let now_ms = self.now_ms();
        if self.lock().told(self.key.kind, tells, health, now_ms) {
            self.nudge();
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
        match set_health(&self.control, &self.key, &self.uid, health).await {
            Ok(()) => true,
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_000_000;

    fn health(state: &str) -> Health {
        Health { state: state.to_owned(), ..Default::default() }
    }

    fn kept(state: &str, next_ms: u64, home: Home) -> Kept {
        let tracker = Tracker::resumed(&health(state), NOW_MS);
        Kept { tracker, told: None, home, rests: false, next_ms, last_ms: 0, look: None }
    }

    #[test]
    fn who_does_not_tell_asks_no_agent() {
        let mut agent = kept("ready", NOW_MS + 1000, Home::Everywhere);
        assert_eq!(agent.wait(Kind::Agent, false, NOW_MS, 7), (LONG, false));
        assert_eq!(agent.wait(Kind::Agent, false, NOW_MS + 9000, 7), (LONG, false));
        // Whoever begins to tell does not ask all of them at once.
        let (wait, looks) = agent.wait(Kind::Agent, true, NOW_MS + 9000, 7);
        assert_eq!((wait, looks), (Duration::from_millis(7), true));
        let mut later = kept("ready", NOW_MS + 1000, Home::Everywhere);
        later.wait(Kind::Agent, false, NOW_MS, 7);
        let planned = (Duration::from_millis(1000), true);
        assert_eq!(later.wait(Kind::Agent, true, NOW_MS, 7), planned);
        // Of what is bound to another node it may tell once that is down, and nothing says when.
        let mut bound = kept("ready", NOW_MS, Home::Bound("n2".into()));
        assert_eq!(bound.wait(Kind::Agent, false, NOW_MS, 7), (ASK_AGAIN, false));
    }

    #[test]
    fn a_link_is_looked_at_soon_by_who_begins_to_tell() {
        let mut server = kept("ready", NOW_MS + 300_000, Home::Everywhere);
        server.rests = true;
        let seldom = (Duration::from_secs(300), true);
        assert_eq!(server.wait(Kind::McpServer, false, NOW_MS, 9), seldom);
        let soon = (Duration::from_millis(9), true);
        assert_eq!(server.wait(Kind::McpServer, true, NOW_MS, 9), soon);
        assert!(!server.rests);
        let mut failing = kept("cooling-down", NOW_MS + 250, Home::Everywhere);
        let planned = (Duration::from_millis(250), true);
        assert_eq!(failing.wait(Kind::McpServer, false, NOW_MS, 9), planned);
    }

    #[test]
    fn what_is_declared_is_taken_over_where_nobody_looks() {
        let mut agent = kept("ready", NOW_MS, Home::Everywhere);
        assert!(!agent.told(Kind::Agent, true, &health("cooling-down"), NOW_MS));
        assert_eq!(agent.tracker.state(), State::Ready);
        assert!(!agent.told(Kind::Agent, false, &health("cooling-down"), NOW_MS));
        assert_eq!(agent.tracker.state(), State::CoolingDown);
        let mut server = kept("cooling-down", NOW_MS, Home::Everywhere);
        assert!(!server.told(Kind::McpServer, false, &health("dead"), NOW_MS));
        assert!(server.told(Kind::McpServer, false, &health("ready"), NOW_MS));
        assert!(!server.told(Kind::McpServer, true, &health("ready"), NOW_MS));
        assert_eq!(server.tracker.state(), State::CoolingDown, "it is looked at from here");
    }

    #[test]
    fn who_was_taken_for_down_looks_and_tells() {
        let mut server = kept("ready", NOW_MS, Home::Hosted("n1".into()));
        let declared = |state: &str, class: FailureClass| Health {
            failure_class: class.as_str().to_owned(),
            ..health(state)
        };
        let down = declared("cooling-down", FailureClass::NodeDown);
        assert!(server.told(Kind::McpServer, true, &down, NOW_MS));
        assert!(server.tracker.is_up(), "what others thought of the node says nothing of it");
        assert_ne!(server.told, Some(said(&server.tracker.health())), "so it is told anew");
        assert!(!server.told(Kind::McpServer, true, &health("ready"), NOW_MS));
        assert_eq!(server.told, Some(said(&server.tracker.health())));
        // What this node said itself is no reason to look.
        let ended = declared("cooling-down", FailureClass::CommandEnded);
        assert!(!server.told(Kind::McpServer, true, &ended, NOW_MS));
    }
}
