//! Who gets the calls: leases, heartbeats, find, balancing, suspension.

use keiko_client::{Client, Identity, Settings};
use keiko_core::refusal::Code;
use keiko_proto::v1::{Beat, HeartbeatRequest, Instruction, Load};
use keiko_tests::fake::{self, mcp::Flavour};
use keiko_tests::http::{Answer, ask, get};
use keiko_tests::shared::unique;
use keiko_tests::wait::expect;
use keiko_tests::web::Web;
use keiko_tests::{Node, Plan, eventually, measure, programs, shared};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn post(node: &Node, path: &str, body: &Value) -> Answer {
    ask(&node.socket(), "POST", path, &JSON, &body.to_string()).expect("it answers")
}

/// Registers an agent that promises heartbeats.
#[track_caller]
fn leased(node: &Node, name: &str, url: &str, ttl_ms: u64, grace_ms: u64) {
    let body = json!({"name": name, "url": url, "leaseTtlMs": ttl_ms, "leaseGraceMs": grace_ms});
    let made = post(node, "/v1/agents", &body);
    assert_eq!(made.status, 200, "{made:?}");
}

/// One heartbeat, and its answer.
#[track_caller]
fn beat(node: &Node, beat: &Value) -> Value {
    let answer = post(node, "/v1/heartbeats", &json!({ "beats": [beat] }));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json()["serverUnixMs"].as_u64().is_some(), "{answer:?}");
    answer.json()["answers"][0].clone()
}

fn find(node: &Node, query: &str) -> Answer {
    get(&node.socket(), &format!("/v1/find?{query}")).expect("it answers")
}

