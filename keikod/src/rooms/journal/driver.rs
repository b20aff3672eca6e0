//! Forgets what is older than it must be kept; only the leader's proposal counts.
//!
//! Age is told by the stamps, and these are as good as the wall clock was when a term began: one
//! start with a clock a year ahead makes all that was before look a year old, and stamps never go
//! back. So nothing goes by its age while the wall clock says that the stamps are wrong, nor before
//! that clock had the time to be put right, nor soon where the age comes from one long pause.

use super::super::Control;
use super::Metrics;
use keiko_core::id::GroupId;
use keiko_core::limits::REOPEN_REVISIONS;
use keiko_core::refusal::Result;
use keiko_core::store::Store;
use keiko_core::{house, journal};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{Compact, JournalOp, journal_op, journal_reply, reply};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often the age of the oldest event is looked at.
const EVERY: Duration = Duration::from_secs(600);

/// How long the node ran before anything goes by its age. A machine that boots with a wrong clock is
/// put right by NTP within minutes, and then the alarm of the clock is raised.
const CLOCK_SETTLES: Duration = Duration::from_secs(3600);

/// Stamps this far apart at the border of what is kept may be a step of the clock, or a node that
/// was off.
const PAUSE_MS: u64 = 24 * 3600 * 1000;

/// How long the node ran before what lies behind such a pause goes: somebody has a day to see that
/// the clock is wrong.
const PAUSE_SETTLES: Duration = Duration::from_secs(24 * 3600);

/// The part of all kept revisions that goes when they take too many bytes.
const OLDEST_PART: u64 = 8;

/// The loop.
pub struct Driver {
    /// Where it reads and proposes.
    pub control: Control,
    /// Events and past versions younger than this are kept.
    pub keep: Duration,
    /// Above this, older ones go earlier.
    pub keep_bytes: u64,
    /// What it tells.
    pub metrics: Metrics,
}

impl Driver {
    /// Runs until shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        let started = Instant::now();
        loop {
            if let Err(refusal) = self.compact(started.elapsed()).await {
                tracing::warn!(code = %refusal.code, "the journal is not compacted: {refusal}");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn compact(&self, ran: Duration) -> Result<()> {
        if !self.control.is_leader() {
            return Ok(());
        }
        let keep_ms = u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX);
        let group = self.control.group()?;
        let trusted = trusted(group.clock_alarm(), ran);
        let too_large = group.past_bytes() > self.keep_bytes;
        let before_revision = self
            .control
            .read_local(move |view| {
                let by_age = too_old(view, keep_ms, trusted);
                let by_size = if too_large { behind_oldest_part(view) } else { 0 };
                by_age.max(by_size)
            })
            .await?;
        let oldest =
            |view: &crate::store::View<'_>| journal::oldest_revision(view, GroupId::CONTROL);
        let mut more = self.control.read_local(oldest).await? < before_revision;
        while more {
            let op = journal_op::Op::Compact(Compact { before_revision });
            let room = Room::Journal(JournalOp { op: Some(op) });
            let (result, _) = self.control.write(self.control.as_node(), room).await?;
            more = matches!(result, reply::Result::Journal(reply)
                if matches!(&reply.reply, Some(journal_reply::Reply::Compact(reply)) if reply.more));
        }
        if too_large {
            // Deleted keys take room until the store compacts; without this, the next look would
            // find the past as large as before, and cut again.
            group.reclaim_past().await?;
        }
        let oldest = self.control.read_local(oldest).await?;
        self.metrics.oldest_revision.set(i64::try_from(oldest).unwrap_or(i64::MAX));
        Ok(())
    }
}

/// For how long the stamps can be taken for the time: not at all while the wall clock is behind them.
fn trusted(clock_step_ms: Option<i64>, ran: Duration) -> Duration {
    match clock_step_ms {
        Some(..0) => Duration::ZERO,
        Some(_) | None => ran,
    }
}

/// The revision below which everything is older than it must be kept; 0 if that is not sure enough.
fn too_old(store: &dyn Store, keep_ms: u64, trusted: Duration) -> u64 {
    if trusted < CLOCK_SETTLES {
        return 0;
    }
    let group = GroupId::CONTROL;
    let now_ms = house::last_stamp_ms(store, group);
    let before = journal::revision_at(store, group, now_ms.saturating_sub(keep_ms));
    let last_ms = journal::events_of(store, group, before).first().map(|event| event.unix_ms);
    let next_ms = journal::after(store, group, before).next().map_or(now_ms, |event| event.unix_ms);
    let pause_ms = last_ms.map_or(0, |last_ms| next_ms.saturating_sub(last_ms));
    if pause_ms > PAUSE_MS && trusted < PAUSE_SETTLES { 0 } else { before }
}

/// The revision below which the oldest part of what is kept lies.
fn behind_oldest_part(store: &dyn Store) -> u64 {
    let group = GroupId::CONTROL;
    let oldest = journal::oldest_revision(store, group);
    let first = journal::after(store, group, oldest.saturating_sub(1)).next();
    // What lies between may be a jump, of which there is nothing to forget.
    let first = first.map_or(oldest, |event| event.revision.saturating_sub(1).max(oldest));
    first + kept(first, house::revision(store, group)) / OLDEST_PART
}

/// How many revisions there are, without those that a restore or a recovery left out.
const fn kept(first: u64, newest: u64) -> u64 {
    newest.saturating_sub(first) % REOPEN_REVISIONS
}

#[cfg(test)]
mod tests {
    use super::*;
    use keiko_core::features;
    use keiko_core::house::Round;
    use keiko_core::store::MemoryStore;
    use keiko_proto::v1::{ClusterOp, Entry, Node, NoteNode, cluster_op};
    use prost::Message as _;

