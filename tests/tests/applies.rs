//! Many declarations over one stream: in order, each answered for itself, each once.

use hyper_util::rt::TokioIo;
use keiko_client::proto::v1 as wire;
use keiko_client::{Client, Endpoint, Identity, Trust};
use keiko_core::refusal::Code;
use keiko_tests::journal::{connect, journal};
use keiko_tests::shared::unique;
use keiko_tests::{Node, Plan, seed, shared};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use uuid::Uuid;
use wire::apply_stream_response::Answer;
use wire::registry_client::RegistryClient;

/// Far more than the window.
const MANY: usize = 600;

fn declaration(name: &str, note: &str) -> wire::ApplyRequest {
    keiko_tests::declaration::apply(wire::Metadata {
        name: name.to_owned(),
        annotations: [("note".to_owned(), note.to_owned())].into(),
        ..Default::default()
    })
}

fn tool() -> wire::ApplyRequest {
    let object =
        Some(wire::Object { object: Some(wire::object::Object::Tool(wire::Tool::default())) });
    wire::ApplyRequest { object, ..Default::default() }
}

/// The answers to these requests, sent at once.
async fn answers(client: &Client, asked: Vec<wire::ApplyRequest>) -> Vec<Answer> {
    let count = asked.len();
    let requests = tokio_stream::iter(asked);
    let stream = client.registry().apply_stream(requests).await.expect("a stream").into_inner();
    let answers: Vec<_> = stream.map(|answer| answer.expect("an answer").answer).collect().await;
    assert_eq!(answers.len(), count);
    answers.into_iter().map(|answer| answer.expect("of a kind")).collect()
}

fn code(answer: &Answer) -> u32 {
    match answer {
        Answer::Response(_) => 0,
        Answer::Refusal(refusal) => refusal.code,
    }
}

#[tokio::test]
async fn each_request_is_answered_for_itself_and_in_order() {
    let client = connect(shared()).await;
    let (name, other) = (unique("stream"), unique("stream"));
    let brief = wire::ApplyRequest { brief: true, ..declaration(&other, "one") };
    let got = answers(
        &client,
        vec![
            declaration(&name, "one"),
            tool(),
            wire::ApplyRequest { dry_run: true, ..declaration(&name, "two") },
            wire::ApplyRequest { revision: 1, ..declaration(&name, "three") },
            wire::ApplyRequest { request_id: vec![7], ..declaration(&name, "four") },
            brief,
            declaration(&name, "five"),
        ],
    )
    .await;
    let codes: Vec<_> = got.iter().map(code).collect();
    let number = |code: Code| code as u32;
    let invalid = number(Code::InvalidArgument);
    let expect = [0, invalid, invalid, number(Code::RevisionConflict), invalid, 0, 0];
    assert_eq!(codes, expect, "{got:?}");
    let [Answer::Response(first), .., Answer::Response(brief), Answer::Response(last)] = &got[..]
    else {
        panic!("{got:?}")
    };
    assert!(brief.object.is_none() && brief.change() == wire::Change::Created, "{brief:?}");
    let (first, last) = (first.clone(), last.clone());
    assert_eq!((first.change(), last.change()), (wire::Change::Created, wire::Change::Updated));
    let note = |response: wire::ApplyResponse| {
        let object = response.object.and_then(|object| object.object).expect("an object");
        let wire::object::Object::Agent(agent) = object else { panic!("{object:?}") };
        agent.metadata.unwrap_or_default().annotations["note"].clone()
    };
    let revision = |response: &wire::ApplyResponse| response.write.unwrap_or_default().revision;
    assert!(revision(&first) < revision(&last));
    // Each as its own write left it, though the later one was proposed before the first answer.
    assert_eq!((note(first), note(last)), ("one".to_owned(), "five".to_owned()));
}

#[tokio::test]
async fn a_token_declares_its_own_entry_by_stream_and_no_other() {
    let node = shared();
    let (mine, other) = (unique("stream"), unique("stream"));
    let token = node.ctl.json(&format!("agent token {mine}"));
    let client = Client::with(keiko_client::Settings {
        endpoint: format!("https://{}", node.api()).parse::<Endpoint>().expect("an endpoint"),
        identity: Identity::Token(token["token"].as_str().expect("a text").to_owned()),
        trust: Some(Trust::from_pem(&node.ca_pem()).expect("a certificate")),
        timeout: keiko_tests::DEADLINE,
        fence: None,
    });
    let client = client.await.expect("a connection");
    let asked = [&mine, &other, &mine].map(|name| declaration(name, "x"));
    let codes: Vec<_> = answers(&client, asked.into()).await.iter().map(code).collect();
    assert_eq!(codes, [0, Code::PermissionDenied as u32, 0]);
}

