//! What every request of the API passes, in this order: trace, health pages, gate, identity,
//! deadline; then its face: gRPC as it came, a page, or HTTP/JSON through the transcoder.
//!
//! Invariant: nothing behind this sees a request whose caller is not proven, but for the health
//! check. A service finds [`Identity`], [`TraceContext`], [`Peer`] and [`Deadline`] in the
//! request's extensions.

use super::admission::{admit, known};
use super::calls::{Calls, hold, weigh};
use super::certificate::Certificates;
use super::deadline::Deadline;
use super::gate::State;
use super::identity::{Identity, Permission, Resource};
use super::listener::{Accept, Peer, Proof};
use super::pages::{self, Pages};
use super::standing::Standing;
use super::status::{self, Origin};
use super::trace::TraceContext;
use super::transcode::Transcoder;
use super::{Tokens, Uids, metrics, refusals};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use keiko_core::refusal::{Code, Refusal, Result};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service as _;
use tracing::Instrument as _;

/// What a front works with.
pub(super) struct Parts {
    /// This node's name.
    pub(super) node: String,
    pub(super) routes: Routes,
    pub(super) pages: Arc<dyn Pages>,
    pub(super) state: Arc<dyn State>,
    pub(super) tokens: Arc<dyn Tokens>,
    pub(super) uids: Uids,
    pub(super) certificates: Arc<Certificates>,
    pub(super) metrics: metrics::Text,
    pub(super) transcoder: Transcoder,
    /// Paths of methods that stream: they have no deadline.
    pub(super) streams: BTreeSet<String>,
    /// What tokens and people have open.
    pub(super) calls: Calls,
    /// How often the caller of a stream is looked up again.
    pub(super) recheck: Duration,
}

/// The front of one listener.
#[derive(Clone)]
pub(super) struct Front {
    parts: Arc<Parts>,
    listener: &'static str,
}

/// Which way a request goes on.
enum Face {
    Grpc,
    Json,
}

impl Accept for Front {
    async fn answer(self, peer: Peer, request: Request<Incoming>) -> Response<Body> {
        let face = match request.headers().get(header::CONTENT_TYPE) {
            Some(kind) if kind.as_bytes().starts_with(b"application/grpc") => Face::Grpc,
            _ => Face::Json,
        };
        let trace = match TraceContext::continue_or_begin(request.headers()) {
            Ok(trace) => trace,
            Err(refusal) => return refused(&face, &refusal, &Origin::default()),
        };
        let span = tracing::info_span!(
            "request",
            method = %request.method(),
            path = request.uri().path(),
            trace_id = trace.trace_hex(),
        );
        let from = peer.ip();
        let answer = self.traced(peer, request.map(Body::new), &face, trace).instrument(span);
        let mut response = refusals::called_from(from, answer).await;
        trace.echo(response.headers_mut());
        response
    }
}

impl Front {
    pub(super) fn new(parts: Arc<Parts>, listener: &'static str) -> Self {
        Self { parts, listener }
    }

    async fn traced(
        &self,
        peer: Peer,
        mut request: Request<Body>,
        face: &Face,
        trace: TraceContext,
    ) -> Response<Body> {
        let state = self.parts.state.as_ref();
        let (method, path, headers) = (request.method(), request.uri().path(), request.headers());
        if let Some(answer) = super::probe::answer(method, path, headers, state) {
            metrics::requested(self.listener, "probe");
            return answer;
        }
        let request_id = matches!(face, Face::Json).then(|| request_id(headers));
        request.extensions_mut().insert(trace);
        request.extensions_mut().insert(peer.clone());
        match request_id {
            None => {
                metrics::requested(self.listener, "grpc");
                let answer = self.grpc(peer, request).await;
                answer.unwrap_or_else(|refusal| status::to_status(&refusal).into_http())
            }
            Some(request_id) => {
                metrics::requested(self.listener, "json");
                let origin = Origin { trace_id: trace.trace_hex(), request_id };
                // Boxed: what transcoding holds would make every gRPC call's future as large.
                let answer = Box::pin(self.page(peer, request, &origin)).await;
                answer.unwrap_or_else(|refusal| status::to_http(&refusal, &origin))
            }
        }
    }

