//! The verbs of the registry, as a person or a script types them.

use crate::hostile::terminal;
use keiko_core::refusal::Code;
use keiko_tests::ctl::end_of;
use keiko_tests::fake;
use keiko_tests::node::Plan;
use keiko_tests::peers::free_port;
use keiko_tests::place::Place;
use keiko_tests::shared::unique;
use keiko_tests::wait::{DEADLINE, expect};
use keiko_tests::{Ctl, Node, eventually, programs, shared};
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write as _;
use std::process::{Child, Stdio};
use uuid::Uuid;

fn fake_mcp() -> String {
    programs::path("fake-mcp").display().to_string()
}

/// A server in a namespace of its own, so that `find` sees nobody else's.
fn server(node: &Node) -> (String, String) {
    let (name, namespace) = (unique("face"), unique("space"));
    node.ctl.ok(&format!("mcp register {name} -n {namespace} -- {} {name}", fake_mcp()));
    (name, namespace)
}

fn begin(ctl: &Ctl, line: &str) -> Child {
    let mut command = ctl.command(line);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("keikoctl starts")
}

#[test]
fn waiting_ends_when_it_is_so() {
    let node = shared();
    let (name, space) = server(node);
    let met = node.ctl.ok(&format!("wait mcp/{name} -n {space}"));
    assert_eq!(met.stdout, format!("mcp/{name} is Ready\n"));
    let met = node.ctl.json(&format!("mcp wait {name} -n {space} --for condition=ready=true"));
    assert_eq!(met["items"][0]["object"]["metadata"]["name"], name, "{met}");
    let path = "--for jsonpath=.status.health.state=ready";
    node.ctl.ok(&format!("wait mcp {name} mcp/{name} -n {space} {path}"));
    node.ctl.ok(&format!("wait tool/{name}.echo -n {space} --for jsonpath=.spec.inputSchema"));

    let late = format!("wait mcp/{name} -n {space} --for condition=Ready=False --timeout 1s");
    node.ctl.refused(&late, 5, Code::WaitTimeout).says(&format!("mcp/{name} is ready"));
    node.ctl.refused(&format!("wait mcp/{name}"), 6, Code::NotFound);
    node.ctl.refused("wait time", 2, Code::InvalidArgument);
    node.ctl.refused(&format!("wait mcp/{name} --for wings"), 2, Code::InvalidArgument);

    let mut waits =
        begin(&node.ctl, &format!("mcp wait {name} -n {space} --for delete --timeout 60s"));
    node.ctl.ok(&format!("mcp delete {name} -n {space} --yes"));
    assert_eq!(end_of(&mut waits, DEADLINE), Some(0));
    node.ctl.ok(&format!("mcp wait {name} -n {space} --for delete"));
}

#[test]
fn a_dry_run_changes_nothing() {
    let node = shared();
    let (name, space) = server(node);
    let kept = node.ctl.json(&format!("mcp get {name} -n {space}"))["metadata"].clone();
    for by in ["", "=client", "=server"] {
        let verb = |line: String| node.ctl.ok(&format!("{line} -n {space} --dry-run{by}")).stdout;
        let deleted = verb(format!("mcp delete {name}"));
        assert!(deleted.contains(&format!("- tool/{name}.echo")), "{deleted}");
        let suspended = verb(format!("mcp suspend {name} --reason why"));
        assert!(suspended.contains("+ status.adminState: \"suspended\""), "{suspended}");
        let resumed = verb(format!("mcp resume {name}"));
        assert!(resumed.contains("would stay as it is"), "{resumed}");
        let other = unique("dry");
        let line = format!("mcp register {other} -n {space} --dry-run{by} -- {} x", fake_mcp());
        let registered = node.ctl.ok(&line).stdout;
        assert!(registered.contains(&format!("mcp/{other} would be registered")), "{registered}");
        node.ctl.refused(&format!("mcp get {other} -n {space}"), 6, Code::NotFound);
    }
    let after = node.ctl.json(&format!("mcp get {name} -n {space}"))["metadata"].clone();
    assert_eq!(after, kept);
    let shown = node.ctl.json(&format!("mcp suspend {name} -n {space} --dry-run"));
    assert_eq!(shown["dryRun"], "server", "{shown}");
    assert_eq!(shown["change"], "suspended", "{shown}");
}

