//! What the network counts, and the loopback listener that shows all metrics.
//!
//! The counters are the process's: a refusal is counted where it is said, in any service, without
//! a handle passed through every room.

use super::listener::{self, Accept};
use super::status::body_response;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::Registry;
use std::sync::{Arc, LazyLock};
use tonic::body::Body;

/// Gives the text of all metrics, OpenMetrics.
pub type Text = Arc<dyn Fn() -> String + Send + Sync>;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RefusalLabels {
    /// KEIKO-nnnn.
    code: String,
    /// The missing permission, or empty.
    permission: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ListenerLabels {
    /// api, socket, metrics.
    listener: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    listener: &'static str,
    /// grpc, json, probe.
    face: &'static str,
}

#[derive(Default)]
struct Counters {
    refusals: Family<RefusalLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    connections: Family<ListenerLabels, Gauge>,
    handshakes_failed: Counter,
}

static COUNTERS: LazyLock<Counters> = LazyLock::new(Counters::default);

/// Shows the network's counters in a registry.
pub fn register(registry: &mut Registry) {
    registry.register(
        "keiko_net_refusals",
        "Calls that were refused for lack of identity or permission",
        COUNTERS.refusals.clone(),
    );
    registry.register(
        "keiko_net_requests",
        "Requests by listener and face",
        COUNTERS.requests.clone(),
    );
    registry.register(
        "keiko_net_connections",
        "Open connections by listener",
        COUNTERS.connections.clone(),
    );
    registry.register(
        "keiko_net_handshakes_failed",
        "TLS handshakes that did not complete",
        COUNTERS.handshakes_failed.clone(),
    );
}

pub(super) fn refused(code: keiko_core::refusal::Code, permission: &'static str) {
    let labels = RefusalLabels { code: code.to_string(), permission };
    COUNTERS.refusals.get_or_create(&labels).inc();
}

pub(super) fn requested(listener: &'static str, face: &'static str) {
    COUNTERS.requests.get_or_create(&RequestLabels { listener, face }).inc();
}

pub(super) fn handshake_failed() {
    COUNTERS.handshakes_failed.inc();
}

/// Counts a connection for as long as it is held.
pub(super) struct Open(Gauge);

impl Open {
    pub(super) fn new(listener: &'static str) -> Self {
        let gauge = COUNTERS.connections.get_or_create(&ListenerLabels { listener }).clone();
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
pub(super) fn refusals(code: keiko_core::refusal::Code, permission: &'static str) -> u64 {
    let labels = RefusalLabels { code: code.to_string(), permission };
    COUNTERS.refusals.get_or_create(&labels).get()
}

/// The answer to `/metrics`, on whichever listener.
pub(super) fn answer(text: &Text) -> Response<Body> {
    body_response(StatusCode::OK, OPENMETRICS, text())
}

/// The loopback listener: `/metrics` and nothing else, without TLS and identity.
#[derive(Clone)]
pub(super) struct Loopback {
    pub(super) text: Text,
}

impl Accept for Loopback {
    async fn answer(self, _peer: listener::Peer, request: Request<Incoming>) -> Response<Body> {
        requested("metrics", "probe");
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/metrics") => answer(&self.text),
            (_, "/metrics") => {
                body_response(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET only\n")
            }
            _ => body_response(StatusCode::NOT_FOUND, "text/plain", "only /metrics is here\n"),
        }
    }
}
