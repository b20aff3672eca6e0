//! Callers that write on whatever happens: what a cluster is under while its members come and go.

use super::super::node::drive::{Caller, Work};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Callers of this load.
pub(super) const CALLERS: usize = 16;
/// What one of them gives a call before it makes the next one.
const PATIENCE: Duration = Duration::from_secs(1);
/// Before the next one after a failure.
const PAUSE: Duration = Duration::from_millis(20);

/// The load, until it is ended or dropped.
pub(super) struct Load(JoinSet<()>);

impl Load {
    /// Each of them writes one name after the other, over `names` names.
    pub(super) fn begin<C: Caller>(callers: Vec<C>, names: usize) -> Self {
        let (step, mut running) = (callers.len(), JoinSet::new());
        for (first, caller) in callers.into_iter().enumerate() {
            running.spawn(write_on(caller, first, step, names));
        }
        Self(running)
    }

    pub(super) async fn end(mut self) {
        self.0.shutdown().await;
    }
}

/// Ends when its task is.
async fn write_on<C: Caller>(mut caller: C, first: usize, step: usize, names: usize) {
    let mut number = first;
    loop {
        let call = caller.call(Work::Write, number % names);
        if !matches!(timeout(PATIENCE, call).await, Ok(Ok(()))) {
            sleep(PAUSE).await;
        }
        number = number.wrapping_add(step);
    }
}
