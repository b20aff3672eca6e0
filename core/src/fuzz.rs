//! The names that people and peers write, against hostile text; and what the fuzz targets of the
//! other modules share.

#[path = "../../tests/src/mutate.rs"]
pub(crate) mod mutate;

use crate::dedup::RequestId;
use crate::house::tests::World;
use crate::id::{Name, slug};
use crate::limits::NAME_CHARS_MAX;
use crate::refusal::{Code, LINE_BYTES_MAX};
use crate::registry::capability::Capability;
use crate::registry::{Kind, ObjectKey};
use crate::selector::Selector;
use keiko_proto::v1 as wire;
use prost::Message;
use std::collections::BTreeMap;

/// Words of requests, and what parts of them look like.
pub(crate) const WORDS: &[&str] = &[
    "default",
    "agent/",
    "mcp/time",
    "tool/time.now",
    ".",
    "/",
    "-",
    "keiko/v1",
    "stdio",
    "http://",
    "ready",
    "cooling-down",
    "draining",
    "object",
    "\u{0}\u{1}",
    "\u{7f}",
    "é",
    "😀",
];

/// A refusal has a known code and says why in a few words, whatever it refuses.
pub(crate) fn check_refusal(refusal: &wire::Refusal) {
    assert!(Code::from_number(refusal.code).is_some(), "{refusal:?}");
    assert!(!refusal.message.is_empty(), "{refusal:?}");
    let length = refusal.encoded_len();
    assert!(length <= 5 * LINE_BYTES_MAX, "{length} bytes: {refusal:?}");
}

#[test]
fn any_name() {
    let corpus = [
        "time",
        "a-17",
        "Hello World Agent",
        "agent/default/hello",
        "time.get_current_time",
        "default/hello.sum",
        "mcp-server-of-somebody-with-sixty-three-characters-in-its-name-abc",
    ];
    mutate::run("names", &corpus, WORDS, |input| {
        let text = String::from_utf8_lossy(input);
        let slug = slug(&text);
        for name in slug.iter().map(String::as_str).chain([&*text]) {
            match Name::parse("name", name) {
                Ok(name) => assert!((1..=NAME_CHARS_MAX).contains(&name.as_str().len())),
                Err(refusal) => {
                    assert_eq!(name, text, "a slug is a name");
                    check_refusal(&refusal.to_wire());
                }
            }
        }
        let (namespace, name) = text.rsplit_once('/').unwrap_or(("", &text));
        for kind in [Kind::Agent, Kind::McpServer, Kind::Tool, Kind::Skill] {
            match ObjectKey::parse(kind, namespace, name) {
                Ok(key) => {
                    assert_eq!(ObjectKey::from_wire(Some(key.to_wire())), Ok(key.clone()));
                    let owner = key.owner();
                    let again = ObjectKey::parse(owner.kind, namespace, &owner.name);
                    assert_eq!(again, Ok(owner), "an owner has a name");
                    assert_eq!(key.subject().split('/').count(), 3 + key.name.matches('/').count());
                }
                Err(refusal) => check_refusal(&refusal.to_wire()),
            }
        }
        if let Ok(Some(_)) = RequestId::parse(input, World::default().now_ms) {
            assert_eq!((input.len(), input[6] >> 4), (16, 7), "a UUIDv7");
        }
    });
}

#[test]
fn any_selector_and_any_capability() {
    let corpus = [
        "team=red,tier!=low,gpu,!beta,zone in (a,b),x notin (y)",
        "a==b",
        "time.now@^1.2",
        "summarize@>=1, <3",
        "@scope/tag",
        "x@2026-07-28",
        "sum@1.0.0-rc.1+build",
        "a.b.c@*",
        "v1",
    ];
    let words = [" in (", " notin (", ",", "=", "!=", "!", "@", "^", "~", ">=", "*", "v", ")", " "];
    let labels =
        BTreeMap::from([("team".to_owned(), "red".to_owned()), ("gpu".to_owned(), String::new())]);
    mutate::run("selectors and capabilities", &corpus, &words, |input| {
        let text = String::from_utf8_lossy(input);
        match Selector::parse(&text) {
            Ok(selector) => {
                selector.matches(&labels);
                assert_eq!(
                    Selector::parse(&format!(" {text} ")),
                    Ok(selector),
                    "blanks say nothing"
                );
            }
            Err(refusal) => check_refusal(&refusal.to_wire()),
        }
        match Capability::parse(&text) {
            Ok(wanted) => {
                wanted.accepts(&text);
                assert!(wanted.version().is_none_or(|version| wanted.accepts(version)), "itself");
                let version = wanted.version().map(|version| format!("@{version}"));
                let written = format!("{}{}", wanted.name(), version.unwrap_or_default());
                assert_eq!(Capability::parse(&written), Ok(wanted), "{written:?}");
            }
            Err(refusal) => check_refusal(&refusal.to_wire()),
        }
    });
}

/// What hunts is hunted first: bugs put in on purpose are found, and their seeds find them again.
#[test]
fn a_bug_that_was_put_in_is_found_and_its_seed_replays() {
    let is_found = |name: &str, corpus: &[&str], bug: &dyn Fn(&[u8]) -> bool| {
        let hunt = || mutate::hunt(name, 0..50_000, corpus, WORDS, |input| assert!(!bug(input)));
        let hunt = std::panic::AssertUnwindSafe(hunt);
        let panic = std::panic::catch_unwind(hunt).expect_err("the bug is not found");
        let said = panic.downcast::<String>().expect("the failure has words");
        let seed = said.split("KEIKO_SEED=").nth(1).and_then(|rest| rest.split(' ').next());
        let seed = seed.and_then(|seed| seed.parse().ok()).expect("the failure names its seed");
        assert!(bug(&mutate::mutated(seed, corpus, WORDS)), "{said}");
    };
    let deep = |input: &[u8]| input.starts_with(&[b'['; 64]);
    is_found("deep nesting", &["7", "[7]"], &deep);
    let twice = |input: &[u8]| String::from_utf8_lossy(input).matches("name").count() > 1;
    is_found("a key that comes twice", &["{\"name\":1,\"b\":2}", "[]"], &twice);
    is_found("a length that lies", &["\u{3}abc"], &|input| {
        input.first().is_some_and(|length| input.len() <= usize::from(*length))
    });
}