#[test]
fn find_says_who_can_be_called() {
    let node = shared();
    let (name, space) = server(node);
    let found = node.ctl.ok(&format!("find echo -n {space} -o name"));
    assert_eq!(found.stdout, format!("tool/{name}.echo\n"));
    node.ctl.ok(&format!("find tool/{name}.echo@^1.2 -n {space} --one"));
    let one = node.ctl.json(&format!("find echo -n {space} --one"));
    assert_eq!(one["items"][0]["owner"], format!("mcp/{name}"), "{one}");
    assert_eq!(one["items"][0]["routable"], true, "{one}");
    node.ctl.refused(&format!("find echo@^2 -n {space}"), 6, Code::NotFound);
    node.ctl.refused(&format!("find wings -n {space}"), 6, Code::NotFound);
    node.ctl.refused(&format!("find echo -l gpu -n {space}"), 6, Code::NotFound);

    node.ctl.ok(&format!("mcp suspend {name} -n {space} --reason repairs"));
    node.ctl.refused(&format!("find echo -n {space} --one"), 1, Code::NoCandidate).says("repairs");
    let all = node.ctl.ok(&format!("find echo -n {space}"));
    assert!(all.stdout.contains("suspended"), "{all}");
    let list = node.ctl.ok(&format!("mcp list -n {space}"));
    assert!(list.stdout.contains("suspended") && list.stdout.contains("repairs"), "{list}");
    let again = node.ctl.ok(&format!("mcp suspend {name} -n {space} --reason repairs"));
    assert!(again.stdout.contains("was suspended already"), "{again}");
    let resumed = node.ctl.ok(&format!("mcp resume {name} -n {space} --wait"));
    assert!(resumed.stdout.starts_with(&format!("mcp/{name} resumed at revision ")), "{resumed}");
    node.ctl.ok(&format!("find echo -n {space} --one"));
}

#[test]
fn a_drain_waits_for_what_runs() {
    let node = shared();
    let (name, space) = server(node);
    let line = format!("tool call {name}.slow '{{\"seconds\":12}}' -n {space}");
    let mut call = begin(&node.ctl, &line);
    let busy =
        |ctl: &Ctl| ctl.json(&format!("mcp get {name} -n {space}"))["status"]["live"].clone();
    eventually("the call runs", || {
        let live = busy(&node.ctl);
        expect(live["callsInFlight"] == 1, || live.to_string())
    });
    let hasty = format!("mcp drain {name} -n {space} --timeout 1s");
    node.ctl.refused(&hasty, 5, Code::WaitTimeout).says("1 call is under way");
    node.ctl.refused(
        &format!("tool call {name}.echo '{{\"text\":\"a\"}}' -n {space}"),
        1,
        Code::Suspended,
    );
    let drained = node.ctl.ok(&format!("mcp drain {name} -n {space}"));
    assert!(drained.stdout.contains("drained: no call is under way"), "{drained}");
    assert_eq!(busy(&node.ctl)["callsInFlight"], Value::Null);
    assert_eq!(end_of(&mut call, DEADLINE), Some(0), "it ended by itself");
}

#[test]
fn a_probe_is_a_card() {
    let node = shared();
    let (name, space) = server(node);
    let card = node.ctl.ok(&format!("mcp probe {name} -n {space}"));
    assert!(card.stdout.contains("verdict") && card.stdout.contains("well"), "{card}");
    let agent = fake::agent::start("Probed");
    let card = node.ctl.json(&format!("agent probe {}", agent.url()));
    assert_eq!(card["ok"], true, "{card}");
    assert_eq!(card["provides"][0], "greet", "{card}");
    let listed = node.ctl.ok("agent list -A -o json").stdout;
    assert!(!listed.contains(&agent.url()), "it was kept: {listed}");
    let ill = node.ctl.run("mcp probe http://127.0.0.1:1/mcp -o json");
    assert_eq!(ill.status, 9, "{ill}");
    assert_eq!(ill.json()["failureClass"], "unreachable", "{ill}");
    let ill = node.ctl.run("mcp probe http://127.0.0.1:1/mcp");
    assert_eq!(ill.status, 9, "{ill}");
    assert!(ill.stdout.contains("not well: unreachable"), "{ill}");
    node.ctl.refused(&format!("mcp probe {} -n {space}", unique("none")), 6, Code::NotFound);
}

