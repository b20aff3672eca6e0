//! What the client promises, against a server that misbehaves on purpose.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use keiko_client::proto::v1 as wire;
use keiko_client::{Badge, Client, Endpoint, Identity, Refusal, Settings, Trust, code, enroll};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
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
    /// Signs what is asked for.
    ca: Option<Arc<Ca>>,
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

    async fn join(
        &self,
        request: Request<wire::JoinRequest>,
    ) -> Result<Response<wire::JoinResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn transfer_leader(
        &self,
        request: Request<wire::TransferLeaderRequest>,
    ) -> Result<Response<wire::TransferLeaderResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn list_nodes(
        &self,
        request: Request<wire::ListNodesRequest>,
    ) -> Result<Response<wire::ListNodesResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn get_node(
        &self,
        request: Request<wire::GetNodeRequest>,
    ) -> Result<Response<wire::NodeInfo>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn drain_node(
        &self,
        request: Request<wire::DrainNodeRequest>,
    ) -> Result<Response<wire::DrainNodeResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn remove_node(
        &self,
        request: Request<wire::RemoveNodeRequest>,
    ) -> Result<Response<wire::RemoveNodeResponse>, Status> {
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

    async fn create_token(
        &self,
        request: Request<wire::CreateTokenRequest>,
    ) -> Result<Response<wire::CreateTokenResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn admit_node(
        &self,
        request: Request<wire::AdmitNodeRequest>,
    ) -> Result<Response<wire::AdmitNodeResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn enroll(
        &self,
        request: Request<wire::EnrollRequest>,
    ) -> Result<Response<wire::EnrollResponse>, Status> {
        self.next(&request)?;
        let ca = self.0.lock().unwrap().ca.clone().unwrap();
        let csr = request.into_inner().csr.into();
        let asked = rcgen::CertificateSigningRequestParams::from_der(&csr).unwrap();
        let leaf = ca.person("ann").signed_by(&asked.public_key, &ca.issuer).unwrap();
        Ok(Response::new(wire::EnrollResponse {
            certificate: format!("{}{}", leaf.pem(), ca.pem),
            ca: ca.pem.clone(),
            name: "ann".into(),
            role: "viewer".into(),
            ..Default::default()
        }))
    }

    async fn who_am_i(
        &self,
        request: Request<wire::WhoAmIRequest>,
    ) -> Result<Response<wire::WhoAmIResponse>, Status> {
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
async fn a_write_of_which_nobody_can_tell_is_told_again() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Script::default());
    let client = over_socket(folder.path(), &script).await;
    let scripted = |refusals: Vec<Status>| {
        *script.0.lock().unwrap() = State { refusals, ..State::default() };
    };
    let unknown = || coded(code::OUTCOME_UNKNOWN, false);
    scripted(vec![unknown(), unknown()]);
    token(&client, None).await.unwrap();
    let ids = script.0.lock().unwrap().request_ids.clone();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0]));

    // Not told again as if nothing had happened, when it can't be told any more.
    let expired = coded(code::REQUEST_ID_EXPIRED, false);
    for (refusals, expect, calls) in [
        (vec![unknown(), expired.clone()], code::OUTCOME_UNKNOWN, 2),
        (vec![Status::unavailable("broken"), expired], code::OUTCOME_UNKNOWN, 2),
        (vec![unknown(), coded(31, false)], 31, 2),
    ] {
        scripted(refusals);
        let error = token(&client, None).await.unwrap_err();
        assert_eq!((error.refusal.code, script.0.lock().unwrap().calls), (expect, calls));
    }
    scripted(
        vec![unknown(); 1].into_iter().chain(vec![coded(code::NO_LEADER, true); 50]).collect(),
    );
    let error = token(&client.within(Duration::from_millis(300)), None).await.unwrap_err();
    assert_eq!(error.refusal.code, code::OUTCOME_UNKNOWN);

    // A read has no effect that could be in doubt.
    scripted(vec![unknown()]);
    assert_eq!(client.status().await.unwrap_err().refusal.code, code::OUTCOME_UNKNOWN);
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

