//! What a transport and its session tell each other beside the messages.

use keiko_core::refusal::Refusal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

/// Shared by a transport and its session.
#[derive(Clone, Default)]
pub(super) struct Link {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    lost: CancellationToken,
    why: OnceLock<Refusal>,
    streamed: AtomicBool,
}

impl Link {
    /// The connection can't be used any more; the first reason stays.
    pub(super) fn lose(&self, why: Refusal) {
        let _ = self.state.why.set(why);
        self.state.lost.cancel();
    }

    /// The server opened its own stream once, so it is no server without one.
    pub(super) fn streamed(&self) {
        self.state.streamed.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_streamed(&self) -> bool {
        self.state.streamed.load(Ordering::Relaxed)
    }

    pub(super) fn why(&self) -> Option<Refusal> {
        self.state.why.get().cloned()
    }

    pub(super) fn lost(&self) -> &CancellationToken {
        &self.state.lost
    }
}
