//! Deadlines, limits, swaps and the end of a server.

use super::clients::{ask, get};
use super::harness::{start, start_with};
use crate::net::{Limits, Phase, status};
use http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use keiko_core::refusal::Code;
use keiko_proto::v1 as wire;
use keiko_proto::v1::registry_client::RegistryClient;
use prost::Message as _;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

fn named(name: &str) -> wire::GetRequest {
    wire::GetRequest { namespace: "default".into(), name: name.into(), ..Default::default() }
}

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let world = start();
    let mut client = RegistryClient::new(world.local_channel().await);
    // By hand: tonic's client ends the call by itself, before it sees what the server says.
    let message = named("slow").encode_to_vec();
    let length = u8::try_from(message.len()).unwrap();
    let framed = [&[0, 0, 0, 0, length], message.as_slice()].concat();
    let request = Request::post("/keiko.v1.Registry/Get")
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "20m")
        .body(String::from_utf8(framed).unwrap())
        .unwrap();
    let answer = world.local(request).await;
    let refused = tonic::Status::from_header_map(&answer.headers).unwrap();
    assert_eq!(refused.code(), tonic::Code::DeadlineExceeded);
    assert_eq!(status::to_refusal(&refused).code, Code::DeadlineExceeded);
    let mut request = get("/v1/objects/agent/default/slow");
    request.headers_mut().insert("grpc-timeout", "20m".parse().unwrap());
    assert_eq!(world.local(request).await.status, 504);
    let mut request = tonic::Request::new(named("hello"));
    request.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());
    let refused = client.get(request).await.unwrap_err();
    assert_eq!(status::to_refusal(&refused).code, Code::InvalidArgument);
}

#[tokio::test]
async fn unknown_methods_are_coded() {
    let world = start();
    let mut client = RegistryClient::new(world.local_channel().await);
    let refused = client.list(wire::ListRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unimplemented);
    assert_eq!(status::to_refusal(&refused).code, Code::UnknownMethod);
    assert!(!refused.details().is_empty());
}

#[tokio::test]
async fn reflection_lists_the_services() {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_response};
    let world = start();
    let mut client = ServerReflectionClient::new(world.local_channel().await);
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers =
        client.server_reflection_info(futures::stream::iter([ask])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let server_reflection_response::MessageResponse::ListServicesResponse(list) = answer else {
        panic!("{answer:?}")
    };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    for name in ["keiko.v1.Registry", "keiko.v1.Cluster", "grpc.health.v1.Health"] {
        assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
    }
}

#[tokio::test]
async fn the_certificate_is_swapped_while_running() {
    let world = start();
    let leaf = async || {
        let stream = world.tls(b"h2", &[&rustls::version::TLS13]).await.unwrap();
        let chain = stream.get_ref().1.peer_certificates().unwrap().to_vec();
        assert_eq!(chain.len(), 2);
        chain[0].to_vec()
    };
    let first = leaf().await;
    assert_eq!(first, leaf().await);
    world.renewal.renew().await.unwrap();
    assert_ne!(first, leaf().await);
    assert_eq!(world.certificates.ca_hash().as_deref(), Some(world.authority.ca_hash()));
}

#[tokio::test]
async fn who_asks_nothing_is_shown_out() {
    let short = Duration::from_millis(50);
    let ended = async |mut stream: Box<dyn tokio::io::AsyncRead + Unpin + Send>| {
        let mut rest = Vec::new();
        let end = stream.read_to_end(&mut rest);
        let _ = tokio::time::timeout(Duration::from_secs(60), end).await.expect("closed by then");
    };
    // No handshake.
    let world = start_with(Limits { handshake: short, ..Limits::default() });
    ended(Box::new(TcpStream::connect(world.handle.api_addr).await.unwrap())).await;
    // No HTTP over TLS in either version, nothing on the socket.
    let world = start_with(Limits { head: short, ..Limits::default() });
    for alpn in [b"h2".as_slice(), b"http/1.1"] {
        ended(Box::new(world.tls(alpn, &[&rustls::version::TLS13]).await.unwrap())).await;
    }
    ended(Box::new(world.unix().await)).await;
}

#[tokio::test]
async fn a_stranger_can_not_stay() {
    let world = start_with(Limits { unproven: Duration::from_millis(50), ..Limits::default() });
    let stream = world.tls(b"h2", &[&rustls::version::TLS13]).await.unwrap();
    let (_sender, connection) = hyper::client::conn::http2::handshake::<_, _, String>(
        TokioExecutor::new(),
        TokioIo::new(stream),
    )
    .await
    .unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(60), connection);
    let _ = ended.await.expect("closed by then");
    // Not even who takes nothing of the answer, so that the connection never finishes.
    let stream = world.tls(b"h2", &[&rustls::version::TLS13]).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(get("/livez")).await.unwrap();
    assert_eq!(answer.status(), 200);
    let ended = tokio::time::timeout(Duration::from_secs(60), connection);
    let _ = ended.await.expect("closed by then");
    drop(answer);
    // Who proved themselves stays.
    let mut client = RegistryClient::new(world.local_channel().await);
    client.get(named("hello")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    client.get(named("hello")).await.unwrap();
}

#[tokio::test]
async fn slots_come_back() {
    let world = start_with(Limits { connections_max: 1, ..Limits::default() });
    for _ in 0..20 {
        assert_eq!(world.network(get("/livez")).await.status, 200);
    }
}

#[tokio::test]
async fn the_metrics_listener_shows_metrics_only() {
    let world = start();
    for (path, status) in [("/metrics", 200), ("/", 404), ("/livez", 404), ("/v1/status", 404)] {
        let stream = TcpStream::connect(world.handle.metrics_addr).await.unwrap();
        assert_eq!(ask(stream, get(path)).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_drain_lets_calls_end_and_cleans_up() {
    let world = start();
    let mut client = RegistryClient::new(world.local_channel().await);
    let mut other = client.clone();
    client.get(named("hello")).await.unwrap();
    let open = tokio::spawn(async move { other.get(named("pause")).await });
    world.paused.notified().await;
    world.set(Phase::Draining);
    let refused = client.get(named("hello")).await.unwrap_err();
    assert_eq!(status::to_refusal(&refused).code, Code::Draining);
    world.shutdown.cancel();
    open.await.unwrap().unwrap();
    tokio::time::timeout(Duration::from_secs(60), world.handle.stopped()).await.unwrap();
    assert!(!world.socket_exists());
    TcpStream::connect(world.handle.api_addr).await.unwrap_err();
}
