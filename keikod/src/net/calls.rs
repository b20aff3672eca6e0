//! How many calls the bearers of tokens have open, and how many streams the socket has.
//!
//! A token is in the hands of a program that somebody else wrote, and a call of it holds a body in
//! memory before anything is decided. Invariant: a [`Call`] counts from before its body is read
//! until its answer is sent or dropped; a stream counts for as long as it lives. Of the socket only
//! streams count: its callers could do worse, but a script that leaks watches should hear of it.

use bytes::Bytes;
use http::Response;
use http_body::{Frame, SizeHint};
use keiko_core::refusal::{Code, Refusal, Result};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tonic::Status;
use tonic::body::Body;

/// Of one token. A call holds its body, the message and the answer, 4 MiB each: 96 MiB.
const OF_TOKEN_MAX: usize = 8;
/// Of all tokens together: 768 MiB at worst, if every one of them sends the largest there is.
const ALL_MAX: usize = 64;

/// Streams of the socket: 4,096 × some 64 KiB of buffers are 256 MiB at worst.
const SOCKET_STREAMS_MAX: usize = 4096;
/// What the socket's streams count as; no token has such a name.
const SOCKET: &str = "unix socket";

/// The open calls by the public half of their token; a cheap clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls(Arc<Mutex<BTreeMap<String, usize>>>);

/// A call that counts for as long as this lives.
#[derive(Debug)]
pub(super) struct Call {
    calls: Calls,
    token: String,
}

impl Calls {
    /// Counts a call of this token, or refuses it before anything is read.
    pub(super) fn begin(&self, token: &str) -> Result<Call> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(token).copied().unwrap_or_default();
        if own >= OF_TOKEN_MAX {
            return Err(full(format!("a token has at most {OF_TOKEN_MAX} calls open")));
        }
        // At most as many summands as calls.
        let of_tokens = open.iter().filter(|(token, _)| *token != SOCKET).map(|(_, own)| own);
        if of_tokens.sum::<usize>() >= ALL_MAX {
            return Err(full(format!("all tokens together have at most {ALL_MAX} calls open")));
        }
        open.insert(token.to_owned(), own + 1);
        Ok(Call { calls: self.clone(), token: token.to_owned() })
    }

    /// Counts a stream of the socket.
    pub(super) fn begin_stream(&self) -> Result<Call> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(SOCKET).copied().unwrap_or_default();
        if own >= SOCKET_STREAMS_MAX {
            return Err(full(format!("the socket has at most {SOCKET_STREAMS_MAX} streams open")));
        }
        open.insert(SOCKET.to_owned(), own + 1);
        Ok(Call { calls: self.clone(), token: SOCKET.to_owned() })
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut open = self.calls.0.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.token) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(open.remove(&self.token)),
        }
    }
}

fn full(message: String) -> Refusal {
    Refusal::new(Code::LimitExceeded, message)
        .hint("end streams that nobody reads, and send the call again when others have ended")
}

/// Lets a call count until its answer is sent or dropped.
pub(super) fn hold(answer: Response<Body>, call: Option<Call>) -> Response<Body> {
    match call {
        Some(call) => answer.map(|body| Body::new(Held { body, _call: call })),
        None => answer,
    }
}

struct Held {
    body: Body,
    _call: Call,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_token() {
        let calls = Calls::default();
        let mut open: Vec<_> = (0..OF_TOKEN_MAX).map(|_| calls.begin("a").unwrap()).collect();
        assert_eq!(calls.begin("a").unwrap_err().code, Code::LimitExceeded);
        let other = calls.begin("b").unwrap();
        open.pop();
        open.push(calls.begin("a").unwrap());
        drop((open, other));
        assert!(calls.0.lock().unwrap().is_empty(), "nothing is kept of who is gone");
    }

    #[test]
    fn of_all() {
        let calls = Calls::default();
        let begin = |index: usize| calls.begin(&format!("t{}", index / OF_TOKEN_MAX));
        let open: Vec<_> = (0..ALL_MAX).map(|index| begin(index).unwrap()).collect();
        let refused = calls.begin("one more").unwrap_err();
        assert!(refused.message.contains("64"), "{refused}");
        drop(open);
        calls.begin("one more").unwrap();
    }

    #[test]
    fn of_the_socket() {
        let calls = Calls::default();
        let open: Vec<_> = (0..SOCKET_STREAMS_MAX).map(|_| calls.begin_stream().unwrap()).collect();
        assert_eq!(calls.begin_stream().unwrap_err().code, Code::LimitExceeded);
        calls.begin("a token has its own").unwrap();
        drop(open);
        assert!(calls.0.lock().unwrap().is_empty());
    }

    #[test]
    fn an_answer_counts_until_it_is_gone() {
        let calls = Calls::default();
        let call = calls.begin("a").unwrap();
        let body = Body::new(http_body_util::Full::new(Bytes::from_static(b"{}")));
        let answer = hold(Response::new(body), Some(call));
        assert_eq!(calls.0.lock().unwrap()["a"], 1);
        drop(answer);
        assert!(calls.0.lock().unwrap().is_empty());
    }
}
