//! Entries on their way to the leader: one stream to each node, in order, answered in any order.
//!
//! Invariant: whoever handed an entry over hears whether it surely did not reach the leader, or
//! that nobody can tell.

use super::super::propose::unknown;
use super::{Link, number, of_leader};
use bytes::Bytes;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::peer::{ProposeRequest, ProposeResponse, propose_response};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// Entries that wait for the stream: as many as a group takes at a time.
const QUEUE: usize = 1024;
/// Entries that are under way: the same again.
pub(super) const UNDER_WAY_MAX: usize = 1024;
/// What the peer may take to begin a stream.
const OPEN_DEADLINE: Duration = Duration::from_secs(2);
/// A stream on which nothing is under way is closed after that long.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Entries for one node.
pub(in crate::consensus) struct Forward {
    asked: mpsc::Sender<Asked>,
}

struct Asked {
    group: GroupId,
    entry: Bytes,
    timeout: Duration,
    answer: oneshot::Sender<Result<Bytes>>,
}

impl Forward {
    fn start(link: Weak<Link>, handle: &Handle) -> Self {
        let (asked, queue) = mpsc::channel(QUEUE);
        handle.spawn(Pump { link, queue, waiting: BTreeMap::new(), last: 0 }.run());
        Self { asked }
    }

    /// Hands an entry over behind all that were before. The answer is the encoded reply.
    pub(in crate::consensus) async fn send(
        &self,
        group: GroupId,
        entry: Bytes,
        timeout: Duration,
    ) -> Result<oneshot::Receiver<Result<Bytes>>> {
        let (answer, answered) = oneshot::channel();
        let asked = Asked { group, entry, timeout, answer };
        match tokio::time::timeout(timeout, self.asked.send(asked)).await {
            Ok(Ok(())) => Ok(answered),
            Ok(Err(_)) => Err(super::super::stopped()),
            Err(_) => Err(Refusal::new(Code::NoLeader, "the leader takes no more entries now")
                .cause(format!("{QUEUE} wait already"))
                .hint("try again in a moment")),
        }
    }
}

impl Link {
    /// The stream of entries to this node.
    pub(in crate::consensus) fn forward<'a>(self: &'a Arc<Self>, handle: &Handle) -> &'a Forward {
        self.forward.get_or_init(|| Forward::start(Arc::downgrade(self), handle))
    }
}

/// Sends what is asked and hands out what is answered.
struct Pump {
    link: Weak<Link>,
    queue: mpsc::Receiver<Asked>,
    /// Sent and not answered, by number.
    waiting: BTreeMap<u64, oneshot::Sender<Result<Bytes>>>,
    last: u64,
}

impl Pump {
    async fn run(mut self) {
        while let Some(asked) = self.queue.recv().await {
            let Some(link) = self.link.upgrade() else { return };
            self.serve(&link, asked).await;
            // What was sent may be in the leader's log.
            for answer in std::mem::take(&mut self.waiting).into_values() {
                let _gone = answer.send(Err(unknown("the connection to the leader broke")));
            }
        }
    }

    /// One stream from its beginning to its end.
    async fn serve(&mut self, link: &Arc<Link>, first: Asked) {
        let (sender, requests) = mpsc::channel(UNDER_WAY_MAX);
        let open = link.ask(OPEN_DEADLINE, |mut client| async move {
            client.propose(ReceiverStream::new(requests)).await
        });
        let mut answers = match open.await {
            Ok(answers) => answers,
            Err(failed) => return self.refuse(first, &not_sent(&failed.refusal)),
        };
        if !self.pass_on(&sender, first).await {
            return;
        }
        loop {
            let room = self.waiting.len() < UNDER_WAY_MAX;
            tokio::select! {
                asked = self.queue.recv(), if room => {
                    let Some(asked) = asked else { return };
                    if link.is_cut_out() || !self.pass_on(&sender, asked).await {
                        return;
                    }
                }
                answer = next(&mut answers) => match answer {
                    Some(answer) if !link.is_cut_in() => self.hand_out(answer),
                    Some(_) | None => return,
                },
                () = tokio::time::sleep(IDLE_MAX), if self.waiting.is_empty() => return,
            }
        }
    }

    /// Nothing was sent. Who waits behind the first one looks for the leader anew as well, and does
    /// not try the same way again one after the other.
    fn refuse(&mut self, first: Asked, why: &Refusal) {
        let mut refused = Some(first);
        while let Some(asked) = refused {
            // Who asked may have gone.
            let _gone = asked.answer.send(Err(why.clone()));
            refused = self.queue.try_recv().ok();
        }
    }

    /// False if the stream is gone.
    async fn pass_on(&mut self, sender: &mpsc::Sender<ProposeRequest>, asked: Asked) -> bool {
        let Asked { group, entry, timeout, answer } = asked;
        self.last += 1;
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let request = ProposeRequest { group: number(group), number: self.last, entry, timeout_ms };
        // It has room: no more are under way than it holds.
        if sender.send(request).await.is_err() {
            let away = Refusal::new(Code::NoLeader, "the leader's connection is gone");
            let _gone = answer.send(Err(away));
            return false;
        }
        self.waiting.insert(self.last, answer);
        true
    }

    fn hand_out(&mut self, response: ProposeResponse) {
        let Some(answer) = self.waiting.remove(&response.number) else { return };
        let result = match response.result {
            Some(propose_response::Result::Reply(reply)) => Ok(reply),
            Some(propose_response::Result::Refusal(refusal)) => Err(of_leader(refusal)),
            None => Err(unknown("the leader's answer is empty")),
        };
        // Who asked may have gone.
        let _gone = answer.send(result);
    }
}

async fn next(answers: &mut Streaming<ProposeResponse>) -> Option<ProposeResponse> {
    answers.message().await.ok().flatten()
}

/// Nothing was sent: as if there were no leader.
fn not_sent(refusal: &Refusal) -> Refusal {
    let none = Refusal::new(Code::NoLeader, "the leader does not answer").cause(refusal);
    refusal.causes.iter().fold(none, Refusal::cause).hint("try again in a moment")
}
