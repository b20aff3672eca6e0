//! Client certificates: who is let in as whom, and what ends a handshake.

use super::clients::{Badge, bearer, get};
use super::harness::{CLUSTER, start};
use crate::net::seal::Keys;
use crate::net::{Authority, status};
use http::Request;
use keiko_core::refusal::Code;
use keiko_proto::v1 as wire;
use keiko_proto::v1::registry_client::RegistryClient;
use keiko_proto::v1::security_client::SecurityClient;
use rustls::AlertDescription;
use std::time::{Duration, SystemTime};
use tokio::io::AsyncReadExt as _;

const HELLO: &str = "/v1/objects/agent/default/hello";
const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn a_certificate_says_who_and_the_cluster_what_they_may() {
    let world = start();
    let ann = world.enroll("ann", "viewer");
    let mut desk = SecurityClient::new(world.channel_as(&ann).await);
    let who = desk.who_am_i(wire::WhoAmIRequest {}).await.unwrap().into_inner();
    let person = wire::Person { name: "ann".into() };
    assert_eq!(who.actor.unwrap().who, Some(wire::actor::Who::Person(person)));
    assert_eq!(who.role, "viewer");
    assert_eq!(world.network_as(&ann, get(HELLO)).await.status, 200);
    assert_eq!(world.network_as(&ann, get("/metrics")).await.status, 200);

    // The role is the cluster's to change, also on a connection that is open.
    world.known.change_people(|people| people[0].role = "agent".into());
    let who = desk.who_am_i(wire::WhoAmIRequest {}).await.unwrap().into_inner();
    assert_eq!(who.role, "agent");
    assert_eq!(world.network_as(&ann, get("/metrics")).await.status, 403);
    // Who shows a token, too, wants to be its bearer.
    let answer = world.network_as(&ann, bearer(get(HELLO), &world.token)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn a_declared_role_grants_what_it_says_and_no_more() {
    let world = start();
    let ann = world.enroll("ann", "guest");
    let other = "/v1/objects/agent/team-b/hello";
    assert_eq!(world.network_as(&ann, get(HELLO)).await.status, 403, "a guest holds nothing");
    world.known.bind(&["registry.read"], &["agent/default/*"]);
    assert_eq!(world.network_as(&ann, get(HELLO)).await.status, 200);
    for path in [other, "/metrics"] {
        let answer = world.network_as(&ann, get(path)).await;
        assert_eq!(answer.json()["code"], "KEIKO-0022", "{path}: {}", answer.text);
    }
    world.known.bind(&["metrics.*"], &[]);
    assert_eq!(world.network_as(&ann, get("/metrics")).await.status, 200);
    assert_eq!(world.network_as(&ann, get(HELLO)).await.status, 403);
    world.known.unbind();
    assert_eq!(world.network_as(&ann, get("/metrics")).await.status, 403);
}

#[tokio::test]
async fn who_is_not_known_by_their_certificate() {
    let world = start();
    let refused = async |badge: &Badge, why: &str| {
        let answer = world.network_as(badge, get(HELLO)).await;
        assert_eq!(answer.status, 401, "{}", answer.text);
        assert_eq!(answer.json()["code"], "KEIKO-0029", "{}", answer.text);
        assert!(answer.text.contains(why), "{why}: {}", answer.text);
        let mut client = RegistryClient::new(world.channel_as(badge).await);
        let refused = client.get(wire::GetRequest::default()).await.unwrap_err();
        assert_eq!(status::to_refusal(&refused).code, Code::CertificateInvalid);
    };
    let nobody = Badge::of(&world.authority, "nobody", SystemTime::now());
    refused(&nobody, "nobody is known as nobody").await;
    let before = world.enroll("bob", "admin");
    let now = world.enroll("bob", "admin");
    refused(&before, "enrolled anew").await;
    assert_eq!(world.network_as(&now, get(HELLO)).await.status, 200);
    world.known.change_people(Vec::clear);
    refused(&now, "nobody is known as bob").await;
}

#[tokio::test]
async fn a_nodes_certificate_is_nobody_here() {
    let world = start();
    let request = world.renewal.key.csr().unwrap();
    let signed = world.authority.sign_node(&request, "n1", &[]).unwrap();
    let badge = Badge::of_node(&world.renewal, signed.pem_chain);
    let answer = world.network_as(&badge, get(HELLO)).await;
    assert_eq!(answer.json()["code"], "KEIKO-0020", "{}", answer.text);
    assert_eq!(world.network_as(&badge, get("/livez")).await.status, 200);
}

#[tokio::test]
async fn who_comes_with_an_expired_certificate_is_told_what_to_do() {
    let world = start();
    // Known, and by this key: nothing is wrong but the time.
    let ann = world.enroll_then("ann", "admin", SystemTime::now() - 31 * DAY);
    let enroll = Request::post("/v1/certificates:enroll").body("{}".to_owned()).unwrap();
    for request in [get(HELLO), get("/metrics"), enroll] {
        let answer = world.network_as(&ann, request).await;
        assert_eq!(answer.status, 401, "{}", answer.text);
        let refusal = answer.json();
        assert_eq!(refusal["code"], "KEIKO-0029", "{refusal}");
        assert!(refusal["causes"][0].as_str().unwrap().contains("it expired"), "{refusal}");
        let hints = refusal["hints"].to_string();
        assert!(hints.contains("keikoctl context add NAME --replace"), "{hints}");
    }
    let mut client = RegistryClient::new(world.channel_as(&ann).await);
    let refused = client.get(wire::GetRequest::default()).await.unwrap_err();
    assert_eq!(status::to_refusal(&refused).code, Code::CertificateInvalid);
    assert_eq!(world.network_as(&ann, get("/livez")).await.status, 200);
    assert_eq!(world.network_as(&ann, bearer(get(HELLO), &world.token)).await.status, 200);
}

#[tokio::test]
async fn a_bad_certificate_ends_the_handshake_and_says_why() {
    let world = start();
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::open(&folder.path().join("keys")).unwrap();
    let foreign = |cluster: &str| {
        Authority::open(&Authority::create(cluster, &keys).unwrap().0, &keys).unwrap()
    };
    let now = SystemTime::now();
    for (badge, expect) in [
        // Of the same name, so that only the signature tells them apart.
        (Badge::of(&foreign(CLUSTER), "ann", now), AlertDescription::DecryptError),
        (Badge::of(&foreign("c-2"), "ann", now), AlertDescription::UnknownCA),
        // Signed elsewhere and over: rustls tells of the time first.
        (Badge::of(&foreign("c-2"), "ann", now - 31 * DAY), AlertDescription::CertificateExpired),
        (Badge::of(&world.authority, "ann", now + 2 * DAY), AlertDescription::CertificateExpired),
    ] {
        // In TLS 1.3 a client is done before the server has looked at its certificate.
        let version = &[&rustls::version::TLS13];
        let mut stream = world.tls_as(Some(&badge), b"http/1.1", version).await.unwrap();
        let error = stream.read_u8().await.unwrap_err();
        let told = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        assert_eq!(told, Some(&rustls::Error::AlertReceived(expect)), "{error}");
    }
}