fn found(node: &Node, query: &str) -> Vec<String> {
    let answer = find(node, query);
    assert_eq!(answer.status, 200, "{query}: {answer:?}");
    let items = answer.json()["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item["name"].as_str().unwrap_or_default().to_owned()).collect()
}

fn code(answer: &Answer) -> String {
    answer.json()["code"].as_str().unwrap_or_default().to_owned()
}

fn object(node: &Node, kind: &str, name: &str) -> Value {
    let path = format!("/v1/objects/{kind}/default/{name}");
    get(&node.socket(), &path).expect("it answers").json()["object"].clone()
}

#[track_caller]
fn set_state(node: &Node, kind: &str, name: &str, state: &str) -> Value {
    let path = format!("/v1/objects/{kind}/default/{name}:setAdminState");
    let answer = post(node, &path, &json!({"state": state, "reason": "because of a test"}));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[test]
fn a_lease_ends_at_once_and_its_entry_later() {
    let node = shared();
    let (agent, name) = (fake::agent::start("Leased"), unique("leased"));
    let (ttl, grace) = (5_000, 6_000);
    leased(node, &name, &agent.url(), ttl, grace);
    let mine = format!("capability={name}.greet&one=true");
    assert_eq!(found(node, &mine), [format!("{name}.greet")]);
    let answer = beat(node, &json!({"name": name}));
    assert!((4_900..=5_000).contains(&answer["leaseMs"].as_u64().expect("a time")), "{answer}");
    let begun = Instant::now();

    // Whoever does not beat gets no calls, as soon as the lease has ended.
    std::thread::sleep(Duration::from_millis(ttl - 1_000).saturating_sub(begun.elapsed()));
    assert_eq!(found(node, &mine), [format!("{name}.greet")]);
    std::thread::sleep(Duration::from_millis(ttl + 50).saturating_sub(begun.elapsed()));
    let refused = find(node, &mine);
    assert_eq!(code(&refused), "KEIKO-0083", "{refused:?}");
    assert_eq!(object(node, "agent", &name)["status"]["live"]["routable"], Value::Null);
    let call = format!("/v1/agents/default/{name}:call");
    let refused = post(node, &call, &json!({"text": "hi"}));
    assert_eq!(code(&refused), "KEIKO-0056", "{refused:?}");
    eventually("the end of the lease is told", || {
        let health = object(node, "agent", &name)["status"]["health"].clone();
        let told = health["failureClass"] == "lease-expired" && health["state"] == "cooling-down";
        expect(told, || health.to_string())
    });

    // A heartbeat within the grace brings it back.
    let begun = Instant::now();
    beat(node, &json!({"name": name}));
    eventually("it is called again", || {
        let answer = find(node, &mine);
        expect(answer.status == 200, || format!("{answer:?}"))
    });
    eventually("it is removed", || {
        let path = format!("/v1/objects/agent/default/{name}");
        let answer = get(&node.socket(), &path).expect("it answers");
        expect(answer.status == 404, || answer.text)
    });
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(ttl + grace), "after {took:?}");
    let answer = beat(node, &json!({"name": name}));
    assert_eq!(answer["refusal"]["code"], 30, "{answer}");
}

#[test]
fn to_register_again_is_as_good_as_a_heartbeat() {
    let node = shared();
    let (agent, name) = (fake::agent::start("Back"), unique("back"));
    leased(node, &name, &agent.url(), 60_000, 6_000);
    let live = || object(node, "agent", &name)["status"]["live"].clone();
    let ends_ms = || live()["leaseExpiresMs"].as_u64().expect("it has a lease");
    beat(node, &json!({"name": name, "readiness": "not-ready", "reason": "no model"}));
    eventually("it is told", || {
        let health = object(node, "agent", &name)["status"]["health"].clone();
        expect(health["failureClass"] == "not-ready", || health.to_string())
    });
    let before = ends_ms();
    // So that a new term can be told from the one before.
    std::thread::sleep(Duration::from_secs(1));
    leased(node, &name, &agent.url(), 60_000, 6_000);
    let after = ends_ms();
    assert!(after >= before + 900, "{before} {after}");
    assert_eq!(live()["routable"], true, "{}", live());
    let mine = format!("capability={name}.greet&one=true");
    assert_eq!(found(node, &mine), [format!("{name}.greet")]);

    // A shorter lease holds at once.
    leased(node, &name, &agent.url(), 5_000, 6_000);
    let shorter = ends_ms();
    assert!(shorter + 50_000 < after, "{after} {shorter}");
    eventually("its end is told", || {
        let health = object(node, "agent", &name)["status"]["health"].clone();
        expect(health["failureClass"] == "lease-expired", || health.to_string())
    });
}

#[test]
fn who_beats_is_probed_seldom() {
    let node = shared();
    let (agent, beats, silent) = (fake::agent::start("Probed"), unique("beats"), unique("silent"));
    leased(node, &beats, &agent.url(), 600_000, 6_000);
    node.ctl.ok(&format!("agent register {silent} {}", agent.url()));
    for (name, seconds) in [(&beats, 240..=360), (&silent, 12..=18)] {
        let looked = post(node, "/v1/probe", &json!({"kind": "KIND_AGENT", "name": name}));
        assert_eq!(looked.json()["ok"], true, "{looked:?}");
        let live = object(node, "agent", name)["status"]["live"].clone();
        let [last, next] = ["lastProbeMs", "nextProbeMs"].map(|field| live[field].as_u64());
        let pause_ms = next.expect("a time") - last.expect("a time");
        assert!(seconds.contains(&(pause_ms / 1000)), "{name}: {pause_ms} ms");
    }
}

#[test]
fn a_restart_lets_nobody_expire_early() {
    let mut node = Node::start(Plan::default());
    let agent = fake::agent::start("Patient");
    leased(&node, "patient", &agent.url(), 5_000, 3_000);
    beat(&node, &json!({"name": "patient"}));
    std::thread::sleep(Duration::from_secs(4));
    node.kill_9();
    let begun = Instant::now();
    node.restart();
    // It would have ended a second after the crash. Now it has 5 + 3 s from the restart on, and 3 s
    // more until it goes.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(found(&node, "capability=greet&one=true"), ["patient.greet"]);
    // Who stayed away for a whole lease and its grace has had the chance.
    eventually("it ends", || {
        let answer = find(&node, "capability=greet&one=true");
        expect(code(&answer) == "KEIKO-0083", || format!("{answer:?}"))
    });
    assert!(begun.elapsed() >= Duration::from_secs(8), "{:?}", begun.elapsed());
    eventually("it goes", || {
        let answer = find(&node, "capability=greet");
        expect(code(&answer) == "KEIKO-0030", || format!("{answer:?}"))
    });
    assert!(begun.elapsed() >= Duration::from_secs(11), "{:?}", begun.elapsed());
}

#[test]
fn each_beat_is_answered_for_itself() {
    let node = shared();
    let (agent, one, other) = (fake::agent::start("Beating"), unique("beat"), unique("beat"));
    node.ctl.ok(&format!("agent register {one} {}", agent.url()));
    node.ctl.ok(&format!("agent register {other} {}", agent.url()));
    let generation = object(node, "agent", &one)["metadata"]["generation"].as_u64().unwrap_or(0);
    let revision = || node.ctl.json("status")["revision"].as_u64();
    let before = revision();
    let beats = json!({"beats": [
        {"name": one, "generation": generation, "load": {"inFlight": 3, "concurrency": 4}},
        {"name": "nobody-of-this-name"},
        {"name": other, "readiness": "odd"},
        {"name": other, "uid": "of-another-life"},
        {"name": other, "readiness": "draining", "generation": 1},
    ]});
    let answer = post(node, "/v1/heartbeats", &beats);
    let answers = answer.json()["answers"].clone();
    let refusals: Vec<_> = (0..5).map(|at| answers[at]["refusal"]["code"].clone()).collect();
    assert_eq!(refusals, [json!(null), json!(30), json!(2), json!(30), json!(null)], "{answers}");
    assert_eq!(answers[0]["instruction"], Value::Null, "{answers}");
    assert_eq!(answers[0]["generation"], generation, "{answers}");
    assert_eq!(answers[4]["instruction"], "INSTRUCTION_RELOAD", "{answers}");
    // Load and readiness are soft: the journal does not hear of a beat.
    assert_eq!(revision(), before);
    let live = object(node, "agent", &one)["status"]["live"].clone();
    assert_eq!((&live["load"]["inFlight"], &live["routable"]), (&json!(3), &json!(true)), "{live}");
    let live = object(node, "agent", &other)["status"]["live"].clone();
    assert!(live["whyNot"].as_str().is_some_and(|why| why.contains("draining")), "{live}");

    // What it says of its readiness is told, once.
    beat(node, &json!({"name": other, "readiness": "not-ready", "reason": "no model"}));
    eventually("it is told", || {
        let health = object(node, "agent", &other)["status"]["health"].clone();
        let told = health["failureClass"] == "not-ready" && health["message"] == "no model";
        expect(told, || health.to_string())
    });
    beat(node, &json!({"name": other}));
    eventually("it is well", || {
        let status = object(node, "agent", &other)["status"].clone();
        expect(status["live"]["routable"] == true, || status.to_string())
    });
    for (state, instruction) in
        [("draining", "INSTRUCTION_DRAIN"), ("suspended", "INSTRUCTION_STOP")]
    {
        set_state(node, "agent", &one, state);
        let answer = beat(node, &json!({"name": one}));
        assert_eq!(answer["instruction"], instruction, "{state}: {answer}");
    }
    let many: Vec<_> = (0..1001).map(|_| json!({"name": one})).collect();
    let refused = post(node, "/v1/heartbeats", &json!({ "beats": many }));
    assert_eq!(code(&refused), "KEIKO-0003", "{refused:?}");
}

#[tokio::test]
async fn a_token_beats_for_its_own_agent_only() {
    let node = shared();
    let (agent, mine, other) = (fake::agent::start("Own"), unique("own"), unique("own"));
    node.ctl.ok(&format!("agent register {mine} {}", agent.url()));
    node.ctl.ok(&format!("agent register {other} {}", agent.url()));
    let token = node.ctl.ok(&format!("agent token {mine}")).stdout.trim().to_owned();
    let beats = json!({"beats": [{"name": mine}, {"name": other}]});
    let path = "/v1/heartbeats";
    let (status, answer) =
        crate::network::ask(node, "post", path, Some(&token), Some(&beats)).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["answers"][0]["refusal"], Value::Null, "{answer}");
    assert_eq!(answer["answers"][1]["refusal"]["code"], 22, "{answer}");
}

