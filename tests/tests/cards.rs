//! What comes of an agent's card: of one that changes, that moves, whose signature is bad, or whose
//! name is another's.
//!
//! The cases do not wait for probes: they ask for each look.

use keiko_core::refusal::Code;
use keiko_tests::fake::agent::{CARD, answer, card};
use keiko_tests::http::{self, Answer};
use keiko_tests::shared::unique;
use keiko_tests::wait::expect;
use keiko_tests::web::{Asked, Reply, Web};
use keiko_tests::{Node, Plan, eventually, shared};
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Just above the time within which a look is not repeated.
const FRESH: Duration = Duration::from_millis(1100);

/// A key that this cluster trusts for cards; nobody here has its other half.
const TRUSTED: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEASaBQKNF7QNoehOLVdO3rBGL9a60dMTBE7PQiVMK956s=\n\
    -----END PUBLIC KEY-----\n";

/// `{"alg": "EdDSA", "kid": "ops"}`, and a signature that fits nothing.
const BY_OPS: &str = "eyJhbGciOiAiRWREU0EiLCAia2lkIjogIm9wcyJ9";
const SIGNATURE: &str =
    "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ";

/// An agent that answers by the step that its case has come to.
struct Agent {
    web: Web,
    step: Arc<AtomicUsize>,
}

impl Agent {
    fn start(reply: impl Fn(&Asked, &str, usize) -> Reply + Send + Sync + 'static) -> Self {
        let step = Arc::<AtomicUsize>::default();
        let now = Arc::clone(&step);
        let web = Web::start(move |asked, url| reply(asked, url, now.load(Ordering::SeqCst)));
        Self { web, step }
    }

    fn go_to(&self, step: usize) {
        self.step.store(step, Ordering::SeqCst);
    }
}

/// Looks now.
fn ask(node: &Node, name: &str) -> Answer {
    let body = json!({"kind": "KIND_AGENT", "name": name}).to_string();
    let headers = [("content-type", "application/json")];
    http::ask(&node.socket(), "POST", "/v1/probe", &headers, &body).expect("it answers")
}

/// The same, a little later than the look before.
#[track_caller]
fn probe(node: &Node, name: &str) -> Value {
    std::thread::sleep(FRESH);
    let answer = ask(node, name);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn get(node: &Node, name: &str) -> Value {
    node.ctl.json(&format!("agent get {name}"))
}

/// Looks again and again until the entry is so.
#[track_caller]
fn wait(node: &Node, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("the entry of {name}"), || {
        probe(node, name);
        let object = get(node, name);
        expect(fits(&object), || object.to_string()).map(|()| object)
    })
}

fn is(object: &Value, state: &str) -> bool {
    object["status"]["health"]["state"] == state
}

#[test]
fn a_card_that_is_another_at_every_look_is_looked_at_seldom() {
    let (node, name) = (shared(), unique("fickle"));
    let fetched = AtomicUsize::new(0);
    let agent = Web::start(move |asked, url| {
        let mut card = card("Fickle", url);
        card["version"] = json!(format!("1.0.{}", fetched.fetch_add(1, Ordering::SeqCst)));
        answer(asked, &card)
    });
    node.ctl.ok(&format!("agent register {name} {}", agent.url()));
    let object = wait(node, &name, |object| is(object, "degraded"));
    let (health, live) = (&object["status"]["health"], &object["status"]["live"]);
    assert_eq!(health["failureClass"], "schema", "{object}");
    assert!(health["message"].as_str().is_some_and(|text| text.contains("keeps changing")));
    assert_eq!(live["routable"], true, "it answers: {object}");
    let [last, next] = ["lastProbeMs", "nextProbeMs"].map(|field| live[field].as_u64());
    let pause_ms = next.expect("it is looked at again") - last.expect("it was looked at");
    assert!(pause_ms >= 60_000, "the next look is in {pause_ms} ms");
}

#[test]
fn another_etag_is_no_news() {
    let (node, name) = (shared(), unique("tagged"));
    let fetched = AtomicUsize::new(0);
    let agent = Web::start(move |asked, url| {
        let etag = format!("\"{}\"", fetched.fetch_add(1, Ordering::SeqCst));
        answer(asked, &card("Tagged", url)).header("etag", &etag)
    });
    node.ctl.ok(&format!("agent register {name} {}", agent.url()));
    probe(node, &name);
    let revision = get(node, &name)["metadata"]["revision"].clone();
    for _ in 0..2 {
        assert_eq!(probe(node, &name)["ok"], true);
    }
    let asked = agent.asked();
    assert!(asked.iter().any(|asked| asked.headers.contains_key("if-none-match")), "{asked:?}");
    assert_eq!(get(node, &name)["metadata"]["revision"], revision);
}

