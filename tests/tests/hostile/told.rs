//! What each peer is told for, while a healthy neighbour is called.

use super::{assert_clean, clean, neighbour};
use crate::objects::names;
use keiko_core::refusal::Code;
use keiko_tests::fake::{self, hostile};
use keiko_tests::wait::expect;
use keiko_tests::web::{Reply, Web};
use keiko_tests::{Node, Plan};
use serde_json::{Value, json};
use std::any::Any;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a register may take: it asks for 30 s.
const TOLD_WITHIN: Duration = Duration::from_secs(50);

/// What a call of the healthy neighbour may take, with the start of keikoctl, while all others
/// misbehave.
const NEIGHBOUR_WITHIN: Duration = Duration::from_secs(15);

/// Cases at a time: most of them wait.
const AT_A_TIME: usize = 10;

/// A key that this cluster trusts for cards; nobody here has its other half.
const TRUSTED: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEASaBQKNF7QNoehOLVdO3rBGL9a60dMTBE7PQiVMK956s=\n\
    -----END PUBLIC KEY-----\n";

/// `{"alg": "EdDSA", "kid": "ops"}` and the same of `theirs`, and a signature that fits nothing.
const BY_OPS: &str = "eyJhbGciOiAiRWREU0EiLCAia2lkIjogIm9wcyJ9";
const BY_THEIRS: &str = "eyJhbGciOiAiRWREU0EiLCAia2lkIjogInRoZWlycyJ9";
const SIGNATURE: &str =
    "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ";

/// A peer that is registered, and what comes of it.
struct Case {
    what: &'static str,
    noun: &'static str,
    target: String,
    code: Code,
    /// Keeps the peer.
    _peer: Box<dyn Any + Send>,
}

fn case(
    what: &'static str,
    noun: &'static str,
    code: Code,
    target: String,
    peer: impl Any + Send,
) -> Case {
    Case { what, noun, target, code, _peer: Box::new(peer) }
}

/// Both nouns at one peer each.
fn raw(what: &'static str, code: Code, make: impl Fn() -> hostile::Raw) -> Vec<Case> {
    let of = |noun| {
        let peer = make();
        case(what, noun, code, peer.url(), peer)
    };
    vec![of("mcp"), of("agent")]
}

fn web(what: &'static str, code: Code, make: impl Fn() -> Web) -> Vec<Case> {
    let of = |noun| {
        let peer = make();
        case(what, noun, code, peer.url(), peer)
    };
    vec![of("mcp"), of("agent")]
}

fn connections() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(raw("hangs after accept", Code::PeerTimeout, hostile::hangs_after_accept));
    cases.extend(raw("hangs after headers", Code::PeerTimeout, hostile::hangs_after_headers));
    cases.extend(raw("drips", Code::PeerTimeout, hostile::drips));
    cases.extend(raw("garbage", Code::PeerGarbage, hostile::garbage));
    cases.extend(raw("a 64 MB line", Code::PeerTooLarge, || hostile::one_line(64 << 20)));
    cases.extend(raw("TLS on a plain port", Code::PeerTls, hostile::tls));
    for noun in ["mcp", "agent"] {
        let tls = hostile::tls();
        cases.push(case("a stranger's TLS", noun, Code::PeerTls, tls.secure_url(), tls));
        let plain = hostile::answers(200, "text/html", "<html>");
        let url = plain.url().replace("http://", "https://");
        cases.push(case("plain where TLS is asked for", noun, Code::PeerTls, url, plain));
        let url = "http://127.0.0.1:1".to_owned();
        cases.push(case("nobody", noun, Code::PeerUnreachable, url, ()));
    }
    cases
}

