//! Waiting: until when, what wakes it, and what is taken back when nobody listens any more.
//!
//! What is waited for is in the state and nowhere else; an event only says when to look again. So a
//! call that was cut is taken up on another node under the same request id, and finds its place.
//!
//! Invariant: who does not hear the answer does not stay in a queue: a place that a call waits at is
//! taken back when the call ends without it, unless this node shuts down and the caller goes on
//! elsewhere.

use super::super::follow::{Followed, Follower};
use super::asker::Asker;
use crate::net::Deadline;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1::coordination_op::Op;
use keiko_proto::v1::coordination_reply::Reply;
use keiko_proto::v1::event::Body;
use keiko_proto::v1::{CoordinationEvent, Event, WriteInfo};
use prometheus_client::metrics::gauge::Gauge;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tonic::Request;

/// Calls that wait on this node: each holds a place in the journal and some KiB.
const WAITING_MAX: usize = 4096;

/// What is left of a call's time to take a place back and to say so.
const MARGIN: Duration = Duration::from_millis(500);

/// How long a call waits whose deadline nobody set; the front sets one on each.
const UNTOLD: Duration = Duration::from_secs(60);

/// How often a place is taken back if that fails, and how long it rests before.
const TAKE_BACK_TRIES: u32 = 10;
const TAKE_BACK_PAUSE: Duration = Duration::from_secs(1);

/// Until when a call waits: as long as it asks for, and not so long that it can't be answered.
pub(super) fn until<T>(request: &Request<T>, wait_ms: u64) -> Instant {
    let now = Instant::now();
    let told = request.extensions().get::<Deadline>();
    let left = told.map_or(UNTOLD, |deadline| deadline.0.saturating_duration_since(now));
    now + patience(left, wait_ms)
}

/// How long, of a call that must be answered within `left`.
fn patience(left: Duration, wait_ms: u64) -> Duration {
    let left = left - MARGIN.min(left / 4);
    match wait_ms {
        0 => left,
        wait_ms => left.min(Duration::from_millis(wait_ms)),
    }
}

/// Places for calls that wait.
#[derive(Clone)]
pub(super) struct Turns {
    free: Arc<Semaphore>,
    waiting: Gauge,
}

/// One of them; given back when it is dropped.
pub(super) struct Turn {
    _permit: OwnedSemaphorePermit,
    waiting: Gauge,
}

impl Turns {
    pub(super) fn new(waiting: Gauge) -> Self {
        Self { free: Arc::new(Semaphore::new(WAITING_MAX)), waiting }
    }

    pub(super) fn take(&self) -> Result<Turn> {
        let permit = Arc::clone(&self.free).try_acquire_owned().map_err(|_| {
            Refusal::new(Code::LimitExceeded, format!("{WAITING_MAX} calls wait on this node"))
                .hint("ask another node, or ask again with --no-wait")
        })?;
        self.waiting.inc();
        Ok(Turn { _permit: permit, waiting: self.waiting.clone() })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.waiting.dec();
    }
}

/// Why a wait is over.
pub(super) enum Woken {
    /// Something happened: look again. The last that did, if it is known.
    Look(Option<WriteInfo>),
    /// The time is over.
    Late,
}

/// Waits for an event that concerns the caller.
pub(super) async fn next(
    follower: &mut Follower,
    until: Instant,
    concerns: impl Fn(&CoordinationEvent) -> bool,
) -> Result<Woken> {
    loop {
        let followed = tokio::select! {
            followed = follower.next() => followed?,
            () = tokio::time::sleep_until(until) => return Ok(Woken::Late),
        };
        match followed {
            Some(Followed::Events(events)) => {
                let last = events.iter().rev().find(|event| is_about(event, &concerns));
                if let Some(Event { revision, unix_ms, .. }) = last.map(|event| &**event) {
                    let write = WriteInfo { revision: *revision, unix_ms: *unix_ms };
                    return Ok(Woken::Look(Some(write)));
                }
            }
            Some(Followed::CaughtUp(_)) => {}
            Some(Followed::Lost { .. }) => return Ok(Woken::Look(None)),
            None => {
                return Err(Refusal::new(Code::Draining, "this node is shutting down")
                    .hint("send the call again, to another node or after the restart"));
            }
        }
    }
}

fn is_about(event: &Event, concerns: &impl Fn(&CoordinationEvent) -> bool) -> bool {
    match &event.body {
        Some(Body::Coordination(event)) => concerns(event),
        _ => false,
    }
}

/// A place that a call waits at: taken back when the call ends without an answer.
pub(super) struct Place {
    asker: Asker,
    take_back: Option<Op>,
}

impl Place {
    /// `take_back` is what gives the place up.
    pub(super) fn new(asker: &Asker, take_back: Op) -> Self {
        Self { asker: asker.unfenced(), take_back: Some(take_back) }
    }

    /// It is the caller's now, or there is none.
    pub(super) fn settled(mut self) {
        self.take_back = None;
    }

    /// Takes it back; what the law says to that.
    pub(super) async fn give_up(mut self) -> Result<Reply> {
        let Some(op) = self.take_back.clone() else { return Ok(Reply::Withdrawn(<_>::default())) };
        // Until it is done, it is still to be done.
        let (reply, _) = self.asker.propose(op).await?;
        self.take_back = None;
        Ok(reply)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(op) = self.take_back.take() else { return };
        // Whoever goes on elsewhere finds it there.
        if self.asker.control().closing().is_cancelled() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(take_back(self.asker.clone(), op));
        }
    }
}

async fn take_back(asker: Asker, op: Op) {
    let closing = asker.control().closing().clone();
    for _ in 0..TAKE_BACK_TRIES {
        match asker.propose(op.clone()).await {
            Ok(_) => return,
            Err(refusal) if is_settled(&refusal) => return,
            Err(refusal) => {
                tracing::debug!(code = %refusal.code, "a place is not taken back yet: {refusal}");
            }
        }
        tokio::select! {
            () = closing.cancelled() => return,
            () = tokio::time::sleep(TAKE_BACK_PAUSE) => {}
        }
    }
}

/// Nothing is left to be taken back, or not by this caller.
fn is_settled(refusal: &Refusal) -> bool {
    matches!(refusal.code, Code::SessionEnded | Code::PermissionDenied | Code::InvalidArgument)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_left_to_answer() {
        for (left_ms, wait_ms, expect_ms) in [
            (10_000, 0, 9_500),
            (10_000, 3_000, 3_000),
            (10_000, 9_900, 9_500),
            (10_000, u64::MAX, 9_500),
            (1_000, 0, 750),
            (0, 0, 0),
        ] {
            let waits = patience(Duration::from_millis(left_ms), wait_ms);
            assert_eq!(waits, Duration::from_millis(expect_ms), "{left_ms} {wait_ms}");
        }
    }

    #[test]
    fn calls_that_wait_are_counted_and_bounded() {
        let gauge = Gauge::default();
        let turns = Turns::new(gauge.clone());
        let taken: Vec<_> = (0..WAITING_MAX).map(|_| turns.take().unwrap()).collect();
        assert_eq!(turns.take().err().map(|refusal| refusal.code), Some(Code::LimitExceeded));
        assert_eq!(gauge.get(), WAITING_MAX as i64);
        drop(taken);
        assert_eq!(gauge.get(), 0);
        assert!(turns.take().is_ok());
    }
}
