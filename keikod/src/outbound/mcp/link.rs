//! What a transport and its session tell each other beside the messages.

use crate::outbound::words;
use keiko_core::refusal::{Code, Refusal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// What is repeated of a line that is no message.
const NOISE_BYTES_SHOWN: usize = 100;

/// Between two streams of events, in the long run: rmcp asks again at once after one that broke off,
/// and after any if the server says `retry: 0`.
const STREAM_AGAIN: Duration = Duration::from_millis(250);

/// Streams without a pause between them after a quiet time: calls whose answers come in pieces are
/// resumed together.
const STREAMS_AT_ONCE: u32 = 16;

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
    /// When the next stream is due if none comes early.
    next_stream: Mutex<Option<Instant>>,
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

    /// Returns when the server may be asked for a stream of events.
    pub(super) async fn stream_turn(&self) {
        sleep(self.stream_pause(Instant::now())).await;
    }

    fn stream_pause(&self, now: Instant) -> Duration {
        let mut next = self.state.next_stream.lock().unwrap_or_else(PoisonError::into_inner);
        let due = next.map_or(now, |due| due.max(now));
        *next = Some(due + STREAM_AGAIN);
        due.duration_since(now).saturating_sub(STREAM_AGAIN * STREAMS_AT_ONCE)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_come_a_few_at_once_and_then_with_pauses() {
        let link = Link::default();
        let begun = Instant::now();
        let mut now = begun;
        let ask = |now: &mut Instant, times: u32| {
            for _ in 0..times {
                *now += link.stream_pause(*now);
            }
        };
        ask(&mut now, STREAMS_AT_ONCE);
        assert_eq!(now, begun);
        ask(&mut now, 101);
        assert_eq!(now, begun + STREAM_AGAIN * 100);
        // A quiet time is saved up, and no more than one.
        now += Duration::from_secs(3600);
        let quiet = now;
        ask(&mut now, STREAMS_AT_ONCE + 101);
        assert_eq!(now, quiet + STREAM_AGAIN * 100);
    }
}
