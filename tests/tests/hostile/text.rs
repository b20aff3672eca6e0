//! Names and text of peers are data.

use super::{assert_clean, clean, on_terminal};
use crate::objects::names;
use keiko_core::refusal::Code;
use keiko_tests::fake::{self, hostile};
use keiko_tests::shared::unique;
use keiko_tests::{programs, shared};
use serde_json::{Value, json};

#[test]
fn what_is_odd_in_a_list_is_left_out() {
    let node = shared();
    let name = unique("odd-list");
    let server = hostile::lists(|_, _| {
        let none = json!({"type": "object"});
        let tool = hostile::tool;
        json!({"tools": [
            tool("echo", &none),
            tool("echo", &json!({"type": "object", "required": ["x"]})),
            tool("\u{1b}[2Jecho", &none),
            // Cyrillic.
            tool("\u{435}cho", &none),
            tool("recursive", &json!({"type": "object", "$ref": "#"})),
            tool("remote", &json!({"$ref": "http://169.254.169.254/schema"})),
            tool("file", &json!({"$ref": "file:///etc/passwd"})),
            tool("list", &json!([])),
        ]})
    });
    let made = clean(node.ctl.ok(&format!("mcp register {name} {}", server.url())));
    let tools = node.ctl.json(&format!("tool list --field spec.server={name}"));
    assert_eq!(names(&tools), [format!("{name}.echo")], "{made}");
    let described = clean(node.ctl.ok(&format!("mcp describe {name}")));
    for word in ["listed twice", "recursive", "nothing is fetched"] {
        assert!(described.stdout.contains(word), "{word}: {described}");
    }
    // The first one stands, and asks for nothing.
    node.ctl.ok(&format!("tool call {name}.echo"));
    node.ctl.ok(&format!("mcp delete {name} --yes"));
}

#[test]
fn a_refusal_says_what_others_wrote_and_does_not_obey_it() {
    let node = shared();
    let name = unique("reason");
    let fake = programs::path("fake-mcp").display().to_string();
    node.ctl.ok(&format!("mcp register {name} -- {fake} {name}"));
    let reason = "red \u{9b}31m\u{202e} and back";
    clean(node.ctl.ok(&format!("mcp suspend {name} --reason '{reason}'")));
    for output in ["", " -o json"] {
        let line = format!(r#"tool call {name}.echo '{{"text":"hi"}}'{output}"#);
        let refused = clean(node.ctl.run(&line));
        assert_eq!((refused.status, refused.stdout.as_str()), (1, ""), "{refused}");
        if !output.is_empty() {
            let told: Value = serde_json::from_str(&refused.stderr).expect("one object");
            let why = told["causes"][0].as_str().unwrap_or_default();
            assert!(why.contains(reason), "{told}");
        }
    }
    node.ctl.ok(&format!("mcp delete {name} --yes"));
}

#[test]
fn text_of_a_peer_is_never_obeyed() {
    let node = shared();
    let namespace = unique("evil");
    let evil = hostile::EVIL;
    let server = {
        let tool = json!({"name": "echo", "title": evil, "description": evil,
            "inputSchema": {"type": "object", "description": evil, "properties": {evil: {"type": "string"}}}});
        let info = json!({"name": "evil", "title": evil, "version": evil});
        hostile::serves(info, move |_, _| json!({"tools": [tool]}))
    };
    let agent = hostile::agent(move |url| {
        let mut card = fake::agent::card("evil", url);
        card["description"] = json!(evil);
        card["version"] = json!(evil);
        card["skills"][0]["name"] = json!(evil);
        card["skills"][0]["tags"] = json!([evil]);
        card["skills"][0]["description"] = json!(evil);
        card
    });
    let fake = programs::path("fake-mcp").display().to_string();
    let script = format!(r#"printf "\033[2J\302\233\342\200\256\n" >&2; exec {fake}"#);
    let ns = format!("-n {namespace}");
    for line in [
        format!("mcp register {} {ns}", server.url()),
        format!("agent register {} {ns}", agent.url()),
        format!("mcp register loud {ns} -- /bin/sh -c '{script}'"),
    ] {
        let made = clean(node.ctl.ok(&line));
        assert!(!made.stdout.is_empty() || !made.stderr.is_empty());
    }
    let mut lines = vec![format!("mcp logs loud {ns}"), "event tail --from 0".to_owned()];
    for noun in ["mcp", "agent", "tool", "skill"] {
        lines.push(format!("{noun} list {ns}"));
        lines.push(format!("{noun} list {ns} -o wide"));
    }
    for object in ["mcp describe evil", "agent describe evil", "tool describe evil.echo"] {
        lines.push(format!("{object} {ns}"));
        lines.push(format!("{object} {ns}").replace("describe", "history"));
    }
    lines.push(format!("skill describe evil.greet {ns}"));
    for line in lines {
        for output in ["", " -o yaml", " -o json", " -o jsonl"] {
            let takes_output = output.is_empty() || !line.contains("-o ");
            if takes_output {
                // Not every verb has every output; what it says is clean in any case.
                on_terminal(node, &format!("{line}{output}"));
            }
        }
    }
    let refused = clean(node.ctl.run(&format!("tool call evil.echo {ns} '{{\"x\": 1}}'")));
    assert_eq!(refused.status, 0, "{refused}");
    assert_clean(&node.log());
    // A name of which nothing is left in ASCII is no name.
    let cyrillic = json!({"name": "\u{440}\u{430}\u{443}", "version": "1"});
    let nameless = hostile::serves(cyrillic, |_, _| json!({"tools": []}));
    let refused = node.ctl.refused(
        &format!("mcp register {} {ns}", nameless.url()),
        2,
        Code::InvalidArgument,
    );
    assert!(clean(refused).stderr.contains("register NAME URL"));
}
