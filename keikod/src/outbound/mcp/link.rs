//! What a transport and its session tell each other beside the messages.

use crate::outbound::words;
use keiko_core::refusal::{Code, Refusal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

/// What is repeated of a line that is no message.
const NOISE_BYTES_SHOWN: usize = 100;

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
    noise: OnceLock<String>,
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

    /// The first line that was no message, cut.
    pub(super) fn heard(&self, line: &[u8]) {
        let _ = self.state.noise.get_or_init(|| {
            let text = String::from_utf8_lossy(&line[..line.len().min(NOISE_BYTES_SHOWN)]);
            words(&text, NOISE_BYTES_SHOWN)
        });
    }

    /// Why a server that only made noise is none.
    pub(super) fn noise(&self) -> Option<Refusal> {
        let text = "the command writes something else than MCP to its output";
        let line = self.state.noise.get()?;
        Some(Refusal::new(Code::PeerGarbage, text).cause(format!("it begins with: {line}")))
    }

    pub(super) fn why(&self) -> Option<Refusal> {
        self.state.why.get().cloned()
    }

    pub(super) fn lost(&self) -> &CancellationToken {
        &self.state.lost
    }
}