/// A CA.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: Vec<u8>,
}

impl Ca {
    fn new(name: &str) -> Arc<Self> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().to_vec());
        Arc::new(Self { issuer: Issuer::new(params, key), pem, der })
    }

    fn person(&self, name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        let id = format!("spiffe://c-1/person/{name}");
        params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
        params
    }

    /// Somebody with a certificate of it.
    fn identity(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = self.person("ann");
        change(&mut params);
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let chain_pem = format!("{}{}", leaf.pem(), self.pem);
        Identity::Certificate { chain_pem, key_pem: key.serialize_pem() }
    }
}

/// A server behind a certificate of this CA for that host, which looks at those of its clients.
async fn behind(ca: &Ca, script: &Script, host: &str) -> (u16, tokio::task::JoinHandle<()>) {
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let certificate = leaf.signed_by(&key, &ca.issuer).unwrap();
    let authority = rustls_pki_types::CertificateDer::from(ca.der.clone());
    let chain = vec![certificate.der().clone(), authority.clone()];
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority).unwrap();
    let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::clone(&provider),
    );
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(clients.allow_unauthenticated().build().unwrap())
        .with_single_cert(chain, key.serialize_der().try_into().unwrap())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (give, take) = tokio::sync::mpsc::channel(8);
    let server = Server::builder()
        .add_service(ClusterServer::new(script.clone()))
        .add_service(SecurityServer::new(script.clone()));
    tokio::spawn(server.serve_with_incoming(tokio_stream::wrappers::ReceiverStream::new(take)));
    let serving = tokio::spawn(async move {
        use tokio_stream::StreamExt;
        let mut incoming = TcpListenerStream::new(listener);
        // All ends with this task, as with a process.
        let mut open = tokio::task::JoinSet::new();
        while let Some(Ok(stream)) = incoming.next().await {
            let mut stream = match acceptor.accept(stream).into_fallible().await {
                Ok(stream) => stream,
                // A client that turns away, or is turned away, ends its own handshake only. It is
                // heard out, so that it reads why.
                Err((_, mut stream)) => {
                    open.spawn(async move {
                        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
                    });
                    continue;
                }
            };
            let (mut near, far) = tokio::io::duplex(64 << 10);
            open.spawn(async move {
                tokio::io::copy_bidirectional(&mut stream, &mut near).await.map(drop)
            });
            give.send(Ok::<_, std::io::Error>(far)).await.unwrap();
        }
    });
    (port, serving)
}

/// A CA, and a server behind a certificate of it for that host.
async fn over_tls(script: &Script, host: &str) -> (Vec<u8>, u16) {
    let ca = Ca::new("a CA");
    let (port, _) = behind(&ca, script, host).await;
    (ca.der.clone(), port)
}

fn by(endpoint: Endpoint, identity: Identity, trust: Option<Trust>) -> Settings {
    Settings { endpoint, identity, trust, timeout: Duration::from_secs(10) }
}

async fn asks(settings: Settings) -> Result<(), u32> {
    let asked = async { Client::with(settings).await?.status().await.map(drop) };
    asked.await.map_err(|error| error.refusal.code)
}

