//! What went wrong below HTTP, told as Keiko tells it.

use crate::outbound::fault::CallError;
use http::StatusCode;
use keiko_core::refusal::{Code, Refusal};
use std::error::Error;
use url::Url;

/// Host and port of a URL: a path or query may hold what nobody should read in a log.
pub fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

/// A request that failed before its answer began.
pub(super) fn of_request(error: reqwest::Error, url: &Url) -> CallError {
    let error = error.without_url();
    if let Some(refusal) = refusal_within(&error) {
        return CallError::not_run(refusal);
    }
    let peer = shown(url);
    if let Some(fault) = Handshake::of(&error) {
        return CallError::not_run(fault.refusal(&peer));
    }
    if error.is_connect() {
        let why =
            if error.is_timeout() { "no connection in 5 s".to_owned() } else { innermost(&error) };
        let refusal =
            Refusal::new(Code::PeerUnreachable, format!("{peer} can't be reached")).cause(why);
        return CallError::not_run(refusal);
    }
    if error.is_builder() {
        let refusal =
            Refusal::new(Code::InvalidArgument, format!("no request to {peer} can be made"));
        return CallError::not_run(refusal.cause(innermost(&error)));
    }
    if let Some(refusal) = not_http(&error, &peer) {
        return CallError::untold(refusal);
    }
    let message = format!("{peer} closed the connection before it answered");
    CallError::maybe_run(Refusal::new(Code::PeerUnreachable, message).cause(innermost(&error)))
}

/// An answer that broke off.
pub(super) fn of_body(error: reqwest::Error, url: &Url) -> CallError {
    let message = format!("the answer of {} broke off", shown(url));
    let cause = innermost(&error.without_url());
    CallError::maybe_run(Refusal::new(Code::PeerUnreachable, message).cause(cause))
}

/// Nothing came in time.
pub(super) fn late(url: &Url) -> CallError {
    let message = format!("{} did not answer in time", shown(url));
    CallError::maybe_run(Refusal::new(Code::PeerTimeout, message))
}

/// How a handshake failed.
enum Handshake {
    /// What came is not TLS.
    Plain(&'static str),
    /// It is TLS, and not one that is accepted.
    Refused(rustls::Error),
}

impl Handshake {
    fn of(error: &reqwest::Error) -> Option<Self> {
        if !error.is_connect() {
            return None;
        }
        chain(error).find_map(Self::within)
    }

    /// An io error is no source of what it wraps, and some are wrapped twice.
    fn within(cause: &(dyn Error + 'static)) -> Option<Self> {
        match cause.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidMessage(_)) => {
                return Some(Self::Plain("its answer to a handshake is not TLS"));
            }
            Some(fault) => return Some(Self::Refused(fault.clone())),
            None => {}
        }
        let io = cause.downcast_ref::<std::io::Error>()?;
        if is_cut(io) {
            return Some(Self::Plain("it closed the connection in the handshake"));
        }
        Self::within(io.get_ref()?)
    }

    fn refusal(&self, peer: &str) -> Refusal {
        match self {
            Self::Plain(why) => Refusal::new(Code::PeerTls, format!("{peer} does not speak TLS"))
                .cause(why)
                .hint("if it is meant to be plain, register it as http://…"),
            Self::Refused(fault) => {
                let hint =
                    "its certificate must be for this host, of a CA that this machine trusts";
                Refusal::new(Code::PeerTls, format!("the TLS of {peer} is not accepted"))
                    .cause(fault)
                    .hint(hint)
            }
        }
    }
}

/// What tokio-rustls says of a peer that goes in the middle of a handshake.
fn is_cut(io: &std::io::Error) -> bool {
    io.kind() == std::io::ErrorKind::UnexpectedEof && io.to_string().contains("tls handshake")
}

/// An answer of which not even the head is HTTP.
fn not_http(error: &reqwest::Error, peer: &str) -> Option<Refusal> {
    let fault = chain(error).find_map(|cause| cause.downcast_ref::<hyper::Error>())?;
    if fault.is_parse_too_large() {
        let message = format!("the headers of {peer} are larger than the limit");
        return Some(Refusal::new(Code::PeerTooLarge, message));
    }
    let refusal = || Refusal::new(Code::PeerGarbage, format!("{peer} does not speak HTTP"));
    fault.is_parse().then(|| refusal().cause(innermost(error)))
}

/// TLS answers where plain HTTP was asked for.
pub(super) fn is_tls(url: &Url) -> CallError {
    let message = format!("{} speaks TLS where plain HTTP was asked for", shown(url));
    let mut secure = url.clone();
    let port = url.port_or_known_default();
    let set = secure.set_scheme("https").and_then(|()| secure.set_port(port));
    let refusal = Refusal::new(Code::PeerTls, message);
    CallError::not_run(match set {
        Ok(()) => refusal.hint(format!("register it as {}", shown(&secure))),
        Err(()) => refusal,
    })
}

/// True if TLS was spoken, whatever became of the request.
pub(super) fn was_tls(error: &reqwest::Error) -> bool {
    match Handshake::of(error) {
        Some(Handshake::Plain(_)) => false,
        Some(Handshake::Refused(_)) => true,
        None => !error.is_connect(),
    }
}

/// A status that says no, whatever was asked; `None` if the words of the answer have to tell more.
pub(crate) fn of_status(status: StatusCode, url: &Url) -> Option<Refusal> {
    let refusal = |code| Refusal::new(code, format!("{} answers {status}", shown(url)));
    match status.as_u16() {
        401 | 403 => Some(
            refusal(Code::PeerUnauthorized).hint("name a credential: --header Authorization=@CRED"),
        ),
        404 | 405 | 410 => Some(refusal(Code::PeerNoEndpoint)),
        429 | 500.. => Some(refusal(Code::PeerError)),
        _ => None,
    }
}

fn refusal_within(error: &(dyn Error + 'static)) -> Option<Refusal> {
    chain(error).find_map(|cause| cause.downcast_ref::<Refusal>()).cloned()
}

/// The end of the chain says what happened; what is above it says which library noticed.
fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map_or_else(|| "unknown".to_owned(), ToString::to_string)
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}
