//! Reads on a follower: those that wait ask the leader together, one round after the other.
//!
//! Invariant: what confirms a read was asked after the read came, for its group and in its way.

use super::super::types::LogId;
use super::{Link, convert, number, of_leader};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::peer::{ReadIndexRequest, read_index_response};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// What the leader may take for one round: longer than an election's lease.
const ROUND_DEADLINE: Duration = Duration::from_secs(2);
/// Reads that wait; each is some hundred bytes.
const WAITING_MAX: usize = 65_536;

type Readers = Vec<oneshot::Sender<Result<LogId>>>;

/// Who waits, by group and by whether a quorum is asked; in here as long as its rounds go on.
#[derive(Default)]
pub(super) struct Rounds(Mutex<BTreeMap<(GroupId, bool), Readers>>);

impl Rounds {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(GroupId, bool), Readers>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a reader. True if nobody asks for its kind yet.
    fn wait(&self, kind: (GroupId, bool), reader: oneshot::Sender<Result<LogId>>) -> Result<bool> {
        let mut rounds = self.lock();
        let Some(waiting) = rounds.get_mut(&kind) else {
            rounds.insert(kind, vec![reader]);
            return Ok(true);
        };
        if waiting.len() >= WAITING_MAX {
            let message = format!("{WAITING_MAX} reads wait for the leader already");
            return Err(Refusal::new(Code::LimitExceeded, message).hint("try again later"));
        }
        waiting.push(reader);
        Ok(false)
    }

    /// Who came since the round before.
    fn take(&self, kind: (GroupId, bool)) -> Readers {
        self.lock().get_mut(&kind).map(std::mem::take).unwrap_or_default()
    }

    /// Who goes into the next round; nobody ends the rounds.
    fn next(&self, kind: (GroupId, bool)) -> Option<Readers> {
        let mut rounds = self.lock();
        let readers = rounds.get_mut(&kind).map(std::mem::take).unwrap_or_default();
        if readers.is_empty() {
            rounds.remove(&kind);
            return None;
        }
        Some(readers)
    }
}

impl Link {
    /// Up to where this group must be applied for a read, as its leader says.
    pub(in crate::consensus) async fn read_index(
        self: &Arc<Self>,
        group: GroupId,
        quorum: bool,
        handle: &Handle,
    ) -> Result<LogId> {
        let (answer, answered) = oneshot::channel();
        if self.reads.wait((group, quorum), answer)? {
            handle.spawn(Arc::clone(self).ask_in_rounds(group, quorum));
        }
        answered.await.map_err(|_| super::super::stopped())?
    }

    async fn ask_in_rounds(self: Arc<Self>, group: GroupId, quorum: bool) {
        let kind = (group, quorum);
        while let Some(mut readers) = self.reads.next(kind) {
            let answer = self.ask_round(group, quorum).await;
            if answer.as_ref().is_err_and(|refusal| refusal.code == Code::PeerUnreachable) {
                // Who came meanwhile looks for the leader anew as well; another round here would
                // hold it up for as long again.
                readers.extend(self.reads.take(kind));
            }
            for reader in readers {
                // Who asked may have gone.
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
            Some(read_index_response::Result::Refusal(refusal)) => Err(of_leader(refusal)),
            None => Err(convert::malformed("an answer is empty")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_of_one_kind_and_end_when_nobody_waits() {
        let rounds = Rounds::default();
        let wait = |kind| rounds.wait(kind, oneshot::channel().0);
        let next = |kind| rounds.next(kind).map(|readers| readers.len());
        let (lease, quorum) = ((GroupId::CONTROL, false), (GroupId::CONTROL, true));
        let other = (GroupId(1), false);
        for (kind, begins) in [(lease, true), (lease, false), (quorum, true), (other, true)] {
            assert_eq!(wait(kind), Ok(begins), "{kind:?}");
        }
        assert_eq!(next(lease), Some(2));
        assert_eq!(wait(lease), Ok(false), "while a round is under way");
        assert_eq!(next(lease), Some(1));
        assert_eq!((next(quorum), next(other)), (Some(1), Some(1)));
        assert_eq!((rounds.take(lease).len(), next(lease)), (0, None));
        assert_eq!(wait(lease), Ok(true));
    }
}
