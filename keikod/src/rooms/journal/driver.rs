//! Forgets what is older than it must be kept; only the leader's proposal counts.

use super::super::Control;
use super::Metrics;
use keiko_core::id::GroupId;
use keiko_core::refusal::Result;
use keiko_core::{house, journal};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{Compact, JournalOp, journal_op, journal_reply, reply};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the age of the oldest event is looked at.
const EVERY: Duration = Duration::from_secs(600);

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
        loop {
            if let Err(refusal) = self.compact().await {
                tracing::warn!(code = %refusal.code, "the journal is not compacted: {refusal}");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn compact(&self) -> Result<()> {
        if !self.control.is_leader() {
            return Ok(());
        }
        let keep_ms = u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX);
        let too_large = self.control.group()?.past_bytes() > self.keep_bytes;
        let before_revision = self
            .control
            .read_local(move |view| {
                let group = GroupId::CONTROL;
                let now_ms = house::last_stamp_ms(view, group);
                let by_age = journal::revision_at(view, group, now_ms.saturating_sub(keep_ms));
                let oldest = journal::oldest_revision(view, group);
                let kept = house::revision(view, group).saturating_sub(oldest);
                let by_size = if too_large { oldest + kept / OLDEST_PART } else { 0 };
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
            self.control.group()?.reclaim_past().await?;
        }
        let oldest = self.control.read_local(oldest).await?;
        self.metrics.oldest_revision.set(i64::try_from(oldest).unwrap_or(i64::MAX));
        Ok(())
    }
}
