//! Which cluster a command goes to, who said so, and what a project may not say.

use keiko_core::refusal::Code;
use keiko_tests::shared::unique;
use keiko_tests::{Ctl, fake, shared};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The endpoint of the shared node's socket.
fn endpoint() -> String {
    format!("unix:{}", shared().socket().display())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn a_context_is_added_used_tried_and_forgotten() {
    let ctl = Ctl::new(None);
    ctl.refused("status", 3, Code::NoEndpoint);
    ctl.refused("context show", 3, Code::NoEndpoint);
    let shown = ctl.json(&format!("context show --endpoint {}", endpoint()));
    assert_eq!(shown["endpoint"], endpoint(), "{shown}");
    assert_eq!(shown["origin"], "--endpoint", "{shown}");
    ctl.ok(&format!("context add here --endpoint {} --namespace team-a", endpoint()));
    ctl.refused("status", 3, Code::NoEndpoint);
    let config = ctl.place().join("config/keiko/config.toml");
    assert_eq!(mode(&config), 0o600);
    ctl.refused("context add here --endpoint x:1", 7, Code::NameTaken);
    ctl.refused("context add Bad/Name --endpoint x:1", 2, Code::InvalidArgument);
    ctl.refused("context add other", 2, Code::InvalidArgument).says("--endpoint");
    ctl.refused("context use nobody", 2, Code::ContextInvalid).says("there are here");
    assert_eq!(ctl.ok("--context here status -o jsonpath=.leader").stdout.trim(), "n1");
    ctl.ok("context use context/here");
    assert_eq!(ctl.json("status")["leader"], "n1");
    let tested = ctl.json("context test");
    assert_eq!(tested["context"], "here", "{tested}");
    assert_eq!(tested["cluster"].as_str().map(str::len), Some(36), "{tested}");
    let shown = ctl.json("context show");
    assert_eq!((&shown["name"], &shown["namespace"]), (&"here".into(), &"team-a".into()));
    let list = ctl.json("context list");
    assert_eq!(list["items"][0]["current"], true, "{list}");
    assert_eq!(ctl.ok("context list -o name").stdout, "context/here\n");
    ctl.refused("context delete here", 2, Code::InvalidArgument).says("--yes");
    ctl.ok("context delete here --yes");
    ctl.refused("status", 3, Code::NoEndpoint);
}

#[test]
fn a_token_comes_from_standard_input_and_is_never_shown() {
    let node = shared();
    let name = unique("kept");
    let agent = fake::agent::start("kept");
    node.ctl.ok(&format!("agent register {name} {}", agent.url()));
    let token = node.ctl.ok(&format!("agent token {name}")).stdout.trim().to_owned();
    let ctl = Ctl::new(None);
    let line = format!("context add far --endpoint https://{} --token-stdin --use", node.api());
    ctl.run_with("context add far --endpoint x --token-stdin", "no token")
        .refused(4, Code::TokenInvalid);
    let added = ctl.run_with(&line, &format!("{token}\n")).ok();
    let kept = ctl.place().join("config/keiko/tokens/far.token");
    assert_eq!(mode(&kept), 0o600);
    assert_eq!(fs::read_to_string(&kept).expect("a token").trim(), token);
    assert_eq!(ctl.json(&format!("agent get {name}"))["metadata"]["name"], name.as_str());
    let tested = ctl.ok("context test");
    let shown = ctl.ok("context show --origin");
    let file = fs::read_to_string(ctl.place().join("config/keiko/config.toml")).expect("a file");
    for text in [added.to_string(), tested.to_string(), shown.to_string(), file] {
        assert!(!text.contains(&token), "{text}");
    }
    ctl.ok("context delete far --yes");
    assert!(!kept.exists());
}

#[test]
fn a_flag_wins_over_a_variable_and_that_over_files() {
    let ctl = Ctl::new(None);
    ctl.ok(&format!("context add here --endpoint {} --use", endpoint()));
    fs::write(ctl.place().join(".keiko.toml"), "output = 'json'\nnamespace = 'team-b'\n")
        .expect("a file");
    let origin = |rows: &serde_json::Value, setting: &str| {
        let rows = rows["items"].as_array().expect("a list").clone();
        let row = rows.into_iter().find(|row| row["setting"] == setting).expect("a setting");
        (row["value"].as_str().unwrap_or_default().to_owned(), row["origin"].to_string())
    };
    let rows = ctl.ok("context show --origin").json();
    assert_eq!(origin(&rows, "namespace").0, "team-b");
    assert!(origin(&rows, "namespace").1.contains(".keiko.toml"), "{rows}");
    assert!(origin(&rows, "endpoint").1.contains("context here"), "{rows}");
    let mut command = ctl.command("context show --origin");
    command.env("KEIKO_NAMESPACE", "mine").env("KEIKO_TIMEOUT", "7s");
    let rows = keiko_tests::ctl::run(command, "context show --origin", "").ok().json();
    assert_eq!(origin(&rows, "namespace"), ("mine".into(), "\"$KEIKO_NAMESPACE\"".into()));
    assert_eq!(origin(&rows, "timeout"), ("7s".into(), "\"$KEIKO_TIMEOUT\"".into()));
    let rows = ctl.ok("context show --origin --timeout 9s").json();
    assert_eq!(origin(&rows, "timeout"), ("9s".into(), "\"--timeout\"".into()));
    // The namespace holds for the rooms' verbs, and a flag wins.
    assert_eq!(ctl.ok("agent list").json()["items"], serde_json::json!([]));
    let node = shared();
    let name = unique("spaced");
    let agent = fake::agent::start("spaced");
    node.ctl.ok(&format!("agent register {name} {} -n team-b", agent.url()));
    assert_eq!(ctl.ok(&format!("agent get {name}")).json()["metadata"]["namespace"], "team-b");
}

#[test]
fn a_project_says_neither_where_nor_as_whom() {
    let ctl = Ctl::new(Some(endpoint()));
    let path = ctl.place().join(".keiko.toml");
    for key in ["endpoint", "context", "current", "token", "token_file", "ca"] {
        fs::write(&path, format!("{key} = 'x'\n")).expect("a file");
        ctl.refused("status", 2, Code::ContextInvalid).says(".keiko.toml may not set").says(key);
    }
    // What needs no settings works all the same.
    for line in ["version", "help", "explain KEIKO-0084", "completion bash"] {
        ctl.ok(line);
    }
    fs::write(&path, "namespace = 'team-a'\n").expect("a file");
    ctl.ok("status");
}

#[test]
fn two_ways_are_refused() {
    let ctl = Ctl::new(None);
    ctl.ok(&format!("context add here --endpoint {}", endpoint()));
    ctl.refused("--context here --endpoint x:1 status", 2, Code::ContextInvalid);
    let mut command = ctl.command("--context here status -o jsonpath=.leader");
    command.env("KEIKO_ENDPOINT", "unix:/nowhere");
    let found = keiko_tests::ctl::run(command, "a flag and a variable", "").ok();
    assert_eq!(found.stdout.trim(), "n1");
}

/// As bash asks: its script, its variables, its function.
#[test]
fn bash_completes_verbs_and_live_names() {
    let node = shared();
    let name = unique("tabbed");
    let agent = fake::agent::start("tabbed");
    node.ctl.ok(&format!("agent register {name} {}", agent.url()));
    let ctl = Ctl::new(None);
    ctl.ok(&format!("context add here --endpoint {} --use", endpoint()));
    let like = ctl.command("version");
    let ask = |words: &str| {
        let mut command = std::process::Command::new("bash");
        command
            .env_clear()
            .current_dir(ctl.place())
            .envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let script = format!(
            "source <(keikoctl completion bash); COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             COMP_TYPE=9; _clap_complete_keikoctl keikoctl \"${{COMP_WORDS[COMP_CWORD]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        command.args(["--norc", "-c", &script]);
        keiko_tests::ctl::run(command, words, "").ok()
    };
    for (words, expect) in [
        ("keikoctl sta", "status"),
        ("keikoctl ev", "event"),
        ("keikoctl agent ge", "get"),
        ("keikoctl wait mcp/x --for del", "delete"),
        ("keikoctl context use h", "here"),
        ("keikoctl --context h", "here"),
        ("keikoctl explain KEIKO-008", "KEIKO-0084"),
    ] {
        let found = ask(words);
        assert!(found.stdout.lines().any(|line| line.trim() == expect), "{expect}: {found}");
        assert_eq!(found.stderr, "", "{found}");
    }
    // 150 ms are kept, not promised, on a busy machine: one of a few tries is in time.
    let words = format!("keikoctl agent get {}", &name[..name.len() - 1]);
    let in_time = (0..10).any(|_| ask(&words).stdout.lines().any(|line| line.trim() == name));
    assert!(in_time, "{name} was never offered");
    ctl.ok("context add gone --endpoint unix:/nowhere/keiko.sock --use");
    let silent = ask("keikoctl agent get x");
    assert_eq!(silent.stderr, "", "{silent}");
}
