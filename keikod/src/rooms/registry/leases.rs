//! Leases: who sends no heartbeats gets no calls at once, and is removed after the grace.
//!
//! That a lease ended is known without this driver: it is a comparison with the clock whenever
//! somebody is chosen. The driver tells it to the law, once, and removes what stayed away. Time is
//! kept in one sorted set with one place for each lease; a heartbeat in time does not touch it.
//!
//! A restart and a new leader grant every lease anew, with the grace on top: they can't know who
//! beat meanwhile.

use super::super::Control;
use super::feed::Feed;
use super::live::{Pulse, Readiness};
use super::put::set_health;
use super::ready::is_gone;
use futures::future::join_all;
use keiko_core::refusal::Result;
use keiko_core::registry::ObjectKey;
use keiko_core::registry::directory::Owner;
use keiko_core::registry::health::{FailureClass, State, cut};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{DeleteObject, Health, RegistryOp, registry_op};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Proposals that are under way at a time: they share a sync.
const AT_ONCE: usize = 64;

/// Between the looks at a lease whose end could not be told.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How often this looks whether the node leads, and sweeps.
const TICK: Duration = Duration::from_secs(1);
const SWEEP_EVERY: u32 = 60;

/// The loop.
pub struct Leases {
    /// Where it proposes.
    pub control: Control,
    /// Who is there, and how they are.
    pub feed: Feed,
}

/// What is to be told of one entry.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// It fits what is declared.
    Nothing,
    /// It is well again, or it is not.
    Health(Health),
    /// It stayed away for longer than its grace.
    Remove,
}

impl Leases {
    /// Runs until shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        let (mut led, mut ticks) = (false, 0_u32);
        loop {
            let leads = self.control.is_leader();
            if leads && !led {
                self.feed.soft().grant_all();
            }
            led = leads;
            if leads {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = self.settle() => {}
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.feed.soft().wait(), if leads => {}
                () = tokio::time::sleep(TICK) => {
                    ticks = ticks.wrapping_add(1);
                    if ticks.is_multiple_of(SWEEP_EVERY) {
                        self.feed.soft().sweep();
                    }
                }
            }
        }
    }

    /// Tells all that is to be told now.
    async fn settle(&self) {
        loop {
            let soft = self.feed.soft();
            let marked = soft.take_marked(AT_ONCE);
            let due = soft.take_due(Instant::now(), AT_ONCE);
            if marked.is_empty() && due.is_empty() {
                return;
            }
            self.feed.caught_up().await;
            // What could not be told of a marked one is told by its next heartbeat.
            let marked = marked.into_iter().map(|key| async move {
                self.look(&key).await;
            });
            let due = due.into_iter().map(|key| self.look_at_lease(key));
            tokio::join!(join_all(marked), join_all(due));
        }
    }

    /// Looks at one entry whose lease may have ended, and plans the next look.
    async fn look_at_lease(&self, key: ObjectKey) {
        let failed = !self.look(&key).await;
        let Some(Pulse { lease: Some((until, removed)), .. }) = self.feed.soft().pulse(&key) else {
            return;
        };
        let now = Instant::now();
        let next = if until > now { until } else { removed };
        let next = if failed || next <= now { now + AGAIN_AFTER } else { next };
        self.feed.soft().plan(next, key);
    }

    /// Looks at one entry and tells what is to be told. False if that failed.
    async fn look(&self, key: &ObjectKey) -> bool {
        let Some(pulse) = self.feed.soft().pulse(key) else { return true };
        let now = Instant::now();
        let Some((uid, verdict)) = self.judge(key, &pulse, now) else { return true };
        if verdict == Verdict::Nothing {
            return true;
        }
        let told = self.tell(key, &uid, verdict).await;
        // It may have beaten while it was told.
        if self.feed.soft().pulse(key).is_some_and(|later| later != pulse) {
            self.feed.soft().mark(key.clone());
        }
        match told {
            Ok(()) => true,
            Err(refusal) => {
                tracing::debug!(entry = %key.subject(), code = %refusal.code, "not told: {refusal}");
                is_gone(&refusal)
            }
        }
    }

    fn judge(&self, key: &ObjectKey, pulse: &Pulse, now: Instant) -> Option<(Arc<str>, Verdict)> {
        let directory = self.feed.directory();
        let owner = directory.owner(key.kind, key.namespace.as_str(), &key.name)?;
        Some((Arc::clone(&owner.uid), verdict(owner, pulse, now)))
    }

    async fn tell(&self, key: &ObjectKey, uid: &str, verdict: Verdict) -> Result<()> {
        match verdict {
            Verdict::Nothing => Ok(()),
            Verdict::Health(health) => set_health(&self.control, key, uid, health).await,
            Verdict::Remove => {
                tracing::info!(entry = %key.subject(), "removed: its lease ended, and its grace");
                let (object, uid) = (Some(key.to_wire()), uid.to_owned());
                let delete = DeleteObject { object, uid, expired: true, revision: 0 };
                let op = RegistryOp { op: Some(registry_op::Op::Delete(delete)) };
                self.control.write(self.control.as_node(), Room::Registry(op)).await.map(drop)
            }
        }
    }
}

