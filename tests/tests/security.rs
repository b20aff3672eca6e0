//! What a token opens, and what it does not.

use crate::network::{ask, grpc};
use crate::objects::names;
use keiko_core::refusal::Code;
use keiko_tests::place::Place;
use keiko_tests::shared::unique;
use keiko_tests::{Ctl, fake, shared};
use serde_json::{Value, json};

fn token(name: &str, flags: &str) -> Value {
    shared().ctl.json(&format!("agent token {name} {flags}"))
}

fn text(token: &Value) -> &str {
    token["token"].as_str().expect("a text")
}

#[tokio::test]
async fn a_token_touches_its_entry_only() {
    let node = shared();
    let agent = fake::agent::start("mine");
    let (mine, other) = (unique("mine"), unique("other"));
    node.ctl.ok(&format!("agent register {mine} {}", agent.url()));
    node.ctl.ok(&format!("agent register {other} {}", agent.url()));
    let made = token(&mine, "");
    let get = |path: &str| {
        let path = path.to_owned();
        let text = text(&made).to_owned();
        async move { ask(node, "get", &path, Some(&text), None).await }
    };
    let (status, body) = get(&format!("/v1/objects/agent/default/{mine}")).await;
    assert_eq!(
        (status, &body["object"]["metadata"]["name"]),
        (200, &mine.as_str().into()),
        "{body}"
    );
    // The members are everybody's to see.
    assert_eq!(get("/v1/status").await.0, 200);
    for path in [
        format!("/v1/objects/agent/default/{other}"),
        format!("/v1/objects/agent/elsewhere/{mine}"),
        format!("/v1/objects/mcp-server/default/{mine}"),
        "/v1/objects/agent".to_owned(),
        "/v1/objects/tool".to_owned(),
        "/v1/watch/agent".to_owned(),
        "/v1/events".to_owned(),
        "/v1/events/1".to_owned(),
        "/v1/tokens".to_owned(),
        "/metrics".to_owned(),
    ] {
        let (status, body) = get(&path).await;
        assert_eq!((status, &body["code"]), (403, &"KEIKO-0022".into()), "{path}: {body}");
    }
    for (path, body) in [
        (format!("/v1/agents/default/{other}:token"), json!({})),
        (format!("/v1/agents/default/{mine}:token"), json!({})),
        (format!("/v1/agents/default/{mine}:call"), json!({"text": "hi"})),
        ("/v1/tools/default/x.y:call".to_owned(), json!({})),
        ("/v1/agents".to_owned(), json!({"name": other, "url": agent.url()})),
        ("/v1/mcp-servers".to_owned(), json!({"name": mine, "command": ["/bin/true"]})),
        ("/v1/cluster:init".to_owned(), json!({})),
    ] {
        let (status, answer) = ask(node, "post", &path, Some(text(&made)), Some(&body)).await;
        assert_eq!((status, &answer["code"]), (403, &"KEIKO-0022".into()), "{path}: {answer}");
    }
    let path = format!("/v1/objects/agent/default/{other}");
    let (status, _) = ask(node, "delete", &path, Some(text(&made)), None).await;
    assert_eq!(status, 403);
    // Its own entry it may renew and remove.
    let body = json!({"name": mine, "url": agent.url(), "labels": {"by": "token"}});
    let (status, answer) = ask(node, "post", "/v1/agents", Some(text(&made)), Some(&body)).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["object"]["metadata"]["labels"]["by"], "token", "{answer}");
    let path = format!("/v1/objects/agent/default/{mine}");
    let (status, answer) = ask(node, "delete", &path, Some(text(&made)), None).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn a_command_is_never_run_for_a_token() {
    let node = shared();
    let name = unique("command");
    let made = token(&name, "");
    let place = Place::new();
    let never = place.join("never");
    let script = format!("touch {}", never.display());
    let body = json!({"name": name, "command": ["/bin/sh", "-c", script]});
    let (status, answer) =
        ask(node, "post", "/v1/mcp-servers", Some(text(&made)), Some(&body)).await;
    assert_eq!(status, 403, "{answer}");
    assert!(["KEIKO-0022", "KEIKO-0023"].contains(&answer["code"].as_str().unwrap_or_default()));
    assert!(!names(&node.ctl.json("mcp list")).contains(&name));
    let status = grpc(node, "/keiko.v1.Registry/RegisterMcpServer", Some(text(&made))).await;
    assert_eq!(status.code, 7, "{status:?}");
    assert!(!never.exists(), "it ran");
}

