//! What people read: help, tables, errors. Each is reviewed like code.
//!
//! `INSTA_UPDATE=always ./x cargo test -p keiko-tests snapshots` writes them anew.

use keiko_tests::{Ctl, Node, Plan, ctl, fake, programs};
use std::collections::BTreeSet;

/// Keeps a text under `tests/snapshots`.
fn keep(name: &str, text: &str, filters: &[(&str, &str)]) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, replacement) in filters {
        settings.add_filter(pattern, *replacement);
    }
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// The commands that a page of help lists below a heading.
fn listed(help: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in help.lines() {
        if !line.starts_with(' ') {
            let heading = line.trim_end_matches(':');
            inside =
                ["Verbs", "Commands", "Fleet", "Manifests", "Insight", "Admin", "This command"]
                    .contains(&heading);
        } else if inside && line.starts_with("  ") && !line.starts_with("   ") {
            names.extend(line.split_whitespace().next().map(str::to_owned));
        }
    }
    names
}

#[test]
fn help_of_keikoctl() {
    let ctl = Ctl::new(None);
    let mut seen = BTreeSet::new();
    let mut pages = vec![String::new()];
    while let Some(words) = pages.pop() {
        let line = format!("{words} --help");
        let help = ctl.ok(line.trim_start()).stdout;
        for name in listed(&help) {
            pages.push(format!("{words} {name}").trim_start().to_owned());
        }
        let page = format!("keikoctl {words}").trim_end().replace(' ', "-");
        keep(&format!("help-{page}"), &help, &[]);
        seen.insert(page);
    }
    for page in ["keikoctl-agent-register", "keikoctl-event-tail", "keikoctl-tool-call"] {
        assert!(seen.contains(page), "{page} was not reached: {seen:?}");
    }
    for topic in ["exit-codes", "output", "environment"] {
        keep(&format!("help-topic-{topic}"), &ctl.ok(&format!("help {topic}")).stdout, &[]);
    }
    keep("help-keikoctl-short", &ctl.ok("-h").stdout, &[]);
}

#[test]
fn help_of_keikod() {
    for words in ["", "run ", "check ", "verify "] {
        let page = format!("keikod {words}").trim_end().replace(' ', "-");
        keep(&format!("help-{page}"), &ctl::keikod(&format!("{words}--help")).ok().stdout, &[]);
    }
}

/// What differs from run to run.
const FILTERS: &[(&str, &str)] = &[
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "UUID"),
    (r"\b[0-9a-f]{64}\b", "HASH"),
    (r"\b[0-9a-f]{32}\b", "TRACE"),
    (r"/\S*/keiko\.sock", "SOCKET"),
    (r"/\S*/fake-mcp", "FAKE-MCP"),
    (r"\b\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME"),
    (r"\b\d{13}\b", "MS"),
    (r"\b\d+(ms|s|m)\b +", "AGE "),
    (r"\b\d+(ms|s|m)\b", "AGE"),
    (r"((?:revision|newest is):? +)\d+", "${1}N"),
    // Right-aligned in tables, and in rows of csv.
    (r" {2,}\d+( +|\n)", "   N$1"),
    (r",\d+,CardFetched", ",N,CardFetched"),
    // Whoever runs the tests; root's number is not even shown.
    (r"uid \d+", "uid UID"),
    (r"    node: n1\n    uid: \d+\n", "    node: n1\n"),
    // As wide as the path of the program.
    (r"ENDPOINT +", "ENDPOINT   "),
    // What takes less than a millisecond has no latency to show.
    (r"n1 +(AGE 0|N) +in AGE", "n1   LATENCY   0   in AGE"),
    (r" +\n", "\n"),
];

#[test]
fn tables() {
    let node = Node::start(Plan::default());
    let agent = fake::agent::start("Greeter");
    let empty = node.ctl.run("agent list").ok();
    keep("table-empty", &format!("{}{}", empty.stdout, empty.stderr), FILTERS);
    node.ctl.ok(&format!("agent register hello {} --label team=red", agent.url()));
    node.ctl.ok(&format!("agent register another-agent {}", agent.url()));
    node.ctl.ok(&format!("mcp register fake -- {}", programs::path("fake-mcp").display()));
    crate::objects::wait_ready(&node.ctl, "fake", "True");
    for line in [
        "agent list",
        "agent list -o wide",
        "agent list -o name",
        "agent list -o csv",
        "agent get hello",
        "agent describe hello",
        "agent history hello",
        "mcp list",
        "mcp list -o wide",
        "mcp describe fake",
        "tool list",
        "tool list -o wide",
        "tool describe fake.echo",
        "skill list",
        "skill describe hello.greet",
        "status",
        "cluster status",
        "node list",
        "event tail --from 0 --type keiko.registry.agent",
    ] {
        let name = format!("table-{}", line.replace("--", "").replace([' ', '.'], "-"));
        keep(&name, &node.ctl.ok(line).stdout, FILTERS);
    }
    keep("yaml-agent", &node.ctl.ok("agent get hello -o yaml").stdout, FILTERS);
    let registered = node.ctl.ok(&format!("agent register third {}", agent.url()));
    keep("register-agent", &format!("{registered}"), FILTERS);
    let deleted = node.ctl.ok("agent delete third --yes");
    keep("delete-agent", &format!("{deleted}"), FILTERS);
}

#[test]
fn errors() {
    let node = keiko_tests::shared();
    for (name, line) in [
        ("not-found", "agent get nobody-at-all"),
        ("not-found-json", "agent get nobody-at-all -o json"),
        ("bad-name", "agent get 'A B'"),
        ("unknown-verb", "agent lst"),
        ("unknown-noun", "agnet list"),
        ("unknown-flag", "agent list --lable x"),
        ("missing-argument", "agent register"),
        ("bad-output", "agent list -o xml"),
        ("bad-jsonpath", "agent list -o 'jsonpath={.items[}'"),
        ("future-revision", "agent get x --at 999999999"),
        ("bad-arguments", "tool call x.y '{not json'"),
        ("unreachable-peer", "agent register x http://127.0.0.1:1"),
        ("metadata-address", "agent register x http://169.254.169.254"),
        ("inline-credential", "agent register x http://127.0.0.1:1 --header A=secret"),
        ("second-cluster", "cluster init"),
        ("delete-without-consent", "agent delete x --no-input"),
        ("remove-without-consent", "node remove n9 --no-input"),
        ("token-for-nobody", "cluster token create --for king"),
        ("token-without-name", "cluster token create --for admin"),
        ("token-that-bears-too-much", "cluster token create --for node --bearer"),
        ("join-without-token", "cluster join 127.0.0.1:1"),
        ("join-over-a-socket", "cluster join unix:D/keiko.sock --token x"),
    ] {
        let output = node.ctl.run(line);
        assert_ne!(output.status, 0, "{output}");
        assert_eq!(output.stdout, "", "{output}");
        let text = format!("$ keikoctl {line}\nexit {}\n{}", output.status, output.stderr);
        keep(&format!("error-{name}"), &text, FILTERS);
    }
    let nowhere = Ctl::new(Some("unix:/nowhere/keiko.sock".to_owned()));
    let output = nowhere.run("status");
    keep("error-unreachable", &format!("exit {}\n{}", output.status, output.stderr), FILTERS);
    keep("explain", &nowhere.ok("explain KEIKO-0031").stdout, &[]);
}