/// What is to be told of an entry. Heartbeats speak of two failures only: that there are none, and
/// what they say themselves. Whatever else is wrong is the prober's to tell.
fn verdict(owner: &Owner, pulse: &Pulse, now: Instant) -> Verdict {
    let ours = matches!(owner.failure, Some(FailureClass::LeaseExpired | FailureClass::NotReady));
    // Behind what an operator said, its health is not seen; what they decided will not last.
    let well = owner.failure.is_none() || owner.standing.is_callable();
    let failed = |class: FailureClass, message: String| {
        if owner.failure == Some(class) || !(ours || well) {
            return Verdict::Nothing;
        }
        Verdict::Health(Health {
            state: State::CoolingDown.as_str().to_owned(),
            failure_class: class.as_str().to_owned(),
            message: cut(&message),
            since_ms: 0,
            flapping: false,
        })
    };
    match (pulse.lease, &pulse.told) {
        (Some((_, removed)), _) if removed <= now => Verdict::Remove,
        (Some((until, _)), _) if until <= now => {
            failed(FailureClass::LeaseExpired, "it sent no heartbeat in time".to_owned())
        }
        (_, Some((Readiness::NotReady, reason))) => {
            failed(FailureClass::NotReady, reason.to_string())
        }
        (_, Some((Readiness::Ready | Readiness::Draining, _))) if ours => {
            let state = State::Ready.as_str().to_owned();
            Verdict::Health(Health { state, ..Default::default() })
        }
        (_, Some(_) | None) => Verdict::Nothing,
    }
}

/// True if a heartbeat that says `readiness` is news to what is declared.
pub(super) fn is_news(owner: &Owner, readiness: Readiness) -> bool {
    match (readiness, owner.failure) {
        (Readiness::NotReady, failure) => failure != Some(FailureClass::NotReady),
        (_, Some(FailureClass::LeaseExpired | FailureClass::NotReady)) => true,
        (Readiness::Ready | Readiness::Draining, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keiko_core::registry::Kind;
    use keiko_core::registry::directory::Directory;
    use keiko_proto::v1::object::Object as Inner;
    use keiko_proto::v1::{Agent, Metadata, Object, ObjectStatus};

    fn directory(state: &str, class: &str) -> Directory {
        let health = Health {
            state: state.to_owned(),
            failure_class: class.to_owned(),
            ..Default::default()
        };
        let status = ObjectStatus { health: Some(health), ..Default::default() };
        let metadata = Metadata {
            name: "poet".to_owned(),
            namespace: "default".to_owned(),
            ..Default::default()
        };
        let agent = Agent { metadata: Some(metadata), status: Some(status), ..Default::default() };
        let mut directory = Directory::default();
        directory.put(&Object { object: Some(Inner::Agent(agent)) });
        directory
    }

    #[test]
    fn what_is_told_of_a_lease() {
        use Readiness::{Draining, NotReady, Ready};
        let now = Instant::now() + Duration::from_secs(100);
        // State and class as declared; seconds until the lease ends; the last word; what is told.
        for (state, class, left, told, expect) in [
            ("ready", "", 5, None, ""),
            ("ready", "", 5, Some(Ready), ""),
            ("ready", "", -5, Some(Ready), "lease-expired"),
            ("degraded", "", -5, None, "lease-expired"),
            ("cooling-down", "lease-expired", -5, Some(Ready), ""),
            ("cooling-down", "lease-expired", 5, Some(Ready), "well"),
            ("cooling-down", "lease-expired", 5, None, ""),
            ("cooling-down", "lease-expired", 5, Some(Draining), "well"),
            ("cooling-down", "lease-expired", 5, Some(NotReady), "not-ready"),
            ("cooling-down", "not-ready", 5, Some(Ready), "well"),
            ("cooling-down", "not-ready", 5, Some(NotReady), ""),
            ("cooling-down", "not-ready", -5, Some(NotReady), "lease-expired"),
            ("ready", "", 5, Some(NotReady), "not-ready"),
            ("cooling-down", "timeout", 5, Some(Ready), ""),
            ("cooling-down", "timeout", -5, Some(Ready), ""),
            ("cooling-down", "timeout", -50, Some(Ready), "removed"),
            ("ready", "", -50, None, "removed"),
        ] {
            let away = Duration::from_secs(i64::unsigned_abs(left));
            let until = if left > 0 { now + away } else { now - away };
            let told_pair = told.map(|readiness| (readiness, Box::from("")));
            let pulse =
                Pulse { lease: Some((until, until + Duration::from_secs(30))), told: told_pair };
            let directory = directory(state, class);
            let owner = directory.owner(Kind::Agent, "default", "poet").unwrap();
            let got = match verdict(owner, &pulse, now) {
                Verdict::Nothing => String::new(),
                Verdict::Remove => "removed".to_owned(),
                Verdict::Health(health) if health.state == "ready" => "well".to_owned(),
                Verdict::Health(health) => health.failure_class,
            };
            assert_eq!(got, expect, "{state} {class} {left} {told:?}");
        }
    }
}
