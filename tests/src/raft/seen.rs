//! What was seen of a run, and who looks at it. The first thing that does not hold ends the run.

use super::invariants::{Watcher, watcher};
use super::runtime::now;
use super::types::{Digest, LogId};
use super::{Invariant, Violation};
use keiko_core::hash::Hash;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Lines that are kept for whoever reads of a violation.
const STORY_LINES: usize = 60;

/// Something that an invariant may want to know.
pub(super) enum Event {
    /// A life of a node begins.
    Started { node: u64 },
    /// A node sends as the leader of a term.
    Leads { node: u64, term: u64 },
    /// A node writes an entry into its log, behind another.
    Appended { node: u64, id: LogId, digest: Digest, before: Option<LogId> },
    /// A node applies an entry, and is there then.
    Applied { node: u64, id: LogId, digest: Digest, revision: u64, hash: Hash },
    /// A snapshot takes the place of a node's state.
    Installed { node: u64, id: LogId, revision: u64, hash: Hash },
    /// A client hears what became of its write. `floor`: what somebody knew before it was sent.
    Acknowledged { index: u64, digest: Digest, accepted: bool, revision: u64, floor: u64 },
    /// A client reads. `floor`: what somebody knew before it asked.
    Read { node: u64, policy: &'static str, revision: u64, floor: u64 },
    /// In the end a node is here.
    Settled { node: u64, index: u64, revision: u64, hash: Hash },
    /// In the end they are not together.
    Unsettled { what: String },
    /// A living node gave up.
    Failed { node: u64, why: String },
}

/// What is seen; a cheap clone.
#[derive(Clone)]
pub(super) struct Seen(Arc<Mutex<State>>);

struct State {
    watchers: Vec<(Invariant, Box<dyn Watcher>)>,
    violation: Option<Violation>,
    story: VecDeque<String>,
    counts: BTreeMap<&'static str, u64>,
    /// The highest revision that any client knows.
    known: u64,
    over: Arc<Notify>,
}

impl Seen {
    pub(super) fn new(invariants: &[Invariant]) -> Self {
        let watchers = invariants.iter().map(|invariant| (*invariant, watcher(*invariant)));
        Self(Arc::new(Mutex::new(State {
            watchers: watchers.collect(),
            violation: None,
            story: VecDeque::new(),
            counts: BTreeMap::new(),
            known: 0,
            over: Arc::default(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows it to everybody who looks.
    pub(super) fn tell(&self, event: Event) {
        let mut state = self.state();
        let State { watchers, violation, story, over, .. } = &mut *state;
        if violation.is_some() {
            return;
        }
        for (invariant, watcher) in watchers {
            if let Err(what) = watcher.see(&event) {
                let (at_ms, story) = (now().ms(), story.iter().cloned().collect());
                *violation = Some(Violation { invariant: *invariant, at_ms, what, story });
                over.notify_one();
                return;
            }
        }
    }

    /// A client knows a revision from now on.
    pub(super) fn know(&self, revision: u64) {
        let mut state = self.state();
        state.known = state.known.max(revision);
    }

    /// The highest revision that any client knows.
    pub(super) fn known(&self) -> u64 {
        self.state().known
    }

    pub(super) fn count(&self, what: &'static str) {
        *self.state().counts.entry(what).or_default() += 1;
    }

    /// Keeps a line for whoever reads of a violation.
    pub(super) fn note(&self, line: impl FnOnce() -> String) {
        let mut state = self.state();
        if state.story.len() == STORY_LINES {
            state.story.pop_front();
        }
        state.story.push_back(format!("{:>6} ms  {}", now().ms(), line()));
    }

    /// Waits for a violation.
    pub(super) async fn violated(&self) {
        let over = self.state().over.clone();
        over.notified().await;
    }

    /// A panic ends the run; it is a finding for whoever looks for it.
    pub(super) fn panicked(&self, text: &str) {
        let mut state = self.state();
        let is_looked_for =
            state.watchers.iter().any(|(invariant, _)| *invariant == Invariant::Totality);
        if is_looked_for && state.violation.is_none() {
            let (what, story) = (format!("a panic: {text}"), state.story.iter().cloned().collect());
            let invariant = Invariant::Totality;
            state.violation = Some(Violation { invariant, at_ms: 0, what, story });
        }
    }

    /// How it went.
    pub(super) fn conclude(&self) -> Result<BTreeMap<&'static str, u64>, Violation> {
        let mut state = self.state();
        match state.violation.take() {
            Some(violation) => Err(violation),
            None => Ok(std::mem::take(&mut state.counts)),
        }
    }
}
