//! The connection itself: a unix socket, or TLS over TCP, as one HTTP/2 channel.
//!
//! Of several members the first that answers is taken; when the connection breaks, or that member
//! can't take a call just now, the next one.

use crate::endpoint::Endpoint;
use crate::error::{Error, Result, code};
use crate::identity::{Identity, Trust};
use crate::tls::{self, Told};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Uri};
use tower::{Service, service_fn};

/// A ping every ten seconds, and the connection counts as broken five seconds later: a watch
/// notices a machine that went away without a word within fifteen seconds.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Replies that may wait unread on one stream: four messages of the largest size.
const STREAM_WINDOW_BYTES: u32 = 16 << 20;

/// What calls go over.
pub(crate) struct Line {
    current: RwLock<Current>,
    /// None where there is one place only.
    members: Option<Members>,
    /// None on a unix socket.
    places: Option<Arc<Places>>,
}

struct Current {
    channel: Channel,
    /// How often another member was taken.
    turns: u64,
}

/// How another member is reached.
struct Members {
    settings: tonic::transport::Endpoint,
    places: Arc<Places>,
    within: Duration,
}

impl Line {
    /// The connection of now.
    pub(crate) fn channel(&self) -> Channel {
        self.current.read().unwrap_or_else(PoisonError::into_inner).channel.clone()
    }

    /// Which connection that is, for [`Self::turn`].
    pub(crate) fn turns(&self) -> u64 {
        self.current.read().unwrap_or_else(PoisonError::into_inner).turns
    }

    /// True if a server showed a certificate of another CA than the one that it is recognised by:
    /// the cluster's CA is being changed.
    pub(crate) fn sees_another_authority(&self) -> bool {
        self.places.as_ref().is_some_and(|places| places.other.load(Ordering::Relaxed))
    }

    /// How many other members could be asked.
    pub(crate) fn others(&self) -> usize {
        self.members.as_ref().map_or(0, |members| members.places.all.len() - 1)
    }

    /// Sends the calls from now on to the next member that answers, unless that was done since
    /// `turns`. What is under way stays where it is.
    pub(crate) fn turn(&self, turns: u64) {
        let Some(Members { settings, places, within }) = &self.members else { return };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.turns == turns {
            let connector = connector(Arc::clone(places), *within);
            let channel = settings.connect_with_connector_lazy(connector);
            *current = Current { channel, turns: turns + 1 };
        }
    }
}

/// Connects once, so that what is wrong shows now; later breaks are mended by the channel.
pub(crate) async fn open(
    endpoint: &Endpoint,
    identity: &Identity,
    trust: Option<Trust>,
    within: Duration,
) -> Result<Line> {
    let (mut members, mut all) = (None, None);
    let channel = match endpoint {
        Endpoint::Unix(path) => {
            let path = Arc::new(path.clone());
            let connector = service_fn(move |_| {
                let path = Arc::clone(&path);
                async move { bounded(within, unix(&path)).await.map(TokioIo::new) }
            });
            settings("localhost")?.connect_with_connector(connector).await
        }
        Endpoint::Tls { .. } | Endpoint::Several(_) => {
            let trust = trust.ok_or_else(|| untrusted(endpoint))?;
            let places = Arc::new(Places::of(endpoint, trust, identity)?);
            all = Some(Arc::clone(&places));
            let shown = endpoint.to_string();
            // What a server makes of it is the same on all of them.
            let first = shown.split(',').next().unwrap_or_default();
            let settings = settings(first.trim_start_matches("https://"))?;
            let connector = connector(Arc::clone(&places), within);
            let channel = settings.connect_with_connector(connector).await;
            if places.all.len() > 1 {
                members = Some(Members { settings, places, within });
            }
            channel
        }
    };
    let channel = channel.map_err(|error| match ours(&error) {
        Some(ours) => ours,
        None => Error::new(code::UNREACHABLE, format!("{endpoint} speaks no gRPC")).cause(error),
    })?;
    Ok(Line { current: RwLock::new(Current { channel, turns: 0 }), members, places: all })
}

fn settings(authority: &str) -> Result<tonic::transport::Endpoint> {
    let base = tonic::transport::Endpoint::from_shared(format!("http://{authority}"))
        .map_err(|error| Error::new(code::INVALID_ARGUMENT, error.to_string()))?;
    Ok(base
        .user_agent(concat!("keiko-client/", env!("CARGO_PKG_VERSION")))
        .map_err(|error| Error::new(code::INTERNAL, error.to_string()))?
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(STREAM_WINDOW_BYTES))
}

/// What tonic connects with: to whichever of the places answers.
fn connector(
    places: Arc<Places>,
    within: Duration,
) -> impl Service<Uri, Response = TokioIo<Stream>, Error = Error, Future: Send> + Send + 'static {
    service_fn(move |_: Uri| {
        let places = Arc::clone(&places);
        async move { places.connect(within).await.map(TokioIo::new) }
    })
}

