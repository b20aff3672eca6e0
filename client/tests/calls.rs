//! What the client promises, against a server that misbehaves on purpose.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use keiko_client::proto::v1 as wire;
use keiko_client::{Client, Endpoint, Identity, Refusal, Settings, Trust, code};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use wire::cluster_server::{Cluster, ClusterServer};
use wire::journal_server::{Journal, JournalServer};
use wire::security_server::{Security, SecurityServer};

/// What is answered next, and what was asked so far.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Taken one by one; when it is empty, calls succeed.
    refusals: Vec<Status>,
    /// What each stream of events holds before it breaks.
    streams: Vec<Vec<wire::Event>>,
    server_unix_ms: u64,
    request_ids: Vec<Vec<u8>>,
    tails: Vec<wire::TailRequest>,
    bearers: Vec<String>,
    calls: usize,
}

impl Script {
    fn next<M>(&self, request: &Request<M>) -> Result<(), Status> {
        let mut state = self.0.lock().unwrap();
        state.calls += 1;
        let header =
            |name: &str| request.metadata().get(name).map(|v| v.to_str().unwrap().to_owned());
        state.bearers.extend(header("authorization"));
        assert!(header("traceparent").is_some_and(|trace| trace.len() == 55));
        if state.refusals.is_empty() { Ok(()) } else { Err(state.refusals.remove(0)) }
    }
}

fn coded(number: u32, retryable: bool) -> Status {
    let refusal = Refusal { code: number, retryable, ..Refusal::default() };
    let details = prost::Message::encode_to_vec(&refusal);
    Status::with_details(tonic::Code::Unavailable, "refused", details.into())
}

#[tonic::async_trait]
impl Cluster for Script {
    async fn status(
        &self,
        request: Request<wire::StatusRequest>,
    ) -> Result<Response<wire::StatusResponse>, Status> {
        self.next(&request)?;
        let server_unix_ms = self.0.lock().unwrap().server_unix_ms;
        Ok(Response::new(wire::StatusResponse { server_unix_ms, ..Default::default() }))
    }

    async fn diagnose(
        &self,
        request: Request<wire::DiagnoseRequest>,
    ) -> Result<Response<wire::DiagnoseResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn init(
        &self,
        request: Request<wire::InitRequest>,
    ) -> Result<Response<wire::InitResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl Security for Script {
    async fn create_agent_token(
        &self,
        request: Request<wire::CreateAgentTokenRequest>,
    ) -> Result<Response<wire::CreateAgentTokenResponse>, Status> {
        self.0.lock().unwrap().request_ids.push(request.get_ref().request_id.clone());
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn list_tokens(
        &self,
        request: Request<wire::ListTokensRequest>,
    ) -> Result<Response<wire::ListTokensResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn revoke_token(
        &self,
        request: Request<wire::RevokeTokenRequest>,
    ) -> Result<Response<wire::RevokeTokenResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }
}

type Events = tokio_stream::Iter<std::vec::IntoIter<Result<wire::TailResponse, Status>>>;

#[tonic::async_trait]
impl Journal for Script {
    type TailStream = Events;

    async fn tail(&self, request: Request<wire::TailRequest>) -> Result<Response<Events>, Status> {
        self.next(&request)?;
        let mut state = self.0.lock().unwrap();
        state.tails.push(request.into_inner());
        let events = if state.streams.is_empty() { Vec::new() } else { state.streams.remove(0) };
        let item = |event| wire::tail_response::Item::Event(event);
        let mut items: Vec<_> = events
            .into_iter()
            .map(|event| Ok(wire::TailResponse { item: Some(item(event)) }))
            .collect();
        items.push(Err(Status::unavailable("the connection broke")));
        Ok(Response::new(tokio_stream::iter(items)))
    }

    async fn get_events(
        &self,
        request: Request<wire::GetEventsRequest>,
    ) -> Result<Response<wire::GetEventsResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }
}