fn at(port: u16) -> Endpoint {
    Endpoint::Tls { host: "127.0.0.1".into(), port }
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_what_is_wrong_with_it_is_said() {
    let (script, ca) = (Script::default(), Ca::new("ours"));
    let (port, _serving) = behind(&ca, &script, "127.0.0.1").await;
    let trust = Some(Trust::Authority(ca.der.clone()));
    let expired = |params: &mut CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    };
    for (identity, expect) in [
        (ca.identity(|_| {}), Ok(())),
        (ca.identity(expired), Err(code::CERTIFICATE_INVALID)),
        (Ca::new("theirs").identity(|_| {}), Err(code::CERTIFICATE_INVALID)),
        (Ca::new("ours").identity(|_| {}), Err(code::CERTIFICATE_INVALID)),
        (Identity::Process, Ok(())),
    ] {
        assert_eq!(asks(by(at(port), identity.clone(), trust.clone())).await, expect);
        // A stream and a call with an effect hear the same.
        let Ok(client) = Client::with(by(at(port), identity, trust.clone())).await else {
            panic!("TLS 1.3 looks at the client's certificate afterwards")
        };
        let once = client.once(wire::InitRequest {}, |client, request| async move {
            client.cluster().init(request).await
        });
        assert_eq!(once.await.map(drop).map_err(|error| error.refusal.code), expect);
    }
    // Without --ca, the CA of the certificate says who the server is.
    assert_eq!(asks(by(at(port), ca.identity(|_| {}), None)).await, Ok(()));
    let foreign = Ca::new("theirs").identity(|_| {});
    assert_eq!(asks(by(at(port), foreign, None)).await, Err(code::WRONG_CLUSTER));
}

#[tokio::test]
async fn of_several_members_one_that_answers_is_taken() {
    let (script, ca) = (Script::default(), Ca::new("ours"));
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (first, serving) = behind(&ca, &script, "127.0.0.1").await;
    let (second, _stays) = behind(&ca, &script, "127.0.0.1").await;
    let trust = Some(Trust::Authority(ca.der.clone()));
    let several = |ports: &[u16]| -> Endpoint {
        let places: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        places.join(",").parse().unwrap()
    };
    let settings = by(several(&[dead, first, second]), Identity::Process, trust.clone());
    let client = Client::with(settings).await.unwrap();
    client.status().await.unwrap();
    serving.abort();
    // What was open breaks; the next call goes to whoever is left.
    client.status().await.unwrap();
    token(&client, None).await.unwrap();

    let none = asks(by(several(&[dead, dead]), Identity::Process, trust)).await;
    assert_eq!(none, Err(code::UNREACHABLE));
    // One that is of another cluster says so, whoever else is silent.
    let wrong = Some(Trust::Authority(Ca::new("theirs").der.clone()));
    let refused = asks(by(several(&[dead, second]), Identity::Process, wrong)).await;
    assert_eq!(refused, Err(code::WRONG_CLUSTER));
}

#[tokio::test]
async fn a_token_is_traded_for_a_certificate_and_that_for_the_next() {
    let (script, ca) = (Script::default(), Ca::new("ours"));
    script.0.lock().unwrap().ca = Some(Arc::clone(&ca));
    let (port, _serving) = behind(&ca, &script, "127.0.0.1").await;
    let text = format!("keiko.id.secret.{}", blake3::hash(&ca.der));
    let settings = || by(at(port), text.parse().unwrap(), None);
    let enrolled = enroll(settings()).await.unwrap();
    assert_eq!((enrolled.name.as_str(), enrolled.role.as_str()), ("ann", "viewer"));
    assert!(!format!("{enrolled:?}").contains("PRIVATE"));
    let badge = Badge::read(&enrolled.chain_pem).unwrap();
    assert_eq!((badge.name.as_str(), badge.cluster_id.as_str()), ("ann", "c-1"));
    assert_eq!(script.0.lock().unwrap().bearers, [format!("Bearer {text}")]);

    let client = Client::with(by(at(port), enrolled.identity(), None)).await.unwrap();
    let renewed = client.renew(&enrolled.key_pem).await.unwrap();
    assert_eq!(renewed.key_pem, enrolled.key_pem);
    assert_eq!(script.0.lock().unwrap().bearers.len(), 1, "the certificate is who asks");

    // A server that gives the certificate of another cluster is no use.
    script.0.lock().unwrap().ca = Some(Ca::new("theirs"));
    let refused = enroll(settings()).await.unwrap_err();
    assert_eq!(refused.refusal.code, code::WRONG_CLUSTER);
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
