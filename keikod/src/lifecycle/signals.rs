//! The signals that end or change a daemon.
//!
//! SIGTERM and SIGINT end it gracefully; the second of them at once. SIGHUP has it read its
//! configuration again. Never: ends the process itself.

use keiko_core::refusal::{Code, Refusal, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How the daemon is told to end.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Finish what is under way.
    pub graceful: CancellationToken,
    /// Wait for nothing more. Implies the other.
    pub at_once: CancellationToken,
}

impl Stop {
    /// One more wish to end.
    pub fn ask(&self) {
        if self.graceful.is_cancelled() {
            self.at_once.cancel();
        }
        self.graceful.cancel();
    }
}

/// The installed handlers.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes the signals over from now on; call it within a tokio runtime, before anything that
    /// takes long, so that a daemon that still starts ends properly too.
    ///
    /// # Errors
    /// [`Code::Internal`] if the machine does not let it.
    pub fn install() -> Result<Self> {
        let take = |kind| {
            signal(kind).map_err(|error| {
                Refusal::new(Code::Internal, "signals can't be handled").cause(error)
            })
        };
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
            hangup: take(SignalKind::hangup())?,
        })
    }

    /// Passes them on until the daemon is to end at once.
    pub async fn run(mut self, stop: Stop, mut reload: impl FnMut()) {
        loop {
            tokio::select! {
                () = stop.at_once.cancelled() => return,
                _ = self.terminate.recv() => {
                    tracing::info!(signal = "SIGTERM", "asked to end");
                    stop.ask();
                }
                _ = self.interrupt.recv() => {
                    tracing::info!(signal = "SIGINT", "asked to end");
                    stop.ask();
                }
                _ = self.hangup.recv() => reload(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal as Number, raise};
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn the_second_wish_ends_at_once() {
        let signals = Signals::install().unwrap();
        let stop = Stop::default();
        let (reloads, mut reloaded) = mpsc::unbounded_channel();
        let run = tokio::spawn(signals.run(stop.clone(), move || reloads.send(()).unwrap()));
        raise(Number::SIGHUP).unwrap();
        reloaded.recv().await.unwrap();
        assert!(!stop.graceful.is_cancelled());
        raise(Number::SIGTERM).unwrap();
        stop.graceful.cancelled().await;
        assert!(!stop.at_once.is_cancelled());
        raise(Number::SIGINT).unwrap();
        stop.at_once.cancelled().await;
        run.await.unwrap();
    }
}
