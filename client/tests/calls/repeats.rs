//! What is repeated, how often, and under which request id.

use crate::script::{Script, coded};
use crate::{over_socket, token};
use keiko_client::proto::v1 as wire;
use keiko_client::{Client, Endpoint, Fence, Identity, Settings, Trust, code};
use std::time::Duration;
use tonic::Status;

#[tokio::test]
async fn a_read_is_repeated_while_the_daemon_cannot_take_it() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Script::default());
    let client = over_socket(folder.path(), &script).await;
    for (number, retryable, expect_calls) in [
        (code::NO_LEADER, true, 3),
        (code::DRAINING, true, 3),
        // It says the same until others are heard, and there is nobody else to ask.
        (code::ISOLATED, true, 1),
        // Not retryable, or of a far side: the daemon knows better.
        (code::PERMISSION_DENIED, false, 1),
        (50, true, 1),
    ] {
        script.refuse(vec![coded(number, retryable), coded(number, retryable)]);
        let read = client.status().await;
        assert_eq!(script.calls(), expect_calls, "KEIKO-{number:04}");
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
    let ids = script.request_ids();
    assert_eq!(ids.len(), 4);
    assert_eq!(ids[0].len(), 16);
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[tokio::test]
async fn a_fence_goes_with_every_try() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Script::default());
    let client = over_socket(folder.path(), &script).await;
    token(&client, None).await.unwrap();
    let fence = Fence::new("default", "deploy", 41).unwrap();
    let fenced = client.fenced(Some(&fence)).unwrap();
    script.refuse(vec![coded(code::NO_LEADER, true)]);
    token(&fenced, None).await.unwrap();
    token(&fenced.fenced(None).unwrap(), None).await.unwrap();
    token(&client, None).await.unwrap();
    assert_eq!(script.calls(), 4);
    assert_eq!(script.0.lock().unwrap().fences, ["default/deploy=41", "default/deploy=41"]);
}

#[tokio::test]
async fn a_write_of_which_nobody_can_tell_is_told_again() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Script::default());
    let client = over_socket(folder.path(), &script).await;
    let unknown = || coded(code::OUTCOME_UNKNOWN, false);
    script.refuse(vec![unknown(), unknown()]);
    token(&client, None).await.unwrap();
    let ids = script.request_ids();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0]));

    // Not told again as if nothing had happened, when it can't be told any more.
    let expired = coded(code::REQUEST_ID_EXPIRED, false);
    for (refusals, expect, calls) in [
        (vec![unknown(), expired.clone()], code::OUTCOME_UNKNOWN, 2),
        (vec![Status::unavailable("broken"), expired], code::OUTCOME_UNKNOWN, 2),
        (vec![unknown(), coded(31, false)], 31, 2),
        (vec![unknown(), coded(code::ISOLATED, true)], code::OUTCOME_UNKNOWN, 2),
    ] {
        script.refuse(refusals);
        let error = token(&client, None).await.unwrap_err();
        assert_eq!((error.refusal.code, script.calls()), (expect, calls));
    }
    script.refuse(
        vec![unknown(); 1].into_iter().chain(vec![coded(code::NO_LEADER, true); 50]).collect(),
    );
    let error = token(&client.within(Duration::from_millis(300)), None).await.unwrap_err();
    assert_eq!(error.refusal.code, code::OUTCOME_UNKNOWN);

    // A read has no effect that could be in doubt.
    script.refuse(vec![unknown()]);
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
    let ids = script.request_ids();
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
        script.refuse(vec![status]);
        let called = client
            .once(wire::InitRequest {}, |client, request| async move {
                client.cluster().init(request).await
            })
            .await;
        assert_eq!(called.unwrap_err().refusal.code, expect);
        assert_eq!(script.calls(), 1);
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
    let settings = Settings { endpoint, identity: Identity::Process, trust, timeout, fence: None };
    assert_eq!(Client::with(settings).await.err().unwrap().refusal.code, code::UNREACHABLE);
}
