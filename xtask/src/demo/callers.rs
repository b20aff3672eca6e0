//! Callers that go on while a node dies: whoever gets no answer asks the next node.

use super::shell::Shell;
use anyhow::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long something is asked for again: longer than an election, and than it takes until a
/// server is started elsewhere.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two attempts.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Between two requests of one caller.
const PAUSE: Duration = Duration::from_millis(100);

/// What callers got.
pub(super) struct Got<T> {
    /// The answers, by number.
    pub(super) answers: BTreeMap<u64, T>,
    /// What was asked for more than once.
    pub(super) repeated: BTreeSet<u64>,
    /// What was not answered, and why at last.
    pub(super) failed: BTreeMap<u64, Error>,
    /// How long one had to wait for an answer, at most.
    pub(super) wait: Duration,
}

impl<T> Got<T> {
    pub(super) fn nothing() -> Self {
        let (answers, repeated, failed) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { answers, repeated, failed, wait: Duration::ZERO }
    }

    /// The same with what another caller got.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.answers.extend(other.answers);
        self.repeated.extend(other.repeated);
        self.failed.extend(other.failed);
        self.wait = self.wait.max(other.wait);
        self
    }
}

/// One caller.
pub(super) struct Caller<'c> {
    /// All nodes.
    pub(super) shells: &'c [Shell],
    /// The one that it asks first.
    pub(super) node: usize,
    /// The numbers that it asks for: from the first one on, in steps.
    pub(super) first: u64,
    pub(super) step: u64,
    /// Set when it is enough.
    pub(super) stop: &'c AtomicBool,
    /// How many were answered.
    pub(super) answered: &'c AtomicU64,
}

impl Caller<'_> {
    /// Asks again and again until it is told to stop.
    pub(super) fn run<T>(&self, ask: impl Fn(&Shell, u64) -> Result<T>) -> Got<T> {
        let mut got = Got::nothing();
        let mut number = self.first;
        while !self.stop.load(Ordering::SeqCst) {
            self.ask_for(number, &ask, &mut got);
            self.answered.store(got.answers.len() as u64, Ordering::SeqCst);
            number += self.step;
            std::thread::sleep(PAUSE);
        }
        got
    }

    fn ask_for<T>(&self, number: u64, ask: impl Fn(&Shell, u64) -> Result<T>, got: &mut Got<T>) {
        let begun = Instant::now();
        for shell in self.shells.iter().cycle().skip(self.node) {
            match ask(shell, number) {
                Ok(answer) => {
                    got.answers.insert(number, answer);
                    got.wait = got.wait.max(begun.elapsed());
                    return;
                }
                Err(error) if begun.elapsed() >= PATIENCE => {
                    got.failed.insert(number, error);
                    return;
                }
                Err(_) => {
                    got.repeated.insert(number);
                    std::thread::sleep(AGAIN_AFTER);
                }
            }
        }
    }
}