async fn over_socket(folder: &Path, script: &Script) -> Client {
    let path = folder.join("keiko.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let server = Server::builder()
        .add_service(ClusterServer::new(script.clone()))
        .add_service(SecurityServer::new(script.clone()))
        .add_service(JournalServer::new(script.clone()));
    tokio::spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
    Client::connect(Endpoint::Unix(path), Identity::Process).await.unwrap()
}

async fn token(client: &Client, id: Option<uuid::Uuid>) -> keiko_client::Result<()> {
    let message = wire::CreateAgentTokenRequest::default();
    let call = |client: Client, request| async move {
        client.security().create_agent_token(request).await
    };
    client.write(id, message, call).await.map(drop)
}

#[tokio::test]
async fn a_read_is_repeated_while_the_daemon_cannot_take_it() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Script::default());
    let client = over_socket(folder.path(), &script).await;
    for (number, retryable, expect_calls) in [
        (code::NO_LEADER, true, 3),
        (code::DRAINING, true, 3),
        // Not retryable, or of a far side: the daemon knows better.
        (code::PERMISSION_DENIED, false, 1),
        (50, true, 1),
    ] {
        *script.0.lock().unwrap() = State {
            refusals: vec![coded(number, retryable), coded(number, retryable)],
            ..State::default()
        };
        let read = client.status().await;
        assert_eq!(script.0.lock().unwrap().calls, expect_calls, "KEIKO-{number:04}");
        assert_eq!(read.is_ok(), expect_calls == 3);
        if let Err(error) = read {
            assert_eq!((error.refusal.code, error.trace_id), (number, client.trace_id()));
        }
    }
}

#[tokio::test]
async fn a_write_keeps_its_request_id_over_repetitions() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Script::default());
    let client = over_socket(folder.path(), &script).await;
    script.0.lock().unwrap().refusals = vec![
        coded(code::NO_LEADER, true),
        Status::unavailable("broken"),
        coded(code::NO_LEADER, true),
    ];
    token(&client, None).await.unwrap();
    let ids = script.0.lock().unwrap().request_ids.clone();
    assert_eq!(ids.len(), 4);
    assert_eq!(ids[0].len(), 16);
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[tokio::test]
async fn a_wrong_clock_is_set_right_by_the_server() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Script::default());
    let client = over_socket(folder.path(), &script).await;
    let in_2100_ms = 4_102_444_800_000;
    let refuse = || {
        let mut state = script.0.lock().unwrap();
        state.refusals = vec![coded(code::REQUEST_ID_EXPIRED, false)];
        state.request_ids.clear();
        state.server_unix_ms = in_2100_ms;
    };
    refuse();
    token(&client, None).await.unwrap();
    let ids = script.0.lock().unwrap().request_ids.clone();
    let made_ms = ids[1][..6].iter().fold(0u64, |ms, byte| ms << 8 | u64::from(*byte));
    assert!((in_2100_ms..in_2100_ms + 60_000).contains(&made_ms), "{made_ms}");

    refuse();
    let own = uuid::Uuid::now_v7();
    let error = token(&client, Some(own)).await.unwrap_err();
    assert_eq!(error.refusal.code, code::REQUEST_ID_EXPIRED);
    assert_eq!(error.request_id, Some(own));
    assert_eq!(script.0.lock().unwrap().request_ids.len(), 1, "the caller's own id stays");
}

#[tokio::test]
async fn an_effect_without_a_request_id_is_sent_once() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Script::default());
    let client = over_socket(folder.path(), &script).await;
    for (status, expect) in [
        (Status::unavailable("broken"), code::OUTCOME_UNKNOWN),
        (coded(code::NO_LEADER, true), code::NO_LEADER),
    ] {
        *script.0.lock().unwrap() = State { refusals: vec![status], ..State::default() };
        let called = client
            .once(wire::InitRequest {}, |client, request| async move {
                client.cluster().init(request).await
            })
            .await;
        assert_eq!(called.unwrap_err().refusal.code, expect);
        assert_eq!(script.0.lock().unwrap().calls, 1);
    }
}

