//! One call: identity, trace, deadline, and repetition where repetition is safe.

use crate::clock::Clock;
use crate::connect::{self, Line};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result, code, was_sent};
use crate::fence::Fence;
use crate::identity::{Identity, Trust};
use crate::rooms;
use keiko_proto::v1 as wire;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

/// What every typed client sends through.
pub type Transport = InterceptedService<Channel, Caller>;

/// What a typed client answers.
type Answer<R> = std::result::Result<Response<R>, Status>;

/// How long a call may take unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Waits between repetitions: 50 ms, doubled up to 1 s.
const WAIT_MIN: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(1);
/// The server keeps the deadline itself; ours is for a server that does not answer at all.
const GRACE: Duration = Duration::from_secs(2);
/// The header that carries a fence.
const FENCE: &str = "keiko-fence";
/// The largest message that is read: four of the largest that a server makes.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Where to connect and as whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the daemon is.
    pub endpoint: Endpoint,
    /// Who calls.
    pub identity: Identity,
    /// How the server is recognised; without it the identity says so.
    pub trust: Option<Trust>,
    /// How long a call may take with all its repetitions.
    pub timeout: Duration,
    /// What must be held for a write to count; none: nothing.
    pub fence: Option<Fence>,
}

/// A connection to one daemon, or to one of several members. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    line: Arc<Line>,
    caller: Caller,
    clock: Arc<Clock>,
    timeout: Duration,
    trace_id: Uuid,
}

/// A request that carries a request id, so that it may be repeated.
pub trait Identified {
    /// Puts the id in.
    fn set_request_id(&mut self, id: Vec<u8>);
}

macro_rules! identified {
    ($($message:ident)*) => {
        $(impl Identified for wire::$message {
            fn set_request_id(&mut self, id: Vec<u8>) {
                self.request_id = id;
            }
        })*
    };
}

identified! {
    RegisterAgentRequest RegisterMcpServerRequest DeleteRequest CreateAgentTokenRequest
    CreateTokenRequest RevokeTokenRequest AdmitNodeRequest EnrollRequest SetAdminStateRequest
    ApplyRequest DrainNodeRequest RemoveNodeRequest OpenSessionRequest CloseSessionRequest
    AcquireLockRequest ReleaseLockRequest ArriveRequest DeclareWindowRequest DeleteWindowRequest
    PutRoleRequest DeleteRoleRequest PutBindingRequest DeleteBindingRequest RemovePersonRequest
    RotateAuthorityRequest
}

impl Client {
    /// Connects with the usual deadline, recognising the server as the identity says.
    pub async fn connect(endpoint: Endpoint, identity: Identity) -> Result<Self> {
        let (trust, timeout, fence) = (None, TIMEOUT, None);
        Self::with(Settings { endpoint, identity, trust, timeout, fence }).await
    }

    /// Connects.
    pub async fn with(settings: Settings) -> Result<Self> {
        let Settings { endpoint, identity, trust, timeout, fence } = settings;
        // The larger of 64 random bits and a clock: unique enough for a trace, and for no secret.
        let trace_id = Uuid::now_v7();
        let fence = fence.as_ref().map(fenced).transpose()?;
        let caller = Caller { bearer: bearer(&identity)?, fence, trace_id };
        let trust = trust.or_else(|| identity.trust());
        let line = connect::open(&endpoint, &identity, trust, timeout.min(TIMEOUT)).await?;
        Ok(Self { line: Arc::new(line), caller, clock: Arc::default(), timeout, trace_id })
    }

