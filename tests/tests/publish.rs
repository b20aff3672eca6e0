//! The registry as others read it: the MCP registry's API, the AI Catalog, cards, Prometheus.

use crate::network;
use keiko_tests::fake::mcp::Flavour;
use keiko_tests::http::{Answer, ask, get};
use keiko_tests::shared::unique;
use keiko_tests::wait::expect;
use keiko_tests::web::{Reply, Web};
use keiko_tests::{Node, Plan, eventually, fake, shared};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A server over HTTP of the version that is told at the time.
fn server(patch: &Arc<AtomicU64>) -> Web {
    let patch = Arc::clone(patch);
    Web::start(move |asked, _| {
        let request: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        if request["method"] != "initialize" {
            return fake::mcp::http(asked, Flavour::Plain);
        }
        let version = format!("1.0.{}", patch.load(Ordering::Relaxed));
        let result = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "clock", "title": "A clock", "version": version},
        });
        Reply::json(&json!({"jsonrpc": "2.0", "id": request["id"], "result": result}))
    })
}

#[track_caller]
fn read(node: &Node, path: &str) -> Value {
    let answer = get(&node.socket(), path).expect("it answers");
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

fn published(list: &Value) -> Vec<&str> {
    let servers = list["servers"].as_array().expect("a list");
    servers.iter().map(|item| item["server"]["name"].as_str().expect("a name")).collect()
}

const OFFICIAL: &str = "io.modelcontextprotocol.registry/official";

#[test]
fn the_list_has_pages_and_filters() {
    let node = shared();
    let web = server(&Arc::default());
    let namespace = unique("listed");
    for name in ["a", "b", "c"] {
        node.ctl.ok(&format!("mcp register {name} {}/mcp -n {namespace}", web.url()));
    }
    let all = format!("/v0.1/servers?version=latest&search={namespace}/");
    let list = read(node, &all);
    let names: Vec<String> = ["a", "b", "c"].map(|name| format!("local.{namespace}/{name}")).into();
    assert_eq!(published(&list), names, "{list}");
    assert_eq!(list["metadata"], json!({"count": 3}), "{list}");
    let first = &list["servers"][0];
    let document = &first["server"];
    assert!(document["$schema"].as_str().is_some_and(|at| at.contains("2025-12-11")), "{first}");
    assert_eq!((&document["version"], &document["title"]), (&"1.0.0".into(), &"A clock".into()));
    let remote = json!({"type": "streamable-http", "url": format!("{}/mcp", web.url())});
    assert_eq!(document["remotes"], json!([remote]), "{first}");
    let meta = &first["_meta"];
    assert_eq!(
        (&meta[OFFICIAL]["status"], &meta[OFFICIAL]["isLatest"]),
        (&"active".into(), &true.into())
    );
    assert_eq!(meta["dev.keiko/health"]["state"], "ready", "{first}");

    let page = read(node, &format!("{all}&limit=2"));
    assert_eq!(published(&page), &names[..2], "{page}");
    let cursor = page["metadata"]["nextCursor"].as_str().expect("there is more");
    let rest = read(node, &format!("{all}&limit=2&cursor={cursor}"));
    assert_eq!(published(&rest), &names[2..], "{rest}");
    assert!(rest["metadata"]["nextCursor"].is_null(), "{rest}");

    let updated = meta[OFFICIAL]["updatedAt"].as_str().expect("a time");
    assert_eq!(read(node, &format!("{all}&updated_since={updated}"))["metadata"]["count"], 3);
    for (filter, count) in [
        ("updated_since=2999-01-01T00:00:00Z", 0),
        ("updated_since=2001-01-01T00:00:00%2B02:00", 3),
        ("search=nobody-has-this", 0),
    ] {
        let scope =
            if filter.contains("search") { String::new() } else { format!("search={namespace}/&") };
        let list = read(node, &format!("/v0.1/servers?limit=100&{scope}{filter}"));
        assert_eq!(list["metadata"]["count"], count, "{filter}: {list}");
    }
    let exact =
        |version: &str| read(node, &all.replace("latest", version))["metadata"]["count"].clone();
    assert_eq!((exact("1.0.0"), exact("1.0.1")), (3.into(), 0.into()));
}

#[test]
fn a_past_version_is_a_version() {
    let mut node = Node::start(Plan::default());
    let patch = Arc::new(AtomicU64::new(1));
    let web = server(&patch);
    node.ctl.ok(&format!("mcp register clock {}/mcp", web.url()));
    patch.store(2, Ordering::Relaxed);
    // Who links anew is told the new version.
    assert_eq!(node.terminate(), 0, "{}", node.log());
    node.restart();
    let path = "/v0.1/servers/local.default%2Fclock/versions";
    let versions = eventually("the new version", || {
        let list = read(&node, path);
        expect(list["metadata"]["count"] == 2, || list.to_string()).map(|()| list)
    });
    let version = |at: usize| {
        let item = &versions["servers"][at];
        (item["server"]["version"].clone(), item["_meta"][OFFICIAL]["isLatest"].clone())
    };
    assert_eq!(version(0), ("1.0.2".into(), true.into()), "{versions}");
    assert_eq!(version(1), ("1.0.1".into(), false.into()), "{versions}");
    for (word, expect) in [("latest", "1.0.2"), ("1.0.1", "1.0.1"), ("1.0.2", "1.0.2")] {
        assert_eq!(read(&node, &format!("{path}/{word}"))["server"]["version"], expect);
    }
    for (version, latest) in [("1.0.1", false), ("1.0.2", true)] {
        let list = read(&node, &format!("/v0.1/servers?version={version}"));
        assert_eq!(list["servers"][0]["_meta"][OFFICIAL]["isLatest"], latest, "{list}");
    }
    node.ctl.ok("mcp delete clock --yes");
    let gone = get(&node.socket(), path).expect("it answers");
    assert_eq!((gone.status, &gone.json()["code"]), (404, &"KEIKO-0030".into()), "{gone:?}");
}

#[test]
fn a_card_as_it_was_fetched() {
    let node = shared();
    let agent = fake::agent::start("carded");
    let name = unique("carded");
    node.ctl.ok(&format!("agent register {name} {}", agent.url()));
    let path = format!("/v1/agents/default/{name}/card");
    let first = get(&node.socket(), &path).expect("it answers");
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert_eq!(first.json(), fake::agent::card("carded", &agent.url()));
    let tag = first.header("etag").expect("a tag");
    let again = ask(&node.socket(), "GET", &path, &[("if-none-match", tag)], "");
    let again = again.expect("it answers");
    assert_eq!((again.status, again.text.as_str(), again.header("etag")), (304, "", Some(tag)));
    let other = ask(&node.socket(), "GET", &path, &[("if-none-match", "\"other\"")], "");
    assert_eq!(other.expect("it answers").status, 200);
    let head = ask(&node.socket(), "HEAD", &path, &[], "").expect("it answers");
    let length = first.text.len().to_string();
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(
        (head.header("content-length"), head.header("etag")),
        (Some(length.as_str()), Some(tag))
    );
}

#[tokio::test]
async fn the_catalog_has_agents_and_remote_servers() {
    let node = shared();
    let (agent, web) = (fake::agent::start("catalogued"), server(&Arc::default()));
    let namespace = unique("catalogued");
    node.ctl.ok(&format!("agent register hello {} -n {namespace} --label team=red", agent.url()));
    node.ctl.ok(&format!("mcp register clock {}/mcp -n {namespace}", web.url()));
    node.ctl.ok(&format!("mcp register local -n {namespace} -- fake-mcp"));
    let path = format!("/.well-known/ai-catalog.json?namespace={namespace}");
    let answer = get(&node.socket(), &path).expect("it answers");
    assert_eq!(answer.header("content-type"), Some("application/ai-catalog+json"));
    let catalog = answer.json();
    assert_eq!(catalog["specVersion"], "1.0");
    assert!(catalog["host"]["displayName"].is_string(), "{catalog}");
    let entries = catalog["entries"].as_array().expect("a list");
    assert_eq!(entries.len(), 2, "a command is nothing for others: {catalog}");
    let identifier = format!("urn:air:keiko.localhost:{namespace}:agent:hello");
    assert_eq!(entries[0]["identifier"], identifier.as_str(), "{catalog}");
    assert_eq!(entries[0]["tags"], json!(["team=red"]), "{catalog}");
    assert_eq!(entries[1]["type"], "application/mcp-server-card+json", "{catalog}");
    assert_eq!(entries[1]["data"]["name"], format!("local.{namespace}/clock"), "{catalog}");
    // The link of an entry leads somewhere, by the name under which the node was asked.
    let url = entries[0]["url"].as_str().expect("a link");
    assert_eq!(url, format!("https://{}/v1/agents/{namespace}/hello/card", node.api()));
    let made = node.ctl.json(&format!("agent token hello -n {namespace}"));
    let card = url.trim_start_matches(&format!("https://{}", node.api())).to_owned();
    let (status, body) = network::ask(node, "get", &card, made["token"].as_str(), None).await;
    assert_eq!((status, &body["name"]), (200, &"catalogued".into()), "{body}");
}

#[test]
fn prometheus_finds_targets() {
    let node = shared();
    let (agent, web) = (fake::agent::start("scraped"), server(&Arc::default()));
    let namespace = unique("scraped");
    node.ctl.ok(&format!("agent register hello {} -n {namespace} --label team=red", agent.url()));
    node.ctl.ok(&format!("mcp register clock {}/mcp -n {namespace} --label team=blue", web.url()));
    let groups = |filter: &str| {
        let answer = get(&node.socket(), &format!("/v1/sd?namespace={namespace}{filter}"));
        let answer: Answer = answer.expect("it answers");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
        answer.json().as_array().expect("a list").clone()
    };
    let name = |group: &Value| group["labels"]["__meta_keiko_name"].as_str().map(str::to_owned);
    let names = |filter: &str| groups(filter).iter().filter_map(name).collect::<Vec<_>>();
    assert_eq!(names(""), ["hello", "clock"]);
    assert_eq!(names("&kind=mcp"), ["clock"]);
    assert_eq!(names("&selector=team%3Dred"), ["hello"]);
    let group = &groups("&kind=agent")[0];
    assert_eq!(group["targets"], json!([agent.url().trim_start_matches("http://")]), "{group}");
    assert_eq!(group["labels"]["__meta_keiko_health"], "ready", "{group}");
    assert_eq!(group["labels"]["__meta_keiko_label_team"], "red", "{group}");
    let strings = group["labels"].as_object().expect("labels").values().all(Value::is_string);
    assert!(strings, "{group}");
}

#[tokio::test]
async fn every_no_is_coded() {
    let node = shared();
    let check = |verb: &str, path: &str, status: u16, code: &str| {
        let answer = ask(&node.socket(), verb, path, &[], "").expect("it answers");
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (status, &code.into()),
            "{verb} {path}"
        );
        answer
    };
    for verb in ["POST", "PUT", "DELETE", "PATCH"] {
        for path in ["/v0.1/servers", "/.well-known/ai-catalog.json", "/v1/sd"] {
            let refused = check(verb, path, 405, "KEIKO-0008");
            assert_eq!(refused.header("allow"), Some("GET, HEAD"), "{refused:?}");
        }
    }
    for (path, status, code) in [
        ("/v0.1/servers?limit=101", 400, "KEIKO-0002"),
        ("/v0.1/servers?limit=0", 400, "KEIKO-0002"),
        ("/v0.1/servers?cursor=nonsense", 400, "KEIKO-0002"),
        ("/v0.1/servers?updated_since=yesterday", 400, "KEIKO-0002"),
        ("/v0.1/servers/nobody/versions", 404, "KEIKO-0030"),
        ("/v0.1/servers/local.default%2Fnobody/versions/latest", 404, "KEIKO-0030"),
        ("/v0.1/servers/local.default%2Fnobody", 404, "KEIKO-0008"),
        ("/v0.1/nothing", 404, "KEIKO-0008"),
        ("/v1/agents/default/nobody/card", 404, "KEIKO-0030"),
        ("/v1/sd?kind=elephant", 400, "KEIKO-0002"),
        ("/v1/sd?selector=((", 400, "KEIKO-0002"),
    ] {
        check("GET", path, status, code);
    }
    let agent = fake::agent::start("reader");
    let name = unique("reader");
    node.ctl.ok(&format!("agent register {name} {}", agent.url()));
    let made = node.ctl.json(&format!("agent token {name}"));
    let token = made["token"].as_str();
    for path in ["/v0.1/servers", "/.well-known/ai-catalog.json", "/v1/sd"] {
        assert_eq!(network::ask(node, "get", path, token, None).await.0, 403, "{path}");
        assert_eq!(network::ask(node, "get", path, None, None).await.0, 401, "{path}");
    }
    let card = format!("/v1/agents/default/{name}/card");
    assert_eq!(network::ask(node, "get", &card, token, None).await.0, 200);
}
