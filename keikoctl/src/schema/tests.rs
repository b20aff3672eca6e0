use super::*;

fn errors(kind: &'static str, manifest: &Value) -> usize {
    jsonschema::draft202012::new(of(kind)).unwrap().iter_errors(manifest).count()
}

#[test]
fn every_kind_has_a_schema_that_is_one() {
    for kind in KINDS {
        let schema = of(kind);
        assert!(jsonschema::draft202012::meta::is_valid(schema), "{kind}");
        assert_eq!(schema["properties"]["kind"]["const"], kind);
        assert_eq!(schema["properties"]["status"]["readOnly"], true, "{kind}");
        let mut all = Vec::new();
        paths(schema, "", &mut all);
        assert!(all.len() > 30, "{kind}: {all:?}");
    }
}

/// A rule of a field that is gone would make a field of its own, without a type.
#[test]
fn no_rule_is_left_of_a_field_that_is_gone() {
    fn check(schema: &Value, path: &str) {
        for (name, inner) in fields(schema) {
            let path = format!("{path}.{name}");
            let is_document = inner.get("type").is_none();
            assert!(!is_document || inner["readOnly"] == true, "{path}: {inner}");
            assert!(inner["items"] != Value::Null || inner["type"] != "array", "{path}");
            check(inner, &path);
        }
    }
    for kind in KINDS {
        check(of(kind), kind);
    }
}

#[test]
fn says_what_a_manifest_may_be() {
    let agent = |spec: Value| json!({"apiVersion": "keiko/v1", "kind": "Agent", "metadata": {"name": "a"}, "spec": spec});
    let server = |spec: Value| json!({"apiVersion": "keiko/v1", "kind": "McpServer", "metadata": {"name": "a"}, "spec": spec});
    for (kind, manifest, expect) in [
        ("Agent", agent(json!({"url": "https://a.example.com"})), 0),
        ("Agent", agent(json!({"url": "ftp://a"})), 1),
        ("Agent", agent(json!({})), 1),
        ("Agent", agent(json!({"url": "http://a", "lease": {"ttlMs": 30_000}})), 0),
        ("Agent", agent(json!({"url": "http://a", "lease": {"ttlMs": 1}})), 1),
        ("Agent", agent(json!({"url": "http://a", "dependsOn": ["mcp/time", "tool/time.now"]})), 0),
        ("Agent", agent(json!({"url": "http://a", "dependsOn": ["time"]})), 1),
        ("Agent", agent(json!({"url": "http://a", "card": {"name": "found"}, "version": "1"})), 0),
        ("McpServer", server(json!({"command": ["/bin/x", "--flag"]})), 0),
        ("McpServer", server(json!({"command": ["x"]})), 1),
        ("McpServer", server(json!({"command": []})), 1),
        ("McpServer", server(json!({"url": "http://a", "command": ["/x"]})), 1),
        ("McpServer", server(json!({})), 1),
        ("McpServer", server(json!({"comand": ["/x"], "url": "http://a"})), 1),
        (
            "McpServer",
            server(json!({"url": "http://a", "headers": [{"name": "A", "credential": "k"}]})),
            0,
        ),
        ("McpServer", server(json!({"url": "http://a", "headers": [{"name": "A"}]})), 1),
        (
            "McpServer",
            server(json!({"url": "http://a", "headers": [{"name": "A", "credential": "../k"}]})),
            1,
        ),
    ] {
        assert_eq!(errors(kind, &manifest), expect, "{manifest}");
    }
}

#[test]
fn words_lead_to_kinds_and_fields() {
    for (word, expect) in [
        ("agent", Some("Agent")),
        ("MCPSERVER", Some("McpServer")),
        ("mcp-server", Some("McpServer")),
        ("mcp", Some("McpServer")),
        ("agnet", None),
        ("KEIKO-0031", None),
    ] {
        assert_eq!(kind_of(word), expect, "{word}");
    }
    let server = of("McpServer");
    for (at, word, expect) in [
        ("spec", "comand", Some("command")),
        ("spec", "dependson", Some("dependsOn")),
        ("", "command", Some("spec.command")),
        ("spec.headers[0]", "credentials", Some("credential")),
        ("spec", "xyz", None),
        ("nowhere", "url", None),
    ] {
        assert_eq!(meant(server, at, word).as_deref(), expect, "{at} {word}");
    }
}

#[test]
fn reads_as_text() {
    let server = of("McpServer");
    let text = explain("McpServer", "", server);
    assert!(text.starts_with("KIND    McpServer (mcp), keiko/v1\n"), "{text}");
    assert!(text.contains("\nFIELDS (* must be there)\n  apiVersion *  text"), "{text}");
    assert!(text.contains("\nFOUND OR KEPT BY KEIKO\n  status  object"), "{text}");
    let spec = explain("McpServer", "spec", field(server, "spec").unwrap());
    assert!(spec.contains("FIELD   spec: object"), "{spec}");
    assert!(spec.contains("either url or command, not both"), "{spec}");
    assert!(spec.contains("list of text"), "{spec}");
    let tree = tree("McpServer", "", server);
    assert!(tree.contains("\n  spec") && tree.contains("\n    command"), "{tree}");
    for line in tree.lines().chain(spec.lines()) {
        assert_eq!(line.trim_end(), line);
    }
}
