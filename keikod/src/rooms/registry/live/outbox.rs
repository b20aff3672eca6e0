//! Heartbeats that came to this node, on their way to the others: the newest of each agent.

use super::super::millis;
use super::row::Beat;
use keiko_core::registry::ObjectKey;
use keiko_proto::peer::AgentBeat;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// Agents whose beat waits: all of the largest fleet that is promised, some 2 MiB. They are fetched
/// several times a second, and each beats every 10 s.
pub(super) const BEATS_HELD_MAX: usize = 10_000;

/// What waits.
#[derive(Default)]
pub(super) struct Outbox(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// Somebody fetches.
    fetched: bool,
    by_key: BTreeMap<ObjectKey, Beat>,
    /// In the order in which they came.
    order: VecDeque<ObjectKey>,
}

impl Outbox {
    /// Keeps a beat in place of the agent's one before. If there are too many, the oldest goes: its
    /// agent will beat again.
    pub(super) fn put(&self, key: &ObjectKey, beat: &Beat) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.fetched || waiting.by_key.insert(key.clone(), beat.clone()).is_some() {
            return;
        }
        waiting.order.push_back(key.clone());
        if waiting.order.len() > BEATS_HELD_MAX {
            waiting.take_first();
        }
    }

    /// Takes at most `max`, the oldest first.
    pub(super) fn drain(&self, now: Instant, max: usize) -> Vec<AgentBeat> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.fetched = true;
        let taken = std::iter::from_fn(|| waiting.take_first()).take(max);
        taken.map(|(key, beat)| told(key, beat, now)).collect()
    }
}

impl Waiting {
    fn take_first(&mut self) -> Option<(ObjectKey, Beat)> {
        self.by_key.remove_entry(&self.order.pop_front()?)
    }
}

fn told(key: ObjectKey, beat: Beat, now: Instant) -> AgentBeat {
    AgentBeat {
        namespace: key.namespace.to_string(),
        name: key.name,
        readiness: beat.readiness.as_str().to_owned(),
        reason: beat.reason.into_string(),
        load: beat.load,
        age_ms: millis(now.saturating_duration_since(beat.at)),
    }
}
