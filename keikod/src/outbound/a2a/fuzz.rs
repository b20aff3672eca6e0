//! Agent cards and answers of agents that no standard knows.

use super::card::{Binding, Card, Version};
use super::outcome::{self, Progress};
use super::signature::{CardKey, SignatureState, judge};
use crate::fuzz::{check_refusal_of_peer, mutate};
use crate::outbound::canonical::canonical;
use crate::outbound::http::{parse_url, same_origin};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keiko_core::refusal::Code;
use serde_json::{Value, json};

const CARDS: [&str; 4] = [
    r#"{"name":"Hello","description":"greets","version":"1.0.0","supportedInterfaces":[{"url":"http://a.test:1/rpc","protocolBinding":"JSONRPC","protocolVersion":"1.0","tenant":"t"},{"url":"http://b.test/","protocolBinding":"HTTP+JSON","protocolVersion":"1.0"},{"url":"grpc://a.test:2","protocolBinding":"GRPC","protocolVersion":"1.0"}],"skills":[{"id":"sum","name":"Sum","description":"adds","tags":["a"],"examples":["1+1"],"inputModes":["text/plain"]}]}"#,
    r#"{"name":"Old","version":"0.1","url":"http://a.test:1/","protocolVersion":"0.3.0","preferredTransport":"JSONRPC","additionalInterfaces":[{"url":"http://a.test:1/","transport":"JSONRPC"},{"url":"http://a.test:1/rest","transport":"HTTP+JSON"}],"skills":[]}"#,
    r#"{"name":"Signed","version":"1","url":"http://a.test:1/","signatures":[{"protected":"eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ","signature":"AAAA"}]}"#,
    r#"{"name":"New","version":"2","supportedInterfaces":[{"url":"http://a.test:1/","protocolBinding":"QUIC","protocolVersion":"9.0"}]}"#,
];

const ANSWERS: [&str; 5] = [
    r#"{"message":{"role":"ROLE_AGENT","parts":[{"text":"hi"},{"data":1}]}}"#,
    r#"{"task":{"id":"t","status":{"state":"TASK_STATE_COMPLETED"},"artifacts":[{"parts":[{"text":"a"}]}]}}"#,
    r#"{"kind":"task","id":"t","status":{"state":"failed","message":{"parts":[{"kind":"text","text":"no"}]}}}"#,
    r#"{"id":"t","status":{"state":"working"},"history":[{"role":"agent","parts":[{"text":"?"}]}]}"#,
    r#"{"kind":"message","parts":[{"text":"b"}]}"#,
];

const WORDS: &[&str] = &[
    "\"url\":\"http://a.test:1/\"",
    "\"url\":\"http://a.test:01\"",
    "\"url\":\"HTTP://A.TEST:1\"",
    "\"protocolVersion\":\"1.\"",
    "\"protocolBinding\":\"grpc\"",
    "\"supportedInterfaces\":[]",
    "\"skills\":null",
    "\"signatures\":",
    "\"id\":\"\"",
    "\"name\":\" \"",
    "\"status\":{}",
    "\"state\":\"TASK_STATE_\"",
    "\"task\":{}",
    "\"parts\":",
    "http://a.test:1@b.test/",
    "http://[::1]:1/",
    ",",
    "{}",
];

/// No interface of another origin is ever called, whatever the card says.
#[test]
fn any_card() {
    let url = parse_url("http://a.test:1/.well-known/agent-card.json").expect("a URL");
    mutate::run("a2a cards", &CARDS, WORDS, |bytes| {
        let Ok(raw) = serde_json::from_slice::<Value>(bytes) else { return };
        let card = match Card::read(&url, raw) {
            Ok(card) => card,
            Err(why) => {
                return check_refusal_of_peer(&why, &[Code::CardInvalid, Code::PeerTooLarge]);
            }
        };
        assert_eq!(Card::read(&url, card.raw.clone()).as_ref(), Ok(&card), "the same twice");
        let is_own = |text: &str| parse_url(text).is_ok_and(|found| same_origin(&found, &url));
        for interface in &card.interfaces {
            assert!(is_own(&interface.url) || interface.binding == Binding::Grpc, "{interface:?}");
        }
        assert!(!card.name.trim().is_empty() && !card.version.trim().is_empty());
        match card.preferred() {
            Ok(interface) => {
                assert!(is_own(&interface.url), "{interface:?}");
                let spoken = matches!(interface.version, Version::V1 | Version::V03)
                    && matches!(interface.binding, Binding::JsonRpc | Binding::HttpJson);
                assert!(spoken, "{interface:?}");
            }
            Err(why) => check_refusal_of_peer(&why, &[Code::CardInvalid, Code::PeerVersion]),
        }
    });
}

/// What a key vouches for is what it signed, whatever became of the rest of the card.
#[test]
fn any_signed_card() {
    const DER: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key");
    let der = STANDARD.encode([&DER, pair.public_key().as_ref()].concat());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n");
    let keys = [CardKey::from_pem("ops", pem.as_bytes()).expect("a public key")];
    let mut signed = json!({"name": "Hello", "description": "greets", "version": "1.0.0"});
    let protected = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"ops"}"#);
    let message = format!("{protected}.{}", URL_SAFE_NO_PAD.encode(canonical(&signed)));
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes()));
    signed["signatures"] = json!([{"protected": protected, "signature": signature}]);
    let is_verified = |card: &Value| matches!(judge(card, &keys), SignatureState::Verified { .. });
    assert!(is_verified(&signed));
    mutate::run("a2a signatures", &[signed.to_string()], WORDS, |bytes| {
        let Ok(card) = serde_json::from_slice::<Value>(bytes) else { return };
        if is_verified(&card) {
            let given = card["signatures"].as_array().expect("it is signed");
            assert!(given.iter().any(|one| one["signature"] == signature), "{card}");
            for field in ["name", "description", "version"] {
                assert_eq!(card[field], signed[field], "{card}");
            }
            assert_eq!(judge(&card, &[]), SignatureState::Unverified, "without a key");
        }
    });
}

#[test]
fn any_answer_of_an_agent() {
    mutate::run("a2a answers", &ANSWERS, WORDS, |bytes| {
        let Ok(result) = serde_json::from_slice::<Value>(bytes) else { return };
        match outcome::read(&result) {
            Some(Progress::Done(outcome)) => {
                assert!(outcome.text.len() <= bytes.len(), "nothing is added");
                assert!(!outcome.failed || outcome.task_state.is_some(), "only a task fails");
                assert!(outcome.raw.is_object());
            }
            Some(Progress::Working(id)) => assert!(id.len() <= bytes.len()),
            None => {}
        }
    });
}