#[tokio::test]
async fn a_stream_of_beats_is_answered_beat_by_beat() {
    let node = shared();
    let (agent, name) = (fake::agent::start("Streaming"), unique("streaming"));
    node.ctl.ok(&format!("agent register {name} {}", agent.url()));
    let settings = Settings {
        endpoint: format!("unix:{}", node.socket().display()).parse().expect("a path"),
        identity: Identity::Process,
        trust: None,
        timeout: Duration::from_secs(10),
        fence: None,
    };
    let client = Client::with(settings).await.expect("it answers");
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let beats = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers =
        client.registry().heartbeat_stream(beats).await.expect("a stream").into_inner();
    for in_flight in 1..=3 {
        let load = Some(Load { in_flight, ..Default::default() });
        let beat = Beat { name: name.clone(), load, ..Default::default() };
        sender.send(HeartbeatRequest { beats: vec![beat] }).await.expect("it is read");
        let answer = answers.message().await.expect("it goes on").expect("it goes on");
        assert_eq!(answer.answers[0].refusal, None);
        let live = object(node, "agent", &name)["status"]["live"].clone();
        assert_eq!(live["load"]["inFlight"], in_flight, "{live}");
    }
    set_state(node, "agent", &name, "suspended");
    let beat = Beat { name: name.clone(), ..Default::default() };
    sender.send(HeartbeatRequest { beats: vec![beat] }).await.expect("it is read");
    let answer = answers.message().await.expect("it goes on").expect("it goes on");
    assert_eq!(answer.answers[0].instruction(), Instruction::Stop);
    drop(sender);
    assert_eq!(answers.message().await.expect("it ends"), None);
}