#[tokio::test]
async fn a_tail_goes_on_where_it_stopped() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Script::default());
    let client = over_socket(folder.path(), &script).await;
    let event = |revision, sequence| wire::Event { revision, sequence, ..Default::default() };
    script.0.lock().unwrap().streams =
        vec![vec![event(1, 0), event(2, 0)], vec![event(2, 0), event(2, 1)], vec![event(3, 0)]];
    let request = wire::TailRequest { limit: 4, follow: true, ..Default::default() };
    let mut tail = client.tail(request).await.unwrap();
    let mut seen = Vec::new();
    while let Some(item) = tail.next().await.unwrap() {
        if let wire::tail_response::Item::Event(event) = item {
            seen.push((event.revision, event.sequence));
        }
    }
    assert_eq!(seen, [(1, 0), (2, 0), (2, 1), (3, 0)]);
    let tails = script.0.lock().unwrap().tails.clone();
    let asked: Vec<_> = tails.iter().map(|tail| (tail.from_revision, tail.limit)).collect();
    assert_eq!(asked, [(0, 4), (2, 2), (2, 1)]);
}

#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::Unix(folder.path().join("none"));
    let error = Client::connect(endpoint, Identity::Process).await.err().unwrap();
    assert_eq!(error.refusal.code, code::UNREACHABLE);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let endpoint = Endpoint::Tls { host: "127.0.0.1".into(), port };
    let error = Client::connect(endpoint.clone(), Identity::Process).await.err().unwrap();
    assert_eq!(error.refusal.code, code::UNAUTHENTICATED, "nothing says whom to trust");
    let trust = Some(Trust::Hash([0; 32]));
    let timeout = Duration::from_secs(5);
    let settings = Settings { endpoint, identity: Identity::Process, trust, timeout };
    assert_eq!(Client::with(settings).await.err().unwrap().refusal.code, code::UNREACHABLE);
}

/// A CA, and a server behind a certificate of it for that host.
async fn over_tls(script: &Script, host: &str) -> (Vec<u8>, u16) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let certificate = leaf.signed_by(&key, &Issuer::new(ca, &ca_key)).unwrap();
    let chain = vec![certificate.der().clone(), ca_certificate.der().clone()];
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key.serialize_der().try_into().unwrap())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (give, take) = tokio::sync::mpsc::channel(8);
    tokio::spawn(async move {
        use tokio_stream::StreamExt;
        let mut incoming = TcpListenerStream::new(listener);
        while let Some(Ok(stream)) = incoming.next().await {
            // A client that turns away ends its own handshake only.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let (mut near, far) = tokio::io::duplex(64 << 10);
            tokio::spawn(
                async move { tokio::io::copy_bidirectional(&mut stream, &mut near).await },
            );
            give.send(Ok::<_, std::io::Error>(far)).await.unwrap();
        }
    });
    let server = Server::builder().add_service(ClusterServer::new(script.clone()));
    let incoming = tokio_stream::wrappers::ReceiverStream::new(take);
    tokio::spawn(server.serve_with_incoming(incoming));
    (ca_certificate.der().to_vec(), port)
}

#[tokio::test]
async fn the_server_is_recognised_by_its_ca() {
    let script = Script::default();
    let (ca, port) = over_tls(&script, "127.0.0.1").await;
    let (_, elsewhere) = over_tls(&script, "other.example").await;
    let (other_ca, _) = over_tls(&script, "127.0.0.1").await;
    let hash = blake3::hash(&ca);
    let text = format!("keiko.id.secret.{hash}");
    let wrong = format!("keiko.id.secret.{}", blake3::hash(b"another"));
    for (port, token, trust, expect) in [
        (port, &text, None, Ok(())),
        (port, &wrong, None, Err(code::WRONG_CLUSTER)),
        (port, &wrong, Some(Trust::Authority(ca.clone())), Ok(())),
        (port, &text, Some(Trust::Authority(other_ca.clone())), Err(code::WRONG_CLUSTER)),
        (elsewhere, &text, None, Err(code::WRONG_CLUSTER)),
    ] {
        let settings = Settings {
            endpoint: Endpoint::Tls { host: "127.0.0.1".into(), port },
            identity: token.parse().unwrap(),
            trust,
            timeout: Duration::from_secs(10),
        };
        let shown = format!("{settings:?}");
        let called = match Client::with(settings).await {
            Ok(client) => client.status().await.map(drop),
            Err(error) => Err(error),
        };
        assert_eq!(called.map_err(|error| error.refusal.code), expect, "{shown}");
    }
    assert_eq!(script.0.lock().unwrap().bearers[0], format!("Bearer {text}"));
}
