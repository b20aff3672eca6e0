//! Watches a group from beside: is it recovered, who led it last, has it failed?

use super::group::{Raft, ended};
use super::types::Types;
use crate::store::abort;
use keiko_core::id::GroupId;
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::Fatal;
use openraft::{RaftMetrics, ServerState};
use tokio::sync::watch;

/// What the monitor knows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Health {
    /// All that was committed before this node started is applied again.
    pub(super) recovered: bool,
    /// True once it saw a leader.
    pub(super) seen: bool,
    /// The last one that it saw.
    pub(super) last_leader: Option<u64>,
}

/// Starts the monitor on the runtime that this is called in; it ends with the group.
pub(super) fn start(group: GroupId, raft: Raft) -> watch::Receiver<Health> {
    let (health, watched) = watch::channel(Health::default());
    tokio::spawn(async move {
        let mut metrics = raft.metrics();
        let mut leader = None;
        loop {
            {
                // Looked at in place: under load this runs once for each round of writes.
                let now = metrics.borrow_watched();
                match &now.running_state {
                    Ok(()) => {}
                    Err(Fatal::Stopped) => return,
                    // A log, vote or state machine that failed; nothing here retries.
                    Err(fatal) => abort(&ended(fatal)),
                }
                health.send_if_modified(|health| observe(health, &now));
                // Ticks drive heartbeats and elections. A leader without others needs neither, and
                // fifty wake-ups a second would cost an idle node 0.6 % of a core.
                raft.runtime_config().tick(!leads_nobody(&now));
                if leader != now.current_leader {
                    leader = now.current_leader;
                    tracing::info!(%group, ?leader, term = now.current_term, "the leader changed");
                }
            }
            if metrics.changed().await.is_err() {
                return;
            }
        }
    });
    watched
}

fn observe(health: &mut Health, metrics: &RaftMetrics<Types>) -> bool {
    let before = *health;
    let committed = metrics.cluster_committed.map(|id| id.index);
    let applied = metrics.last_applied.map(|id| id.index);
    // As in openraft's `wait_for_recovery`: a commit that covers the log's end at the start was seen
    // and is applied. A leader's first commit in its own term covers all that it had.
    let own_term = metrics.cluster_committed.map(|id| id.leader_id.term);
    let covers = committed >= metrics.last_log_index
        || metrics.state == ServerState::Leader && own_term == Some(metrics.current_term);
    if committed.is_some() && covers && applied >= committed {
        health.recovered = true;
    }
    if let Some(leader) = metrics.current_leader {
        (health.seen, health.last_leader) = (true, Some(leader));
    }
    before != *health
}

fn leads_nobody(metrics: &RaftMetrics<Types>) -> bool {
    let mut others = metrics.membership_config.nodes().filter(|(id, _)| **id != metrics.id);
    metrics.state == ServerState::Leader && others.next().is_none()
}

/// The only voter of a group need not wait for a leader that can't be there.
pub(super) async fn campaign_if_alone(raft: &Raft) {
    // Its task tells whose members it has when it first runs, on this same thread.
    tokio::task::yield_now().await;
    let alone = raft.voter_ids().eq([*raft.node_id()]);
    if alone {
        // Refused only by a group that has just ended, which the monitor sees.
        let _ = raft.trigger().elect(false).await;
    }
}
