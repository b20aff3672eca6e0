//! What went wrong below HTTP, told as Keiko tells it.

use crate::outbound::fault::CallError;
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