/// A client with the windows that HTTP/2 has by itself: 64 KiB of answers wait in it, and no more.
async fn plain(node: &Node) -> RegistryClient<Channel> {
    let socket = node.socket();
    let connector = tower::service_fn(move |_| {
        let stream = UnixStream::connect(socket.clone());
        async move { stream.await.map(TokioIo::new) }
    });
    let channel = tonic::transport::Endpoint::from_static("http://socket");
    RegistryClient::new(channel.connect_with_connector(connector).await.expect("it listens"))
}

/// Whoever does not read answers is not read from.
#[tokio::test]
async fn what_is_under_way_has_a_bound() {
    let node = Node::start(Plan::default());
    let mut registry = plain(&node).await;
    let note = "x".repeat(32 << 10);
    let (sender, requests) = tokio::sync::mpsc::channel(MANY);
    for number in 0..MANY {
        let asked = declaration(&format!("agent-{number}"), &note);
        sender.try_send(asked).expect("room for all");
    }
    drop(sender);
    let opened = registry.apply_stream(ReceiverStream::new(requests)).await;
    let mut stream = opened.expect("a stream").into_inner();
    let mut known = 0;
    // Until nothing more comes for a second.
    loop {
        sleep(Duration::from_secs(1)).await;
        // An unread stream holds up the connection that it is on: this has one of its own.
        let now = node.ctl.ok("agent list -o name").stdout.lines().count();
        if now == known && now > 0 {
            break;
        }
        known = now;
    }
    // The window of 128, and what lies in both ends' buffers: some two MiB.
    assert!(known < MANY / 2, "{known} of {MANY} were carried out, and no answer read");
    let mut answered = 0;
    while let Some(answer) = stream.message().await.expect("an answer") {
        assert!(matches!(answer.answer, Some(Answer::Response(_))), "{answer:?}");
        answered += 1;
    }
    assert_eq!(answered, MANY);
}

/// The stream breaks again and again; all is answered, and all took effect once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_stream_loses_nothing_and_repeats_nothing() {
    let mut node = Node::start(Plan::default());
    let mut dice = seed("applies");
    let client = connect(&node).await.within(Duration::from_secs(60));
    let applies = client.applies();
    let mut running = tokio::task::JoinSet::new();
    for number in 0..MANY {
        let (applies, id) = (applies.clone(), client.request_id());
        running.spawn(async move {
            let asked = declaration(&format!("agent-{number}"), "x");
            let asked = wire::ApplyRequest { brief: true, ..asked };
            (id, applies.apply(Some(id), asked).await)
        });
    }
    drop(applies);
    let mut acknowledged: Vec<(Uuid, u64)> = Vec::new();
    for kill in 0..3 {
        // Somewhere in the middle.
        let enough = acknowledged.len() + 50 + usize::try_from(dice.below(100)).unwrap_or(0);
        while acknowledged.len() < enough {
            let (id, answer) = running.join_next().await.expect("some are left").expect("a task");
            let answer = answer.expect("an answer");
            assert_eq!(answer.change(), wire::Change::Created, "twice: {id}, kill {kill}");
            acknowledged.push((id, answer.write.unwrap_or_default().revision));
        }
        node.kill_9();
        node.restart();
    }
    let rest = timeout(Duration::from_secs(60), running.join_all()).await.expect("all answers");
    for (id, answer) in rest {
        let answer = answer.expect("an answer");
        assert_eq!(answer.change(), wire::Change::Created, "twice: {id}");
        acknowledged.push((id, answer.write.unwrap_or_default().revision));
    }
    assert_eq!(acknowledged.len(), MANY);
    let journal = journal(&connect(&node).await, 1).await;
    for (id, revision) in acknowledged {
        assert_eq!(journal.get(&id.to_string()), Some(&revision), "LOST: {id}");
    }
}