fn answers() -> Vec<Case> {
    let html = || hostile::answers(200, "text/html", "<html>\u{1b}[2J\u{202e}</html>");
    let evil_kind = || hostile::answers(200, "text/\u{9b}31m", "hello");
    let broken = || hostile::answers(200, "application/json", "{\"name\": \u{1b}");
    let mut cases = Vec::new();
    cases.extend(web("HTML", Code::PeerGarbage, html));
    cases.extend(web("an odd type", Code::PeerGarbage, evil_kind));
    cases.extend(web("half of JSON", Code::PeerGarbage, broken));
    for (status, code) in [
        (401, Code::PeerUnauthorized),
        (403, Code::PeerUnauthorized),
        (404, Code::PeerNoEndpoint),
        (410, Code::PeerNoEndpoint),
        (500, Code::PeerError),
    ] {
        let make = move || hostile::answers(status, "text/plain", "\u{1b}[2Jno");
        cases.extend(web("a status", code, make));
    }
    let metadata = || hostile::redirects("http://169.254.169.254/latest/meta-data/");
    cases.extend(web("to a metadata address", Code::PeerRedirect, metadata));
    cases.extend(web("in a circle", Code::PeerRedirect, || hostile::redirects("/")));
    cases.extend(web("for ever", Code::PeerRedirect, || hostile::redirects("{path}x")));
    cases
}

fn servers() -> Vec<Case> {
    let mcp = |what, code, peer: Web| case(what, "mcp", code, peer.url(), peer);
    let endless = |_: &Value, before: usize| {
        let tools = [hostile::tool(&format!("t{before}"), &json!({"type": "object"}))];
        json!({"tools": tools, "nextCursor": format!("{before}")})
    };
    let all = hostile::pages(&Value::Null, 100_000, 100_000);
    let cursors = |_: &Value, _: usize| json!({"tools": [], "nextCursor": "x".repeat(1 << 20)});
    let elsewhere = Web::start(|asked, _| fake::mcp::http(asked, fake::mcp::Flavour::Plain));
    let to = elsewhere.url();
    let sends_on = Web::start(move |_, _| Reply::redirect(&to));
    let url = sends_on.url();
    vec![
        case("to another origin", "mcp", Code::PeerRedirect, url, (sends_on, elsewhere)),
        mcp("a cursor of 1 MiB", Code::PeerTooLarge, hostile::lists(cursors)),
        mcp("questions without end", Code::PeerTooLarge, hostile::asks()),
        mcp("a list of 100,000", Code::PeerTooLarge, hostile::lists(move |_, _| all.clone())),
        mcp("an endless list", Code::PeerTooLarge, hostile::lists(endless)),
        mcp("no list", Code::PeerGarbage, hostile::lists(|_, _| json!({"tools": "none"}))),
        mcp("a wrong era", Code::PeerVersion, hostile::of_version("1999-01-01")),
        mcp("an era to come", Code::PeerVersion, hostile::of_version("\u{1b}[2J9999")),
    ]
}

fn cards() -> Vec<Case> {
    let agent = |what, code, change: fn(&mut Value)| {
        let peer = hostile::agent(move |url| {
            let mut card = fake::agent::card("Hostile", url);
            change(&mut card);
            card
        });
        case(what, "agent", code, peer.url(), peer)
    };
    vec![
        agent("no name", Code::CardInvalid, |card| card["name"] = json!("")),
        agent("no version", Code::CardInvalid, |card| card["version"] = Value::Null),
        agent("no address", Code::CardInvalid, |card| {
            card["supportedInterfaces"] = json!([]);
        }),
        agent("skills of no kind", Code::CardInvalid, |card| card["skills"] = json!([7])),
        agent("of another host", Code::CardInvalid, |card| {
            card["supportedInterfaces"][0]["url"] = json!("http://example.com/\u{1b}[2J");
        }),
        agent("of version 9.9", Code::PeerVersion, |card| {
            card["supportedInterfaces"][0]["protocolVersion"] = json!("9.9");
        }),
        agent("a bad signature", Code::CardInvalid, |card| {
            card["signatures"] = json!([{"protected": BY_OPS, "signature": SIGNATURE}]);
        }),
    ]
}