#[test]
fn what_depends_is_told() {
    let node = shared();
    let (name, space) = server(node);
    let agent = fake::agent::start("Depends");
    let user = unique("user");
    node.ctl.ok(&format!(
        "agent register {user} {} -n {space} --depends-on mcp/{name} --depends-on tool/gone.away \
         --annotation owner=anna --lease 30s",
        agent.url()
    ));
    let impact = node.ctl.json(&format!("mcp impact mcp/{name} -n {space}"));
    assert_eq!(impact["items"][0]["name"], user, "{impact}");
    assert_eq!(impact["items"][0]["distance"], 1, "{impact}");
    let tool = node.ctl.ok(&format!("tool impact {name}.echo -n {space}"));
    assert!(tool.stdout.contains(&format!("agent/{user}")), "{tool}");
    let none = node.ctl.ok(&format!("agent impact {user} -n {space}"));
    assert_eq!(none.stdout, "");
    assert!(none.stderr.contains("nothing depends on agent/"), "{none}");

    let page = node.ctl.ok(&format!("agent describe {user} -n {space}")).stdout;
    for words in ["tool/gone.away   missing", "owner=anna", "30s, removed 1m later", "lease ends"] {
        assert!(page.contains(words), "{words:?} is missing:\n{page}");
    }
    let page = node.ctl.ok(&format!("mcp describe {name} -n {space}")).stdout;
    assert!(page.contains(&format!("1 needs it: agent/{user}")), "{page}");
    let list = node.ctl.ok(&format!("agent list -n {space}")).stdout;
    assert!(list.contains("degraded") && list.contains("dependency"), "{list}");
    let radius = node.ctl.ok(&format!("mcp delete {name} -n {space} --dry-run")).stdout;
    assert!(radius.contains(&format!("1 needs it: agent/{user}")), "{radius}");
    let wait = format!("wait agent/{user} -n {space} --for condition=DependenciesReady=False");
    node.ctl.ok(&wait);
    let malformed = format!("agent register x {} --depends-on time", agent.url());
    node.ctl.refused(&malformed, 2, Code::InvalidArgument);
}

#[test]
fn a_name_of_others_moves_no_cursor() {
    let node = shared();
    let name = unique("escape");
    let agent = fake::agent::start("Red \u{1b}[31m\u{202e}name");
    node.ctl.ok(&format!("agent register {name} {}", agent.url()));
    let url = agent.url();
    for line in [
        format!("agent describe {name}"),
        format!("agent probe {url}"),
        "agent list -o wide".into(),
    ] {
        let shown = node.ctl.ok(&line);
        assert!(!shown.stdout.contains('\u{1b}') && !shown.stdout.contains('\u{202e}'), "{line}");
    }
    node.ctl.ok(&format!("agent delete {name} --yes"));
    wait_nothing(&node.ctl, &name);
}

fn wait_nothing(ctl: &Ctl, name: &str) {
    ctl.ok(&format!("agent wait {name} --for delete --timeout 20s"));
    ctl.refused(&format!("agent get {name}"), 6, Code::NotFound);
}

#[test]
fn a_request_id_makes_a_retry_safe() {
    let node = shared();
    let (name, space) = server(node);
    wait_ready_in(&node.ctl, &name, &space);
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    // The clock of that id is long over.
    let line = format!("mcp suspend {name} -n {space} --request-id {id}");
    node.ctl.refused(&line, 2, Code::RequestIdExpired);
    let line = format!("mcp suspend {name} -n {space} --request-id {}", Uuid::now_v7());
    let (first, again) = (node.ctl.json(&line), node.ctl.json(&line));
    assert_eq!(first["changed"], true, "{first}");
    // By itself a second one changes nothing and says so; this one is answered as the first.
    assert_eq!(again["changed"], true, "{again}");
    assert_eq!(again["revision"], first["revision"], "{again}");
}

#[test]
fn ctrl_c_ends_a_question() {
    let node = shared();
    let (name, space) = server(node);
    let place = Place::new();
    let seen = place.join("seen");
    let file = File::create(&seen).expect("a file in the place");
    let mut command = terminal(node, &format!("mcp delete {name} -n {space}"));
    command.stdin(Stdio::piped()).stdout(file).stderr(Stdio::null());
    let mut asks = command.spawn().expect("script starts");
    let mut keys = asks.stdin.take().expect("a pipe");
    eventually("the question", || {
        let text = fs::read_to_string(&seen).unwrap_or_default();
        expect(text.contains("[y/N]"), || text)
    });
    keys.write_all(b"\x03").expect("script reads it");
    assert_eq!(end_of(&mut asks, DEADLINE), Some(130));
    node.ctl.ok(&format!("mcp get {name} -n {space}"));
}