    async fn grpc(&self, peer: Peer, mut request: Request<Body>) -> Result<Response<Body>> {
        let path = request.uri().path().to_owned();
        let identity = admit(&self.parts, &peer, &path, shown(&request)).await?;
        let is_stream = self.is_stream(&path);
        let call = match &identity {
            Some(identity) => self.parts.calls.begin(identity, is_stream)?,
            None => None,
        };
        if let Some(identity) = identity.clone() {
            request.extensions_mut().insert(identity);
        }
        let request = weigh(request, call.as_ref(), is_stream);
        let mut routes = self.parts.routes.clone();
        let response = if is_stream {
            let answer = routes.call(request).await;
            match identity {
                Some(identity) => {
                    let standing = self.standing(peer, identity);
                    answer.map(|answer| answer.map(|body| standing.watch(body)))
                }
                None => answer,
            }
        } else {
            let deadline = Deadline::of(request.headers())?;
            let mut request = request;
            request.extensions_mut().insert(deadline);
            deadline.bound(routes.call(request)).await?
        };
        match response {
            Ok(response) if is_unknown_method(&response) => Err(unknown_method(&path)),
            Ok(response) => Ok(hold(response, call)),
            Err(never) => match never {},
        }
    }

    /// Pages and HTTP/JSON. The gate and the identity come before the question whether the path
    /// exists: a stranger learns nothing.
    async fn page(
        &self,
        peer: Peer,
        mut request: Request<Body>,
        origin: &Origin,
    ) -> Result<Response<Body>> {
        let found = self.parts.transcoder.find(request.method(), request.uri().path());
        let path = match &found {
            Ok(found) => found.method_path().to_owned(),
            Err(_) => request.uri().path().to_owned(),
        };
        // Health by HTTP is `/livez` and `/readyz`.
        let identity = known(admit(&self.parts, &peer, &path, shown(&request)).await?)?;
        match (request.method(), path.as_str()) {
            (&Method::GET, "/metrics") => {
                identity.require(Permission::MetricsRead, &Resource::All("metrics"))?;
                return Ok(metrics::answer(&self.parts.metrics));
            }
            (&Method::GET, "/openapi.json") => {
                return Ok(status::json_response(StatusCode::OK, self.parts.transcoder.openapi()));
            }
            _ => {}
        }
        let found = match found {
            Ok(found) => found,
            Err(_) if self.parts.pages.has(&path) => {
                return self.document(&peer, request, identity, origin).await;
            }
            Err(miss) => return Ok(miss.answer(origin)),
        };
        let call = self.parts.calls.begin(&identity, found.is_stream())?;
        request.extensions_mut().insert(identity.clone());
        // Its body is read as a whole before the call begins, also of one that streams its answer.
        let mut request = weigh(request, call.as_ref(), false);
        let routes = self.parts.routes.clone();
        let answer = if found.is_stream() {
            found.stream(routes, request, origin, self.standing(peer, identity)).await
        } else {
            let deadline = Deadline::of(request.headers())?;
            request.extensions_mut().insert(deadline);
            deadline.bound(found.unary(routes, request)).await?
        };
        answer.map(|answer| hold(answer, call))
    }

    async fn document(
        &self,
        peer: &Peer,
        request: Request<Body>,
        identity: Identity,
        origin: &Origin,
    ) -> Result<Response<Body>> {
        let call = self.parts.calls.begin(&identity, false)?;
        let remote = matches!(peer, Peer::Network { .. });
        let Some(head) = pages::Head::of(&request, identity, remote) else {
            return Ok(pages::wrong_method(request.uri().path(), origin));
        };
        let deadline = Deadline::of(request.headers())?;
        // A body can't go into the future, and nothing of it is wanted.
        drop(request);
        let answer = deadline.bound(pages::answer(self.parts.pages.as_ref(), head)).await??;
        Ok(hold(answer, call))
    }

    fn standing(&self, peer: Peer, identity: Identity) -> Standing {
        Standing { parts: Arc::clone(&self.parts), peer, identity }
    }

    fn is_stream(&self, path: &str) -> bool {
        self.parts.streams.contains(path) || path.starts_with("/grpc.reflection.")
    }
}

pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn request_id(headers: &HeaderMap) -> String {
    super::transcode::request_id(headers)
        .ok()
        .flatten()
        .map(|id| id.to_string())
        .unwrap_or_default()
}

/// What the caller shows. Only this goes into the future: a body can't be shared between threads.
fn shown(request: &Request<Body>) -> (&HeaderMap, Option<&Proof>) {
    (request.headers(), request.extensions().get::<Proof>())
}

/// The router and the generated services say "unimplemented" without a word about it.
fn is_unknown_method(response: &Response<Body>) -> bool {
    let headers = response.headers();
    headers.get("grpc-status").is_some_and(|status| status == "12")
        && !headers.contains_key("grpc-status-details-bin")
}

fn unknown_method(path: &str) -> Refusal {
    Refusal::new(Code::UnknownMethod, format!("there is no method {path} here"))
        .hint("ask by reflection: grpcurl … list")
}

fn refused(face: &Face, refusal: &Refusal, origin: &Origin) -> Response<Body> {
    match face {
        Face::Grpc => status::to_status(refusal).into_http(),
        Face::Json => status::to_http(refusal, origin),
    }
}
