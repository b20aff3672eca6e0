//! Who gets in: by which way, with what, in which phase.

use super::clients::{bearer, get};
use super::harness::start;
use crate::net::{Phase, status, token};
use http::Request;
use keiko_core::refusal::Code;
use keiko_proto::v1 as wire;
use keiko_proto::v1::cluster_client::ClusterClient;
use keiko_proto::v1::registry_client::RegistryClient;
use std::sync::atomic::Ordering;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

const HELLO: &str = "/v1/objects/agent/default/hello";

fn hello() -> wire::GetRequest {
    wire::GetRequest {
        kind: wire::Kind::Agent.into(),
        namespace: "default".into(),
        name: "hello".into(),
        ..Default::default()
    }
}

fn code(error: &tonic::Status) -> Code {
    status::to_refusal(error).code
}

#[tokio::test]
async fn without_identity_only_health() {
    let world = start();
    for path in ["/livez", "/readyz"] {
        assert_eq!(world.network(get(path)).await.status, 200, "{path}");
    }
    for path in [HELLO, "/metrics", "/openapi.json", "/v1/status", "/", "/livez/x", "/shelf"] {
        let answer = world.network(get(path)).await;
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.json()["code"], "KEIKO-0020", "{path}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    let channel = world.channel().await;
    let mut health = HealthClient::new(channel.clone());
    let asked = HealthCheckRequest::default();
    assert_eq!(health.check(asked.clone()).await.unwrap().into_inner().status, 1);
    assert_eq!(code(&health.watch(asked).await.unwrap_err()), Code::Unauthenticated);
    let refused = RegistryClient::new(channel.clone()).get(hello()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
    assert_eq!(code(&refused), Code::Unauthenticated);
    let refused = ClusterClient::new(channel).init(wire::InitRequest {}).await.unwrap_err();
    assert_eq!(code(&refused), Code::Unauthenticated);
}

#[tokio::test]
async fn documents_are_read_only() {
    let world = start();
    let ask = async |method: &str| {
        let mut request = bearer(get("/shelf"), &world.token);
        *request.method_mut() = method.parse().unwrap();
        world.network(request).await
    };
    let read = ask("GET").await;
    assert_eq!((read.status.as_u16(), read.text.as_str()), (200, "for localhost"));
    let head = ask("HEAD").await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    assert_eq!(head.headers["content-length"], "13");
    assert_eq!(head.headers["etag"], read.headers["etag"]);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let refused = ask(method).await;
        assert_eq!(refused.status, 405, "{method}");
        assert_eq!(refused.headers["allow"], "GET, HEAD");
        assert_eq!(refused.json()["code"], "KEIKO-0008");
    }
    assert_eq!(world.local(get("/shelf")).await.text, "for ", "no name over the socket");
}

#[tokio::test]
async fn tokens() {
    let world = start();
    let check = async |token: &str, path: &str, status: u16, code: &str| {
        let answer = world.network(bearer(get(path), token)).await;
        assert_eq!(answer.status, status, "{path} {}", answer.text);
        if !code.is_empty() {
            assert_eq!(answer.json()["code"], code, "{path}");
        }
    };
    check(&world.token, HELLO, 200, "").await;
    check(&world.token, "/v1/objects/agent/default/other", 403, "KEIKO-0022").await;
    check(&world.token, "/v1/objects/agent/other/hello", 403, "KEIKO-0022").await;
    check(&world.token, "/metrics", 403, "KEIKO-0022").await;
    check(&world.token, "/nothing", 404, "KEIKO-0008").await;
    check(&world.expired, HELLO, 401, "KEIKO-0028").await;
    check("keiko", HELLO, 401, "KEIKO-0021").await;
    let ours = world.authority.ca_hash();
    let unknown = token::new_token(ours).unwrap().text;
    check(&unknown, HELLO, 401, "KEIKO-0021").await;
    let foreign = token::new_token(&"0".repeat(64)).unwrap().text;
    check(&foreign, HELLO, 401, "KEIKO-0012").await;
    // The right id with another secret.
    let parts: Vec<_> = unknown.split('.').collect();
    let known: Vec<_> = world.token.split('.').collect();
    check(&format!("keiko.{}.{}.{ours}", known[1], parts[2]), HELLO, 401, "KEIKO-0021").await;
}

#[tokio::test]
async fn tokens_over_grpc() {
    let world = start();
    let mut client = RegistryClient::new(world.channel().await);
    let request = |token: &str, name: &str| {
        let mut request = tonic::Request::new(wire::GetRequest { name: name.into(), ..hello() });
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        request
    };
    client.get(request(&world.token, "hello")).await.unwrap();
    let refused = client.get(request(&world.token, "other")).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    let refusal = status::to_refusal(&refused);
    assert!(refusal.message.contains("registry.read on agent/default/other"), "{refusal}");
    let refused = client.get(request(&world.expired, "hello")).await.unwrap_err();
    assert_eq!(code(&refused), Code::TokenExpired);
}

#[tokio::test]
async fn a_token_that_is_traded_is_good_for_nothing_else() {
    let world = start();
    let check = async |token: &str, request: Request<String>, status: u16, code: &str| {
        let answer = world.network(bearer(request, token)).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        if !code.is_empty() {
            assert_eq!(answer.json()["code"], code);
        }
    };
    let enroll = || Request::post("/v1/certificates:enroll").body("{}".to_owned()).unwrap();
    let fresh = world.one_use(|_| {});
    check(&fresh, get(HELLO), 403, "KEIKO-0022").await;
    check(&fresh, enroll(), 200, "").await;
    // Who lost the answer asks again; the law knows whether they are the same.
    let used = world.one_use(|token| token.used_ms = 7);
    check(&used, get(HELLO), 401, "KEIKO-0027").await;
    check(&used, enroll(), 200, "").await;
    let late = world.one_use(|token| token.expires_ms = 1);
    check(&late, get(HELLO), 401, "KEIKO-0028").await;
    check(&late, enroll(), 401, "KEIKO-0028").await;
    // Only who has the secret hears it.
    let unknown = token::new_token(world.authority.ca_hash()).unwrap().text;
    let secret = unknown.split('.').nth(2).unwrap();
    for known in [&used, &late] {
        let mut parts: Vec<_> = known.split('.').collect();
        parts[2] = secret;
        check(&parts.join("."), enroll(), 401, "KEIKO-0021").await;
    }
}

#[tokio::test]
async fn the_socket_is_admin_for_admitted_uids_only() {
    let world = start();
    assert_eq!(world.local(get("/v1/objects/agent/x/y")).await.status, 200);
    assert_eq!(world.local(get("/metrics")).await.text, "# EOF\n");
    let mut client = RegistryClient::new(world.local_channel().await);
    client.get(hello()).await.unwrap();
    // Who shows a token is its bearer, on the socket too.
    let other = bearer(get("/v1/objects/agent/x/y"), &world.token);
    assert_eq!(world.local(other).await.status, 403);

    // A reload that takes the uid away counts for open connections too.
    world.admitted.store(false, Ordering::Relaxed);
    let refused = client.get(hello()).await.unwrap_err();
    assert_eq!(code(&refused), Code::Unauthenticated);
    let answer = world.local(bearer(get(HELLO), &world.token)).await;
    assert_eq!(answer.status, 401);
    assert!(answer.json()["hints"][0].as_str().unwrap().contains("[socket] uids"));
}

#[tokio::test]
async fn only_tls_1_3() {
    let world = start();
    world.tls(b"h2", &[&rustls::version::TLS13]).await.unwrap();
    world.tls(b"h2", &[&rustls::version::TLS12]).await.unwrap_err();
}

#[tokio::test]
async fn a_node_without_cluster_waits_and_says_so() {
    let world = start();
    world.set(Phase::Waiting);
    assert_eq!(world.network(get("/livez")).await.status, 200);
    let ready = world.network(get("/readyz")).await;
    assert_eq!(ready.status, 503);
    assert!(ready.text.contains("missing cluster: keikoctl cluster init"), "{}", ready.text);
    let mut request = get("/readyz");
    request.headers_mut().insert("accept", "application/json".parse().unwrap());
    assert_eq!(world.network(request).await.json()["missing"][0]["what"], "cluster");

    let answer = world.network(bearer(get(HELLO), &world.token)).await;
    assert_eq!(answer.json()["code"], "KEIKO-0041");
    assert_eq!(world.network(get("/v1/status")).await.status, 401);
    let mut health = HealthClient::new(world.channel().await);
    let asked = HealthCheckRequest::default();
    assert_eq!(health.check(asked).await.unwrap().into_inner().status, 2);

    let local = world.local_channel().await;
    let mut cluster = ClusterClient::new(local.clone());
    cluster.status(wire::StatusRequest {}).await.unwrap();
    cluster.init(wire::InitRequest {}).await.unwrap();
    assert_eq!(world.local(get("/v1/status")).await.status, 200);
    let refused = RegistryClient::new(local).get(hello()).await.unwrap_err();
    assert_eq!(code(&refused), Code::NotFounded);
}
