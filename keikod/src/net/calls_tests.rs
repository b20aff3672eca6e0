use super::*;
use http_body_util::{BodyExt as _, Full, StreamBody};

fn token(id: &str) -> Identity {
    let (id, role) = (id.to_owned(), "agent".to_owned());
    Identity::Token {
        id,
        role,
        scope: String::new(),
        expires_ms: 1,
        one_use: false,
        bound: Default::default(),
    }
}

fn person(name: &str) -> Identity {
    let (name, role) = (name.to_owned(), "viewer".to_owned());
    Identity::Person { name, role, scope: String::new(), expires_ms: 1, bound: Default::default() }
}

fn socket() -> Identity {
    Identity::Socket { node: "n1".into(), uid: 0 }
}

fn is_empty(calls: &Calls) -> bool {
    let open = calls.open();
    open.of.is_empty() && (open.tokens, open.people, open.bytes) == (0, 0, 0)
}

#[test]
fn nobody_takes_the_turns_of_all() {
    for (who, own_max, all_max) in [
        (token as fn(&str) -> Identity, OF_TOKEN_MAX, ALL_TOKENS_MAX),
        (person as fn(&str) -> Identity, OF_PERSON_MAX, ALL_PEOPLE_MAX),
    ] {
        let calls = Calls::default();
        let begin = |name: &str| calls.begin(&who(name), false);
        let mut open: Vec<_> = (0..own_max).map(|_| begin("a").unwrap()).collect();
        assert_eq!(begin("a").unwrap_err().code, Code::LimitExceeded);
        let other = begin("b").unwrap();
        open.pop();
        open.push(begin("a").unwrap());
        drop((open, other));
        assert!(is_empty(&calls), "nothing is kept of who is gone");

        let several = |index: usize| begin(&format!("t{}", index / own_max));
        let open: Vec<_> = (0..all_max).map(|index| several(index).unwrap()).collect();
        let refused = begin("one more").unwrap_err();
        assert!(refused.message.contains(&all_max.to_string()), "{refused}");
        for other in [token("x"), person("x")] {
            let is_same = std::mem::discriminant(&other) == std::mem::discriminant(&who("x"));
            assert_eq!(calls.begin(&other, false).is_err(), is_same, "they have their own");
        }
        drop(open);
        begin("one more").unwrap();
        assert!(is_empty(&calls));
    }
}

#[test]
fn of_the_socket_streams_only() {
    let calls = Calls::default();
    assert!(calls.begin(&socket(), false).unwrap().is_none());
    let begin = || calls.begin(&socket(), true);
    let open: Vec<_> = (0..SOCKET_STREAMS_MAX).map(|_| begin().unwrap()).collect();
    assert_eq!(begin().unwrap_err().code, Code::LimitExceeded);
    calls.begin(&token("a"), false).unwrap();
    drop(open);
    assert!(is_empty(&calls));
}

fn body(chunks: Vec<usize>) -> Body {
    let frames =
        chunks.into_iter().map(|size| Ok::<_, Status>(Frame::data(Bytes::from(vec![0; size]))));
    Body::new(StreamBody::new(futures::stream::iter(frames)))
}

#[tokio::test]
async fn a_body_is_weighed_until_its_call_ends() {
    let calls = Calls::default();
    let mut calls_open = Vec::new();
    let each = 4 << 20;
    for _ in 0..OF_ONE_BYTES_MAX / each {
        let call = calls.begin(&token("a"), false).unwrap();
        let request = weigh(Request::new(body(vec![each / 2; 2])), call.as_ref(), false);
        // Read and gone; the message that was made of it is not.
        assert_eq!(request.into_body().collect().await.unwrap().to_bytes().len(), each);
        calls_open.push(call);
    }
    assert_eq!(calls.open().bytes, OF_ONE_BYTES_MAX);
    let send = async |who: Identity| {
        let call = calls.begin(&who, false).unwrap();
        let request = weigh(Request::new(body(vec![1])), call.as_ref(), false);
        request.into_body().collect().await.map(drop)
    };
    let refused = send(token("a")).await.unwrap_err();
    assert_eq!(super::super::status::to_refusal(&refused).code, Code::LimitExceeded);
    send(token("b")).await.unwrap();
    calls_open.pop();
    send(token("a")).await.unwrap();
    drop(calls_open);
    assert!(is_empty(&calls));
}

#[tokio::test]
async fn all_together_are_bounded() {
    let calls = Calls::default();
    let each = OF_ONE_BYTES_MAX;
    let mut open = Vec::new();
    for index in 0..ALL_BYTES_MAX / each {
        let call = calls.begin(&person(&format!("p{index}")), false).unwrap().unwrap();
        call.keep(each).unwrap();
        open.push(call);
    }
    let call = calls.begin(&person("last"), false).unwrap().unwrap();
    assert!(call.take(1).unwrap_err().message.contains("all callers"));
    drop((open, call));
    assert!(is_empty(&calls));
}

#[test]
fn of_a_stream_only_the_message_that_is_not_complete_counts() {
    let message = |size: u32| {
        let mut bytes = vec![0];
        bytes.extend(size.to_be_bytes());
        bytes.extend(vec![7; size as usize]);
        bytes
    };
    let all = [message(300), message(0), message(1000)].concat();
    let borders: [usize; 3] = [305, 310, 1315];
    for step in [1, 2, 5, 7, 299, 2000] {
        let (mut messages, mut seen) = (Messages::default(), 0);
        for part in all.chunks(step) {
            seen += part.len();
            let have = messages.after(part);
            let begun = borders.iter().rev().find(|border| **border <= seen).copied().unwrap_or(0);
            assert_eq!(have, (seen - begun).saturating_sub(5), "{step} {seen}");
        }
    }
}

#[tokio::test]
async fn an_answer_counts_until_it_is_gone() {
    let calls = Calls::default();
    let call = || calls.begin(&token("a"), false).unwrap();
    let full = Body::new(Full::new(Bytes::from_static(b"{}")));
    let answer = hold(Response::new(full), call());
    assert_eq!(calls.open().of[&Key::Token("a".into())].calls, 1);
    drop(answer);
    assert!(is_empty(&calls));

    // The part on its way out is weighed, not what was sent before.
    let mut answer = hold(Response::new(body(vec![10, 20, 0])), call()).into_body();
    for expect in [10, 20, 0] {
        answer.frame().await.unwrap().unwrap();
        assert_eq!(calls.open().bytes, expect);
    }
    assert!(answer.frame().await.is_none());
    drop(answer);
    assert!(is_empty(&calls));

    let hog = call().unwrap();
    hog.keep(OF_ONE_BYTES_MAX).unwrap();
    let mut answer = hold(Response::new(body(vec![1, 1])), call()).into_body();
    let trailers = answer.frame().await.unwrap().unwrap().into_trailers().unwrap();
    let status = Status::from_header_map(&trailers).unwrap();
    assert_eq!(super::super::status::to_refusal(&status).code, Code::LimitExceeded);
    assert!(answer.frame().await.is_none(), "nothing follows a refusal");
}
