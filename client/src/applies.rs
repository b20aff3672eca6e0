//! Many declarations over one stream, each answered for itself.
//!
//! What a call of its own costs is paid once for the stream. Invariants: they are proposed in the
//! order in which they were handed over; so many are under way at most as the server takes; what a
//! broken stream left unanswered goes out again on the next one, in the same order and with the
//! same request ids, so that each takes effect once.

use crate::call::Client;
use crate::error::{Error, Result, code};
use crate::watch::Patience;
use keiko_proto::v1 as wire;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use uuid::Uuid;
use wire::apply_stream_response::Answer;

/// Declarations that are under way at once: as many as the server reads ahead.
const WINDOW: usize = 128;

/// What the server may take to begin a stream.
const OPEN: Duration = Duration::from_secs(10);

/// A stream of declarations; clones share it. It ends with the last of them.
#[derive(Clone)]
pub struct Applies {
    client: Client,
    pump: mpsc::Sender<Asked>,
}

struct Asked {
    request: wire::ApplyRequest,
    answer: oneshot::Sender<Result<wire::ApplyResponse>>,
}

impl Client {
    /// A stream of declarations, opened when the first is made.
    pub fn applies(&self) -> Applies {
        let (sender, asked) = mpsc::channel(WINDOW);
        let (client, waiting) = (self.clone(), VecDeque::new());
        tokio::spawn(Pump { client, asked, waiting, patience: Patience::default() }.run());
        Applies { client: self.clone(), pump: sender }
    }
}

impl Applies {
    /// Declares one object and waits for the answer. With `id` the caller's own request id;
    /// without, one on the server's clock.
    pub async fn apply(
        &self,
        id: Option<Uuid>,
        mut request: wire::ApplyRequest,
    ) -> Result<wire::ApplyResponse> {
        let first = id.unwrap_or_else(|| self.client.request_id());
        request.request_id = first.as_bytes().to_vec();
        // Kept for the one case in which a second try is none.
        let again = id.is_none().then(|| request.clone());
        let error = match self.ask(request).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        let expired = error.refusal.code == code::REQUEST_ID_EXPIRED;
        let Some(mut request) = again.filter(|_| expired) else {
            return Err(self.client.mark(error, Some(first)));
        };
        if self.client.status().await.is_err() {
            return Err(self.client.mark(error, Some(first)));
        }
        let second = self.client.request_id();
        request.request_id = second.as_bytes().to_vec();
        self.ask(request).await.map_err(|error| self.client.mark(error, Some(second)))
    }

    async fn ask(&self, request: wire::ApplyRequest) -> Result<wire::ApplyResponse> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.pump.send(Asked { request, answer }).await.ok()?;
            answered.await.ok()
        };
        match timeout(self.client.timeout(), asked).await {
            Ok(Some(answer)) => answer,
            Ok(None) => Err(Error::new(code::INTERNAL, "the stream's task is gone")),
            Err(_) => {
                let message = "nobody can tell whether the declaration was carried out";
                Err(Error::new(code::OUTCOME_UNKNOWN, message)
                    .cause(format!("no answer in {:?}", self.client.timeout()))
                    .hint("send it again with the same request id: it takes effect once"))
            }
        }
    }
}

/// Sends what is asked, and hands out what is answered.
struct Pump {
    client: Client,
    asked: mpsc::Receiver<Asked>,
    /// Sent and not answered, in order.
    waiting: VecDeque<Asked>,
    patience: Patience,
}

impl Pump {
    async fn run(mut self) {
        loop {
            if self.waiting.is_empty() {
                let Some(asked) = self.asked.recv().await else { return };
                self.waiting.push_back(asked);
            }
            let turns = self.client.line().turns();
            let error = match self.serve().await {
                // The server ends a stream on which nothing comes.
                Ok(()) if self.waiting.is_empty() => continue,
                Ok(()) => None,
                Err(error) => Some(error),
            };
            if error.as_ref().is_some_and(Error::is_passing) {
                self.client.line().turn(turns);
            }
            if let Err(error) = self.patience.pause(error).await {
                for asked in self.waiting.drain(..) {
                    let _gone = asked.answer.send(Err(error.clone()));
                }
                self.patience = Patience::default();
            }
        }
    }

    /// One stream from its beginning to its end.
    async fn serve(&mut self) -> Result<()> {
        let (sender, requests) = mpsc::channel(WINDOW);
        for asked in &self.waiting {
            // They fit: no more wait than the window holds.
            let _fits = sender.try_send(asked.request.clone());
        }
        let mut registry = self.client.registry();
        let opened = registry.apply_stream(ReceiverStream::new(requests));
        let mut answers = match timeout(OPEN, opened).await {
            Ok(opened) => opened?.into_inner(),
            Err(_) => return Err(Error::new(code::UNREACHABLE, "keikod began no stream in time")),
        };
        let mut more = true;
        loop {
            tokio::select! {
                asked = self.asked.recv(), if more && self.waiting.len() < WINDOW => {
                    let Some(asked) = asked else {
                        more = false;
                        continue;
                    };
                    // A stream that is gone says so below, and then this goes out on the next.
                    let _sent = sender.send(asked.request.clone()).await;
                    self.waiting.push_back(asked);
                }
                answer = answers.message() => match answer? {
                    Some(answer) => self.hand_out(answer)?,
                    None => return Ok(()),
                },
                else => return Ok(()),
            }
            if !more && self.waiting.is_empty() {
                return Ok(());
            }
        }
    }

    fn hand_out(&mut self, answer: wire::ApplyStreamResponse) -> Result<()> {
        self.patience = Patience::default();
        let answer = match answer.answer {
            Some(Answer::Response(response)) => Ok(response),
            Some(Answer::Refusal(refusal)) => Err(Error::from(refusal)),
            None => return Err(Error::new(code::INTERNAL, "keikod gave an answer of no kind")),
        };
        let asked = self.waiting.pop_front();
        let asked = asked.ok_or_else(|| {
            Error::new(code::INTERNAL, "keikod answered what nobody asked on this stream")
        })?;
        // Who asked may have gone.
        let _gone = asked.answer.send(answer);
        Ok(())
    }
}