#[test]
fn a_card_that_moves_is_found_again() {
    let (node, name) = (shared(), unique("mover"));
    let agent = Agent::start(|asked, url, step| {
        if asked.path != [CARD, "/.well-known/agent.json"][step] {
            return Reply::status(404, "nothing here");
        }
        let etag = format!("\"{step}\"");
        if asked.headers.get("if-none-match") == Some(&etag) {
            return Reply::status(304, "").header("etag", &etag);
        }
        let mut card = card("Mover", url);
        card["version"] = json!(format!("{step}.0.0"));
        Reply::json(&card).header("etag", &etag)
    });
    node.ctl.ok(&format!("agent register {name} {}", agent.web.url()));
    eventually("it is asked by its ETag", || {
        let looked = probe(node, &name);
        let asked = agent.web.asked();
        let by_etag = asked.iter().any(|asked| asked.headers.contains_key("if-none-match"));
        expect(by_etag, || looked.to_string())
    });
    agent.go_to(1);
    let moved = wait(node, &name, |object| object["spec"]["version"] == "1.0.0");
    assert!(is(&moved, "ready"), "one look that found nothing is noise: {moved}");
}

#[test]
fn nothing_of_a_card_with_a_bad_signature_is_kept() {
    let mut node = Node::prepare(Plan::config("[a2a]\ntrusted_keys = [\"{place}/ops.pem\"]\n"));
    fs::write(node.join("ops.pem"), TRUSTED).expect("a file");
    node.launch();
    node.wait_ready();
    let agent = Agent::start(|asked, url, step| {
        let mut card = card("Signed", url);
        if step == 1 {
            card["version"] = json!("6.6.6");
            card["signatures"] = json!([{"protected": BY_OPS, "signature": SIGNATURE}]);
        }
        answer(asked, &card).header("etag", &format!("\"{step}\""))
    });
    node.ctl.ok(&format!("agent register signed {}", agent.web.url()));
    assert_eq!(probe(&node, "signed")["ok"], true);
    agent.go_to(1);
    let looked = probe(&node, "signed");
    assert_eq!(looked["failureClass"], "bad-signature", "{looked}");
    assert_ne!(looked["ok"], true, "{looked}");
    let down = wait(&node, "signed", |object| is(object, "cooling-down"));
    assert_eq!(down["status"]["health"]["failureClass"], "bad-signature", "{down}");
    assert_eq!(down["spec"]["version"], "1.0.0", "{down}");
    agent.go_to(0);
    let back = wait(&node, "signed", |object| is(object, "ready"));
    assert_eq!(back["spec"]["signature"], "none", "{back}");
}

#[test]
fn a_stranger_by_the_name_of_another_says_nothing_of_its_health() {
    let (node, name) = (shared(), unique("owner"));
    let agent = Agent::start(|asked, url, step| match step {
        0 => answer(asked, &card("Owner", url)),
        _ => Reply::hang_up(),
    });
    let title = name.clone();
    let stranger = Web::start(move |asked, url| answer(asked, &card(&title, url)));
    node.ctl.ok(&format!("agent register {name} {}", agent.web.url()));
    agent.go_to(1);
    let failures =
        |object: &Value| object["status"]["live"]["failures"].as_u64().unwrap_or_default();
    let down = wait(node, &name, |object| is(object, "cooling-down") && failures(object) >= 4);
    let line = format!("agent register {}", stranger.url());
    node.ctl.refused(&line, 7, Code::NameTaken).says("is another endpoint");
    let after = get(node, &name);
    assert!(failures(&after) >= failures(&down), "{down}\n{after}");
    assert!(is(&after, "cooling-down"), "{after}");
}

#[test]
fn a_look_at_who_is_deleted_ends_at_once() {
    let (node, name) = (shared(), unique("leaving"));
    let agent = Agent::start(|asked, url, step| {
        if step == 1 {
            std::thread::sleep(Duration::from_secs(4));
        }
        answer(asked, &card("Leaving", url))
    });
    node.ctl.ok(&format!("agent register {name} {}", agent.web.url()));
    agent.go_to(1);
    let before = agent.web.asked().len();
    let asked_of = name.clone();
    let asking = std::thread::spawn(move || ask(node, &asked_of));
    eventually("it is looked at", || {
        let asked = agent.web.asked().len();
        expect(asked > before, || asked.to_string())
    });
    node.ctl.ok(&format!("agent delete {name} --yes"));
    let begun = Instant::now();
    let answer = asking.join().expect("it answers");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(answer.json()["code"], "KEIKO-0030", "{answer:?}");
}