#[tokio::test]
async fn what_is_no_token_any_more() {
    let node = shared();
    let name = unique("tokened");
    let path = format!("/v1/objects/agent/default/{name}");
    let ask = async |token: &str| {
        let (status, body) = ask(node, "get", &path, Some(token), None).await;
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    let refused = (401, "KEIKO-0021".to_owned());
    let made = token(&name, "");
    // It may look, and there is nothing to see.
    assert_eq!(ask(text(&made)).await, (404, "KEIKO-0030".to_owned()));

    let parts: Vec<&str> = text(&made).split('.').collect();
    let [_, id, secret, ca] = parts[..] else { panic!("{made}") };
    let wrong_secret: String = secret.chars().rev().collect();
    assert_eq!(ask(&format!("keiko.{id}.{wrong_secret}.{ca}")).await, refused);
    assert_eq!(ask(&format!("keiko.{}.{secret}.{ca}", "a".repeat(id.len()))).await, refused);
    assert_eq!(ask("keiko").await, refused);
    let other_cluster = format!("keiko.{id}.{secret}.{}", "0".repeat(ca.len()));
    assert_eq!(ask(&other_cluster).await, (401, "KEIKO-0012".to_owned()));

    let short = token(&name, "--ttl 1s");
    let end = tokio::time::Instant::now() + keiko_tests::DEADLINE;
    while ask(text(&short)).await != (401, "KEIKO-0028".to_owned()) {
        assert!(tokio::time::Instant::now() < end, "it does not expire");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }

    let path = format!("/v1/tokens/{id}");
    let revoked =
        keiko_tests::http::ask(&node.socket(), "DELETE", &path, &[], "").expect("it answers");
    assert_eq!(revoked.status, 200, "{revoked:?}");
    assert_eq!(ask(text(&made)).await, refused);
}

#[test]
fn keikoctl_with_a_token() {
    let node = shared();
    let agent = fake::agent::start("remote");
    let name = unique("remote");
    node.ctl.ok(&format!("agent register {name} {}", agent.url()));
    let made = token(&name, "");
    let remote = Ctl::new(Some(format!("https://{}", node.api())));
    let run = |line: &str, token: &str| {
        let mut command = remote.command(line);
        command.env("KEIKO_TOKEN", token);
        keiko_tests::ctl::run(command, &format!("KEIKO_TOKEN=… keikoctl {line}"), "")
    };
    run(&format!("agent get {name}"), text(&made)).ok();
    // What stands around its entry is not for it to see: the entry is.
    run(&format!("agent describe {name}"), text(&made)).ok();
    run("agent list", text(&made)).refused(4, Code::PermissionDenied);
    run("tool list", text(&made)).refused(4, Code::PermissionDenied);
    run("event tail", text(&made)).refused(4, Code::PermissionDenied);
    // The token says which cluster: an impostor is noticed before anything is sent.
    let (front, ca) = text(&made).rsplit_once('.').expect("a token has parts");
    let other: String = ca.chars().map(|c| if c == '0' { '1' } else { '0' }).collect();
    run(&format!("agent get {name}"), &format!("{front}.{other}")).refused(4, Code::WrongCluster);
    // Without anything to recognise the server by, nothing is sent either.
    remote.refused("status", 4, Code::Unauthenticated);
    // With the CA it is recognised, and asks who calls.
    let ca = node.data().join("ca.pem");
    remote.refused(&format!("status --ca {}", ca.display()), 4, Code::Unauthenticated);
    Ctl::new(Some("127.0.0.1:1".to_owned())).refused(
        &format!("status --ca {}", ca.display()),
        3,
        Code::Unreachable,
    );
}