    const DAY_MS: u64 = 24 * 3600 * 1000;
    const HOUR: Duration = Duration::from_secs(3600);

    /// Revision 1 is of the first of these days, and so on.
    fn journal_of(days: impl IntoIterator<Item = u64>) -> MemoryStore {
        let mut store = MemoryStore::default();
        for (index, day) in (1..).zip(days) {
            let version = index.to_string();
            let node = Node { id: 1, name: "one".to_owned(), version, ..Default::default() };
            let op = cluster_op::Op::NoteNode(NoteNode { node: Some(node) });
            let entry = Entry {
                format: features::FORMAT,
                feature_level: features::LEVEL,
                proposed_ms: day * DAY_MS,
                room: Some(Room::Cluster(ClusterOp { op: Some(op) })),
                ..Default::default()
            };
            let mut round = Round::new(&store, GroupId::CONTROL);
            round.apply(index, &entry.encode_to_vec()).unwrap();
            let writes = round.into_writes();
            store.commit(writes);
        }
        store
    }

    #[test]
    fn nothing_goes_by_an_age_that_may_be_the_clocks() {
        let daily = journal_of(100..=140);
        let young = journal_of(100..=110);
        // A clock a year ahead, or a node that was off for a year.
        let stepped = journal_of([100, 101, 102, 467, 468]);
        for (store, trusted, expect) in [
            (&daily, HOUR / 2, 0),
            (&daily, HOUR, 11),
            (&young, 48 * HOUR, 0),
            (&stepped, HOUR, 0),
            (&stepped, 23 * HOUR, 0),
            (&stepped, 24 * HOUR, 3),
        ] {
            assert_eq!(too_old(store, 30 * DAY_MS, trusted), expect, "{trusted:?}");
        }
    }

    #[test]
    fn stamps_ahead_of_the_clock_are_not_trusted() {
        for (step_ms, expect) in [(None, HOUR), (Some(1_000), HOUR), (Some(-1_000), Duration::ZERO)]
        {
            assert_eq!(trusted(step_ms, HOUR), expect, "{step_ms:?}");
        }
    }

    #[test]
    fn a_jump_of_revisions_is_not_counted() {
        for (first, newest, expect) in [
            (0, 0, 0),
            (0, 800, 800),
            (200, 1000, 800),
            (200, REOPEN_REVISIONS + 1000, 800),
            (200, 2 * REOPEN_REVISIONS + 1000, 800),
            (REOPEN_REVISIONS + 200, REOPEN_REVISIONS + 1000, 800),
        ] {
            assert_eq!(kept(first, newest), expect, "{first} to {newest}");
        }
        let store = journal_of(1..=80);
        assert_eq!(behind_oldest_part(&store), 10);
        assert_eq!(behind_oldest_part(&MemoryStore::default()), 0);
    }
}
