//! What becomes of an object in each document.

use super::query::{Query, encode, rfc3339};
use super::{Page, catalog, find, line, server, servers, targets};
use crate::net::decode;
use keiko_core::history::Version;
use keiko_core::refusal::Code;
use keiko_core::registry::Kind;
use keiko_proto::v1::{
    Agent, AgentInterface, AgentSpec, CredentialRef, Health, McpServer, McpServerSpec, Metadata,
    Object, ObjectStatus, object::Object as Inner,
};

fn metadata(name: &str) -> Metadata {
    Metadata {
        name: name.into(),
        namespace: "default".into(),
        labels: [("team".into(), "red".into()), ("a/b.c".into(), String::new())].into(),
        created_ms: 1_000,
        updated_ms: 2_000,
        ..Metadata::default()
    }
}

fn mcp(version: &str) -> McpServer {
    let header = CredentialRef { name: "authorization".into(), credential: "secret-file".into() };
    let spec = McpServerSpec {
        transport: "http".into(),
        url: "https://[::1]/mcp".into(),
        title: "Line one\n\u{1b}[31mline two".into(),
        version: version.into(),
        headers: vec![header],
        ..McpServerSpec::default()
    };
    let health = Health { state: "ready".into(), since_ms: 1, ..Health::default() };
    let status = ObjectStatus { health: Some(health), ..ObjectStatus::default() };
    McpServer {
        metadata: Some(metadata("time")),
        spec: Some(spec),
        status: Some(status),
        ..McpServer::default()
    }
}

fn object(server: McpServer) -> Object {
    Object { object: Some(Inner::McpServer(server)) }
}

#[test]
fn paths() {
    let check = |path: &str, expect: Option<Page>| assert_eq!(find(path), expect, "{path}");
    check("/v0.1/servers", Some(Page::Servers));
    let name = "local.default/time".to_owned();
    let versions = "/v0.1/servers/local.default%2Ftime/versions";
    check(versions, Some(Page::Versions { name: name.clone() }));
    let version = "1.0+b".to_owned();
    check(&format!("{versions}/1.0%2Bb"), Some(Page::Version { name, version }));
    check("/.well-known/ai-catalog.json", Some(Page::Catalog));
    check("/v1/sd", Some(Page::Targets));
    let card = Page::Card { namespace: "default".into(), name: "hello".into() };
    check("/v1/agents/default/hello/card", Some(card));
    for path in ["/", "/v0.1/servers/", "/v0.1/servers/a%2", "/v1/agents//hello/card", "/v1/sd/x"] {
        check(path, None);
    }
}

#[test]
fn a_server_json() {
    let document = server::document(&mcp("1.2.3"));
    assert_eq!(document["name"], "local.default/time");
    assert_eq!(document["version"], "1.2.3");
    assert_eq!(document["description"], "Line one [31mline two", "no line break, no escape");
    assert_eq!(document["remotes"][0]["type"], "streamable-http");
    assert_eq!(document["remotes"][0]["headers"][0]["name"], "authorization");
    assert!(!document.to_string().contains("secret-file"), "{document}");
    let silent = McpServer { metadata: Some(metadata("time")), ..McpServer::default() };
    let document = server::document(&silent);
    assert_eq!(document["version"], "0.0.0");
    assert_eq!(document["description"], "time");
    assert!(document.get("remotes").is_none());
}

#[test]
fn published_names() {
    let key = server::key("local.default/time").unwrap();
    assert_eq!((key.kind, key.namespace.as_str()), (Kind::McpServer, "default"));
    assert_eq!(server::name(&metadata("time")), "local.default/time");
    for name in ["time", "default/time", "local./time", "local.default", "io.x/time"] {
        assert_eq!(server::key(name).unwrap_err().code, Code::NotFound, "{name}");
    }
}

