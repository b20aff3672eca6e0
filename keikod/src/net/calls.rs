//! How many calls each caller has open, and how many bytes all of them hold.
//!
//! A token or a certificate is in the hands of a program that somebody else wrote. Calls are counted
//! so that nobody takes the turns of all others, and what they hold is weighed as it comes, because
//! a count says little of it: 8,192 calls of 4 MiB each would be 32 GiB, and as a rule they are a
//! few hundred bytes. Whoever would go over is refused rather than made to wait: callers that hold
//! half of a body each and wait for room would wait for one another.
//!
//! Invariants: a [`Call`] counts from before its body is read until its answer is sent or dropped,
//! and a stream for as long as it lives. What is weighed: of a call its whole body, since the
//! message is made of it; of a stream the message that is not complete yet; of an answer the part
//! that is on its way out. Of the socket only streams count, and nothing is weighed: its callers
//! could do worse, but a script that leaks watches should hear of it.

use super::identity::Identity;
use super::standing::{Part, trailers};
use super::status::to_status;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use keiko_core::refusal::{Code, Refusal, Result};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tonic::Status;
use tonic::body::Body;

/// Of one token: an agent has a stream of heartbeats and a few calls.
const OF_TOKEN_MAX: usize = 64;
/// Of all tokens: 1,024 × some 64 KiB of buffers are 64 MiB.
const ALL_TOKENS_MAX: usize = 1024;
/// Of one person: as many as one connection has streams. Dashboards and load tests are people, too.
const OF_PERSON_MAX: usize = 1024;
/// Of all people: 8,192 × some 64 KiB of buffers are 512 MiB at worst.
const ALL_PEOPLE_MAX: usize = 8192;
/// Streams of the socket: 4,096 × some 64 KiB of buffers are 256 MiB at worst.
const SOCKET_STREAMS_MAX: usize = 4096;

/// Of one caller: 32 bodies of the largest size at once.
const OF_ONE_BYTES_MAX: usize = 128 << 20;
/// Of all together. Beside the bytes there is the message that was made of them, and the entry: at
/// worst three times as much, 1.5 GiB.
const ALL_BYTES_MAX: usize = 512 << 20;

/// Who is counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// By the public half.
    Token(String),
    Person(String),
    Socket,
}

