//! Live streams: they count, and they end when their caller no longer may read them.

use super::clients::{bearer, get};
use super::harness::{World, start, start_with};
use crate::net::{Limits, status};
use keiko_core::refusal::Code;
use keiko_proto::v1 as wire;
use keiko_proto::v1::registry_client::RegistryClient;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tonic::{Request, Status, Streaming};

const RECHECK: Duration = Duration::from_millis(10);
// Long enough for a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);

type Client = RegistryClient<tonic::transport::Channel>;

fn quick() -> World {
    start_with(Limits { recheck: RECHECK, ..Limits::default() })
}

fn shown<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    if !token.is_empty() {
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    request
}

/// A stream that has given all it has and stays open.
async fn open(client: &mut Client, token: &str) -> Result<Streaming<wire::WatchResponse>, Status> {
    let ask = wire::WatchRequest { name: "open".into(), ..Default::default() };
    let mut stream = client.watch(shown(ask, token)).await?.into_inner();
    for revision in 1..=2 {
        assert_eq!(stream.message().await?.unwrap().revision, revision);
    }
    Ok(stream)
}

async fn ends(mut stream: Streaming<wire::WatchResponse>, expect: Code) {
    let ended = tokio::time::timeout(PATIENCE, stream.message()).await.expect("ended by then");
    assert_eq!(status::to_refusal(&ended.unwrap_err()).code, expect);
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let check = async |change: fn(&mut Vec<wire::Token>), expect: Code| {
        let world = quick();
        let mut client = RegistryClient::new(world.channel().await);
        let mut stream = open(&mut client, &world.token).await.unwrap();
        let still = tokio::time::timeout(RECHECK * 5, stream.message()).await;
        assert!(still.is_err(), "a good token's stream stays: {still:?}");
        world.known.change(change);
        ends(stream, expect).await;
    };
    check(Vec::clear, Code::TokenInvalid).await;
    check(|all| all[0].expires_ms = 1, Code::TokenExpired).await;
    check(|all| all[0].role = "other".into(), Code::TokenInvalid).await;
    check(|all| all[0].scope = "agent/default/other".into(), Code::TokenInvalid).await;
}

#[tokio::test]
async fn a_stream_ends_with_the_role_and_the_key_of_its_person() {
    let check = async |change: fn(&mut Vec<wire::PersonEntry>)| {
        let world = quick();
        let badge = world.enroll("ann", "viewer");
        let mut client = RegistryClient::new(world.channel_as(&badge).await);
        let mut stream = open(&mut client, "").await.unwrap();
        let still = tokio::time::timeout(RECHECK * 5, stream.message()).await;
        assert!(still.is_err(), "a viewer's stream stays: {still:?}");
        world.known.change_people(change);
        ends(stream, Code::CertificateInvalid).await;
    };
    check(Vec::clear).await;
    check(|all| all[0].role = "agent".into()).await;
    check(|all| all[0].key_hash = "0".repeat(64)).await;
}

#[tokio::test]
async fn a_stream_ends_with_what_was_bound() {
    let world = quick();
    let badge = world.enroll("ann", "guest");
    world.known.bind(&["registry.read"], &["agent/*"]);
    let mut client = RegistryClient::new(world.channel_as(&badge).await);
    let mut stream = open(&mut client, "").await.unwrap();
    // More is no reason to end, and neither is the same by another name.
    world.known.bind(&["registry.*", "tool.call"], &["*"]);
    let still = tokio::time::timeout(RECHECK * 5, stream.message()).await;
    assert!(still.is_err(), "who may more goes on: {still:?}");
    world.known.bind(&["registry.*"], &["agent/default/hello"]);
    ends(stream, Code::CertificateInvalid).await;
}

#[tokio::test]
async fn the_last_line_says_why() {
    let world = quick();
    let asking = world.network(bearer(get("/v1/watch/agent?name=open"), &world.token));
    let revoking = async {
        tokio::time::sleep(RECHECK * 5).await;
        world.known.change(Vec::clear);
    };
    let both = async { tokio::join!(asking, revoking) };
    let (answer, ()) = tokio::time::timeout(PATIENCE, both).await.expect("ended by then");
    let last: serde_json::Value =
        serde_json::from_str(answer.text.lines().last().unwrap()).unwrap();
    // A busy machine may come to the revocation before it comes to the call.
    let code = if answer.status == 200 { &last["error"]["code"] } else { &last["code"] };
    assert_eq!(code, "KEIKO-0021", "{}", answer.text);
}

#[tokio::test]
async fn a_stream_ends_with_the_admission_of_its_uid() {
    let world = quick();
    let mut client = RegistryClient::new(world.local_channel().await);
    let stream = open(&mut client, "").await.unwrap();
    world.admitted.store(false, Ordering::Relaxed);
    ends(stream, Code::Unauthenticated).await;
}

#[tokio::test]
async fn a_tokens_streams_count_while_they_live() {
    let world = start();
    let mut client = RegistryClient::new(world.channel().await);
    let mut streams = Vec::new();
    let refused = loop {
        match open(&mut client, &world.token).await {
            Ok(stream) => streams.push(stream),
            Err(refused) => break refused,
        }
        assert!(streams.len() < 1000, "there is a limit");
    };
    assert_eq!(streams.len(), 64);
    assert_eq!(status::to_refusal(&refused).code, Code::LimitExceeded);
    let hello = get("/v1/objects/agent/default/hello");
    assert_eq!(world.network(bearer(hello.clone(), &world.token)).await.status, 429);
    assert_eq!(world.local(hello.clone()).await.status, 200, "the socket is not counted");

    drop(streams);
    let freed = async {
        while world.network(bearer(hello.clone(), &world.token)).await.status != 200 {
            tokio::time::sleep(RECHECK).await;
        }
    };
    tokio::time::timeout(PATIENCE, freed).await.expect("freed by then");
}
