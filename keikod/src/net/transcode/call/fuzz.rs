//! Queries and request ids of HTTP/JSON calls, for every message that a method takes.

use super::{PARAMETERS_MAX, from_query, request_id, uuid_to_base64};
use crate::fuzz::{check_refusal, mutate};
use http::{HeaderMap, HeaderValue};
use keiko_core::refusal::Code;
use keiko_proto::json::{dynamic_to_json, from_json, pool};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};

const WORDS: &[&str] = &[
    "kind=agent",
    "at.revision=7",
    "at.unix_ms=1",
    "limit=",
    "namespace=default",
    "labelSelector=a%3Db",
    "requestId=01890f1e-0000-7000-8000-000000000001",
    "request_id=AAECAw==",
    "&",
    "=",
    ".",
    "%",
    "+",
    "=true",
    "=-1",
    "=18446744073709551615",
    "consistency=",
    "object.metadata.labels.a=b",
    "arguments={",
];

fn inputs() -> Vec<MessageDescriptor> {
    let methods = pool().services().flat_map(|service| service.methods().collect::<Vec<_>>());
    methods.map(|method| method.input()).collect()
}

#[test]
fn any_query() {
    let inputs = inputs();
    assert!(inputs.len() > 10, "every method of every service");
    let corpus = [
        "kind=agent&namespace=default&labelSelector=team%3Dred&limit=10",
        "at.revision=7&pageToken=a/b",
        "object.kind=KIND_AGENT&object.name=hello",
        "name=time.now&arguments=%7B%22a%22%3A1%7D",
        "since=1&follow=true&subject=agent/default/hello",
        "requestId=01890f1e-0000-7000-8000-000000000001",
    ];
    mutate::run("queries", &corpus, WORDS, |bytes| {
        // Read once for every method, and so a part of what fits into a head.
        let query = String::from_utf8_lossy(&bytes[..bytes.len().min(8 << 10)]);
        for input in &inputs {
            let message = match from_query(input, &query) {
                Ok(message) => message,
                Err(why) => {
                    check_refusal(&why, &[Code::InvalidArgument, Code::LimitExceeded]);
                    continue;
                }
            };
            assert!(query.split('&').filter(|part| !part.is_empty()).count() <= PARAMETERS_MAX);
            let encoded = message.encode_to_vec();
            let decoded = DynamicMessage::decode(input.clone(), encoded.as_slice());
            let mut shown = dynamic_to_json(&decoded.expect("as written"));
            uuid_to_base64(&mut shown);
            let again = from_json(input.clone(), shown.clone());
            let again = again.unwrap_or_else(|error| panic!("{}: {error}: {shown}", input.name()));
            assert_eq!(dynamic_to_json(&again), shown, "{}", input.name());
        }
    });
}

#[test]
fn any_request_id() {
    let corpus =
        ["01890f1e-0000-7000-8000-000000000001", "{01890f1e000070008000000000000001}", "urn:uuid:"];
    mutate::run("request ids", &corpus, WORDS, |bytes| {
        let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", value.clone());
        let lenient = request_id(&headers).expect("what proxies set is never refused");
        headers.insert("idempotency-key", value);
        match request_id(&headers) {
            Ok(strict) => assert!(strict.is_some() && strict == lenient, "{strict:?} {lenient:?}"),
            Err(why) => {
                check_refusal(&why, &[Code::InvalidArgument]);
                assert_eq!(lenient, None);
            }
        }
    });
}