#[derive(Debug, Default)]
struct Use {
    calls: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Open {
    of: BTreeMap<Key, Use>,
    tokens: usize,
    people: usize,
    bytes: usize,
}

impl Open {
    /// All calls of this sort of caller.
    fn all(&mut self, key: &Key) -> Option<&mut usize> {
        match key {
            Key::Token(_) => Some(&mut self.tokens),
            Key::Person(_) => Some(&mut self.people),
            Key::Socket => None,
        }
    }
}

/// What is open now; a cheap clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls(Arc<Mutex<Open>>);

/// A call that counts for as long as this lives.
#[derive(Debug)]
pub(super) struct Call {
    calls: Calls,
    key: Key,
    /// Bytes that it holds until its end.
    kept: AtomicUsize,
}

impl Calls {
    /// Counts a call, or refuses it before anything is read.
    pub(super) fn begin(&self, identity: &Identity, stream: bool) -> Result<Option<Arc<Call>>> {
        let key = match identity {
            Identity::Token { id, .. } => Key::Token(id.clone()),
            Identity::Person { name, .. } => Key::Person(name.clone()),
            Identity::Socket { .. } if stream => Key::Socket,
            // Counted by the node that vouches for it.
            Identity::Socket { .. } | Identity::Remote { .. } => return Ok(None),
        };
        let mut open = self.open();
        let own = open.of.get(&key).map_or(0, |own| own.calls);
        let all = open.all(&key).map_or(0, |all| *all);
        let (own_max, all_max, one, several) = match &key {
            Key::Token(_) => (OF_TOKEN_MAX, ALL_TOKENS_MAX, "a token has", "all tokens together"),
            Key::Person(_) => {
                (OF_PERSON_MAX, ALL_PEOPLE_MAX, "a person has", "all people together")
            }
            Key::Socket => (SOCKET_STREAMS_MAX, usize::MAX, "the socket has", ""),
        };
        if own >= own_max {
            return Err(full(format!("{one} at most {own_max} calls open")));
        }
        if all >= all_max {
            return Err(full(format!("{several} have at most {all_max} calls open")));
        }
        open.of.entry(key.clone()).or_default().calls += 1;
        if let Some(all) = open.all(&key) {
            *all += 1;
        }
        drop(open);
        Ok(Some(Arc::new(Call { calls: self.clone(), key, kept: AtomicUsize::new(0) })))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    /// Takes as many more bytes into account, or refuses them.
    fn take(&self, bytes: usize) -> Result<()> {
        if self.key == Key::Socket {
            return Ok(());
        }
        let mut open = self.calls.open();
        if open.bytes.saturating_add(bytes) > ALL_BYTES_MAX {
            return Err(full(format!(
                "what all callers send and are sent is at most {} MiB at once",
                ALL_BYTES_MAX >> 20
            )));
        }
        let own = open.of.entry(self.key.clone()).or_default();
        if own.bytes.saturating_add(bytes) > OF_ONE_BYTES_MAX {
            return Err(full(format!(
                "what one caller sends and is sent is at most {} MiB at once",
                OF_ONE_BYTES_MAX >> 20
            )));
        }
        own.bytes += bytes;
        open.bytes += bytes;
        Ok(())
    }

    /// The same until the call ends.
    fn keep(&self, bytes: usize) -> Result<()> {
        self.take(bytes)?;
        self.kept.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn give(&self, bytes: usize) {
        if self.key == Key::Socket || bytes == 0 {
            return;
        }
        let mut open = self.calls.open();
        open.bytes = open.bytes.saturating_sub(bytes);
        if let Some(own) = open.of.get_mut(&self.key) {
            own.bytes = own.bytes.saturating_sub(bytes);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let kept = *self.kept.get_mut();
        self.give(kept);
        let mut open = self.calls.open();
        if let Some(all) = open.all(&self.key) {
            *all = all.saturating_sub(1);
        }
        match open.of.get_mut(&self.key) {
            Some(own) if own.calls > 1 => own.calls -= 1,
            _ => drop(open.of.remove(&self.key)),
        }
    }
}

fn full(message: String) -> Refusal {
    Refusal::new(Code::LimitExceeded, message)
        .hint("end streams that nobody reads, and send the call again when others have ended")
}

/// Bytes that a call holds for a while.
#[derive(Debug)]
struct Held {
    call: Arc<Call>,
    bytes: usize,
}

impl Held {
    fn set(&mut self, bytes: usize) -> Result<()> {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.call.take(more)?,
            None => self.call.give(self.bytes - bytes),
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.call.give(self.bytes);
    }
}

/// Weighs what comes in. Messages of a stream that are complete are the room's to count.
pub(super) fn weigh(
    request: Request<Body>,
    call: Option<&Arc<Call>>,
    stream: bool,
) -> Request<Body> {
    let Some(call) = call.map(Arc::clone) else { return request };
    let weight = match stream {
        true => Weight::Stream(Held { call, bytes: 0 }, Messages::default()),
        false => Weight::Whole(call),
    };
    request.map(|body| Body::new(Weighed { body, weight, failed: false }))
}

/// Lets a call count, and weighs its answer, until that is sent or dropped.
pub(super) fn hold(answer: Response<Body>, call: Option<Arc<Call>>) -> Response<Body> {
    let Some(call) = call else { return answer };
    let weight = Weight::Answer(Held { call, bytes: 0 });
    answer.map(|body| Body::new(Weighed { body, weight, failed: false }))
}

/// How a body is weighed.
enum Weight {
    /// The message that is made of the body is there until the call ends.
    Whole(Arc<Call>),
    Stream(Held, Messages),
    /// Asked for the next part, the connection has room again: the one before is mostly sent.
    Answer(Held),
}

impl Weight {
    /// Takes the next part into account; none of its data at the end.
    fn next(&mut self, data: Option<&Bytes>) -> Result<()> {
        match (self, data) {
            (Self::Answer(held), data) => held.set(data.map_or(0, Bytes::len)),
            (Self::Whole(call), Some(data)) => call.keep(data.len()),
            (Self::Stream(held, messages), Some(data)) => held.set(messages.after(data)),
            (Self::Whole(_) | Self::Stream(..), None) => Ok(()),
        }
    }

    /// How a body ends that became too heavy.
    fn end(&self, refusal: &Refusal) -> Part {
        match self {
            Self::Whole(_) | Self::Stream(..) => Err(to_status(refusal)),
            Self::Answer(_) => trailers(refusal),
        }
    }
}

struct Weighed {
    body: Body,
    weight: Weight,
    failed: bool,
}

impl http_body::Body for Weighed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.failed {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        if let Err(refusal) = this.weight.next(data) {
            this.failed = true;
            return Poll::Ready(Some(this.weight.end(&refusal)));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.failed || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Where messages end in a stream of gRPC: five bytes before each say how long it is.
#[derive(Debug, Default)]
struct Messages {
    head: [u8; 5],
    head_bytes: usize,
    left: usize,
    have: usize,
}

impl Messages {
    /// How much of a message that is not complete there is after these bytes.
    fn after(&mut self, mut data: &[u8]) -> usize {
        while !data.is_empty() {
            let taken = if self.left == 0 {
                let taken = data.len().min(self.head.len() - self.head_bytes);
                self.head[self.head_bytes..][..taken].copy_from_slice(&data[..taken]);
                self.head_bytes += taken;
                if self.head_bytes == self.head.len() {
                    let [_, length @ ..] = self.head;
                    self.left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                    self.head_bytes = 0;
                }
                taken
            } else {
                let taken = data.len().min(self.left);
                self.left -= taken;
                self.have = if self.left == 0 { 0 } else { self.have + taken };
                taken
            };
            data = &data[taken..];
        }
        self.have
    }
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;
