//! A server with two agents, one token, and clients over every way in.

use super::stubs::{Desk, Members, Shelf};
use crate::net::*;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use keiko_core::refusal::{Code, Refusal};
use keiko_proto::v1::cluster_server::ClusterServer;
use keiko_proto::v1::registry_server::{Registry, RegistryServer};
use keiko_proto::v1::security_server::SecurityServer;
use keiko_proto::v1::{self as wire};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

pub(super) const CLUSTER: &str = "c-1";

/// What the node says of itself, as a test sets it.
pub(super) struct Node {
    pub(super) phase: Mutex<Phase>,
}

impl State for Node {
    fn phase(&self) -> Phase {
        *self.phase.lock().unwrap()
    }

    fn missing(&self) -> Vec<Missing> {
        if self.phase() == Phase::Serving {
            return Vec::new();
        }
        vec![Missing { what: "cluster".into(), remedy: "keikoctl cluster init".into() }]
    }
}

/// The tokens and people as they are stored now.
#[derive(Clone, Default)]
pub(super) struct Known {
    tokens: Arc<Mutex<Vec<wire::Token>>>,
    people: Arc<Mutex<Vec<wire::PersonEntry>>>,
}

impl Known {
    pub(super) fn change(&self, change: impl FnOnce(&mut Vec<wire::Token>)) {
        change(&mut self.tokens.lock().unwrap());
    }

    pub(super) fn change_people(&self, change: impl FnOnce(&mut Vec<wire::PersonEntry>)) {
        change(&mut self.people.lock().unwrap());
    }
}

#[tonic::async_trait]
impl Tokens for Known {
    async fn find(&self, id: &str) -> Option<wire::Token> {
        self.tokens.lock().unwrap().iter().find(|token| token.id == id).cloned()
    }

    async fn person(&self, name: &str) -> Option<wire::PersonEntry> {
        self.people.lock().unwrap().iter().find(|person| person.name == name).cloned()
    }
}

/// What the registry saw last.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Option<wire::DeleteRequest>>>);

impl Seen {
    pub(super) fn take(&self) -> Option<wire::DeleteRequest> {
        self.0.lock().unwrap().take()
    }
}

struct Room {
    seen: Seen,
    paused: Arc<Notify>,
}

