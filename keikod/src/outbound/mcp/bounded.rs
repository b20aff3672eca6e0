//! Between rmcp and either transport: how much a server may ask, and how long its end may take.
//!
//! rmcp answers each question in a task of its own, so a server that asks and never reads would
//! fill the memory with answers; and it waits for its transport to end, which waits in turn for
//! messages to be taken that nobody takes any more. Invariants: a server that asks more than
//! [`QUESTIONS_MAX`] in a minute has lost its session; a session that is lost ends at once, with
//! what was to be answered. Never: answers.

use super::link::Link;
use keiko_core::refusal::{Code, Refusal};
use rmcp::RoleClient;
use rmcp::model::{
    ClientJsonRpcMessage, JsonRpcRequest, RequestId, ServerJsonRpcMessage, ServerRequest,
};
use rmcp::transport::Transport;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Ten a second: a ping is sent every few seconds, and what is asked besides gets a no.
/// 600 answers at 4 KiB, with the task of each, are below 3 MiB.
const QUESTIONS_MAX: usize = 600;

/// In which they are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// An answer repeats the id of its question and may repeat the method; one that is longer counts
/// as several.
const REPEATED_BYTES: usize = 256;

/// Taking leave of a server: rmcp gives it 5 s.
const CLOSE_MAX: Duration = Duration::from_secs(6);

/// A transport within bounds.
pub(super) struct Bounded<T> {
    /// Until it is closed.
    transport: Option<T>,
    link: Link,
    questions: Questions,
}

impl<T> Bounded<T> {
    pub(super) fn new(transport: T, link: Link) -> Self {
        let questions = Questions { since: Instant::now(), count: 0 };
        Self { transport: Some(transport), link, questions }
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Bounded<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        message: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), T::Error>> + Send + 'static {
        let is_answer =
            matches!(message, ClientJsonRpcMessage::Response(_) | ClientJsonRpcMessage::Error(_));
        let sending = self.transport.as_mut().map(|transport| transport.send(message));
        let link = self.link.clone();
        async move {
            let Some(sending) = sending else { return Ok(()) };
            tokio::select! {
                biased;
                sent = sending => sent,
                // Who lost its session gets no answers. Why a request failed is still to be told.
                () = link.lost().cancelled(), if is_answer => Ok(()),
            }
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        let message = self.transport.as_mut()?.receive().await?;
        if let ServerJsonRpcMessage::Request(question) = &message
            && self.questions.are_too_many(Instant::now(), repeated(question))
        {
            let why = "the server asks more than anybody answers";
            self.link.lose(Refusal::new(Code::PeerTooLarge, why));
            return None;
        }
        Some(message)
    }

    async fn close(&mut self) -> Result<(), T::Error> {
        let Some(mut transport) = self.transport.take() else { return Ok(()) };
        // Dropped, it ends whatever it waits for.
        tokio::select! {
            closed = transport.close() => closed,
            () = self.link.lost().cancelled() => Ok(()),
            () = sleep(CLOSE_MAX) => Ok(()),
        }
    }
}

struct Questions {
    since: Instant,
    count: usize,
}

impl Questions {
    fn are_too_many(&mut self, now: Instant, repeated: usize) -> bool {
        if now.duration_since(self.since) >= MINUTE {
            *self = Self { since: now, count: 0 };
        }
        self.count += 1 + repeated / REPEATED_BYTES;
        self.count > QUESTIONS_MAX
    }
}

/// Bytes of the question that its answer repeats.
fn repeated(question: &JsonRpcRequest<ServerRequest>) -> usize {
    let id = match &question.id {
        RequestId::String(id) => id.len(),
        RequestId::Number(_) => 0,
    };
    let method = match &question.request {
        ServerRequest::CustomRequest(custom) => custom.method.len(),
        _ => 0,
    };
    id + method
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_in_a_minute_or_long_ones_are_too_many() {
        let begun = Instant::now();
        let too_many = |times: usize, pause: Duration, repeated: usize| {
            let mut questions = Questions { since: begun, count: 0 };
            let mut now = begun;
            (0..times).any(|_| {
                now += pause;
                questions.are_too_many(now, repeated)
            })
        };
        assert!(!too_many(QUESTIONS_MAX, Duration::ZERO, 36));
        assert!(too_many(QUESTIONS_MAX + 1, Duration::ZERO, 36));
        assert!(!too_many(10_000, Duration::from_millis(150), 36));
        assert!(too_many(1, Duration::ZERO, 4 << 20));
    }

    #[test]
    fn what_is_repeated_is_weighed() {
        for (question, expect) in [
            (r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#, 0),
            (r#"{"jsonrpc":"2.0","id":"seven","method":"ping"}"#, 5),
            (r#"{"jsonrpc":"2.0","id":"seven","method":"who/knows"}"#, 14),
        ] {
            let question: JsonRpcRequest<ServerRequest> = serde_json::from_str(question).unwrap();
            assert_eq!(repeated(&question), expect, "{question:?}");
        }
    }
}
