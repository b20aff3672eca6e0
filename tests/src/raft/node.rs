//! What a node does for others and for clients, as `keikod`'s `Group` does it.

use super::bugs::Bug;
use super::disk::Disk;
use super::machine::GROUP;
use super::network::Net;
use super::runtime::{Instant, Life, now, sleep};
use super::types::{Command, LogId, Outcome, Raft, Types, Vote};
use keiko_core::features;
use keiko_core::house::Head;
use keiko_proto::v1 as wire;
use openraft::async_runtime::WatchReceiver as _;
use openraft::impls::ProgressResponder;
use openraft::raft::{ClientWriteResult, VoteRequest, VoteResponse};
use openraft::{LinearizerOption, ReadPolicy, ServerState};
use prost::Message as _;
use std::sync::Arc;
use std::time::Duration;

/// When a run begins, by everybody's clock but for what it is off.
const EPOCH_MS: u64 = 1_800_000_000_000;

/// How long one node waits for another on somebody's behalf.
const PATIENCE: Duration = Duration::from_secs(2);

/// One life of a node; a cheap clone.
#[derive(Clone)]
pub(super) struct Host {
    pub(super) id: u64,
    pub(super) life: Life,
    pub(super) raft: Raft,
    pub(super) disk: Disk,
    pub(super) started: Instant,
    /// A leader's lease, which is also the longest wait before an election.
    pub(super) lease: Duration,
    /// By how much its clock is ahead.
    pub(super) ahead_ms: u64,
    pub(super) bug: Option<Bug>,
}

/// What became of a write.
#[derive(Clone)]
pub(super) struct Written {
    /// The log id of the entry.
    pub(super) id: LogId,
    /// The entry as it was proposed.
    pub(super) entry: Arc<[u8]>,
    /// The encoded reply.
    pub(super) reply: Vec<u8>,
}

/// How a read makes sure that it is not stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    Quorum,
    Lease,
}

impl Host {
    /// Answers a candidate. One that has just started refuses: it does not remember whose lease it
    /// vouched for.
    pub(super) async fn vote(
        &self,
        pre: bool,
        request: VoteRequest<Types>,
    ) -> Option<VoteResponse<Types>> {
        let is_new = now() - self.started < self.lease;
        if is_new && !request.leadership_transfer {
            let vote: Vote = self.raft.metrics().borrow_watched().vote;
            return Some(VoteResponse::new(vote, None, false));
        }
        match pre {
            true => self.raft.pre_vote(request).await.ok(),
            false => self.raft.vote(request).await.ok(),
        }
    }

    /// Does not stand for election for as long as it refuses its vote, and for the same reason.
    pub(super) async fn campaign_later(self) {
        self.raft.runtime_config().elect(false);
        sleep(self.lease).await;
        self.raft.runtime_config().elect(true);
    }

    /// Who leads, as far as this node knows.
    pub(super) fn leader(&self) -> Option<u64> {
        self.raft.metrics().borrow_watched().current_leader
    }

    pub(super) fn leads(&self) -> bool {
        self.raft.metrics().borrow_watched().state == ServerState::Leader
    }

    pub(super) fn head(&self) -> Head {
        self.disk.read(|image| Head::read(&image.state.store, GROUP))
    }

    /// The log index of the last applied entry.
    pub(super) fn applied(&self) -> u64 {
        self.disk.read(|image| image.state.applied.map_or(0, |id| id.index))
    }

    /// Carries a write out, here or at the leader. `None`: nobody can tell what became of it.
    pub(super) async fn write(self, net: Net, entry: wire::Entry) -> Option<Written> {
        match self.leader() {
            Some(leader) if leader != self.id => {
                let act = |host: Self| async move { host.write_here(entry).await };
                net.ask((self.id, leader), PATIENCE, act).await.ok()?
            }
            // Whether this node really leads is found out by who takes the entry.
            _ => self.write_here(entry).await,
        }
    }

    async fn write_here(self, entry: wire::Entry) -> Option<Written> {
        let proposed_ms = EPOCH_MS + now().ms() + self.ahead_ms;
        let (format, feature_level) = (features::FORMAT, features::LEVEL);
        let entry = wire::Entry { format, feature_level, proposed_ms, ..entry };
        let entry: Arc<[u8]> = entry.encode_to_vec().into();
        let (responder, answer) =
            ProgressResponder::<Types, ClientWriteResult<Types>>::complete_only();
        self.raft.client_write_ff(Command(entry.clone()), Some(responder)).await.ok()?;
        let answer = answer.await.ok()?.ok()?;
        let Outcome { reply } = answer.data;
        Some(Written { id: answer.log_id, entry, reply })
    }

    /// The revision here once all that was committed when this was called is applied here.
    pub(super) async fn read(self, net: Net, policy: Policy) -> Option<u64> {
        match self.leader() {
            Some(leader) if leader != self.id => {
                let act = move |host: Self| async move { host.read_index(policy).await };
                let id = net.ask((self.id, leader), PATIENCE, act).await.ok()??;
                self.raft.watch_apply_progress().wait_until_ge(&Some(id)).await.ok()?;
            }
            _ if self.bug == Some(Bug::StaleRead) && self.leads() => {}
            _ => {
                let linearizer = self.linearizer(policy).await?;
                linearizer.await_ready(&self.raft).await.ok()?;
            }
        }
        Some(self.head().revision)
    }

    async fn read_index(self, policy: Policy) -> Option<LogId> {
        if self.bug == Some(Bug::StaleRead) && self.leads() {
            return self.disk.read(|image| image.state.applied);
        }
        Some(*self.linearizer(policy).await?.read_log_id().log_id())
    }

    async fn linearizer(
        &self,
        policy: Policy,
    ) -> Option<openraft::raft::linearizable_read::Linearizer<Types>> {
        let option = match policy {
            Policy::Quorum => ReadPolicy::ReadIndex.into(),
            // A lease that has run out is renewed by a heartbeat, which the read waits for.
            Policy::Lease => LinearizerOption::new(None, true),
        };
        self.raft.get_read_linearizer(option).await.ok()
    }
}

/// The time by everybody's clock.
pub(super) fn clock_ms() -> u64 {
    EPOCH_MS + now().ms()
}
