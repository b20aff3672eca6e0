//! Puts the listeners of the API together and takes them down again.

use super::calls::Calls;
use super::certificate::Certificates;
use super::front::{Front, Parts};
use super::gate::State;
use super::listener::{self, Drain, Limits, Tls};
use super::pages::Pages;
use super::transcode::Transcoder;
use super::{Tokens, Uids, health, metrics, socket, tls};
use keiko_core::refusal::{Code, Refusal, Result};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// How long open calls have to end after shutdown.
pub const DRAIN: Duration = Duration::from_secs(10);

/// What the server is told.
pub struct Settings {
    /// This node's name.
    pub node: String,
    /// Asked at every call over the socket.
    pub uids: Uids,
    /// Of the API's listener; the socket and the metrics have an eighth of its connections each.
    pub limits: Limits,
}

/// What the server listens on, already bound.
pub struct Listeners {
    /// The API.
    pub api: std::net::TcpListener,
    /// Metrics, on loopback.
    pub metrics: std::net::TcpListener,
    /// The unix socket.
    pub socket: socket::Bound,
}

/// The API of a node.
pub struct Server {
    /// What it is told.
    pub settings: Settings,
    /// What it listens on.
    pub listeners: Listeners,
    /// The rooms' services; health and reflection are added here.
    pub routes: Routes,
    /// Documents that others read.
    pub pages: Arc<dyn Pages>,
    /// What the node says of itself.
    pub state: Arc<dyn State>,
    /// Where tokens and people are looked up.
    pub tokens: Arc<dyn Tokens>,
    /// What TLS shows.
    pub certificates: Arc<Certificates>,
    /// The text of all metrics.
    pub metrics: metrics::Text,
}

/// A running server.
#[derive(Clone, Debug)]
pub struct Handle {
    /// Of the API.
    pub api_addr: SocketAddr,
    /// Of the metrics.
    pub metrics_addr: SocketAddr,
    /// Of the unix socket.
    pub socket_path: PathBuf,
    /// True if keikoctl finds the socket by itself.
    pub is_linked: bool,
    stopped: CancellationToken,
}

impl Handle {
    /// Returns when the last connection is closed and the socket is removed.
    pub async fn stopped(&self) {
        self.stopped.cancelled().await;
    }

    /// What keikoctl takes as `--endpoint`.
    pub fn endpoint(&self) -> String {
        endpoint(&self.socket_path)
    }
}

/// What keikoctl takes as `--endpoint`.
pub fn endpoint(socket: &Path) -> String {
    format!("unix:{}", socket.display())
}

impl Server {
    /// Serves until shutdown, then drains. Must be called inside the runtime that serves.
    pub fn run(self, shutdown: &CancellationToken) -> Result<Handle> {
        let Self { settings, listeners, routes, pages, state, tokens, certificates, metrics } =
            self;
        tls::install();
        let api_tls = tls::ApiTls::new(Arc::clone(&certificates))?;
        let api = adopt(listeners.api, "API")?;
        let loopback = adopt(listeners.metrics, "metrics")?;
        let (api_addr, metrics_addr) = (address(&api)?, address(&loopback)?);
        let socket_path = listeners.socket.path().to_owned();
        let is_linked = listeners.socket.is_linked();
        let (socket, files) = listeners.socket.into_parts();
        let socket = adopt_socket(socket)?;

        let routes = routes
            .add_service(health::Service::server(Arc::clone(&state), shutdown.clone()))
            .add_service(reflection_v1()?)
            .add_service(reflection_v1alpha()?)
            .prepare();
        let limits = settings.limits;
        let few = Limits { connections_max: (limits.connections_max / 8).max(16), ..limits };
        let parts = Arc::new(Parts {
            node: settings.node,
            routes,
            pages,
            state,
            tokens,
            uids: settings.uids,
            certificates,
            metrics: Arc::clone(&metrics),
            transcoder: Transcoder::new()?,
            streams: streams(),
            calls: Calls::default(),
            recheck: limits.recheck,
        });

        let drain = Drain { begin: shutdown.clone(), ..Drain::default() };
        let front = |name| Front::new(Arc::clone(&parts), name);
        let tls = Tls { listener: api, tls: api_tls };
        let tasks = &drain.tasks;
        tasks.spawn(listener::serve("api", tls, front("api"), limits, drain.clone()));
        tasks.spawn(listener::serve("socket", socket, front("socket"), few, drain.clone()));
        let page = metrics::Loopback { text: metrics };
        tasks.spawn(listener::serve("metrics", loopback, page, few, drain.clone()));

        let stopped = CancellationToken::new();
        let handle =
            Handle { api_addr, metrics_addr, socket_path, is_linked, stopped: stopped.clone() };
        tokio::spawn(async move {
            drain.begin.cancelled().await;
            finish(&drain).await;
            drop(files);
            stopped.cancel();
        });
        Ok(handle)
    }
}

async fn finish(drain: &Drain) {
    drain.tasks.close();
    if tokio::time::timeout(DRAIN, drain.tasks.wait()).await.is_err() {
        tracing::warn!(open = drain.tasks.len(), "cutting off calls that did not end in time");
        drain.end.cancel();
        drain.tasks.wait().await;
    }
}

/// The paths of methods that stream, in either direction.
fn streams() -> BTreeSet<String> {
    let mut paths = BTreeSet::from(["/grpc.health.v1.Health/Watch".to_owned()]);
    for service in keiko_proto::json::pool().services() {
        for method in service.methods() {
            if method.is_server_streaming() || method.is_client_streaming() {
                paths.insert(format!("/{}/{}", service.full_name(), method.name()));
            }
        }
    }
    paths
}

macro_rules! reflection {
    ($name:ident, $build:ident, $module:ident) => {
        fn $name() -> Result<
            tonic_reflection::server::$module::ServerReflectionServer<
                impl tonic_reflection::server::$module::ServerReflection,
            >,
        > {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(keiko_proto::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .$build()
                .map_err(|error| {
                    Refusal::new(Code::Internal, "the descriptors of the API can't be read")
                        .cause(error)
                })
        }
    };
}

reflection!(reflection_v1, build_v1, v1);
reflection!(reflection_v1alpha, build_v1alpha, v1alpha);

fn adopt(listener: std::net::TcpListener, what: &str) -> Result<TcpListener> {
    listener
        .set_nonblocking(true)
        .and_then(|()| TcpListener::from_std(listener))
        .map_err(|error| fault(what, error))
}

fn adopt_socket(listener: std::os::unix::net::UnixListener) -> Result<UnixListener> {
    listener
        .set_nonblocking(true)
        .and_then(|()| UnixListener::from_std(listener))
        .map_err(|error| fault("socket", error))
}

fn address(listener: &TcpListener) -> Result<SocketAddr> {
    listener.local_addr().map_err(|error| fault("API", error))
}

fn fault(what: &str, error: std::io::Error) -> Refusal {
    Refusal::new(Code::Internal, format!("the listener of the {what} can't be served")).cause(error)
}
