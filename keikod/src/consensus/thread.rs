//! The thread that runs every group's tasks, and its pulse.

use super::stopped;
use keiko_core::refusal::{Code, Refusal, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Between two beats of the pulse; one wake-up a second costs an idle node nothing.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// A thread that ran nothing for that long hangs: ten beats, and far more than a slow sync takes.
const STILL_MAX: Duration = Duration::from_secs(10);

/// One thread with a current-thread runtime.
pub(super) struct Thread {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Thread {
    pub(super) fn start(pulse: Arc<Pulse>) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Refusal::new(Code::Internal, "can't start the thread of consensus").cause(error)
        };
        let runtime = Builder::new_current_thread()
            .thread_name("consensus-blocking")
            .max_blocking_threads(4)
            .enable_all()
            .build()
            .map_err(failed)?;
        // Ends with the runtime.
        runtime.spawn(async move { pulse.beat().await });
        let handle = runtime.handle().clone();
        let (stop, stopping) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("consensus".to_owned())
            .spawn(move || {
                let _ = runtime.block_on(stopping);
                // Snapshots and compactions under way are left; the next start finds what is
                // complete.
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    pub(super) fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.handle.spawn(future)
    }

    /// Waits on the calling thread, which may be another runtime's.
    pub(super) fn block_on<F>(&self, future: F) -> Result<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let (done, result) = std::sync::mpsc::channel();
        self.handle.spawn(async move {
            let _ = done.send(future.await);
        });
        result.recv().map_err(|_| stopped())
    }

    pub(super) fn stop(mut self) {
        self.stop_thread();
    }

    fn stop_thread(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop_thread();
    }
}

/// Shows from outside that the thread still runs its tasks.
pub(super) struct Pulse {
    started: Instant,
    /// When it beat last, in milliseconds after the start.
    last_ms: AtomicU64,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), last_ms: AtomicU64::new(0) }
    }

    async fn beat(&self) {
        loop {
            self.last_ms.store(self.now_ms(), Ordering::Relaxed);
            tokio::time::sleep(BEAT_EVERY).await;
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        is_alive(self.last_ms.load(Ordering::Relaxed), self.now_ms())
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn is_alive(last_ms: u64, now_ms: u64) -> bool {
    u128::from(now_ms.saturating_sub(last_ms)) <= STILL_MAX.as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_stands_still_is_not_alive() {
        for (last_ms, now_ms, expect) in [
            (0, 0, true),
            (0, 10_000, true),
            (0, 10_001, false),
            (7_000, 17_000, true),
            (7_000, 17_001, false),
            (7_001, 7_000, true),
        ] {
            assert_eq!(is_alive(last_ms, now_ms), expect, "{last_ms} at {now_ms}");
        }
    }

    #[test]
    fn a_running_thread_moves_its_pulse() {
        let pulse = Arc::new(Pulse::new());
        pulse.last_ms.store(u64::MAX, Ordering::Relaxed);
        let thread = Thread::start(pulse.clone()).unwrap();
        // The beat was spawned first, so it ran before this does.
        thread.block_on(async {}).unwrap();
        assert_ne!(pulse.last_ms.load(Ordering::Relaxed), u64::MAX);
        assert!(pulse.is_alive());
        thread.stop();
    }
}
