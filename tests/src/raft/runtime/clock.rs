//! Time: it stands still while somebody can go on, and jumps to the next timer when nobody can.

use super::executor::{self, now};
use std::fmt;
use std::future::Future;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Nanoseconds since the run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::raft) struct Instant(u64);

impl Instant {
    pub(super) const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// In milliseconds.
    pub(in crate::raft) const fn ms(self) -> u64 {
        self.0 / 1_000_000
    }
}

fn to_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(to_ns(duration)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(to_ns(duration)))
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl openraft::Instant for Instant {
    fn now() -> Self {
        now()
    }
}

/// Waits for an instant.
pub(in crate::raft) struct Sleep {
    at: Instant,
    timer: Option<(u64, u64)>,
}

impl Sleep {
    pub(in crate::raft) const fn until(at: Instant) -> Self {
        Self { at, timer: None }
    }

    fn forget(&mut self) {
        if let Some(timer) = self.timer.take() {
            executor::with_current(|executor| executor.drop_timer(timer));
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.forget();
        if now() >= self.at {
            return Poll::Ready(());
        }
        let at_ns = self.at.0;
        let waker = cx.waker().clone();
        executor::with_current(|executor| self.timer = Some(executor.set_timer(at_ns, waker)));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Waits for a future, but not for ever.
pub(in crate::raft) struct Timeout<F> {
    future: Pin<Box<F>>,
    sleep: Sleep,
}

impl<F: Future> Timeout<F> {
    pub(in crate::raft) fn at(deadline: Instant, future: F) -> Self {
        Self { future: Box::pin(future), sleep: Sleep::until(deadline) }
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Late>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(&mut self.sleep).poll(cx).map(|()| Err(Late))
    }
}

/// The time is over.
#[derive(Clone, Copy, Debug)]
pub(in crate::raft) struct Late;

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time is over")
    }
}

/// Waits for a future this long.
pub(in crate::raft) fn timeout<F: Future>(duration: Duration, future: F) -> Timeout<F> {
    Timeout::at(now() + duration, future)
}
