//! What callers put into headers and paths, before anybody knows who they are.

use super::deadline::{CALL_MAX, Deadline};
use super::token::{self, Presented};
use super::trace::TraceContext;
use super::transcode::Transcoder;
use super::{decode, new_token};
use crate::fuzz::{check_refusal, mutate};
use http::{HeaderMap, HeaderValue, Method};
use keiko_core::refusal::Code;
use tokio::time::Instant;

const WORDS: &[&str] = &[
    "keiko", ".", "-", "00", "ff", "01", "H", "m", "n", "99999999", "%", "%2F", "%00", "%c3", "/",
    ":",
];

/// Only a text of the right shape gets as far as a comparison, and none is ever repeated.
#[test]
fn any_token() {
    let ca = "ab".repeat(32);
    let corpus: Vec<String> =
        (0..8).map(|_| new_token(&ca).expect("a token").text.to_string()).collect();
    mutate::run("tokens", &corpus, WORDS, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let refusals = match Presented::parse(&text) {
            Ok(presented) => {
                assert_eq!(text.len(), token::TEXT_BYTES_MAX);
                assert_eq!(text.split('.').nth(1), Some(presented.id));
                let of_cluster = presented.of_cluster(&ca).err();
                assert_eq!(of_cluster.is_none(), text.ends_with(&ca));
                let proven = presented.prove(None).expect_err("nothing is stored");
                of_cluster.into_iter().chain([proven]).collect()
            }
            Err(refusal) => vec![refusal],
        };
        for refusal in refusals {
            check_refusal(&refusal, &[Code::TokenInvalid, Code::WrongCluster]);
            let secret = text.split('.').nth(2).filter(|secret| secret.len() > 8);
            let said = format!("{refusal:?}");
            assert!(secret.is_none_or(|secret| !said.contains(secret)), "a secret is told");
        }
    });
}

#[test]
fn any_trace() {
    let corpus = [
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more",
        "00-00000000000000000000000000000000-0000000000000000-00",
    ];
    mutate::run("traceparent", &corpus, WORDS, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        if let Some(trace) = TraceContext::parse(&text) {
            let header = trace.to_header();
            assert!(header.len() == 55 && text.len() >= 55, "{header}");
            assert_eq!(TraceContext::parse(&header), Some(trace));
        }
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(bytes) {
            headers.append("traceparent", value);
        }
        let trace = TraceContext::continue_or_begin(&headers).expect("random bytes");
        assert_eq!(TraceContext::parse(&trace.to_header()), Some(trace));
    });
}

#[test]
fn any_timeout() {
    let corpus = ["1H", "2M", "3S", "500m", "7u", "99999999n", "0S"];
    mutate::run("grpc-timeout", &corpus, WORDS, |bytes| {
        let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
        let headers =
            HeaderMap::from_iter([(http::header::HeaderName::from_static("grpc-timeout"), value)]);
        match Deadline::of(&headers) {
            Ok(deadline) => {
                assert!(deadline.0 <= Instant::now() + CALL_MAX);
                assert!((2..=9).contains(&bytes.len()), "eight digits and a unit");
            }
            Err(refusal) => check_refusal(&refusal, &[Code::InvalidArgument]),
        }
    });
}

#[test]
fn any_escape() {
    let corpus = ["a%2Fb%20c+d", "%C3%A9", "%00", "plain"];
    mutate::run("percent", &corpus, WORDS, |bytes| {
        let part = String::from_utf8_lossy(bytes);
        if let Some(text) = decode(&part) {
            assert!(text.len() <= part.len());
            let again: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            assert_eq!(decode(&again), Some(text), "every byte can be written");
        }
    });
}

/// A path leads to one method at most.
#[test]
fn any_path() {
    let routes = Transcoder::new().expect("our own annotations");
    let corpus = [
        "/v1/status",
        "/v1/objects/agent/default/hello",
        "/v1/objects/agent/default/hello:history",
        "/v1/tools/time.now:call",
        "/v1/objects/a%2Fb%20c+d",
        "/openapi.json",
    ];
    mutate::run("paths", &corpus, WORDS, |bytes| {
        let path = String::from_utf8_lossy(bytes);
        for verb in [Method::GET, Method::POST, Method::DELETE] {
            if let Ok(found) = routes.find(&verb, &path) {
                assert!(found.method_path().starts_with("/keiko.v1."), "{}", found.method_path());
            }
        }
    });
}