#[test]
fn versions_of_this_life() {
    let past = [Some("2"), Some("2"), Some("1"), Some("2"), None, Some("0")];
    let past = past.into_iter().enumerate().map(|(at, version)| Version {
        revision: 10 - at as u64,
        value: version.map(|version| object(mcp(version))),
    });
    let releases = servers::fold(past.collect());
    let got: Vec<_> =
        releases.iter().map(|known| (server::version(&known.server), known.is_latest)).collect();
    assert_eq!(got, [("2", true), ("1", false)]);
    let response = server::response(&releases[1]);
    assert!(response["_meta"].get("dev.keiko/health").is_none(), "{response}");
    let official = &response["_meta"]["io.modelcontextprotocol.registry/official"];
    assert_eq!(official["updatedAt"], "1970-01-01T00:00:02Z");
    assert_eq!(official["isLatest"], false);
}

#[test]
fn targets_have_a_port_and_meta_labels() {
    let group = targets::group(Kind::McpServer, &object(mcp("1"))).unwrap();
    assert_eq!(group["targets"][0], "[::1]:443");
    let labels = &group["labels"];
    assert_eq!(labels["__meta_keiko_health"], "ready");
    assert_eq!(labels["__meta_keiko_path"], "/mcp");
    assert_eq!(labels["__meta_keiko_label_team"], "red");
    assert_eq!(labels["__meta_keiko_labelpresent_a_b_c"], "true");
    let stdio = McpServer { spec: Some(McpServerSpec::default()), ..mcp("1") };
    assert_eq!(targets::group(Kind::McpServer, &object(stdio)), None);
}

#[test]
fn the_catalog_has_what_has_a_document() {
    let interface = AgentInterface { url: "http://x/a2a".into(), ..AgentInterface::default() };
    let spec = AgentSpec {
        card: "{}".into(),
        title: "Hello".into(),
        interfaces: vec![interface],
        ..AgentSpec::default()
    };
    let agent = |spec| {
        let metadata = Some(metadata("hello"));
        let agent = Agent { metadata, spec: Some(spec), ..Agent::default() };
        Object { object: Some(Inner::Agent(agent)) }
    };
    let entry = catalog::entry(&agent(spec), "https://n1:7340").unwrap();
    assert_eq!(entry["identifier"], "urn:air:keiko.localhost:default:agent:hello");
    assert_eq!(entry["url"], "https://n1:7340/v1/agents/default/hello/card");
    assert_eq!(entry["displayName"], "Hello");
    assert_eq!(catalog::entry(&agent(AgentSpec::default()), ""), None, "it was never seen");
    let entry = catalog::entry(&object(mcp("1")), "").unwrap();
    assert_eq!(entry["data"]["name"], "local.default/time");
    assert!(entry.get("url").is_none(), "one of both: {entry}");
}

#[test]
fn parameters() {
    let query = Query::parse("limit=7&search=a%20b&since=2026-01-31T12:00:00%2B01:00").unwrap();
    assert_eq!(query.limit(30, 100).unwrap(), 7);
    assert_eq!(query.get("search"), Some("a b"));
    assert_eq!(query.moment("since").unwrap(), Some(1_769_857_200_000));
    for text in ["limit=0", "limit=101", "limit=x", "limit=-1"] {
        let refused = Query::parse(text).unwrap().limit(30, 100).unwrap_err();
        assert_eq!(refused.code, Code::InvalidArgument, "{text}");
    }
    assert!(Query::parse("since=yesterday").unwrap().moment("since").is_err());
    assert!(Query::parse("a=1&a=2").is_err());
    let many: Vec<String> = (0..17).map(|number| format!("p{number}=1")).collect();
    assert_eq!(Query::parse(&many.join("&")).unwrap_err().code, Code::LimitExceeded);
}

#[test]
fn texts() {
    assert_eq!(rfc3339(1_769_857_200_123), "2026-01-31T11:00:00.123Z");
    for text in ["a/b c+d", "é", "1.0+b", "~-._"] {
        assert_eq!(decode(&encode(text)).as_deref(), Some(text));
    }
    assert_eq!(line("  a\n\tb  ", 3), "a b");
    assert_eq!(line("abcdef", 3), "abc");
}