fn commands() -> Vec<Case> {
    let sh =
        |what, code, script: &str| case(what, "mcp", code, format!("-- /bin/sh -c '{script}'"), ());
    vec![
        sh("a line of 64 MB", Code::PeerTooLarge, r#"head -c 67108864 /dev/zero | tr "\0" x"#),
        sh("a flood of noise", Code::PeerGarbage, r#"yes "Loading...""#),
        sh("a flood of nothing", Code::PeerGarbage, r#"yes """#),
        sh(
            "a banner and nothing else",
            Code::PeerGarbage,
            r#"while :; do printf "\033[2JHello\n"; sleep 1; done"#,
        ),
        sh("silence", Code::PeerTimeout, "sleep 1000"),
        sh("no command", Code::ChildFailed, "exit 3"),
        sh("it forks away", Code::ChildFailed, "setsid sleep 7 & exit 0"),
    ]
}

/// Runs all cases, some at a time, and calls the neighbour until they are done.
fn run(node: &Node, cases: Vec<Case>, call: &str) -> Vec<String> {
    let failures = Mutex::new(Vec::new());
    let left = Mutex::new(cases.into_iter().enumerate().collect::<Vec<_>>());
    let running = Arc::new(());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            let (running, failures, left) = (Arc::clone(&running), &failures, &left);
            scope.spawn(move || {
                let _running = running;
                while let Some((number, case)) = next(left) {
                    if let Err(why) = check(node, number, &case) {
                        failures.lock().expect("no panic").push(why);
                    }
                }
            });
        }
        while Arc::strong_count(&running) > 1 {
            let begun = Instant::now();
            let answer = node.ctl.run(call);
            let took = begun.elapsed();
            if answer.status != 0 || took > NEIGHBOUR_WITHIN {
                failures.lock().expect("no panic").push(format!("{took:?}: {answer}"));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    failures.into_inner().expect("no panic")
}

fn next<T>(left: &Mutex<Vec<T>>) -> Option<T> {
    left.lock().expect("no panic").pop()
}

fn check(node: &Node, number: usize, case: &Case) -> Result<(), String> {
    let Case { what, noun, target, code, .. } = case;
    let begun = Instant::now();
    let refused = clean(node.ctl.run(&format!("{noun} register hostile-{number} {target}")));
    let took = begun.elapsed();
    let told = refused.stderr.contains(&format!("error[{code}]: "));
    let status = i32::from(code.class().exit_code());
    expect(told && refused.status == status && took < TOLD_WITHIN, || {
        format!("{noun}, {what}: not {code} with exit {status}, after {took:?}: {refused}")
    })
}

#[test]
fn each_is_told_for_what_it_is() {
    let mut node = Node::prepare(Plan::config("[a2a]\ntrusted_keys = [\"{place}/ops.pem\"]\n"));
    fs::write(node.join("ops.pem"), TRUSTED).expect("a file");
    node.launch();
    node.wait_ready();
    let call = neighbour(&node, "neighbour");
    // The slow ones are taken first, from the end.
    let cases =
        [answers(), cards(), servers(), commands(), connections()].into_iter().flatten().collect();
    let failures = run(&node, cases, &call);
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(names(&node.ctl.json("mcp list")), ["neighbour"]);
    assert!(names(&node.ctl.json("agent list")).is_empty());
    assert_clean(&node.log());

    // A signature of somebody whom nobody knows here vouches for nothing, and harms nothing.
    let signed = hostile::agent(|url| {
        let mut card = fake::agent::card("Signed", url);
        card["signatures"] = json!([{"protected": BY_THEIRS, "signature": SIGNATURE}]);
        card
    });
    node.ctl.ok(&format!("agent register signed {}", signed.url()));
    assert_eq!(node.ctl.json("agent get signed")["spec"]["signature"], "unverified");
}
