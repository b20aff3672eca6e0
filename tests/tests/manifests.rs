//! Manifests: what files say becomes so, all of it or nothing of what is malformed.

use crate::objects::names;
use keiko_core::refusal::Code;
use keiko_tests::place::Place;
use keiko_tests::shared::unique;
use keiko_tests::web::Web;
use keiko_tests::{Ctl, Node, Output, Plan, fake, programs, shared};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::PathBuf;

/// A folder of files, in a namespace of its own.
struct Fleet {
    /// Where nobody else moves the revision.
    own: Option<Node>,
    place: Place,
    namespace: String,
}

impl Fleet {
    fn new() -> Self {
        Self { own: None, place: Place::new(), namespace: unique("fleet") }
    }

    fn alone() -> Self {
        Self { own: Some(Node::start(Plan::default())), ..Self::new() }
    }

    fn ctl(&self) -> &Ctl {
        &self.own.as_ref().unwrap_or_else(|| shared()).ctl
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.place.join(name);
        std::fs::create_dir_all(path.parent().expect("it is in the place")).expect("a folder");
        std::fs::write(&path, text).expect("a file");
        path
    }

    #[track_caller]
    fn run(&self, line: &str) -> Output {
        let folder = self.place.path().display().to_string();
        self.ctl().run(&format!("{} -n {}", line.replace('@', &folder), self.namespace))
    }

    #[track_caller]
    fn ok(&self, line: &str) -> Output {
        self.run(line).ok()
    }

    #[track_caller]
    fn get(&self, reference: &str) -> Value {
        let (noun, name) = reference.split_once('/').expect("kind/name");
        self.ok(&format!("{noun} get {name} -o json")).json()
    }

    fn revision(&self) -> u64 {
        let status = self.ctl().json("status");
        status["revision"].as_u64().unwrap_or_else(|| panic!("{status}"))
    }
}

fn server(name: &str, more: &str) -> String {
    let fake = programs::path("fake-mcp").display().to_string();
    format!(
        "apiVersion: keiko/v1\nkind: McpServer\nmetadata:\n  name: {name}\n  labels: {{app: {name}, \
         fleet: mine}}\nspec:\n  command: [{fake}, {name}]\n{more}"
    )
}

fn agent(name: &str, url: &str, more: &str) -> String {
    format!(
        "apiVersion: keiko/v1\nkind: Agent\nmetadata:\n  name: {name}\n  labels: {{fleet: mine}}\n\
         spec:\n  url: {url}\n{more}"
    )
}

#[test]
fn files_folders_and_standard_input() {
    let fleet = Fleet::alone();
    let hello = fake::agent::start("Hello");
    let needs = "  dependsOn: [mcp/one, tool/two.echo]\n";
    fleet.file(
        "a.yaml",
        &format!("{}---\n{}", agent("hello", &hello.url(), needs), server("one", "")),
    );
    fleet.file("deep/b.yml", &server("two", ""));
    fleet.file("README.md", "no manifest");
    let made = fleet.ok("apply -f @ -R --wait --timeout 60s").stdout;
    // What is needed goes first.
    let order: Vec<&str> = made.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(order, ["mcp/one", "mcp/two", "agent/hello"], "{made}");
    assert!(made.lines().all(|line| line.contains(" created (revision ")), "{made}");
    assert_eq!(fleet.get("agent/hello")["spec"]["dependsOn"][0], "mcp/one");
    fleet.ok("tool call one.echo '{\"text\":\"hi\"}'");

    let before = fleet.revision();
    let again = fleet.ok("apply -f @ -R").stdout;
    assert_eq!(again.lines().filter(|line| line.ends_with(" unchanged")).count(), 3, "{again}");
    assert_eq!(fleet.revision(), before, "what is so is no entry");

    // What get prints can be applied as it is, alone or as a list, from standard input.
    for line in ["agent get hello -o yaml", "mcp list -o yaml", "mcp list -o json"] {
        let printed = fleet.ok(line).stdout;
        let line = format!("apply -f - -n {}", fleet.namespace);
        let applied = fleet.ctl().run_with(&line, &printed).ok().stdout;
        assert!(applied.lines().all(|line| line.ends_with(" unchanged")), "{applied}{printed}");
    }

    let named = fleet.ok("apply -f @/a.yaml -o name").stdout;
    assert_eq!(named, "mcp/one\nagent/hello\n");
    let json = fleet.ok("apply -f @/a.yaml -o json").json();
    assert_eq!(json["items"][1]["object"]["metadata"]["name"], "hello", "{json}");
    assert_eq!(json["items"][1]["change"], "CHANGE_UNCHANGED", "{json}");

    let gone = fleet.ok("delete -f @ -R --yes").stdout;
    let order: Vec<&str> = gone.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(order, ["agent/hello", "mcp/one", "mcp/two"], "{gone}");
    fleet.run("delete -f @ -R --yes").refused(6, Code::NotFound).says("a.yaml:1:1");
    fleet.ok("delete -f @ -R --yes --ignore-not-found");
}

