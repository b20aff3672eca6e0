//! Where the node is in its life, as the network asks at every request.

use crate::lifecycle::Readiness;
use crate::net::{Missing, Phase, State};
use std::sync::atomic::{AtomicU8, Ordering};

const STARTING: u8 = 0;
const WAITING: u8 = 1;
const SERVING: u8 = 2;
const DRAINING: u8 = 3;

/// Only ever goes on, and never back from draining.
pub(super) struct NodeState {
    phase: AtomicU8,
    readiness: Readiness,
}

impl NodeState {
    pub(super) fn new(readiness: Readiness) -> Self {
        Self { phase: AtomicU8::new(STARTING), readiness }
    }

    pub(super) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    pub(super) fn wait(&self) {
        self.phase.fetch_max(WAITING, Ordering::AcqRel);
    }

    pub(super) fn serve(&self) {
        self.phase.fetch_max(SERVING, Ordering::AcqRel);
    }

    pub(super) fn drain(&self) {
        self.phase.fetch_max(DRAINING, Ordering::AcqRel);
    }
}

impl State for NodeState {
    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            STARTING => Phase::Starting,
            WAITING => Phase::Waiting,
            SERVING => Phase::Serving,
            _ => Phase::Draining,
        }
    }

    fn missing(&self) -> Vec<Missing> {
        let mut missing = self.readiness.missing();
        let (what, remedy) = match self.phase() {
            Phase::Starting => ("start", "the node is starting; ask again in a moment"),
            Phase::Draining => ("shutdown", "the node is shutting down; ask another one"),
            Phase::Waiting | Phase::Serving => return missing,
        };
        missing.push(Missing { what: what.to_owned(), remedy: remedy.to_owned() });
        missing
    }
}