#[test]
fn ctrl_c_on_an_apply_that_waits_says_how_to_go_on() {
    let node = shared();
    let (name, space) = (unique("late"), unique("space"));
    let place = Place::new();
    let (file, seen) = (place.join("late.yaml"), place.join("seen"));
    let url = format!("http://127.0.0.1:{}", free_port());
    let text = format!(
        "apiVersion: keiko/v1\nkind: Agent\nmetadata:\n  name: {name}\nspec:\n  url: {url}\n"
    );
    fs::write(&file, text).expect("a file in the place");
    let line = format!("apply -f {} -n {space} --wait --timeout 60s", file.display());
    let mut command = terminal(node, &line);
    let stdout = File::create(&seen).expect("a file in the place");
    command.stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::null());
    let mut waits = command.spawn().expect("script starts");
    let mut keys = waits.stdin.take().expect("a pipe");
    let shown = || fs::read_to_string(&seen).unwrap_or_default();
    eventually("what was done", || expect(shown().contains(" created (revision "), shown));
    keys.write_all(b"\x03").expect("script reads it");
    assert_eq!(end_of(&mut waits, DEADLINE), Some(130));
    let hint = format!("keikoctl wait agent/{name} -n {space}");
    assert!(shown().contains(&hint), "{}", shown());
}

#[test]
fn what_names_something_can_be_typed_again() {
    let node = shared();
    let (name, space) = server(node);
    node.ctl.ok(&format!("mcp delete {name} -n {space} --yes"));
    let versions = node.ctl.ok(&format!("mcp history {name} -n {space} -o name")).stdout;
    let newest =
        versions.lines().next().and_then(|line| line.strip_prefix(&format!("mcp/{name}@")));
    let revision = newest.unwrap_or_else(|| panic!("{versions}"));
    let event = node.ctl.ok(&format!("event get event/{revision} -o name")).stdout;
    assert!(event.lines().all(|line| line == format!("event/{revision}")), "{event}");
    let none = node.ctl.ok(&format!("mcp list -n {space}"));
    assert_eq!(none.stderr, format!("no MCP servers in namespace {space}\n"));
    let csv = format!("tool call {name}.echo '{{\"text\":\"a\"}}' -n {space} -o csv");
    node.ctl.refused(&csv, 2, Code::InvalidArgument).says("-o csv");
    node.ctl.refused("get agents", 2, Code::InvalidArgument).says("keikoctl agent list");
    let short = node.ctl.refused("tool get echo", 2, Code::InvalidArgument);
    short.says("keikoctl find echo -o name");
}

#[test]
fn the_members_are_listed_and_described() {
    let node = shared();
    let list = node.ctl.ok("node list -o json").json();
    let name = list["items"][0]["name"].as_str().unwrap_or_else(|| panic!("{list}"));
    assert_eq!(list["items"][0]["state"], "leader", "{list}");
    assert_eq!(node.ctl.ok("node list -o name").stdout, format!("node/{name}\n"));
    assert!(node.ctl.ok("node list --columns NODE,STATE").stdout.starts_with("NODE"));
    let one = node.ctl.ok(&format!("node describe node/{name}")).stdout;
    assert!(one.contains("leader") && one.contains("state hash"), "{one}");
    node.ctl.refused("node describe nobody", 6, Code::NotFound).says("the members are");
    assert_eq!(node.ctl.json(&format!("node get node/{name}"))["name"], name);
    assert_eq!(node.ctl.ok(&format!("node get {name} -o name")).stdout, format!("node/{name}\n"));
    assert!(node.ctl.ok("node list -o wide").stdout.contains("CERTIFICATE"));
    assert!(node.ctl.ok("cluster status").stdout.contains("OFFSET"));
    node.ctl.refused("node list --watch -o yaml", 2, Code::InvalidArgument);
    let watch = node.ctl.stream("node list --watch");
    let added = watch.find_json("the node", |line| line["type"] == "ADDED");
    assert_eq!(added["object"]["name"], name, "{added}");
    assert_eq!(watch.interrupt(), 130);
}

