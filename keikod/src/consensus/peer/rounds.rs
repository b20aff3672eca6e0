//! Reads on a follower: those that wait ask the leader together, one round after the other.
//!
//! Invariant: a read is answered by a round that was asked after the read came.

use super::super::types::LogId;
use super::{Link, convert, number};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::peer::{ReadIndexRequest, read_index_response};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// What the leader may take for one round: longer than an election's lease.
const ROUND_DEADLINE: Duration = Duration::from_secs(2);
/// Reads that wait; each is some hundred bytes.
const WAITING_MAX: usize = 65_536;

/// The rounds of one kind of read.
#[derive(Default)]
pub(in crate::consensus) struct Rounds(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Vec<oneshot::Sender<Result<LogId>>>,
    running: bool,
}

impl Rounds {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    fn rounds(&self, quorum: bool) -> &Rounds {
        if quorum { &self.quorum_reads } else { &self.lease_reads }
    }

    /// Up to where this group must be applied for a read, as its leader says.
    pub(in crate::consensus) async fn read_index(
        self: &Arc<Self>,
        group: GroupId,
        quorum: bool,
        handle: &Handle,
    ) -> Result<LogId> {
        let (answer, answered) = oneshot::channel();
        let begin = {
            let mut state = self.rounds(quorum).lock();
            if state.waiting.len() >= WAITING_MAX {
                let message = format!("{WAITING_MAX} reads wait for the leader already");
                return Err(Refusal::new(Code::LimitExceeded, message).hint("try again later"));
            }
            state.waiting.push(answer);
            !std::mem::replace(&mut state.running, true)
        };
        if begin {
            handle.spawn(Arc::clone(self).ask_in_rounds(group, quorum));
        }
        answered.await.map_err(|_| super::super::stopped())?
    }

    async fn ask_in_rounds(self: Arc<Self>, group: GroupId, quorum: bool) {
        loop {
            let waiting = {
                let mut state = self.rounds(quorum).lock();
                state.running = !state.waiting.is_empty();
                std::mem::take(&mut state.waiting)
            };
            if waiting.is_empty() {
                return;
            }
            let answer = self.ask_round(group, quorum).await;
            for reader in waiting {
                let _gone = reader.send(answer.clone());
            }
        }
    }

    async fn ask_round(&self, group: GroupId, quorum: bool) -> Result<LogId> {
        let request = ReadIndexRequest { group: number(group), quorum };
        let asked =
            self.ask(ROUND_DEADLINE, |mut client| async move { client.read_index(request).await });
        match asked.await?.result {
            Some(read_index_response::Result::LogId(id)) => Ok(convert::id_from(id)),
            Some(read_index_response::Result::Refusal(refusal)) => Err(Refusal::from_wire(refusal)),
            None => Err(convert::malformed("an answer is empty")),
        }
    }
}