    /// The same connection with another deadline.
    #[must_use]
    pub fn within(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// The same connection, with what must be held for its writes to count.
    pub fn fenced(&self, fence: Option<&Fence>) -> Result<Self> {
        let mut client = self.clone();
        client.caller.fence = fence.map(fenced).transpose()?;
        Ok(client)
    }

    /// What the calls go over, where it matters which member that is.
    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    fn transport(&self) -> Transport {
        InterceptedService::new(self.line.channel(), self.caller.clone())
    }

    /// How long a call may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// True if the server showed a certificate of another CA than the one that it is recognised by:
    /// the cluster's CA is being changed, and whoever has a certificate should renew it.
    pub fn sees_another_authority(&self) -> bool {
        self.line.sees_another_authority()
    }

    /// The W3C trace id that every call of this client carries, hex.
    pub fn trace_id(&self) -> String {
        self.trace_id.simple().to_string()
    }

    /// A request id on the server's clock.
    pub fn request_id(&self) -> Uuid {
        self.clock.request_id()
    }

    /// Learns the server's clock from a reply.
    pub fn learn(&self, server_unix_ms: u64) {
        self.clock.learn(server_unix_ms);
    }

    /// The cluster room, for calls of one's own.
    pub fn cluster(&self) -> rooms::Cluster {
        rooms::Cluster::new(self.transport()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The security room.
    pub fn security(&self) -> rooms::Security {
        rooms::Security::new(self.transport()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The coordination room.
    pub fn coordination(&self) -> rooms::Coordination {
        rooms::Coordination::new(self.transport()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The registry room.
    pub fn registry(&self) -> rooms::Registry {
        rooms::Registry::new(self.transport()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The journal room.
    pub fn journal(&self) -> rooms::Journal {
        rooms::Journal::new(self.transport()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// What the cluster looks like from this daemon. Learns its clock on the way.
    pub async fn status(&self) -> Result<wire::StatusResponse> {
        let status = self
            .read(wire::StatusRequest {}, |client, request| async move {
                client.cluster().status(request).await
            })
            .await?;
        self.learn(status.server_unix_ms);
        Ok(status)
    }

    /// A call without an effect: repeated until the deadline while the daemon can't take it, of
    /// several members at the next one.
    pub async fn read<M, R, F, Fut>(&self, message: M, call: F) -> Result<R>
    where
        M: Clone,
        F: Fn(Self, Request<M>) -> Fut,
        Fut: Future<Output = Answer<R>>,
    {
        self.repeat(&message, &call, false).await.map_err(|error| self.mark(error, None))
    }

    /// A call that changes something, under one request id over all repetitions: also where nobody
    /// can tell whether it was carried out, for under the same id it is carried out once. With `id`
    /// the caller's own, which stays as it is; without, one on the server's clock.
    pub async fn write<M, R, F, Fut>(&self, id: Option<Uuid>, mut message: M, call: F) -> Result<R>
    where
        M: Clone + Identified,
        F: Fn(Self, Request<M>) -> Fut,
        Fut: Future<Output = Answer<R>>,
    {
        let first = id.unwrap_or_else(|| self.request_id());
        message.set_request_id(first.as_bytes().to_vec());
        let error = match self.repeat(&message, &call, true).await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        // It surely did nothing: with the server's clock at hand, a new id is not a second try.
        let expired = error.refusal.code == code::REQUEST_ID_EXPIRED;
        if id.is_some() || !expired || self.status().await.is_err() {
            return Err(self.mark(error, Some(first)));
        }
        let second = self.request_id();
        message.set_request_id(second.as_bytes().to_vec());
        self.repeat(&message, &call, true).await.map_err(|error| self.mark(error, Some(second)))
    }

    /// A call that may have an effect and carries no request id: sent once.
    pub async fn once<M, R, F, Fut>(&self, message: M, call: F) -> Result<R>
    where
        F: Fn(Self, Request<M>) -> Fut,
        Fut: Future<Output = Answer<R>>,
    {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        let outcome = match timeout(self.timeout + GRACE, call(self.clone(), request)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Status::deadline_exceeded(format!("no answer in {:?}", self.timeout))),
        };
        match outcome {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(self.mark(Error::of_effect(status), None)),
        }
    }

    /// Opens a stream: the deadline is for its beginning, the stream itself has none.
    pub async fn open<M, R, F, Fut>(&self, message: M, call: F) -> Result<Streaming<R>>
    where
        M: Clone,
        F: Fn(Self, Request<M>) -> Fut,
        Fut: Future<Output = Answer<Streaming<R>>>,
    {
        let untimed = |client: Self, mut request: Request<M>| {
            request.metadata_mut().remove("grpc-timeout");
            call(client, request)
        };
        self.repeat(&message, &untimed, false).await.map_err(|error| self.mark(error, None))
    }

    async fn repeat<M, R, F, Fut>(&self, message: &M, call: &F, identified: bool) -> Result<R>
    where
        M: Clone,
        F: Fn(Self, Request<M>) -> Fut,
        Fut: Future<Output = Answer<R>>,
    {
        let end = Instant::now() + self.timeout;
        let mut wait = WAIT_MIN;
        let mut doubt = Doubt::default();
        let mut others = self.line.others();
        loop {
            let begun = Instant::now();
            let turns = self.line.turns();
            let left = end.saturating_duration_since(begun);
            let mut request = Request::new(message.clone());
            request.set_timeout(left);
            let (mut sent, mut is_silent) = (true, true);
            let error = match timeout(left + GRACE, call(self.clone(), request)).await {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) => {
                    sent = was_sent(&status);
                    is_silent = status.details().is_empty();
                    Error::from(status)
                }
                Err(_) => Error::new(code::DEADLINE_EXCEEDED, "keikod did not answer in time")
                    .cause(format!("the deadline was {:?}", self.timeout)),
            };
            // A member that says nothing, as one that is stopped, is not asked next: whoever keeps a
            // session has no time to find out by pings.
            if is_silent && error.refusal.code == code::DEADLINE_EXCEEDED {
                self.line.turn(turns);
            }
            let again = match error.refusal.code {
                // It goes on saying so until it hears others again: only they can do more.
                code::ISOLATED if others == 0 => false,
                _ => error.is_passing() || identified && error.is_unknown(),
            };
            // The daemon waited for a leader itself, or others had to be looked for first: with
            // less time than that, the next answer would say less.
            let needed = match error.refusal.code {
                code::NO_LEADER | code::ISOLATED => begun.elapsed(),
                _ => Duration::ZERO,
            };
            if !again || Instant::now() + wait + needed >= end {
                return Err(if identified { doubt.judge(error) } else { error });
            }
            if sent && error.is_passing() {
                self.line.turn(turns);
                others = others.saturating_sub(1);
            }
            doubt.note(error, sent);
            sleep(wait).await;
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    /// Says with which ids the call went out.
    pub(crate) fn mark(&self, mut error: Error, request_id: Option<Uuid>) -> Error {
        error.request_id = request_id;
        error.trace_id = self.trace_id();
        error
    }
}

/// What the repetitions of one call leave open: an earlier one may have been carried out although a
/// later one was not.
#[derive(Default)]
struct Doubt {
    /// The server said that nobody can tell.
    unknown: Option<Error>,
    /// A connection broke behind the call.
    broken: bool,
}

impl Doubt {
    fn note(&mut self, error: Error, sent: bool) {
        if error.is_unknown() {
            self.unknown = Some(error);
        } else {
            self.broken |= sent && error.refusal.code == code::UNREACHABLE;
        }
    }

    /// The last error, unless it would say that nothing happened where something may have.
    fn judge(self, last: Error) -> Error {
        let expired = last.refusal.code == code::REQUEST_ID_EXPIRED;
        match self.unknown {
            Some(unknown) if expired || last.is_passing() => unknown,
            None if expired && self.broken => {
                Error::new(code::OUTCOME_UNKNOWN, "the call may have been carried out or not")
                    .cause("the connection broke, and the request id expired meanwhile")
                    .hint("look at what it was to change before you send it with a new id")
            }
            _ => last,
        }
    }
}

/// Puts the identity, the fence and the trace into every call.
#[derive(Clone)]
pub struct Caller {
    bearer: Option<MetadataValue<Ascii>>,
    /// Reads do not look at it.
    fence: Option<MetadataValue<Ascii>>,
    trace_id: Uuid,
}

fn bearer(identity: &Identity) -> Result<Option<MetadataValue<Ascii>>> {
    let Identity::Token(text) = identity else { return Ok(None) };
    let mut value: MetadataValue<Ascii> = format!("Bearer {text}")
        .parse()
        .map_err(|_| Error::new(code::TOKEN_INVALID, "this is not a token of Keiko"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn fenced(fence: &Fence) -> Result<MetadataValue<Ascii>> {
    let text = fence.to_string();
    text.parse().map_err(|_| Error::new(code::INVALID_ARGUMENT, format!("{text:?} is not a fence")))
}

#[allow(clippy::result_large_err, reason = "the trait says so")]
impl Interceptor for Caller {
    fn call(&mut self, mut request: Request<()>) -> std::result::Result<Request<()>, Status> {
        if let Some(bearer) = &self.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        if let Some(fence) = &self.fence {
            request.metadata_mut().insert(FENCE, fence.clone());
        }
        let span = Uuid::now_v7().as_u64_pair().1;
        let trace = format!("00-{}-{span:016x}-01", self.trace_id.simple());
        if let Ok(trace) = trace.parse() {
            request.metadata_mut().insert("traceparent", trace);
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Programs spawn calls: their futures go from thread to thread.
    #[test]
    fn calls_can_be_spawned() {
        fn check<T: Send>(_: impl Fn(Client) -> T) {}
        check(|client| async move { client.status().await });
        check(|client| async move {
            let message = wire::DeleteRequest::default();
            client.write(None, message, |c, r| async move { c.registry().delete(r).await }).await
        });
        check(|client| async move {
            let mut watch = client.watch(wire::WatchRequest::default()).await?;
            watch.next().await
        });
    }
}
