use super::read::{Manifest, Namespace, manifests};
use super::source::Source;
use keiko_core::refusal::{Code, Refusal, Result};

/// Reads a text as if it were `test.yaml`.
pub(super) fn read_text(text: &str) -> Result<Vec<Manifest>> {
    read_in("default", false, text)
}

fn read_in(namespace: &str, is_typed: bool, text: &str) -> Result<Vec<Manifest>> {
    let source = Source { name: "test.yaml".into(), text: text.into() };
    manifests(&[source], &Namespace { name: namespace.into(), is_typed })
}

const SERVER: &str = "apiVersion: keiko/v1\nkind: McpServer\nmetadata:\n  name: time\n";

fn refused(text: &str) -> Refusal {
    let refusal = read_text(text).unwrap_err();
    assert_eq!(refusal.code, Code::ManifestInvalid, "{text}");
    refusal
}

#[test]
fn faults_have_a_place_and_say_what_was_meant() {
    for (text, expect) in [
        (
            "spec:\n  comand: [/x]\n",
            "test.yaml:6:3: there is no field spec.comand; did you mean command?",
        ),
        ("command: [/x]\n", "test.yaml:5:1: there is no field command; did you mean spec.command?"),
        ("spec: {}\n", "test.yaml:5:7: spec has neither url nor command"),
        ("spec: {url: 'http://a', command: [/x]}\n", "spec has both url and command"),
        (
            "spec: {command: [x]}\n",
            "spec.command[0] has another form: it is the absolute path of a program on the node",
        ),
        ("spec: {command: /x}\n", "spec.command is text, not a list"),
        ("spec: {command: [/x, 7]}\n", "test.yaml:5:22: spec.command[1] is a number, not text"),
        ("spec: {url: ftp://a}\n", "spec.url has another form: it is an http or https URL"),
        (
            "spec: {url: 'http://a', dependsOn: [time]}\n",
            "spec.dependsOn[0] has another form: it is KIND/NAME",
        ),
        ("spec: {url: 'http://a', env: [{name: A}]}\n", "spec.env[0].credential is missing"),
        (
            "spec: {url: 'http://a'}\nstatu: {}\n",
            "test.yaml:6:1: there is no field statu; did you mean status?",
        ),
        ("", "test.yaml:1:1: spec is missing"),
        ("spec: {url: 'http://a'\n", "test.yaml:"),
    ] {
        let refusal = refused(&format!("{SERVER}{text}"));
        assert!(refusal.causes.iter().any(|cause| cause.contains(expect)), "{expect}: {refusal:?}");
    }
    for (text, expect) in [
        ("kind: Agnet\n", "test.yaml:1:7: there is no kind \"Agnet\"; did you mean Agent?"),
        ("kind: mcp\n", "there is no kind \"mcp\"; did you mean McpServer?"),
        ("kind: Tool\n", "a Tool comes with its McpServer"),
        ("kind: 7\n", "kind is a number, not text"),
        ("metadata: {}\n", "kind is missing"),
        ("- kind: Agent\n", "a manifest is a map, not a list"),
        ("just text\n", "a manifest is a map, not text"),
        (
            "apiVersion: keiko/v2\nkind: Agent\nmetadata: {name: a}\nspec: {url: 'http://a'}\n",
            "apiVersion is not \"keiko/v1\"",
        ),
        (
            "apiVersion: keiko/v1\nkind: Agent\nmetadata: {name: A_b}\nspec: {url: 'http://a'}\n",
            "metadata.name has another form",
        ),
        (
            "apiVersion: keiko/v1\nkind: Agent\nmetadata: {name: a, labels: {v: 1.0}}\nspec: {url: 'http://a'}\n",
            "metadata.labels.v is a number, not text",
        ),
        ("# nothing\n", ""),
    ] {
        let refusal = refused(text);
        let found = refusal.causes.iter().any(|cause| cause.contains(expect));
        assert!(found || expect.is_empty(), "{expect}: {refusal:?}");
    }
}