#[test]
fn the_only_member_drains_and_stays() {
    let node = Node::start(Plan::default());
    let drained = node.ctl.ok("node drain n1 --reason repairs");
    assert!(drained.stdout.starts_with("node/n1 draining at revision "), "{drained}");
    assert!(drained.stderr.contains("it still leads"), "there is no other: {drained}");
    assert!(node.ctl.ok("node list").stdout.contains("leader, draining"));
    assert!(node.ctl.ok("node describe n1").stdout.contains("repairs"));
    let waits = node.ctl.refused("node drain n1 --wait --timeout 1s", 5, Code::WaitTimeout);
    waits.says("node/n1 still leads").says("--undo");
    let undone = node.ctl.ok("node drain n1 --undo");
    assert!(undone.stdout.starts_with("node/n1 in use again at revision "), "{undone}");
    assert!(!node.ctl.ok("node list").stdout.contains("draining"));
    node.ctl.refused("node remove n1 --yes", 1, Code::MembershipRefused);
    let foreseen = node.ctl.json("node remove n1 --dry-run=client");
    assert_eq!(foreseen["votersAfter"], 0, "{foreseen}");
    node.ctl.refused("node remove n9 --yes", 6, Code::NotFound).says("the members are");
    node.ctl.refused("node drain n9", 6, Code::NotFound);
}

#[test]
fn a_token_is_made_listed_and_ended() {
    let node = shared();
    let quiet = node.ctl.ok("cluster token create --for node -q");
    let text = quiet.stdout.trim_end();
    assert!(text.starts_with("keiko.") && !text.contains('\n'), "the token alone: {quiet}");
    assert_eq!(quiet.stderr, "");
    let told = node.ctl.ok("cluster token create --for node");
    let next = format!("keikod run --data-dir D --join {} --token \"$T\"", node.api());
    assert!(told.stderr.contains(&next), "{told}");
    let (anna, agent) = (unique("anna"), unique("token"));
    let told = node.ctl.ok(&format!("cluster token create --for operator --name {anna}"));
    assert!(told.stderr.contains("keikoctl context add"), "{told}");
    let line = format!("cluster token create --for agent/{agent} --bearer --ttl 10m");
    let made = node.ctl.json(&line);
    assert_eq!(made["scope"], format!("agent/default/{agent}"), "{made}");
    assert_eq!(made["oneUse"], false, "{made}");
    let id = made["id"].as_str().unwrap_or_else(|| panic!("{made}"));
    let reference = format!("token/{id}\n");
    assert!(node.ctl.ok("cluster token list -o name").stdout.contains(&reference));
    assert!(node.ctl.ok("cluster token list").stdout.contains(&anna));
    let ended = node.ctl.ok(&format!("cluster token revoke token/{id}"));
    assert!(ended.stdout.starts_with(&format!("token/{id} revoked at ")), "{ended}");
    assert!(!node.ctl.ok("cluster token list -o name").stdout.contains(&reference));
    node.ctl.refused("cluster token create --for king", 2, Code::InvalidArgument);
    node.ctl.refused("cluster token create --for admin", 2, Code::InvalidArgument);
}

#[test]
fn a_join_is_refused_before_anybody_is_asked() {
    let node = shared();
    node.ctl.refused("cluster join 127.0.0.1:1", 2, Code::InvalidArgument).says("--token-file");
    node.ctl.refused("cluster join 127.0.0.1:1 --token x", 4, Code::TokenInvalid);
    let file = node.ctl.place().join("join.token");
    fs::write(&file, format!("keiko.id.secret.{}\n", "ab".repeat(32))).expect("a file");
    let line = format!("cluster join 127.0.0.1:1 --token-file {}", file.display());
    // The file is no identity here, so the node itself says no.
    node.ctl.refused(&line, 7, Code::AlreadyFounded);
    let text = fs::read_to_string(&file).expect("the file");
    let piped = node.ctl.run_with("cluster join 127.0.0.1:1 --token -", &text);
    piped.refused(7, Code::AlreadyFounded);
}

fn wait_ready_in(ctl: &Ctl, name: &str, space: &str) {
    ctl.ok(&format!("mcp wait {name} -n {space}"));
}