fn agent(name: &str) -> wire::Object {
    let metadata = wire::Metadata { name: name.into(), ..Default::default() };
    let agent =
        wire::Agent { kind: "Agent".into(), metadata: Some(metadata), ..Default::default() };
    wire::Object { object: Some(wire::object::Object::Agent(agent)) }
}

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Registry for Room {
    type WatchStream = BoxStream<'static, Result<wire::WatchResponse, Status>>;
    type LogsStream = BoxStream<'static, Result<wire::LogLine, Status>>;
    type ApplyStreamStream = BoxStream<'static, Result<wire::ApplyStreamResponse, Status>>;
    type HeartbeatStreamStream = BoxStream<'static, Result<wire::HeartbeatResponse, Status>>;

    async fn get(&self, request: tonic::Request<wire::GetRequest>) -> Reply<wire::GetResponse> {
        let wanted = request.get_ref();
        let resource = Resource::object("agent", &wanted.namespace, &wanted.name);
        Identity::of(&request)
            .and_then(|who| who.require(Permission::RegistryRead, &resource))
            .map_err(|refusal| status::to_status(&refusal))?;
        assert!(request.extensions().get::<TraceContext>().is_some());
        assert!(request.extensions().get::<Deadline>().is_some());
        assert!(request.extensions().get::<Peer>().is_some());
        match wanted.name.as_str() {
            "slow" => std::future::pending().await,
            "pause" => {
                self.paused.notify_one();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            _ => {}
        }
        let revision = wanted.at.and_then(|at| at.point);
        let revision = match revision {
            Some(wire::at::Point::Revision(revision)) => revision,
            _ => 7,
        };
        let read = wire::ReadInfo { revision, ..Default::default() };
        Ok(Response::new(wire::GetResponse { object: Some(agent(&wanted.name)), read: Some(read) }))
    }

    async fn delete(
        &self,
        request: tonic::Request<wire::DeleteRequest>,
    ) -> Reply<wire::DeleteResponse> {
        *self.seen.0.lock().unwrap() = Some(request.into_inner());
        Ok(Response::new(wire::DeleteResponse::default()))
    }

    async fn watch(&self, request: tonic::Request<wire::WatchRequest>) -> Reply<Self::WatchStream> {
        let name = request.into_inner().name;
        if name == "refused" {
            let refusal = Refusal::new(Code::Compacted, "too old");
            return Err(status::to_status(&refusal));
        }
        let items = (1..=2).map(|revision| {
            Ok(wire::WatchResponse { revision, object: Some(agent("a")), r#type: 1 })
        });
        let broken = status::to_status(&Refusal::new(Code::NoLeader, "gone"));
        let last = (name == "broken").then_some(Err(broken));
        let items = stream::iter(items.chain(last));
        Ok(Response::new(match name.as_str() {
            "open" => items.chain(stream::pending()).boxed(),
            _ => items.boxed(),
        }))
    }

    async fn call_tool(
        &self,
        request: tonic::Request<wire::CallToolRequest>,
    ) -> Reply<wire::CallToolResponse> {
        let wire::CallToolRequest { name, arguments, .. } = request.into_inner();
        let content = arguments;
        Ok(Response::new(wire::CallToolResponse { tool: name, content, ..Default::default() }))
    }

    async fn list(&self, _: tonic::Request<wire::ListRequest>) -> Reply<wire::ListResponse> {
        Err(Status::unimplemented(""))
    }

    async fn register_agent(
        &self,
        _: tonic::Request<wire::RegisterAgentRequest>,
    ) -> Reply<wire::RegisterResponse> {
        Err(Status::unimplemented(""))
    }

    async fn register_mcp_server(
        &self,
        _: tonic::Request<wire::RegisterMcpServerRequest>,
    ) -> Reply<wire::RegisterResponse> {
        Err(Status::unimplemented(""))
    }

    async fn history(
        &self,
        _: tonic::Request<wire::HistoryRequest>,
    ) -> Reply<wire::HistoryResponse> {
        Err(Status::unimplemented(""))
    }

    async fn call_agent(
        &self,
        _: tonic::Request<wire::CallAgentRequest>,
    ) -> Reply<wire::CallAgentResponse> {
        Err(Status::unimplemented(""))
    }

    async fn apply(&self, _: tonic::Request<wire::ApplyRequest>) -> Reply<wire::ApplyResponse> {
        Err(Status::unimplemented(""))
    }

    async fn heartbeat(
        &self,
        _: tonic::Request<wire::HeartbeatRequest>,
    ) -> Reply<wire::HeartbeatResponse> {
        Err(Status::unimplemented(""))
    }

    async fn apply_stream(
        &self,
        _: tonic::Request<tonic::Streaming<wire::ApplyRequest>>,
    ) -> Reply<Self::ApplyStreamStream> {
        Err(Status::unimplemented(""))
    }

    async fn heartbeat_stream(
        &self,
        _: tonic::Request<tonic::Streaming<wire::HeartbeatRequest>>,
    ) -> Reply<Self::HeartbeatStreamStream> {
        Err(Status::unimplemented(""))
    }

    async fn find(&self, _: tonic::Request<wire::FindRequest>) -> Reply<wire::FindResponse> {
        Err(Status::unimplemented(""))
    }

    async fn impact(&self, _: tonic::Request<wire::ImpactRequest>) -> Reply<wire::ImpactResponse> {
        Err(Status::unimplemented(""))
    }

    async fn set_admin_state(
        &self,
        _: tonic::Request<wire::SetAdminStateRequest>,
    ) -> Reply<wire::SetAdminStateResponse> {
        Err(Status::unimplemented(""))
    }

    async fn probe(&self, _: tonic::Request<wire::ProbeRequest>) -> Reply<wire::ProbeResponse> {
        Err(Status::unimplemented(""))
    }

    async fn logs(&self, _: tonic::Request<wire::LogsRequest>) -> Reply<Self::LogsStream> {
        Err(Status::unimplemented(""))
    }
}

/// A running server and what is needed to call it.
pub(super) struct World {
    pub(super) handle: Handle,
    pub(super) node: Arc<Node>,
    pub(super) shutdown: CancellationToken,
    pub(super) certificates: Arc<Certificates>,
    pub(super) authority: Arc<Authority>,
    pub(super) renewal: Renewal,
    /// Of agent default/hello.
    pub(super) token: String,
    pub(super) expired: String,
    pub(super) known: Known,
    pub(super) seen: Seen,
    pub(super) admitted: Arc<AtomicBool>,
    /// Told when a call has begun that takes a while.
    pub(super) paused: Arc<Notify>,
    folder: tempfile::TempDir,
}

pub(super) fn start() -> World {
    start_with(Limits::default())
}

/// The cluster's authority, and what this node shows.
fn found(folder: &std::path::Path) -> (Arc<Authority>, Renewal) {
    let keys = Keys::open(&folder.join("keys")).unwrap();
    let (stored, _) = Authority::create(CLUSTER, &keys).unwrap();
    let authority = Arc::new(Authority::open(&stored, &keys).unwrap());
    let names = Names::new("n1", []);
    let certificates = Certificates::new(NodeCertificate::ephemeral(&names).unwrap()).unwrap();
    let key = Arc::new(NodeKey::open_or_create(&folder.join("keys")).unwrap());
    let signer = Signer::Own(Arc::clone(&authority));
    (authority, Renewal { signer, certificates, names, key, keep: None })
}

/// Of agent default/hello.
fn stored(token: &NewToken, expires_ms: u64) -> wire::Token {
    wire::Token {
        id: token.id.clone(),
        hash_algorithm: token::HASH_ALGORITHM.into(),
        hash: token.hash.to_vec(),
        role: "agent".into(),
        scope: "agent/default/hello".into(),
        expires_ms,
        ..Default::default()
    }
}

pub(super) fn start_with(limits: Limits) -> World {
    let folder = tempfile::tempdir().unwrap();
    let (authority, renewal) = found(folder.path());
    let certificates = Arc::clone(&renewal.certificates);
    let token = || new_token(authority.ca_hash()).unwrap();
    let (good, expired) = (token(), token());
    let known = Known::default();
    known.change(|all| all.extend([stored(&good, u64::MAX), stored(&expired, 1)]));
    let bind = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = socket::Settings { path: folder.path().join("s"), group: None, links: vec![] };
    let (seen, admitted) = (Seen::default(), Arc::new(AtomicBool::new(true)));
    let paused = Arc::new(Notify::new());
    let node = Arc::new(Node { phase: Mutex::new(Phase::Serving) });
    let shutdown = CancellationToken::new();
    let is_admitted = Arc::clone(&admitted);
    let server = Server {
        settings: Settings {
            node: "n1".into(),
            uids: Arc::new(move |_| is_admitted.load(Ordering::Relaxed)),
            limits,
        },
        listeners: Listeners {
            api: bind(),
            metrics: bind(),
            socket: socket::Bound::bind(&at).unwrap(),
        },
        routes: tonic::service::Routes::new(RegistryServer::new(Room {
            seen: seen.clone(),
            paused: Arc::clone(&paused),
        }))
        .add_service(ClusterServer::new(Members))
        .add_service(SecurityServer::new(Desk)),
        pages: Arc::new(Shelf),
        state: Arc::clone(&node) as Arc<dyn State>,
        tokens: Arc::new(known.clone()),
        certificates: Arc::clone(&certificates),
        metrics: Arc::new(|| "# EOF\n".to_owned()),
    };
    let handle = server.run(&shutdown).unwrap();
    certificates.show(authority.issue_node(&renewal.names, &renewal.key).unwrap()).unwrap();
    World {
        handle,
        node,
        shutdown,
        certificates,
        authority,
        renewal,
        token: good.text.to_string(),
        expired: expired.text.to_string(),
        known,
        seen,
        admitted,
        paused,
        folder,
    }
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// An answer that was read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

impl World {
    pub(super) fn set(&self, phase: Phase) {
        *self.node.phase.lock().unwrap() = phase;
    }

    pub(super) fn socket_exists(&self) -> bool {
        self.folder.path().join("s").exists()
    }

    /// A TLS stream to the API, trusting the cluster's CA.
    pub(super) async fn tls(
        &self,
        alpn: &[u8],
        versions: &[&'static SupportedProtocolVersion],
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        self.tls_as(None, alpn, versions).await
    }

    /// The same, showing a certificate.
    pub(super) async fn tls_as(
        &self,
        badge: Option<&Badge>,
        alpn: &[u8],
        versions: &[&'static SupportedProtocolVersion],
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let pem = self.authority.ca_pem();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match badge {
            None => builder.with_no_client_auth(),
            Some(badge) => {
                builder.with_client_auth_cert(badge.chain(), badge.key.private()).unwrap()
            }
        };
        config.alpn_protocols = vec![alpn.to_vec()];
        let stream = TcpStream::connect(self.handle.api_addr).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    pub(super) async fn unix(&self) -> UnixStream {
        UnixStream::connect(&self.handle.socket_path).await.unwrap()
    }

    /// One HTTP/1.1 call over TLS.
    pub(super) async fn network(&self, request: Request<String>) -> Answer {
        let stream = self.tls(b"http/1.1", &[&rustls::version::TLS13]).await.unwrap();
        ask(stream, request).await
    }

    /// One HTTP/1.1 call over TLS by whoever has this certificate.
    pub(super) async fn network_as(&self, badge: &Badge, request: Request<String>) -> Answer {
        let version = &[&rustls::version::TLS13];
        let stream = self.tls_as(Some(badge), b"http/1.1", version).await.unwrap();
        ask(stream, request).await
    }

    /// Makes somebody known, with a certificate.
    pub(super) fn enroll(&self, name: &str, role: &str) -> Badge {
        let badge = Badge::of(&self.authority, name, SystemTime::now());
        let entry = wire::PersonEntry {
            name: name.into(),
            role: role.into(),
            key_hash: badge.key.key_hash().into(),
            ..Default::default()
        };
        self.known.change_people(|people| {
            people.retain(|person| person.name != name);
            people.push(entry);
        });
        badge
    }

    /// A token that is traded once.
    pub(super) fn one_use(&self, change: impl FnOnce(&mut wire::Token)) -> String {
        let new = new_token(self.authority.ca_hash()).unwrap();
        let (role, scope) = ("viewer".into(), String::new());
        let mut token = wire::Token { role, scope, one_use: true, ..stored(&new, u64::MAX) };
        change(&mut token);
        self.known.change(|all| all.push(token));
        new.text.to_string()
    }

    /// One HTTP/1.1 call over the socket.
    pub(super) async fn local(&self, request: Request<String>) -> Answer {
        ask(self.unix().await, request).await
    }

    /// A gRPC channel over TLS.
    pub(super) async fn channel(&self) -> Channel {
        let stream = self.tls(b"h2", &[&rustls::version::TLS13]).await.unwrap();
        channel(stream).await
    }

    /// The same by whoever has this certificate.
    pub(super) async fn channel_as(&self, badge: &Badge) -> Channel {
        let version = &[&rustls::version::TLS13];
        channel(self.tls_as(Some(badge), b"h2", version).await.unwrap()).await
    }

    /// A gRPC channel over the socket.
    pub(super) async fn local_channel(&self) -> Channel {
        channel(self.unix().await).await
    }
}

/// A client certificate with its key.
pub(super) struct Badge {
    pub(super) key: Arc<NodeKey>,
    pem: String,
}

impl Badge {
    /// Made then, by this CA.
    pub(super) fn of(authority: &Authority, name: &str, then: SystemTime) -> Self {
        let key = Arc::new(NodeKey::generate().unwrap());
        let signed = authority.sign_person_at(&key.csr().unwrap(), name, then).unwrap();
        Self { key, pem: signed.pem_chain }
    }

    /// One for the node's own key.
    pub(super) fn of_node(renewal: &Renewal, pem: String) -> Self {
        Self { key: Arc::clone(&renewal.key), pem }
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.pem.as_bytes()).map(Result::unwrap).collect()
    }
}

pub(super) fn get(path: &str) -> Request<String> {
    Request::get(path).body(String::new()).unwrap()
}

/// Adds a token.
pub(super) fn bearer(mut request: Request<String>, token: &str) -> Request<String> {
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("authorization", value);
    request
}

pub(super) async fn ask(stream: impl Stream, mut request: Request<String>) -> Answer {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    request.headers_mut().insert("host", "localhost".parse().unwrap());
    let request = request.map(|text| Full::new(Bytes::from(text)));
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Answer { status: head.status, headers: head.headers, text }
}

async fn channel(stream: impl Stream) -> Channel {
    let mut stream = Some(stream);
    let connector = tower::service_fn(move |_| {
        let stream = stream.take().ok_or_else(|| std::io::Error::other("one connection only"));
        async move { stream.map(TokioIo::new) }
    });
    Endpoint::from_static("http://localhost").connect_with_connector(connector).await.unwrap()
}
