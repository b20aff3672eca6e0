//! Looks at what was heard: who is down, whose clock is off, whose state differs; and lets the
//! leader act on it.
//!
//! A node alone wakes up only when its members change.

use super::neighbours::{Neighbours, Seen};
use crate::consensus::Group;
use crate::lifecycle::{Readiness, Task};
use crate::store::abort;
use keiko_core::peers::{BEAT_MS, Clock, Offsets, Verdict};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1 as wire;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

const EVERY: Duration = Duration::from_millis(BEAT_MS);
/// Members come as events; this is for a journal that was not seen.
const ALONE_EVERY: Duration = Duration::from_secs(30);
/// Heartbeats of agents that go into one batch.
const AGENT_BEATS_MAX: usize = 10_000;

/// What goes on beside the looks.
#[derive(Default)]
struct Work {
    /// Beats to each of the others, until the token ends.
    beats: BTreeMap<u64, CancellationToken>,
    /// What the leader does: its entries may take long, and nobody's silence waits for that.
    leading: Option<AbortOnDropHandle<()>>,
}

impl Neighbours {
    /// Runs until shutdown. A node without a leader is not ready.
    pub async fn run(self, readiness: Readiness, shutdown: CancellationToken) {
        let mut work = Work::default();
        let mut leaderless: Option<Task> = None;
        loop {
            let led = self.inner.control.group().is_ok_and(|group| group.has_quorum());
            if led && let Some(task) = leaderless.take() {
                task.done();
            } else if !led && leaderless.is_none() {
                let words = "no leader is heard: too few voters answer; keikoctl status";
                leaderless = Some(readiness.task("leader", words));
            }
            let pause = match self.look(&mut work, &shutdown) {
                Ok(pause) => pause,
                Err(refusal) => {
                    tracing::debug!(code = %refusal.code, "members are not looked at: {refusal}");
                    EVERY
                }
            };
            let changed = self.changed();
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                () = changed, if pause > EVERY => {}
            }
        }
    }

    /// Returns when something was applied.
    async fn changed(&self) {
        let Ok(group) = self.inner.control.group() else {
            return tokio::time::sleep(EVERY).await;
        };
        let mut revisions = group.revisions();
        if revisions.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        // Members change seldom, and a busy node alone is looked at once a beat at most.
        tokio::time::sleep(EVERY).await;
    }

    /// Looks once; how long until the next time.
    fn look(&self, work: &mut Work, shutdown: &CancellationToken) -> Result<Duration> {
        let group = self.inner.control.group()?;
        let own = self.inner.own_id();
        let nodes: BTreeMap<u64, wire::Node> =
            self.read_nodes()?.into_iter().map(|node| (node.id, node)).collect();
        let others: BTreeSet<u64> = nodes.keys().copied().filter(|id| *id != own).collect();
        let seen = self.judge(nodes, &others);
        self.meet(&seen.nodes, own, &mut work.beats, shutdown);
        if others.is_empty() && group.members().len() <= 1 {
            group.set_isolated(false);
            let is_idle = work.leading.as_ref().is_none_or(AbortOnDropHandle::is_finished);
            if Self::lead_alone(&group, &seen) && group.leads() && is_idle {
                let neighbours = self.clone();
                let raising = async move { neighbours.raise_level(&seen).await };
                work.leading = Some(AbortOnDropHandle::new(tokio::spawn(raising)));
            }
            return Ok(ALONE_EVERY);
        }
        self.share_agents();
        let voters: BTreeSet<u64> =
            group.members().iter().filter(|member| member.votes).map(|member| member.id).collect();
        self.check_states(&group, &voters, own);
        group.set_isolated(seen.isolated);
        let may_lead = self.check_clock(&voters) && !self.is_draining(&seen, own);
        group.set_campaigns(may_lead);
        if group.leads() && work.leading.as_ref().is_none_or(AbortOnDropHandle::is_finished) {
            let neighbours = self.clone();
            let leading = async move { neighbours.lead(&group, &seen, may_lead).await };
            work.leading = Some(AbortOnDropHandle::new(tokio::spawn(leading)));
        }
        Ok(EVERY)
    }

    /// Begins to beat to whoever is new, and ends with whoever is gone.
    fn meet(
        &self,
        nodes: &BTreeMap<u64, wire::Node>,
        own: u64,
        beats: &mut BTreeMap<u64, CancellationToken>,
        shutdown: &CancellationToken,
    ) {
        let links = self.inner.control.consensus().links();
        if !links.is_introduced() {
            return;
        }
        let gone: Vec<_> = beats.extract_if(.., |id, _| !nodes.contains_key(id)).collect();
        for (id, ended) in gone {
            ended.cancel();
            let mut state = self.inner.lock();
            state.peers.remove(&id);
            state.agreement.forget(id);
        }
        for (id, node) in nodes {
            if *id == own {
                continue;
            }
            // Where it moved, the link hears of it.
            let _link = self.link(node);
            beats.entry(*id).or_insert_with(|| {
                let ended = shutdown.child_token();
                tokio::spawn(self.clone().beat_to(*id, ended.clone()));
                ended
            });
        }
    }

    fn judge(&self, nodes: BTreeMap<u64, wire::Node>, others: &BTreeSet<u64>) -> Arc<Seen> {
        let now_ms = self.inner.now_ms();
        let view = {
            let own = self.inner.own_id();
            let mut state = self.inner.lock();
            if state.own != own {
                (state.own, state.offsets) = (own, Offsets::new(own));
            }
            state.detector.know(others, now_ms);
            state.offsets.retain(others);
            state.detector.view(now_ms)
        };
        let before = self.inner.seen.load();
        for id in view.down.symmetric_difference(&before.down) {
            let name = nodes.get(id).map(|node| node.name.as_str()).unwrap_or_default();
            match view.down.contains(id) {
                true => tracing::warn!(node = name, "nothing is heard from a node"),
                false => tracing::info!(node = name, "a node is heard again"),
            }
        }
        if view.isolated != before.isolated {
            tracing::warn!(
                isolated = view.isolated,
                "this node hears no other member, or does again"
            );
        }
        let words = "this node hears no other member: it is the one that is cut off";
        self.inner.alarm("isolated", view.isolated.then(|| words.to_owned()));
        let seen = Seen { nodes, down: view.down, isolated: view.isolated };
        let seen = Arc::new(seen);
        self.inner.seen.store(Arc::clone(&seen));
        seen
    }

    /// Hands what agents said here to every peer's stream.
    fn share_agents(&self) {
        let Some(feed) = self.inner.feed.get() else { return };
        let batch = feed.soft().drain_beats(AGENT_BEATS_MAX);
        if batch.is_empty() {
            return;
        }
        let batch = Arc::new(batch);
        self.inner.lock().peers.values_mut().for_each(|heard| heard.queue(&batch));
    }

    fn check_states(&self, group: &Group, voters: &BTreeSet<u64>, own: u64) {
        let verdict = {
            let mut state = self.inner.lock();
            let known = state.agreement.own_latest();
            for (index, hash) in group.checkpoints(known) {
                state.agreement.own(index, hash);
            }
            state.agreement.verdict(voters, own)
        };
        match verdict {
            Verdict::Agreed => {
                group.set_disagreed(false);
                self.inner.alarm("state", None);
            }
            Verdict::Minority { index, others } => abort(
                &Refusal::new(Code::StateDiverged, "this node's state differs from the others'")
                    .cause(format!("at log entry {index}; nodes {others:?} agree with each other"))
                    .hint("keep the data folder for a look, remove this node and let it join anew"),
            ),
            Verdict::NoMajority { index } => {
                group.set_disagreed(true);
                let words =
                    format!("the voters' states differ at log entry {index}, none has a majority");
                self.inner.alarm("state", Some(words));
            }
        }
    }

    /// False if this node's clock is wrong by the word of most voters.
    fn check_clock(&self, voters: &BTreeSet<u64>) -> bool {
        let now_ms = self.inner.now_ms();
        let clock = self.inner.lock().offsets.clock(voters, now_ms);
        let words = |ahead_ms: i64| {
            let (by, way) = (ahead_ms.abs(), if ahead_ms < 0 { "behind" } else { "ahead of" });
            format!("this node's clock is {by} ms {way} the median of the voters'")
        };
        match clock {
            Clock::Fine => self.inner.alarm("clock", None),
            Clock::Apart { ahead_ms } | Clock::Off { ahead_ms } => {
                self.inner.alarm("clock", Some(words(ahead_ms)));
            }
        }
        !matches!(clock, Clock::Off { .. })
    }

    fn is_draining(&self, seen: &Seen, own: u64) -> bool {
        seen.nodes.get(&own).is_some_and(|node| !node.admin_state.is_empty())
    }
}
