//! Accepts connections and serves HTTP/1.1 and HTTP/2 on them, within limits.
//!
//! Invariants: a connection holds a slot of its listener from accept to close; a handshake and the
//! first request have a deadline; a drain sends GOAWAY, and what is left after it is cut off.

use super::spiffe::Claim;
use super::tls::{self, ApiTls};
use super::{metrics, refusals};
use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use keiko_core::refusal::{Code, Result};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;

/// Who sits at the other end of a connection, as far as the kernel and the handshake know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Somebody on the network.
    Network {
        /// Where they are.
        address: SocketAddr,
        /// What their certificate says, if they showed one: the handshake found that it is of the
        /// cluster's CA, and does not ask whether it expired.
        certificate: Option<Arc<Result<Claim>>>,
    },
    /// A process on the unix socket.
    Socket {
        /// Its uid when it connected.
        uid: u32,
    },
}

impl Peer {
    fn unproven(address: SocketAddr) -> Self {
        Self::Network { address, certificate: None }
    }

    /// Where somebody on the network is.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Network { address, .. } => Some(address.ip()),
            Self::Socket { .. } => None,
        }
    }
}

/// What one listener grants.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections; more wait in the kernel's queue.
    pub connections_max: usize,
    /// Until the TLS handshake must be complete.
    pub handshake: Duration,
    /// Until the head of a request must be complete, and the first one must have come.
    pub head: Duration,
    /// How long a connection lives on which nobody proved who they are: enough for health probes.
    pub unproven: Duration,
    /// How often it is asked whether the caller of a live stream still may.
    pub recheck: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A connection costs about 64 KiB with TLS and HTTP/2: 4096 are 256 MiB at worst.
            connections_max: 4096,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(20),
            unproven: Duration::from_secs(120),
            // A stream ends within five seconds after its caller may not: two for the look, and the
            // rest for a node that lags.
            recheck: Duration::from_secs(2),
        }
    }
}

// Streams of one connection: more callers than this open a second connection.
const STREAMS_MAX: u32 = 1024;
// What may be in flight unread: a message of 4 MiB needs four round trips at worst.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
const HEAD_BYTES_MAX: u32 = 32 << 10;
// What a stranger's last answer may take after the connection was asked to finish.
const UNPROVEN_GRACE: Duration = Duration::from_secs(5);
const KEEPALIVE: Duration = Duration::from_secs(20);
// For how long, and how far, a client that showed a bad certificate is heard out: closed at once, the
// kernel would cut it off before it reads why.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: u64 = 64 << 10;
// After an error of accept (no descriptors left, as a rule) there is nothing to do but wait.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// In the extensions of every request: whether somebody on this connection proved who they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Proof(Arc<AtomicBool>);

impl Proof {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Answers requests; cloned for each.
pub(super) trait Accept: Clone + Send + Sync + 'static {
    fn answer(
        self,
        peer: Peer,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// What ends connections: `begin` asks them to finish, `end` cuts them off.
#[derive(Clone, Debug, Default)]
pub(super) struct Drain {
    pub(super) begin: CancellationToken,
    pub(super) end: CancellationToken,
    pub(super) tasks: TaskTracker,
}

/// Where connections come from. The second step (a handshake) is not done while accepting.
pub(super) trait Source: Send + Sync + 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn accept(&self) -> impl Future<Output = io::Result<(Opening<Self::Stream>, Peer)>> + Send;
}

/// The stream, and who is at its other end once the handshake is done.
pub(super) type Opening<S> = BoxFuture<'static, io::Result<(S, Peer)>>;

pub(super) struct Tls {
    pub(super) listener: TcpListener,
    pub(super) tls: ApiTls,
}

impl Source for Tls {
    type Stream = tokio_rustls::server::TlsStream<TcpStream>;

    async fn accept(&self) -> io::Result<(Opening<Self::Stream>, Peer)> {
        let (stream, address) = self.listener.accept().await?;
        // Asked at each: the CA comes with the founding, and may be another one day.
        let acceptor = TlsAcceptor::from(self.tls.current());
        let opening = async move {
            stream.set_nodelay(true)?;
            match acceptor.accept(stream).into_fallible().await {
                Ok(stream) => {
                    let chain = stream.get_ref().1.peer_certificates();
                    let leaf = chain.and_then(<[_]>::first);
                    let certificate = leaf.map(|leaf| Arc::new(Claim::of(leaf)));
                    Ok((stream, Peer::Network { address, certificate }))
                }
                Err((error, stream)) => {
                    metrics::handshake_failed();
                    if let Some(code) = tls::attempt_of(&error) {
                        metrics::refused(code, "");
                        refusals::note_from(Some(address.ip()), code, None, "", "");
                        if code == Code::KeyExchange {
                            let ip = address.ip();
                            tracing::warn!(%code, peer = %ip, "refused: no post-quantum key exchange");
                        }
                        let _ = tokio::time::timeout(LINGER, hear_out(stream)).await;
                    }
                    Err(error)
                }
            }
        };
        Ok((Box::pin(opening), Peer::unproven(address)))
    }
}

/// Lets the other end read what was sent last. What it sends meanwhile is nobody's.
async fn hear_out(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(LINGER_BYTES_MAX), &mut tokio::io::sink()).await.map(drop)
}

