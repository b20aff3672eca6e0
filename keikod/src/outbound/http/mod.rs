//! The one HTTP client of the daemon's way out.
//!
//! Invariants: every hop is judged by the egress policy, redirects included; credentials go to the
//! first origin only, and once dropped they stay dropped; a message reaches no other origin than the
//! one that it was sent to; every request has a deadline and every body a limit. Never: uses a proxy from the environment, keeps cookies, unpacks compressed
//! bodies, or shows the path, query or headers of a request in an error.

mod client;
mod failure;
mod request;
mod resolve;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use failure::of_status;
pub use failure::shown;
pub use request::{Request, parse_url, same_origin, secret_headers};

use super::egress::Policy;
use super::fault::{CallError, CallResult};
use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use client::Pools;
use http::{HeaderMap, Method, StatusCode, header};
use keiko_core::refusal::{Code, Refusal, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use url::Url;

/// Redirects that one request follows; browsers allow 20, an API needs one or two.
const REDIRECTS_MAX: usize = 5;

/// Finding out whether TLS answers at a port where plain HTTP failed.
const TLS_LOOK_MAX: Duration = Duration::from_secs(2);

/// The way out. Clones share their connections.
#[derive(Clone)]
pub struct Http {
    pools: Arc<ArcSwap<Pools>>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Any status; who asked decides what it means.
    pub status: StatusCode,
    /// As they came.
    pub headers: HeaderMap,
    /// Where it came from, after redirects.
    pub url: Url,
    /// At most as long as was asked for.
    pub body: Bytes,
}

impl Http {
    /// Reads the system's root certificates once; they are used until the daemon ends.
    pub fn new(policy: Policy) -> Result<Self> {
        let pools = Pools::new(policy, client::tls()?);
        Ok(Self { pools: Arc::new(ArcSwap::from_pointee(pools)) })
    }

    /// Takes effect for every request that begins from now on; open connections are not used again.
    pub fn set_policy(&self, policy: Policy) {
        let pools = self.pools.load().under(policy);
        self.pools.store(Arc::new(pools));
    }

    /// Sends and reads the whole answer, of at most `bytes_max`.
    pub async fn send(
        &self,
        request: Request,
        bytes_max: usize,
        deadline: Instant,
    ) -> CallResult<Answer> {
        let (response, url) = self.open(request, deadline).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read(response, &url, bytes_max, deadline).await?;
        Ok(Answer { status, headers, url, body })
    }

    /// Sends and returns once the answer's head is there; `deadline` is for the head.
    pub(crate) async fn open(
        &self,
        mut request: Request,
        deadline: Instant,
    ) -> CallResult<(reqwest::Response, Url)> {
        let first = request.url.clone();
        let mut seen = vec![(request.method.clone(), first.clone())];
        loop {
            let hop = self.hop(&request, deadline).await;
            let response = hop.map_err(|error| match seen.len() {
                1 => error,
                _ => led_astray(&first, error),
            })?;
            let next = location(&response, &request.url);
            if loses_message(&request, response.status()) {
                return Err(lost_message(&first, response.status(), next));
            }
            let Some(next) = next.transpose().map_err(CallError::not_run)? else {
                return Ok((response, request.url));
            };
            self.judge(&next).map_err(|why| led_astray(&first, CallError::not_run(why)))?;
            if request.method != Method::GET && next.origin() != first.origin() {
                return Err(sent_on(&first, &next));
            }
            request = follow(request, next, &first);
            let step = (request.method.clone(), request.url.clone());
            if seen.contains(&step) || seen.len() > REDIRECTS_MAX {
                let why = if seen.contains(&step) {
                    "it redirects in a circle"
                } else {
                    "too many redirects"
                };
                return Err(CallError::not_run(redirects(&first).cause(why)));
            }
            seen.push(step);
        }
    }

    async fn hop(&self, request: &Request, deadline: Instant) -> CallResult<reqwest::Response> {
        let port = self.judge(&request.url).map_err(CallError::not_run)?;
        let client = self.pools.load().client(port).map_err(CallError::not_run)?;
        let sending = client
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone())
            .headers(request.credentials.clone())
            .body(request.body.clone())
            .send();
        match timeout_at(deadline, sending).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(failure::of_request(error, &request.url)),
            Err(_) => Err(failure::late(&request.url)),
        }
    }

    /// A failure to ask `url`, explained further by what one more look at its port can tell. For
    /// questions only: a call has no time for it.
    pub(crate) async fn explained(
        &self,
        url: &Url,
        error: CallError,
        deadline: Instant,
    ) -> CallError {
        let puzzling = !error.surely_not_run
            && matches!(error.refusal.code, Code::PeerUnreachable | Code::PeerGarbage);
        if url.scheme() == "http" && puzzling && self.speaks_tls(url, deadline).await {
            return failure::is_tls(url);
        }
        error
    }

    /// Shakes hands, and has nothing to ask for but a head.
    async fn speaks_tls(&self, url: &Url, deadline: Instant) -> bool {
        let Ok(port) = self.judge(url) else { return false };
        let mut secure = url.clone();
        let set = secure.set_scheme("https").and_then(|()| secure.set_port(Some(port)));
        let Ok(client) = self.pools.load().client(port) else { return false };
        if set.is_err() {
            return false;
        }
        secure.set_path("/");
        secure.set_query(None);
        let deadline = deadline.min(Instant::now() + TLS_LOOK_MAX);
        match timeout_at(deadline, client.head(secure).send()).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => failure::was_tls(&error),
            Err(_) => false,
        }
    }

    /// Judges what can be judged before names are resolved, and gives the port.
    fn judge(&self, url: &Url) -> Result<u16> {
        let policy = &self.pools.load().policy;
        let port = url.port_or_known_default().unwrap_or_default();
        match url.host() {
            Some(url::Host::Domain(name)) => policy.admit_name(name, port)?,
            Some(url::Host::Ipv4(four)) => policy.admit(None, four.into(), port)?,
            Some(url::Host::Ipv6(six)) => policy.admit(None, six.into(), port)?,
            None => return Err(Refusal::new(Code::InvalidArgument, "the URL names no host")),
        }
        Ok(port)
    }
}