#[test]
fn nothing_is_sent_if_anything_is_malformed() {
    let fleet = Fleet::alone();
    fleet.file("1-good.yaml", &server("good", ""));
    let bad = |text: &str| fleet.file("2-bad.yaml", text);
    let before = fleet.revision();
    for (text, says) in [
        (
            server("bad", "  comand: [/x]\n"),
            "2-bad.yaml:8:3: there is no field spec.comand; did you mean command?",
        ),
        (server("Bad", ""), "metadata.name has another form"),
        (server("good", ""), "is declared twice, first at"),
        (
            format!("{}---\n{}", server("a", ""), server("b", "  url: http://b\n")),
            "(document 2): spec has both url and command",
        ),
        (server("a", "  dependsOn: [time]\n"), "spec.dependsOn[0] has another form"),
        ("kind: Skill\n".to_owned(), "a Skill comes with its Agent"),
        ("{\"kind\": \"Agent\"".to_owned(), "2-bad.yaml"),
        (server("a", "status: 7\n"), "status is a number, not a map"),
        (
            server("a", "  headers: [{name: A, value: hunter2}]\n"),
            "there is no field spec.headers[0].value",
        ),
    ] {
        bad(&text);
        for verb in ["apply", "diff", "delete --yes", "apply --dry-run=client"] {
            let refused = fleet.run(&format!("{verb} -f @")).refused(2, Code::ManifestInvalid);
            let refused = refused.says(says).says("nothing was sent");
            assert!(!refused.stderr.contains("hunter2"), "{refused}");
        }
    }
    bad(&format!(
        "{}---\n{}",
        server("a", "  dependsOn: [mcp/b]\n"),
        server("b", "  dependsOn: [tool/a.x]\n")
    ));
    let refused = fleet.run("apply -f @").refused(1, Code::DependencyCycle);
    refused.says("mcp/a needs mcp/b needs mcp/a");
    fleet.run("apply -f @/missing.yaml").refused(2, Code::InvalidArgument);
    let empty = fleet.file("none/x.txt", "").parent().expect("a folder").display().to_string();
    fleet.run(&format!("apply -f {empty}")).refused(2, Code::InvalidArgument);
    bad(&server("other", "").replace("metadata:\n", "metadata:\n  namespace: elsewhere\n"));
    fleet.run("apply -f @").refused(2, Code::ManifestInvalid).says("metadata.namespace");
    assert_eq!(fleet.revision(), before);
    assert!(names(&fleet.ok("mcp list -o json").json()).is_empty());
}

#[test]
fn a_stale_manifest_is_refused() {
    let fleet = Fleet::new();
    let path = fleet.file("fleet.yaml", &server("mine", ""));
    fleet.ok("apply -f @/fleet.yaml --wait --timeout 60s");
    let mine = fleet.ok("mcp get mine -o yaml").stdout;
    // Whoever read it before somebody else declared it anew comes too late.
    std::fs::write(&path, server("mine", "  dependsOn: [mcp/other]\n")).expect("a file");
    let changed = fleet.ok("apply -f @/fleet.yaml").stdout;
    assert!(
        changed.starts_with("mcp/mine") && changed.contains(" updated (revision "),
        "{changed}"
    );
    std::fs::write(&path, mine.replace("fleet: mine", "fleet: yours")).expect("a file");
    fleet.run("apply -f @/fleet.yaml").refused(7, Code::RevisionConflict).says("fleet.yaml:1:1");
    fleet.run("delete -f @/fleet.yaml --yes").refused(7, Code::RevisionConflict);
    assert_eq!(fleet.get("mcp/mine")["spec"]["dependsOn"][0], "mcp/other");
    // Read again, it fits.
    let now = fleet.ok("mcp get mine -o yaml").stdout;
    std::fs::write(&path, now.replace("fleet: mine", "fleet: yours")).expect("a file");
    fleet.ok("apply -f @/fleet.yaml");
    assert_eq!(fleet.get("mcp/mine")["metadata"]["labels"]["fleet"], "yours");
    // A taken name is no conflict for apply: it declares where it is now.
    std::fs::write(&path, server("mine", "").replace("  command: [", "  command: [/usr/bin/env, "))
        .expect("a file");
    fleet.ok("apply -f @/fleet.yaml");
    assert_eq!(fleet.get("mcp/mine")["spec"]["command"][0], "/usr/bin/env");
}

