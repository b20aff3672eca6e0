//! What every request of the API passes, in this order: trace, health pages, gate, identity,
//! deadline; then its face: gRPC as it came, a page, or HTTP/JSON through the transcoder.
//!
//! Invariant: nothing behind this sees a request whose caller is not proven, but for the health
//! check. A service finds [`Identity`], [`TraceContext`], [`Peer`] and [`Deadline`] in the
//! request's extensions.

use super::calls::{Call, Calls, hold};
use super::certificate::Certificates;
use super::deadline::Deadline;
use super::gate::{self, State};
use super::identity::{Identity, Permission, Resource, unauthenticated};
use super::listener::{Accept, Peer, Proof};
use super::pages::{self, Pages};
use super::standing::Standing;
use super::status::{self, Origin};
use super::token::Presented;
use super::trace::TraceContext;
use super::transcode::Transcoder;
use super::{Tokens, Uids, metrics};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
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
    /// What the bearers of tokens have open.
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
        let mut response =
            self.traced(peer, request.map(Body::new), &face, trace).instrument(span).await;
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
        request.extensions_mut().insert(peer);
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
        let identity = self.admit(peer, &path, shown(&request)).await?;
        let is_stream = self.is_stream(&path);
        let call = self.begin(identity.as_ref(), is_stream)?;
        if let Some(identity) = identity.clone() {
            request.extensions_mut().insert(identity);
        }
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
        let Some(identity) = self.admit(peer, &path, shown(&request)).await? else {
            // Health by HTTP is `/livez` and `/readyz`.
            return Err(unauthenticated());
        };
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
                return self.document(peer, request, identity, origin).await;
            }
            Err(miss) => return Ok(miss.answer(origin)),
        };
        let call = self.begin(Some(&identity), found.is_stream())?;
        request.extensions_mut().insert(identity.clone());
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
        peer: Peer,
        request: Request<Body>,
        identity: Identity,
        origin: &Origin,
    ) -> Result<Response<Body>> {
        let call = self.begin(Some(&identity), false)?;
        let remote = matches!(peer, Peer::Network(_));
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

    /// Counts the call of a token's bearer, and the stream of anybody.
    fn begin(&self, identity: Option<&Identity>, stream: bool) -> Result<Option<Call>> {
        match identity {
            Some(Identity::Token { id, .. }) => self.parts.calls.begin(id).map(Some),
            Some(Identity::Socket { .. }) if stream => self.parts.calls.begin_stream().map(Some),
            Some(Identity::Socket { .. }) | None => Ok(None),
        }
    }

    fn is_stream(&self, path: &str) -> bool {
        self.parts.streams.contains(path) || path.starts_with("/grpc.reflection.")
    }

    /// Who calls, if they may get past the gate. None only for the health check.
    async fn admit(
        &self,
        peer: Peer,
        path: &str,
        (headers, proof): (&HeaderMap, Option<&Proof>),
    ) -> Result<Option<Identity>> {
        let admitted = self.identify(peer, path, headers).await;
        match (&admitted, proof) {
            (Ok(Some(_)), Some(proof)) => proof.set(),
            (Ok(_), _) => {}
            (Err(refusal), _) => {
                metrics::refused(refusal.code, "");
                tracing::debug!(?peer, path, %refusal, "refused");
            }
        }
        admitted
    }

    async fn identify(
        &self,
        peer: Peer,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Option<Identity>> {
        let shown = headers.get(header::AUTHORIZATION);
        let on_socket = matches!(peer, Peer::Socket { .. });
        admit_uid(&self.parts, peer)?;
        gate::check(path, on_socket, shown.is_some(), self.parts.state.as_ref())?;
        match (shown, peer) {
            // Who shows a token wants to be its bearer, wherever they call from.
            (Some(shown), _) => self.bearer(shown).await.map(Some),
            (None, Peer::Socket { uid }) => {
                Ok(Some(Identity::Socket { node: self.parts.node.clone(), uid }))
            }
            (None, Peer::Network(_)) => Ok(None),
        }
    }

    async fn bearer(&self, header: &HeaderValue) -> Result<Identity> {
        let text = header
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, text)| text.trim())
            .ok_or_else(|| {
                Refusal::new(Code::TokenInvalid, "the header authorization holds no bearer token")
                    .hint("send it as: authorization: Bearer keiko.ID.SECRET.HASH")
            })?;
        let presented = Presented::parse(text)?;
        if let Some(ours) = self.parts.certificates.ca_hash() {
            presented.of_cluster(&ours)?;
        }
        let stored = self.parts.tokens.find(presented.id).await;
        presented.prove(stored.as_ref(), now_ms())?;
        match stored {
            Some(token) => {
                Ok(Identity::Token { id: token.id, role: token.role, scope: token.scope })
            }
            None => Err(unauthenticated()),
        }
    }
}

/// Refuses a peer on the socket whose uid is not, or no longer, admitted.
pub(super) fn admit_uid(parts: &Parts, peer: Peer) -> Result<()> {
    match peer {
        Peer::Socket { uid } if !(parts.uids)(uid) => {
            Err(Refusal::new(Code::Unauthenticated, format!("uid {uid} may not use this socket"))
                .hint("name it in keiko.toml: [socket] uids = [UID], then reload keikod"))
        }
        _ => Ok(()),
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
