//! Several members of one cluster behind one endpoint.

use crate::authority::{Authority, asks, behind, by};
use crate::script::{Script, coded};
use crate::token;
use keiko_client::{Client, Endpoint, Identity, Settings, Trust, code};

fn several(ports: &[u16]) -> Endpoint {
    let places: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    places.join(",").parse().unwrap()
}

/// Two members, tried in this order.
async fn both(first: &Script, second: &Script) -> Settings {
    let ca = Authority::new("ours");
    // They serve for as long as the test does.
    let (first, _) = behind(&ca, first, "127.0.0.1").await;
    let (second, _) = behind(&ca, second, "127.0.0.1").await;
    let trust = Some(Trust::Authority(ca.der.clone()));
    by(several(&[first, second]), Identity::Process, trust)
}

#[tokio::test]
async fn of_several_members_one_that_answers_is_taken() {
    let (script, ca) = (Script::default(), Authority::new("ours"));
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (first, serving) = behind(&ca, &script, "127.0.0.1").await;
    let (second, _stays) = behind(&ca, &script, "127.0.0.1").await;
    let trust = Some(Trust::Authority(ca.der.clone()));
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
    let wrong = Some(Trust::Authority(Authority::new("theirs").der.clone()));
    let refused = asks(by(several(&[dead, second]), Identity::Process, wrong)).await;
    assert_eq!(refused, Err(code::WRONG_CLUSTER));
}

#[tokio::test]
async fn one_that_cannot_take_a_call_now_is_left_for_another() {
    let (first, second) = (Script::default(), Script::default());
    let settings = both(&first, &second).await;
    for (number, retryable, expect_calls) in [
        (code::NO_LEADER, true, (1, 2)),
        (code::ISOLATED, true, (1, 2)),
        (code::DRAINING, true, (1, 2)),
        (code::NOT_READY, true, (1, 2)),
        (code::PERMISSION_DENIED, false, (2, 0)),
    ] {
        first.refuse(vec![coded(number, retryable); 2]);
        second.refuse(Vec::new());
        let client = Client::with(settings.clone()).await.unwrap();
        let written = token(&client, None).await;
        assert_eq!(written.is_ok(), retryable, "KEIKO-{number:04}");
        // The next call begins where the last one ended.
        let read = client.status().await;
        assert_eq!(read.is_ok(), retryable, "KEIKO-{number:04}");
        assert_eq!((first.calls(), second.calls()), expect_calls, "KEIKO-{number:04}");
        if retryable {
            assert_eq!(first.request_ids(), second.request_ids(), "KEIKO-{number:04}");
        }
    }
}

#[tokio::test]
async fn members_that_all_hear_nobody_are_asked_once_each() {
    let (first, second) = (Script::default(), Script::default());
    let settings = both(&first, &second).await;
    for script in [&first, &second] {
        script.refuse(vec![coded(code::ISOLATED, true); 9]);
    }
    let refused = asks(settings).await;
    assert_eq!(refused, Err(code::ISOLATED));
    assert_eq!((first.calls(), second.calls()), (1, 1));
}

#[tokio::test]
async fn calls_that_are_refused_together_change_the_member_once() {
    let (first, second) = (Script::default(), Script::default());
    let settings = both(&first, &second).await;
    first.refuse(vec![coded(code::NO_LEADER, true); 99]);
    let client = Client::with(settings).await.unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let client = client.clone();
        calls.spawn(async move { client.status().await.map(drop) });
    }
    while let Some(called) = calls.join_next().await {
        called.unwrap().unwrap();
    }
    assert_eq!(second.calls(), 8);
}