#[test]
fn differences_are_shown_and_change_nothing() {
    let fleet = Fleet::alone();
    let path = fleet.file("fleet.yaml", &server("mine", ""));
    let new = fleet.run("diff -f @/fleet.yaml --exit-code");
    assert_eq!(new.status, 20, "{new}");
    assert!(new.stdout.starts_with("--- /dev/null\n+++ mcp/"), "{new}");
    fleet.ok("apply -f @/fleet.yaml --wait --timeout 60s");
    assert_eq!(fleet.ok("diff -f @/fleet.yaml --exit-code").stdout, "");
    let text = server("mine", "").replace("fleet: mine", "fleet: yours");
    std::fs::write(&path, text).expect("a file");
    let before = fleet.revision();
    for line in [
        "diff -f @/fleet.yaml",
        "apply -f @/fleet.yaml --dry-run=client",
        "apply -f @/fleet.yaml --dry-run=server",
    ] {
        let shown = fleet.ok(line).stdout;
        assert!(shown.contains("\n-    fleet: mine\n+    fleet: yours\n"), "{line}: {shown}");
        assert!(!shown.contains("protocolVersion") && !shown.contains('\u{1b}'), "{shown}");
    }
    let gone = fleet.ok("delete -f @/fleet.yaml --dry-run").stdout;
    assert!(gone.contains("would be deleted") && gone.contains("\n-kind: McpServer"), "{gone}");
    let json = fleet.ok("diff -f @/fleet.yaml -o json").json();
    assert_eq!(json["items"][0]["change"], "updated", "{json}");
    assert_eq!(fleet.revision(), before, "a look changes nothing");
    assert_eq!(fleet.get("mcp/mine")["metadata"]["labels"]["fleet"], "mine");
    let colour = fleet.ok("diff -f @/fleet.yaml --color always").stdout;
    assert!(colour.contains("\u{1b}[32m+    fleet: yours\u{1b}[0m"), "{colour}");
}

#[test]
fn what_no_manifest_names_is_pruned() {
    let fleet = Fleet::alone();
    let hello = fake::agent::start("Hello");
    let all = ["one", "two"].map(|name| server(name, "")).join("---\n");
    fleet.file(
        "a.yaml",
        &format!("{all}---\n{}", agent("hello", &hello.url(), "  dependsOn: [mcp/two]\n")),
    );
    fleet.ok("apply -f @");
    let other = server("other", "").replace("fleet: mine", "fleet: theirs");
    let line = format!("apply -f - -n {}", fleet.namespace);
    fleet.ctl().run_with(&line, &other).ok();

    fleet.file("a.yaml", &server("one", ""));
    fleet.run("apply -f @ --prune").refused(2, Code::InvalidArgument);
    fleet.run("apply -f @ --prune -l ''").refused(2, Code::InvalidArgument);
    // There is nobody to ask.
    let refused = fleet.run("apply -f @ --prune -l fleet=mine").refused(2, Code::InvalidArgument);
    refused.says("--yes").says("mcp/two");
    let before = fleet.revision();
    let shown = fleet.ok("apply -f @ --prune -l fleet=mine --dry-run").stdout;
    assert!(shown.contains("agent/hello") && shown.contains("would be deleted"), "{shown}");
    assert_eq!(fleet.revision(), before);
    let pruned = fleet.ok("apply -f @ --prune -l fleet=mine --yes").stdout;
    let order: Vec<&str> = pruned.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(order, ["mcp/one", "agent/hello", "mcp/two"], "{pruned}");
    assert_eq!(names(&fleet.ok("mcp list -o json").json()), ["one", "other"]);
    assert!(names(&fleet.ok("agent list -o json").json()).is_empty());
}

#[test]
fn what_is_not_up_yet_is_waited_for() {
    let fleet = Fleet::new();
    let closed = keiko_tests::peers::free_port();
    let up = Web::start(|asked, url| fake::agent::answer(asked, &fake::agent::card("Up", url)));
    fleet.file("down.yaml", &agent("down", &format!("http://127.0.0.1:{closed}"), ""));
    fleet.file("up.yaml", &agent("up", &up.url(), ""));
    let waited = fleet.run("apply -f @ --wait --timeout 10s");
    assert_eq!(waited.status, 9, "{waited}");
    let line = format!("agent/down in {} is not ready: ", fleet.namespace);
    assert!(waited.stdout.contains(&line), "{waited}");
    assert_eq!(waited.stdout.matches(" is not ready").count(), 1, "{waited}");
    let json = fleet.run("apply -f @ --wait --timeout 2s -o json");
    assert_eq!(json.status, 9, "{json}");
    let items = json.json()["items"].clone();
    assert_eq!((&items[0]["ready"], &items[1]["ready"]), (&false.into(), &true.into()), "{json}");

    // It was declared before it was there; then it comes.
    let place = Place::new();
    let program = place.join("late");
    let text = server("late", "")
        .replace(&programs::path("fake-mcp").display().to_string(), &program.display().to_string());
    fleet.file("late/late.yaml", &text);
    fleet.ok("apply -f @/late");
    let script = format!("#!/bin/sh\nexec {} late\n", programs::path("fake-mcp").display());
    std::fs::write(&program, script).expect("a file");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("its mode");
    fleet.ok("apply -f @/late --wait --timeout 60s");
}