#[test]
fn what_is_found_is_what_fits() {
    let node = shared();
    let namespace = unique("find");
    let (agent, old) = (fake::agent::start("Found"), fake::agent::start("Old"));
    node.ctl.ok(&format!("agent register one {} -n {namespace} --label team=red", agent.url()));
    node.ctl.ok(&format!("agent register two {} -n {namespace} --label team=blue", old.url()));
    let server = Web::start(|asked, _| fake::mcp::http(asked, Flavour::Plain));
    node.ctl.ok(&format!("mcp register time {} -n {namespace}", server.url()));
    // The agents are of version 1.0.0, the server is of 1.2.3.
    for (query, expect) in [
        ("capability=greeting", vec!["one.greet", "two.greet"]),
        ("capability=greet&labelSelector=team%3Dred", vec!["one.greet"]),
        ("capability=greet@%5E1", vec!["one.greet", "two.greet"]),
        ("capability=two.greet", vec!["two.greet"]),
        ("capability=echo@%5E1.2", vec!["time.echo"]),
        ("capability=time.echo@1.2.3", vec!["time.echo"]),
    ] {
        let mut names = found(node, &format!("{query}&namespace={namespace}"));
        names.sort();
        assert_eq!(names, expect, "{query}");
    }
    for (query, expect) in [
        ("capability=greet@%5E1.5", "KEIKO-0030"),
        ("capability=greet@%5E", "KEIKO-0002"),
        ("capability=", "KEIKO-0002"),
        ("capability=nothing", "KEIKO-0030"),
        ("capability=greet&labelSelector=team%3Dgreen", "KEIKO-0030"),
    ] {
        let answer = find(node, &format!("{query}&namespace={namespace}"));
        assert_eq!(code(&answer), expect, "{query}: {answer:?}");
    }
    let answer = find(node, &format!("capability=greet@%5E1&namespace={namespace}&limit=1")).json();
    assert_eq!((&answer["total"], answer["items"].as_array().map(Vec::len)), (&json!(2), Some(1)));
    let first = &answer["items"][0];
    assert_eq!((&first["kind"], &first["version"]), (&json!("skill"), &json!("1.0.0")), "{first}");
    assert!(first["url"].as_str().is_some_and(|url| url.starts_with("http")), "{first}");
    // A tool is called in the version that is asked for.
    let call =
        |version: &str| format!(r#"tool call echo@{version} '{{"text":"hi"}}' -n {namespace}"#);
    assert_eq!(node.ctl.ok(&call("^1.2")).stdout.trim(), "hi");
    node.ctl.refused(&call("^2"), 6, Code::NotFound);
}

#[test]
fn the_healthy_come_first_and_the_idle_are_chosen() {
    let node = shared();
    let namespace = unique("choice");
    let agent = fake::agent::start("Chosen");
    for name in ["busy", "idle", "full", "drained"] {
        let line = format!("agent register {name} {} -n {namespace}", agent.url());
        node.ctl.ok(&line);
    }
    let load = |name: &str, in_flight: u32, used: u64| {
        let load = json!({"inFlight": in_flight, "concurrency": 4, "contextUsed": used, "contextLimit": 1000});
        json!({"namespace": namespace, "name": name, "load": load})
    };
    let beats = json!({"beats": [load("busy", 3, 0), load("idle", 1, 300), load("full", 0, 990)]});
    post(node, "/v1/heartbeats", &beats);
    let path = format!("/v1/objects/agent/{namespace}/drained:setAdminState");
    post(node, &path, &json!({"state": "draining"}));
    let query = format!("capability=greet&namespace={namespace}");
    let all = find(node, &query).json();
    let last = &all["items"][3];
    assert_eq!(
        (&last["name"], &last["state"]),
        (&json!("drained.greet"), &json!("draining")),
        "{all}"
    );
    let mut counts = BTreeMap::<String, u32>::new();
    for _ in 0..300 {
        let name = found(node, &format!("{query}&one=true")).remove(0);
        *counts.entry(name).or_default() += 1;
    }
    // Of three the most loaded one is never the better of two, the least loaded one is so in two
    // of three pairs: 200 ± 50 (6 σ).
    assert!(
        !counts.contains_key("full.greet") && !counts.contains_key("drained.greet"),
        "{counts:?}"
    );
    assert!((150..=250).contains(&counts["idle.greet"]), "{counts:?}");
    for name in ["busy", "idle", "full"] {
        let path = format!("/v1/objects/agent/{namespace}/{name}:setAdminState");
        post(node, &path, &json!({"state": "suspended", "reason": "a drill"}));
    }
    let refused = find(node, &format!("{query}&one=true"));
    assert_eq!(code(&refused), "KEIKO-0083", "{refused:?}");
    assert!(refused.text.contains("idle.greet: it is suspended: a drill"), "{refused:?}");
    assert_eq!(found(node, &query).len(), 4);
}

/// Starts a slow call in a thread and waits until it runs.
fn slow_call(
    node: &'static Node,
    server: &str,
    seconds: u32,
) -> std::thread::JoinHandle<(Answer, Instant)> {
    let path = format!("/v1/tools/default/{server}.slow:call");
    let body = json!({"arguments": {"seconds": seconds}});
    let call = std::thread::spawn(move || (post(node, &path, &body), Instant::now()));
    eventually("the call runs", || {
        let live = object(node, "mcp-server", server)["status"]["live"].clone();
        expect(live["callsInFlight"] == 1, || live.to_string())
    });
    call
}

fn stdio(node: &Node) -> String {
    let name = unique("fake");
    node.ctl.ok(&format!("mcp register {name} -- {} {name}", programs::path("fake-mcp").display()));
    name
}

#[test]
fn suspension_ends_a_running_call() {
    let node = shared();
    let name = stdio(node);
    let running = slow_call(node, &name, 20);
    let begun = Instant::now();
    let set = set_state(node, "mcp-server", &name, "suspended");
    assert_eq!(set["changed"], true, "{set}");
    let (ended, at) = running.join().expect("it answers");
    let took = at - begun;
    measure("a call ends after its server is suspended", took.as_secs_f64(), 0.0, "s");
    assert!(took < Duration::from_secs(5), "after {took:?}");
    assert_eq!(code(&ended), "KEIKO-0005", "{ended:?}");
    assert!(
        ended.text.contains("suspended") && ended.text.contains("because of a test"),
        "{ended:?}"
    );
    let echo = format!(r#"tool call {name}.echo '{{"text":"hi"}}'"#);
    node.ctl.refused(&echo, 1, Code::Suspended).says("because of a test");
    assert_eq!(set_state(node, "mcp-server", &name, "suspended")["changed"], Value::Null);
    set_state(node, "mcp-server", &name, "");
    assert_eq!(node.ctl.ok(&echo).stdout.trim(), "hi");
}

#[test]
fn draining_lets_a_running_call_finish() {
    let node = shared();
    let name = stdio(node);
    let running = slow_call(node, &name, 3);
    set_state(node, "mcp-server", &name, "draining");
    let echo = format!(r#"tool call {name}.echo '{{"text":"hi"}}'"#);
    node.ctl.refused(&echo, 1, Code::Suspended).says("draining");
    let (ended, _) = running.join().expect("it answers");
    assert_eq!(ended.status, 200, "{ended:?}");
    assert!(ended.text.contains("at last"), "{ended:?}");
    set_state(node, "mcp-server", &name, "");
    node.ctl.ok(&echo);
}

#[test]
fn a_dry_run_suspends_nobody() {
    let node = shared();
    let name = stdio(node);
    let path = format!("/v1/objects/mcp-server/default/{name}:setAdminState");
    let answer = post(node, &path, &json!({"state": "suspended", "dryRun": true}));
    assert_eq!(answer.json()["object"]["status"]["adminState"], "suspended", "{answer:?}");
    assert_eq!(object(node, "mcp-server", &name)["status"]["adminState"], Value::Null);
    let odd = post(node, &path, &json!({"state": "odd"}));
    assert_eq!(code(&odd), "KEIKO-0002", "{odd:?}");
    let nobody = post(node, "/v1/objects/mcp-server/default/nobody:setAdminState", &json!({}));
    assert_eq!(code(&nobody), "KEIKO-0030", "{nobody:?}");
}

#[test]
fn calls_go_to_the_less_loaded_of_two_servers() {
    let node = shared();
    let namespace = unique("twins");
    let plain = |asked: &keiko_tests::web::Asked, _: &str| fake::mcp::http(asked, Flavour::Plain);
    let (one, two) = (Web::start(plain), Web::start(plain));
    node.ctl.ok(&format!("mcp register one {} -n {namespace}", one.url()));
    node.ctl.ok(&format!("mcp register two {} -n {namespace}", two.url()));
    let path = format!("/v1/tools/{namespace}/one.slow:call");
    let slow = std::thread::spawn(move || post(node, &path, &json!({"arguments": {"seconds": 4}})));
    let query = format!("capability=one.slow&namespace={namespace}");
    eventually("the call runs", || {
        let found = find(node, &query).json();
        expect(found["items"][0]["callsInFlight"] == 1, || found.to_string())
    });
    for _ in 0..20 {
        let path = format!("/v1/tools/{namespace}/echo:call");
        let answer = post(node, &path, &json!({"arguments": {"text": "hi"}}));
        assert_eq!(answer.json()["tool"], "two.echo", "{answer:?}");
    }
    assert_eq!(slow.join().expect("it answers").status, 200);
}
