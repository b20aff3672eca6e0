//! Reads: how fresh they are, and what they say of themselves.

use super::group::{Group, ended};
use super::peer::faults;
use super::standing::{LEADER_PATIENCE, LEADER_PAUSE, is_alone};
use super::types::{LogId, Types};
use crate::store::View;
use keiko_core::house::Head;
use keiko_core::refusal::{Code, Refusal, Result};
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::raft::linearizable_read::Linearizer;
use openraft::{Instant as _, LinearizerOption, ReadPolicy, ServerState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a leader waits for a quorum on a follower's behalf. The follower gives a round up
/// sooner; this ends what it left behind.
const READ_DEADLINE: Duration = Duration::from_secs(5);

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// The leader asks a quorum.
    Linearizable,
    /// The leader trusts its lease.
    Lease,
    /// Whatever this node has; the answer says how old it may be.
    Stale,
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<R> {
    /// The answer.
    pub value: R,
    /// The group's revision of the state that was read.
    pub revision: u64,
    /// Its stamp clock.
    pub unix_ms: u64,
    /// How old it may be: zero unless the read was stale.
    pub staleness_ms: u64,
}

impl Group {
    /// Runs `query` on a view of the group that is as fresh as asked. The query runs on the
    /// caller's thread, so it must be short: pages, not whole tables.
    pub async fn read<R: Send + 'static>(
        &self,
        consistency: Consistency,
        query: impl FnOnce(&View<'_>) -> R + Send + 'static,
    ) -> Result<Read<R>> {
        self.check_open()?;
        match consistency {
            Consistency::Linearizable => self.confirm(true).await?,
            Consistency::Lease => self.confirm(false).await?,
            Consistency::Stale => self.wait_for_recovery().await,
        }
        let view = self.inner.shared.view()?;
        let head = Head::read(&view, self.inner.shared.group);
        let staleness_ms = match consistency {
            Consistency::Linearizable | Consistency::Lease => 0,
            Consistency::Stale => self.staleness_ms(head.unix_ms),
        };
        let value = query(&view);
        Ok(Read { value, revision: head.revision, unix_ms: head.unix_ms, staleness_ms })
    }

    /// Runs `query` on what this node has now, however old that is, and waits for nothing.
    pub fn read_now<R>(&self, query: impl FnOnce(&View<'_>) -> R) -> Result<R> {
        self.check_open()?;
        Ok(query(&self.inner.shared.view()?))
    }

    /// Waits until all that was committed when this was called is applied here, and for a leader a
    /// little, if there is none. `quorum`: the leader asks one; otherwise it trusts its lease.
    async fn confirm(&self, quorum: bool) -> Result<()> {
        if faults::reads_stale() {
            return Ok(());
        }
        let begun = Instant::now();
        loop {
            self.check_heard()?;
            let confirmed = async {
                match self.leader() {
                    Some(leader) if leader != *self.inner.raft.node_id() => {
                        self.confirm_at(leader, quorum).await
                    }
                    _ => self.confirm_here(quorum).await.map(drop),
                }
            };
            let left = LEADER_PATIENCE.saturating_sub(begun.elapsed());
            let refusal = match tokio::time::timeout(left, confirmed).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(refusal)) => refusal,
                Err(_) => return Err(self.unconfirmed()),
            };
            let passing = matches!(refusal.code, Code::NoLeader | Code::PeerUnreachable);
            if !passing || begun.elapsed() >= LEADER_PATIENCE || self.check_open().is_err() {
                return Err(match refusal.code {
                    Code::PeerUnreachable => self.no_leader_now().cause(refusal),
                    _ => refusal,
                });
            }
            tokio::time::sleep(LEADER_PAUSE).await;
        }
    }

    /// The same at a follower.
    async fn confirm_at(&self, leader: u64, quorum: bool) -> Result<()> {
        let link = self.link(leader)?;
        let group = self.inner.shared.group;
        let id = link.read_index(group, quorum, &self.inner.runtime).await?;
        let mut applied = self.inner.raft.watch_apply_progress();
        applied.wait_until_ge(&Some(id)).await.map_err(|_| super::stopped())?;
        Ok(())
    }

    /// Up to where a read must be applied, as this node says if it leads.
    pub(super) async fn read_index_here(&self, quorum: bool) -> Result<LogId> {
        match tokio::time::timeout(READ_DEADLINE, self.linearizer(quorum)).await {
            Ok(linearizer) => Ok(*linearizer?.read_log_id().log_id()),
            Err(_) => Err(self.unconfirmed()),
        }
    }

    async fn confirm_here(&self, quorum: bool) -> Result<()> {
        let linearizer = self.linearizer(quorum).await?;
        let ready = linearizer.await_ready(&self.inner.raft).await;
        ready.map(drop).map_err(|fatal| ended(&fatal))
    }

    async fn linearizer(&self, quorum: bool) -> Result<Linearizer<Types>> {
        let option = match quorum {
            true => ReadPolicy::ReadIndex.into(),
            // A lease that has run out is renewed by a heartbeat, which the read waits for.
            false => LinearizerOption::new(None, true),
        };
        let error = match self.inner.raft.get_read_linearizer(option).await {
            Ok(linearizer) => return Ok(linearizer),
            Err(error) => error,
        };
        Err(match error {
            RaftError::Fatal(fatal) => ended(&fatal),
            RaftError::APIError(LinearizableReadError::ForwardToLeader(leader)) => {
                self.no_leader(leader.leader_id)
            }
            RaftError::APIError(error @ LinearizableReadError::QuorumNotEnough(_)) => {
                self.no_leader_now().cause(error)
            }
        })
    }

    /// Why a read was not confirmed in time.
    fn unconfirmed(&self) -> Refusal {
        let late = Refusal::new(Code::DeadlineExceeded, "the read was not confirmed in time")
            .cause("too few of the group's voters answer")
            .hint("a stale read is answered without them");
        match self.has_quorum() {
            true => late,
            false => self.no_leader_now().cause(late),
        }
    }

    /// After a start the state may lag behind what this node answered before; a stale read waits a
    /// moment for that, but not for a quorum that may never come.
    async fn wait_for_recovery(&self) {
        if !self.inner.health.borrow().recovered {
            let _ = self.ready(2 * self.inner.election_max).await;
        }
    }

    /// An upper bound of how old this node's state is.
    fn staleness_ms(&self, stamp_ms: u64) -> u64 {
        let health = *self.inner.health.borrow();
        let to_ms = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        // Down for who knows how long: as old as its last stamp.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since_stamp = now.saturating_sub(Duration::from_millis(stamp_ms));
        if !health.seen {
            return to_ms(since_stamp);
        }
        let metrics = self.metrics();
        match (metrics.state, metrics.last_quorum_acked) {
            (ServerState::Leader, _) if is_alone(&metrics) => 0,
            (ServerState::Leader, Some(acked)) => to_ms(acked.elapsed()),
            _ => match self.leader_silence() {
                // What the leader said last may have been on its way for as long as it may lead.
                Some(silence) => to_ms(silence + self.inner.election_max),
                None => to_ms(since_stamp),
            },
        }
    }
}
