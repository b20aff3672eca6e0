//! Ends sessions whose time is over, which only the leader proposes.
//!
//! A new leader can't know who wanted to keep a session while there was none: it expires nobody
//! earlier than one ttl after it began to lead. The same holds behind a pause of this process, in
//! which nobody could be heard.
//!
//! Never: moves a session's end. What it grants is its own patience, and who shows a fencing token
//! meanwhile is judged by the end that stands in the state.

use super::super::Control;
use super::Metrics;
use super::service::GROUP;
use crate::store::View;
use keiko_core::coordination;
use keiko_core::limits::EXPIRE_SESSIONS_MAX;
use keiko_core::refusal::Result;
use keiko_proto::v1::coordination_op::Op;
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{CoordinationOp, DueSession, ExpireSessions, Session};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often this looks at the latest: the shortest session lives a second.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Entries that one look proposes, so that it is no standing still by itself: what is left comes
/// with the next one.
const ENTRIES_MAX: usize = 64;
/// Between two looks at who leads, and at the clock.
const TICK: Duration = Duration::from_millis(200);
/// A process that stood still for so long heard of no keepalive, and where its own proposals took
/// so long, no other one was faster: far above what a busy machine does to a loop of 200 ms.
const STILL: Duration = Duration::from_secs(3);

/// The loop.
pub struct Driver {
    /// Where it reads and proposes.
    pub control: Control,
    /// What it tells.
    pub metrics: Metrics,
}

/// Since when this node leads, in which term, on the stamp clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lead {
    term: u64,
    since_ms: u64,
}

impl Driver {
    /// Runs until shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        let (mut lead, mut ticked, mut looked) = (None, Instant::now(), None::<Instant>);
        let mut next_ms = 0;
        loop {
            // In this order: the clock of who just began to lead is not that of a follower.
            let term = self.term();
            let now_ms = self.control.now_ms();
            let stood_still = ticked.elapsed() > STILL;
            ticked = Instant::now();
            lead = leading(lead, term, stood_still, now_ms);
            let is_due = now_ms >= next_ms
                || looked.is_none_or(|looked: Instant| looked.elapsed() >= LOOK_EVERY);
            if is_due {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    next = self.look(lead, now_ms) => next_ms = next.unwrap_or(u64::MAX),
                }
                looked = Some(Instant::now());
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// The term that this node leads in.
    fn term(&self) -> Option<u64> {
        self.control.group().ok().filter(|group| group.leads()).map(|group| group.term())
    }

    /// Ends what is due; when the next session is. None if that is not known.
    async fn look(&self, lead: Option<Lead>, now_ms: u64) -> Option<u64> {
        let leads = lead.is_some();
        let query = move |view: &View<'_>| {
            let sessions = leads.then(|| coordination::sessions(view, GROUP));
            (coordination::record(view, GROUP), sessions.unwrap_or_default())
        };
        let (record, sessions) = self.control.read_local(query).await.ok()?;
        self.metrics.sessions.set(i64::from(record.sessions));
        self.metrics.places.set(i64::from(record.places));
        let (due, next_ms) = due(lead?, &sessions, now_ms);
        for items in due.chunks(EXPIRE_SESSIONS_MAX).take(ENTRIES_MAX) {
            if let Err(refusal) = self.expire(items.to_vec()).await {
                tracing::debug!(code = %refusal.code, "sessions stay for now: {refusal}");
                return None;
            }
        }
        if due.len() > EXPIRE_SESSIONS_MAX * ENTRIES_MAX { Some(now_ms) } else { next_ms }
    }

    async fn expire(&self, items: Vec<DueSession>) -> Result<()> {
        tracing::info!(sessions = items.len(), "ended: nobody kept them");
        let op = Op::ExpireSessions(ExpireSessions { items });
        let room = Room::Coordination(CoordinationOp { op: Some(op) });
        self.control.write(self.control.as_node(), room).await.map(drop)
    }
}

/// Since when this node leads, without a break.
fn leading(
    before: Option<Lead>,
    term: Option<u64>,
    stood_still: bool,
    now_ms: u64,
) -> Option<Lead> {
    let began = term.map(|term| Lead { term, since_ms: now_ms });
    match before {
        Some(lead) if term == Some(lead.term) && !stood_still => before,
        _ => began,
    }
}

/// Which sessions are over for this leader, and when the next one is.
fn due(lead: Lead, sessions: &[Session], now_ms: u64) -> (Vec<DueSession>, Option<u64>) {
    let ends =
        |session: &Session| session.expires_ms.max(lead.since_ms.saturating_add(session.ttl_ms));
    let is_over = |session: &&Session| ends(session) <= now_ms;
    let over = sessions.iter().filter(is_over);
    let over =
        over.map(|session| DueSession { id: session.id.clone(), expires_ms: session.expires_ms });
    let next_ms = sessions.iter().map(ends).filter(|ends| *ends > now_ms).min();
    (over.collect(), next_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_begins_anew_behind_every_break() {
        let lead = |term, since_ms| Some(Lead { term, since_ms });
        for (before, term, stood_still, expect) in [
            (None, None, false, None),
            (None, Some(3), false, lead(3, 100)),
            (lead(3, 50), Some(3), false, lead(3, 50)),
            (lead(3, 50), Some(3), true, lead(3, 100)),
            (lead(3, 50), Some(5), false, lead(5, 100)),
            (lead(3, 50), None, false, None),
        ] {
            assert_eq!(leading(before, term, stood_still, 100), expect, "{before:?} {term:?}");
        }
    }

    #[test]
    fn a_new_leader_grants_each_a_ttl() {
        let session = |id: &str, ttl_ms, expires_ms| Session {
            id: id.to_owned(),
            ttl_ms,
            expires_ms,
            ..Session::default()
        };
        let sessions = [session("a", 10, 105), session("b", 50, 90), session("c", 10, 170)];
        let found = |now_ms| {
            let (over, next_ms) = due(Lead { term: 1, since_ms: 100 }, &sessions, now_ms);
            let ids: Vec<_> = over.into_iter().map(|due| (due.id, due.expires_ms)).collect();
            (ids, next_ms)
        };
        let a = || ("a".to_owned(), 105);
        assert_eq!(found(109), (vec![], Some(110)));
        assert_eq!(found(110), (vec![a()], Some(150)));
        assert_eq!(found(150), (vec![a(), ("b".to_owned(), 90)], Some(170)));
        assert_eq!(found(170).1, None);
    }
}
