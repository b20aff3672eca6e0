//! Accepts peers, and finds out who they are.
//!
//! Invariants: whoever comes out of here has proven to be a node of this cluster; one whose
//! certificate expired is marked, and its connection is closed after a moment, so that the next one
//! shows what it was given meanwhile; one who was a member and is none any more, or is known by
//! another key, is cut off within [`RECHECK`], with all that streams to it.

use super::super::front::now_ms;
use super::super::spiffe::Claim;
use super::super::tls;
use super::super::{metrics, refusals};
use super::{PeerTls, Pinned, Pins, node_of};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1::{self as wire, actor::Who};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

/// Until a handshake must be complete.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes under way: members are 64 at most, and each opens one connection.
const HANDSHAKES_MAX: usize = 128;
/// Accepted connections that wait to be served.
const ACCEPTED_AHEAD: usize = 16;
/// After an error of accept there is nothing to do but wait.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a connection lives whose certificate expired: enough to ask for another one.
const EXPIRED_LIFE: Duration = Duration::from_secs(2);
/// How often it is asked whether who is connected still is a member.
const RECHECK: Duration = Duration::from_secs(2);

/// Connections of peers that proved who they are.
pub type Incoming = ReceiverStream<io::Result<Accepted>>;

impl PeerTls {
    /// Accepts peers until shutdown. What is not proven within its time is closed.
    pub fn accept(&self, listener: TcpListener, shutdown: CancellationToken) -> Incoming {
        let (sender, accepted) = mpsc::channel(ACCEPTED_AHEAD);
        tokio::spawn(self.clone().accept_all(listener, sender, shutdown));
        ReceiverStream::new(accepted)
    }

    async fn accept_all(
        self,
        listener: TcpListener,
        sender: mpsc::Sender<io::Result<Accepted>>,
        shutdown: CancellationToken,
    ) {
        let slots = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        loop {
            let slot = Arc::clone(&slots).acquire_owned().await;
            let accepted = tokio::select! {
                () = shutdown.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "can't accept a peer");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (tls, sender) = (self.clone(), sender.clone());
            tokio::spawn(async move {
                if let Some(peer) = tls.proven(stream, address).await {
                    // Nobody takes it once the server has ended.
                    let _ended = sender.send(Ok(peer)).await;
                }
                drop(slot);
            });
        }
    }

    /// The connection, if it is a node's; otherwise whoever should hears of it.
    async fn proven(&self, stream: TcpStream, address: SocketAddr) -> Option<Accepted> {
        match tokio::time::timeout(HANDSHAKE, self.prove(stream, address)).await {
            Ok(Ok(peer)) => return Some(peer),
            Ok(Err(refusal)) if refusals::is_attempt(refusal.code) => {
                metrics::refused(refusal.code, "");
                refusals::note_from(Some(address.ip()), refusal.code, None, "", "");
                tracing::warn!(code = %refusal.code, causes = ?refusal.causes, "{refusal}");
            }
            Ok(Err(refusal)) => tracing::debug!(causes = ?refusal.causes, "{refusal}"),
            Err(_) => tracing::debug!(%address, "a peer's handshake took too long"),
        }
        metrics::handshake_failed();
        None
    }

    async fn prove(&self, stream: TcpStream, address: SocketAddr) -> Result<Accepted> {
        let failed = |error: io::Error| {
            let ip = address.ip();
            let (code, how) = match tls::attempt_of(&error) {
                Some(code) => (code, "was refused"),
                None => (Code::PeerUnreachable, "broke its handshake off"),
            };
            Refusal::new(code, format!("a peer at {ip} {how}")).cause(error)
        };
        stream.set_nodelay(true).map_err(failed)?;
        let acceptor = TlsAcceptor::from(Arc::clone(&self.sides().server));
        let stream = acceptor.accept(stream).await.map_err(failed)?;
        let found = node_of(stream.get_ref().1.peer_certificates(), self.cluster_id());
        let (name, claim) = found
            .map_err(|refusal| refusal.cause(format!("a peer at {} showed it", address.ip())))?;
        let Claim { key_hash, expires_ms, .. } = claim;
        let expired = now_ms() >= expires_ms;
        let pins = Arc::clone(&self.members.pins);
        Ok(Accepted {
            stream: Box::new(stream.into()),
            standing: Standing::new(pins, name.clone(), key_hash),
            from: From { name, expired },
            closes: expired.then(|| Box::pin(tokio::time::sleep(EXPIRED_LIFE))),
        })
    }
}

/// Whether somebody who was let in still may be here.
struct Standing {
    pins: Arc<dyn Pins>,
    name: String,
    key_hash: String,
    /// One that is not known yet may have joined; one that was known and is not has left.
    was_known: bool,
    due: Interval,
}

impl Standing {
    fn new(pins: Arc<dyn Pins>, name: String, key_hash: String) -> Self {
        let mut due = tokio::time::interval_at(Instant::now() + RECHECK, RECHECK);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let was_known = matches!(pins.pin(&name), Pinned::Key(_));
        Self { pins, name, key_hash, was_known, due }
    }

    /// True once it is over; until then it wakes the task when it is to be asked again.
    fn poll_over(&mut self, context: &mut Context<'_>) -> bool {
        while self.due.poll_tick(context).is_ready() {
            let is_over = match self.pins.pin(&self.name) {
                Pinned::Key(key) => {
                    self.was_known = true;
                    key != self.key_hash
                }
                Pinned::Gone => self.was_known,
                Pinned::Unknown => false,
            };
            if is_over {
                tracing::warn!(node = self.name, "cut off: it is no member any more");
                return true;
            }
        }
        false
    }
}

/// Which node is at the other end.
#[derive(Clone, Debug)]
pub struct From {
    /// Its name.
    pub name: String,
    /// True if its certificate expired before it came.
    pub expired: bool,
}

impl From {
    /// Refuses who came with a certificate that expired: it is good for being renewed, and for
    /// nothing else.
    pub fn check_holds(&self) -> Result<()> {
        if !self.expired {
            return Ok(());
        }
        let (code, name) = (Code::CertificateInvalid, &self.name);
        metrics::refused(code, "");
        let actor = wire::Actor { who: Some(Who::Node(name.clone())) };
        refusals::note_from(None, code, Some(actor), "", "");
        Err(Refusal::new(code, format!("the certificate of node {name} expired"))
            .cause("until the node has another one it may ask for that, and for nothing else")
            .hint("a node does so by itself; its log says why if it can't, or: keikoctl doctor"))
    }
}

/// A proven connection.
pub struct Accepted {
    stream: Box<tokio_rustls::TlsStream<TcpStream>>,
    standing: Standing,
    from: From,
    /// When it is closed; none of one whose certificate held.
    closes: Option<Pin<Box<Sleep>>>,
}

impl Connected for Accepted {
    type ConnectInfo = From;

    fn connect_info(&self) -> From {
        self.from.clone()
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(closes) = &mut self.closes
            && closes.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if self.standing.poll_over(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut *self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[path = "accept_tests.rs"]
mod tests;