/// Where the answer sends us, if it does.
fn location(response: &reqwest::Response, from: &Url) -> Option<Result<Url>> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let target = response.headers().get(header::LOCATION)?;
    let joined = target.to_str().ok().and_then(|target| from.join(target).ok());
    let next = joined.and_then(|url| parse_url(url.as_str()).ok());
    Some(next.ok_or_else(|| {
        redirects(from).cause("its Location is not an http URL without credentials")
    }))
}

/// The browser's way, a GET without the body, would lose the message without a word.
fn loses_message(request: &Request, status: StatusCode) -> bool {
    request.method == Method::POST && matches!(status.as_u16(), 301..=303)
}

/// Only 307 and 308 say that nothing was done here: a 303 is the usual answer to a message that
/// *was* processed, and 301 and 302 were used for it before.
fn lost_message(first: &Url, status: StatusCode, next: Option<Result<Url>>) -> CallError {
    let refusal =
        redirects(first).cause(format!("it answers a POST with {status}, which drops the message"));
    CallError::untold(match next {
        Some(Ok(next)) => refusal.hint(format!("register where it points: {}", shown(&next))),
        Some(Err(_)) | None => refusal,
    })
}

/// Arguments and texts are for whom somebody registered, as credentials are.
fn sent_on(first: &Url, next: &Url) -> CallError {
    let refusal = redirects(first).cause("it sends the message on to another origin");
    CallError::not_run(refusal.hint(format!("register where it points: {}", shown(next))))
}

/// The request of the next hop.
fn follow(mut request: Request, next: Url, first: &Url) -> Request {
    if next.origin() != first.origin() {
        request.credentials.clear();
    }
    request.url = next;
    request
}

/// A hop behind the first that the egress policy forbids is the doing of who sent us there.
fn led_astray(first: &Url, error: CallError) -> CallError {
    if error.refusal.code != Code::EgressDenied {
        return error;
    }
    let Refusal { message, causes, hints, .. } = error.refusal;
    let mut refusal = redirects(first).cause(message);
    refusal.causes.extend(causes);
    refusal.hints.extend(hints);
    CallError::not_run(refusal)
}

fn redirects(url: &Url) -> Refusal {
    Refusal::new(Code::PeerRedirect, format!("{} redirects and can't be followed", shown(url)))
}

/// Reads a body of at most `bytes_max`; a length that is announced is refused before it is read.
pub(crate) async fn read(
    mut response: reqwest::Response,
    url: &Url,
    bytes_max: usize,
    deadline: Instant,
) -> CallResult<Bytes> {
    let too_large = || {
        let message = format!("the answer of {} is larger than {bytes_max} bytes", shown(url));
        CallError::maybe_run(Refusal::new(Code::PeerTooLarge, message))
    };
    if response.content_length().is_some_and(|length| length > bytes_max as u64) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    loop {
        let chunk = timeout_at(deadline, response.chunk()).await.map_err(|_| failure::late(url))?;
        let Some(chunk) = chunk.map_err(|error| failure::of_body(error, url))? else {
            return Ok(body.freeze());
        };
        if chunk.len() > bytes_max - body.len() {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
}