fn untrusted(endpoint: &Endpoint) -> Error {
    Error::new(code::UNAUTHENTICATED, format!("nothing says how to recognise {endpoint}"))
        .hint("pass --token-file FILE: a token carries the hash of the cluster's CA")
        .hint("pass --ca FILE: the CA certificate is ca.pem in a node's data folder")
        .hint("or enroll: keikoctl context add NAME --endpoint E --token T")
}

async fn bounded<T>(within: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(within, work).await.unwrap_or_else(|_| {
        Err(Error::new(code::UNREACHABLE, format!("no connection within {} s", within.as_secs())))
    })
}

async fn unix(path: &Path) -> Result<UnixStream> {
    UnixStream::connect(path).await.map_err(|error| {
        let base = Error::new(code::UNREACHABLE, format!("no daemon at unix:{}", path.display()))
            .cause(&error);
        match error.kind() {
            io::ErrorKind::PermissionDenied => {
                base.hint("run as the daemon's user, as root, or in the group of [socket] group")
            }
            _ => base.hint("start one: keikoctl dev, or keikod run --data-dir D --init"),
        }
    })
}

type Stream = Told<TlsStream<TcpStream>>;

/// One member.
struct Place {
    host: String,
    port: u16,
    name: ServerName<'static>,
}

/// The members, and which one is next.
struct Places {
    all: Vec<Place>,
    next: AtomicUsize,
    connector: TlsConnector,
    /// BLAKE3 of the CA by which servers are recognised.
    known: [u8; 32],
    /// The one that answered last showed a certificate of another CA.
    other: AtomicBool,
}

impl Places {
    fn of(endpoint: &Endpoint, trust: Trust, identity: &Identity) -> Result<Self> {
        let known = match &trust {
            Trust::Hash(hash) => *hash,
            Trust::Authority(der) => blake3::hash(der).into(),
        };
        let connector = TlsConnector::from(Arc::new(tls::settings(trust, identity)?));
        let place = |(host, port): (String, u16)| {
            let name = ServerName::try_from(host.clone()).map_err(|error| {
                Error::new(code::INVALID_ARGUMENT, format!("{host:?} is not a host")).cause(error)
            })?;
            Ok(Place { host, port, name })
        };
        let all = endpoint.places().into_iter().map(place).collect::<Result<_>>()?;
        let (next, other) = (AtomicUsize::new(0), AtomicBool::new(false));
        Ok(Self { all, next, connector, known, other })
    }

    /// Who signed the server's certificate stands last in its chain.
    fn compare(&self, stream: &TlsStream<TcpStream>) {
        let last = stream.get_ref().1.peer_certificates().and_then(<[_]>::last);
        let is_other = last.is_some_and(|last| *blake3::hash(last).as_bytes() != self.known);
        self.other.store(is_other, Ordering::Relaxed);
    }

    /// Whoever answers, beginning behind the one that did last: that one may be gone, or can't take
    /// a call. One that does not answer costs its share of the time only.
    async fn connect(&self, within: Duration) -> Result<Stream> {
        let count = self.all.len();
        let each = within / u32::try_from(count).unwrap_or(u32::MAX).max(1);
        let first = self.next.load(Ordering::Relaxed);
        let mut errors = Vec::new();
        for step in 0..count {
            let index = (first + step) % count;
            match bounded(each, tcp(&self.all[index], &self.connector)).await {
                Ok(stream) => {
                    self.compare(&stream);
                    self.next.store((index + 1) % count, Ordering::Relaxed);
                    return Ok(Told(stream));
                }
                Err(error) => errors.push(error),
            }
        }
        // One that says what is wrong says more than one that says nothing.
        let telling = |error: &Error| error.refusal.code != code::UNREACHABLE;
        let found = errors.iter().position(telling).unwrap_or_default();
        match count {
            1 => Err(errors.swap_remove(found)),
            _ if errors.get(found).is_some_and(telling) => Err(errors.swap_remove(found)),
            _ => {
                let none =
                    Error::new(code::UNREACHABLE, format!("none of {count} members answers"));
                Err(errors.iter().fold(none, |none, error| none.cause(&error.refusal.message)))
            }
        }
    }
}

async fn tcp(place: &Place, connector: &TlsConnector) -> Result<TlsStream<TcpStream>> {
    let Place { host, port, name } = place;
    let unreachable = |error: &io::Error| {
        Error::new(code::UNREACHABLE, format!("no daemon at {host}:{port}")).cause(error)
    };
    let stream = TcpStream::connect((host.as_str(), *port)).await;
    let stream = stream.map_err(|error| unreachable(&error))?;
    stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
    connector
        .connect(name.clone(), stream)
        .await
        .map_err(|error| tls::refusal(&error).unwrap_or_else(|| unreachable(&error)))
}

fn ours(error: &tonic::transport::Error) -> Option<Error> {
    let mut next = std::error::Error::source(error);
    while let Some(inner) = next {
        if let Some(ours) = inner.downcast_ref::<Error>() {
            return Some(ours.clone());
        }
        next = inner.source();
    }
    None
}