impl Source for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(Opening<Self::Stream>, Peer)> {
        let (stream, address) = Self::accept(self).await?;
        let peer = Peer::unproven(address);
        let opened = (stream, peer.clone());
        Ok((Box::pin(async move { Ok(opened) }), peer))
    }
}

impl Source for UnixListener {
    type Stream = tokio::net::UnixStream;

    async fn accept(&self) -> io::Result<(Opening<Self::Stream>, Peer)> {
        let (stream, _) = Self::accept(self).await?;
        let peer = Peer::Socket { uid: stream.peer_cred()?.uid() };
        let opened = (stream, peer.clone());
        Ok((Box::pin(async move { Ok(opened) }), peer))
    }
}

/// Accepts until the drain begins. Connections live on in `drain.tasks`.
pub(super) async fn serve<S: Source, A: Accept>(
    name: &'static str,
    source: S,
    accept: A,
    limits: Limits,
    drain: Drain,
) {
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let builder = Arc::new(builder(limits));
    loop {
        let slot = tokio::select! {
            () = drain.begin.cancelled() => return,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        // The semaphore is never closed.
        let Ok(slot) = slot else { return };
        let accepted = tokio::select! {
            () = drain.begin.cancelled() => return,
            accepted = source.accept() => accepted,
        };
        match accepted {
            Ok((opening, peer)) => {
                let connection =
                    Connection { name, peer, accept: accept.clone(), limits, drain: drain.clone() };
                drain.tasks.spawn(connection.run(opening, Arc::clone(&builder), slot));
            }
            Err(error) => {
                tracing::warn!(listener = name, %error, "can't accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn builder(limits: Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES_MAX as usize)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEAD_BYTES_MAX)
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE);
    builder
}

struct Connection<A> {
    name: &'static str,
    peer: Peer,
    accept: A,
    limits: Limits,
    drain: Drain,
}

impl<A: Accept> Connection<A> {
    async fn run<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        opening: Opening<S>,
        builder: Arc<Builder<TokioExecutor>>,
        _slot: OwnedSemaphorePermit,
    ) {
        let _open = metrics::Open::new(self.name);
        let opened = tokio::select! {
            () = self.drain.end.cancelled() => return,
            opened = tokio::time::timeout(self.limits.handshake, opening) => opened,
        };
        match opened {
            Ok(Ok((stream, peer))) => Self { peer, ..self }.serve(stream, &builder).await,
            Ok(Err(error)) => tracing::debug!(peer = ?self.peer, %error, "no handshake"),
            Err(_) => {
                metrics::handshake_failed();
                tracing::debug!(peer = ?self.peer, "the handshake took too long");
            }
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        stream: S,
        builder: &Builder<TokioExecutor>,
    ) {
        let asked = Arc::new(AtomicBool::new(false));
        let proof = Proof::default();
        let service = {
            let (accept, peer) = (self.accept.clone(), self.peer.clone());
            let (asked, proof) = (Arc::clone(&asked), proof.clone());
            service_fn(move |mut request: Request<Incoming>| {
                asked.store(true, Ordering::Relaxed);
                request.extensions_mut().insert(proof.clone());
                let accept = accept.clone();
                // Boxed here, once: HTTP/2 moves a request's future several times.
                let answer = Box::pin(accept.answer(peer.clone(), request));
                async move { Ok::<_, Infallible>(answer.await) }
            })
        };
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        // Who connects and asks nothing would hold a slot for ever: neither the detection of the
        // protocol nor HTTP/2 has a deadline of its own for that.
        let first = tokio::time::sleep(self.limits.head);
        // A stranger who keeps a connection alive would, too.
        let unproven = self.limits.unproven;
        let stranger = tokio::time::sleep(unproven);
        // And who never reads their answer keeps the connection from ever finishing.
        let patience = tokio::time::sleep(unproven + UNPROVEN_GRACE.min(unproven));
        tokio::pin!(first, stranger, patience);
        let (mut waiting, mut doubting, mut enduring, mut draining) = (true, true, true, false);
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(peer = ?self.peer, error, "a connection broke");
                    }
                    return;
                }
                () = &mut first, if waiting => {
                    waiting = false;
                    if !asked.load(Ordering::Relaxed) {
                        return;
                    }
                }
                () = &mut stranger, if doubting => {
                    doubting = false;
                    if !proof.is_set() {
                        connection.as_mut().graceful_shutdown();
                    }
                }
                () = &mut patience, if enduring => {
                    enduring = false;
                    if !proof.is_set() {
                        return;
                    }
                }
                () = self.drain.begin.cancelled(), if !draining => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = self.drain.end.cancelled() => return,
            }
        }
    }
}