#[test]
fn hundreds_of_objects_in_one_file() {
    let fleet = Fleet::new();
    let closed = keiko_tests::peers::free_port();
    let mut text = String::from("{\"kind\": \"List\", \"items\": [\n");
    for number in 0..200 {
        let comma = if number == 0 { "" } else { ",\n" };
        let needs = match number {
            0 => String::new(),
            number => format!("\"agent/a{}\"", number / 2),
        };
        write!(
            text,
            "{comma}{{\"apiVersion\": \"keiko/v1\", \"kind\": \"Agent\", \"metadata\": {{\"name\": \"a{number}\"}}, \
             \"spec\": {{\"url\": \"http://127.0.0.1:{closed}/{number}\", \"dependsOn\": [{needs}]}}}}"
        )
        .expect("a text takes it");
    }
    text.push_str("\n]}\n");
    fleet.file("many.json", &text);
    let id = "--request-id 01890a5d-ac96-774b-bcce-b302099a8057";
    // An id of long ago is refused, and nothing is half done.
    fleet.run(&format!("apply -f @ {id}")).refused(2, Code::RequestIdExpired);
    let made = fleet.ok("apply -f @").stdout;
    assert_eq!(made.lines().count(), 200, "{made}");
    assert!(made.starts_with("agent/a0 in "), "{made}");
    let gone = fleet.ok("delete -f @ --yes").stdout;
    assert_eq!(gone.lines().count(), 200, "{gone}");
    assert!(gone.lines().last().is_some_and(|line| line.starts_with("agent/a0 in ")), "{gone}");
}

#[test]
fn kinds_explain_themselves() {
    let ctl = Ctl::new(None);
    for (line, says) in [
        ("explain McpServer", "apiVersion *"),
        ("explain mcp.spec.dependsOn", "list of text"),
        ("explain agent.metadata.labels", "map of text"),
        ("explain Agent --recursive", "    dependsOn"),
        ("explain AGENT.spec.lease.ttlMs", "integer"),
        ("explain skill", "It comes with its agent"),
        ("explain KEIKO-0081", "KEIKO-0081"),
    ] {
        let text = ctl.ok(line).stdout;
        assert!(text.contains(says), "{line}: {text}");
    }
    let schema = ctl.json("explain Agent");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["properties"]["spec"]["properties"]["card"]["readOnly"], true);
    ctl.refused("explain agnt", 2, Code::InvalidArgument).says("did you mean Agent?");
    ctl.refused("explain Agent.spec.urls", 6, Code::NotFound).says("did you mean url?");
    ctl.refused("explain Agent.url", 6, Code::NotFound).says("did you mean spec.url?");
}

#[test]
fn a_registration_and_a_manifest_are_one() {
    let fleet = Fleet::new();
    let hello = fake::agent::start("Hello");
    fleet.ok(&format!("agent register hello {} --label fleet=mine", hello.url()));
    fleet.file("a.yaml", &agent("hello", &hello.url(), ""));
    let compared = fleet.ok("apply -f @ --dry-run=client").stdout;
    assert!(compared.trim_end().ends_with(" unchanged"), "{compared}");
    fleet.file("a.yaml", &agent("hello", &format!("{}/", hello.url()), ""));
    let applied = fleet.ok("apply -f @").stdout;
    assert!(applied.trim_end().ends_with(" unchanged"), "{applied}");
    let printed = fleet.ok("agent get hello -o yaml").stdout;
    fleet.file("a.yaml", &printed);
    assert_eq!(fleet.ok("diff -f @ --exit-code").stdout, "");
    let line = format!(
        "mcp register fake -n {} -- {}",
        fleet.namespace,
        programs::path("fake-mcp").display()
    );
    fleet.ctl().ok(&line);
    let fake = fleet.ok("mcp get fake -o yaml").stdout;
    fleet.file("b.yaml", &fake);
    assert_eq!(fleet.ok("diff -f @ --exit-code").stdout, "");
}