#[test]
fn every_fault_is_told_at_once_but_not_without_end() {
    let one = format!("{SERVER}spec: {{comand: 1}}\n---\n");
    let refusal = refused(&format!("{one}{one}"));
    assert!(refusal.message.contains("4 faults"), "{refusal:?}");
    assert!(refusal.causes[2].contains("(document 2)"), "{refusal:?}");
    let many = refused(&one.repeat(200));
    assert!(many.causes.len() <= 21, "{}", many.causes.len());
    let keys: String = (0..5000).map(|key| format!("key{key}: 1\n")).collect();
    assert!(refused(&format!("{SERVER}{keys}")).causes.len() <= 22);
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    for text in [
        "spec: {url: 'http://a', headers: [{name: Authorization, value: hunter2}]}\n",
        "spec: {url: 'http://a', headers: [{name: Authorization, credential: /hunter2}]}\n",
        "spec: {url: 'http://a', headers: hunter2}\n",
        "spec: {url: 'hunter2'}\n",
        "spec: {url: 'http://a', lease: hunter2}\n",
    ] {
        let refusal = refused(&format!("{SERVER}{text}"));
        assert!(!format!("{refusal:?}").contains("hunter2"), "{refusal:?}");
    }
}

#[test]
fn documents_lists_and_json_are_the_same() {
    let object = |name: &str| {
        format!(
            "{{\"apiVersion\": \"keiko/v1\", \"kind\": \"Agent\", \"metadata\": {{\"name\": \"{name}\"}}, \"spec\": {{\"url\": \"http://{name}\"}}}}"
        )
    };
    let (a, b) = (object("a"), object("b"));
    for text in [
        format!("{a}\n---\n{b}\n"),
        format!("---\n{a}\n---\n---\n{b}\n...\n"),
        format!("{{\"items\": [{a}, {b}], \"revision\": 7}}"),
        format!("apiVersion: keiko/v1\nkind: List\nitems:\n- {a}\n- {b}\n"),
    ] {
        let read = read_text(&text).unwrap();
        let names: Vec<&str> = read.iter().map(|one| one.id.name.as_str()).collect();
        assert_eq!(names, ["a", "b"], "{text}");
        assert_eq!(read[1].declared["spec"]["url"], "http://b");
    }
    let twice = refused(&format!("{a}\n---\n{a}\n"));
    let expect = "test.yaml:3:1 (document 2): agent/a is declared twice, first at test.yaml:1:1 (document 1)";
    assert_eq!(twice.causes, [expect]);
}

/// As `get -o yaml` prints it.
#[test]
fn what_probes_found_has_no_effect() {
    let text = "apiVersion: keiko/v1\nkind: McpServer\nmetadata:\n  name: time\n  namespace: default\n  \
        uid: 12-0\n  labels:\n    team: red\n  revision: 12\n  createdMs: 1763732344000\n  \
        updatedMs: 1763732344000\n  generation: 12\nspec:\n  transport: stdio\n  command:\n  - /bin/x\n  \
        protocolVersion: 2026-07-28\n  serverName: time\n  grant:\n    node: n1\n    uid: 0\n  \
        dependsOn:\n  - mcp/b\n  - mcp/a\nstatus:\n  conditions:\n  - type: Ready\n    status: 'True'\n";
    let read = read_text(text).unwrap().remove(0);
    assert_eq!(read.revision, 12);
    assert_eq!(read.needs, ["mcp/a", "mcp/b"]);
    let expect = serde_json::json!({
        "apiVersion": "keiko/v1", "kind": "McpServer",
        "metadata": {"name": "time", "namespace": "default", "labels": {"team": "red"}},
        "spec": {"command": ["/bin/x"], "dependsOn": ["mcp/a", "mcp/b"]},
    });
    assert_eq!(read.declared, expect);
}

#[test]
fn a_namespace_is_that_of_the_manifest() {
    let bare = format!("{SERVER}spec: {{url: 'http://a'}}\n");
    let named = bare.replace("name: time\n", "name: time\n  namespace: prod\n");
    for (text, namespace, is_typed, expect) in [
        (&bare, "dev", false, Some("dev")),
        (&bare, "dev", true, Some("dev")),
        (&named, "dev", false, Some("prod")),
        (&named, "prod", true, Some("prod")),
        (&named, "dev", true, None),
    ] {
        let read = read_in(namespace, is_typed, text).ok();
        let found = read.as_ref().map(|read| read[0].id.namespace.as_str());
        assert_eq!(found, expect, "{namespace} {is_typed}");
    }
}
