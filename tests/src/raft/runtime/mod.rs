//! A runtime for openraft in which everything follows from a seed: one thread, a clock that jumps,
//! and dice where a real machine does as it likes.
//!
//! What openraft takes from its runtime is all here: tasks, timers, instants, the generator of
//! election timeouts, and the channel whose waking order tokio leaves to chance. Its other channels
//! are tokio's, which need no runtime. Tokio's own clock is not used: pausing it needs a feature
//! that would have every crate of the workspace compiled twice.
//!
//! Invariants: of the tasks that can go on the dice choose the next one; time passes only when none
//! can; a task of a life that is over never goes on, not even to its end.

mod clock;
mod executor;
mod watch;

pub(super) use clock::{Instant, timeout};
pub use executor::Trace;
pub(super) use executor::{Life, now, roll, run, sleep, spawn};

use clock::{Late, Sleep, Timeout};
use executor::{Ended, Joined};
use futures::FutureExt as _;
use openraft::AsyncRuntime;
use openraft::base::OptionalSend;
use openraft::impls::TokioRuntime;
use openraft::rt::deterministic_rng::DeterministicRng;
use std::future::Future;
use std::io;
use std::time::Duration;
use watch::Watched;

/// openraft's own seeded generator; only that of it is used.
type Seeded = DeterministicRng<TokioRuntime>;

/// The runtime.
#[derive(Debug)]
pub(super) struct Simulated;

impl AsyncRuntime for Simulated {
    type JoinError = Ended;
    type JoinHandle<T: OptionalSend + 'static> = Joined<T>;
    type Sleep = Sleep;
    type Instant = Instant;
    type TimeoutError = Late;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = Timeout<T>;
    type ThreadLocalRng = <Seeded as AsyncRuntime>::ThreadLocalRng;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = Watched;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Joined<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        executor::spawn(future)
    }

    fn sleep(duration: Duration) -> Sleep {
        sleep(duration)
    }

    fn sleep_until(deadline: Instant) -> Sleep {
        Sleep::until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Timeout<F> {
        timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Instant,
        future: F,
    ) -> Timeout<F> {
        Timeout::at(deadline, future)
    }

    /// A panic ends the run; no handle ever sees one.
    fn is_panic(_: &Ended) -> bool {
        false
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        let seeded = Seeded::scope(roll(u64::MAX), async { Seeded::thread_rng() });
        seeded.now_or_never().expect("invariant: nothing in it waits")
    }

    fn new(_threads: usize) -> Self {
        Self
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        run(0, future).0
    }

    fn spawn_blocking<F, T>(act: F) -> impl Future<Output = Result<T, io::Error>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        std::future::ready(Ok(act()))
    }
}
