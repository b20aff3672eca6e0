//! Who may what is declared, and counts at every node: at the next call, and on streams that live.

use super::people::{person, turn_to};
use keiko_core::refusal::Code;
use keiko_tests::shared::unique;
use keiko_tests::wait::expect;
use keiko_tests::{Cluster, Ctl, eventually, fake, shared_cluster};
use serde_json::Value;
use std::time::{Duration, Instant};

/// What is promised of a live stream.
const PROMISED: Duration = Duration::from_secs(5);
/// On a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(15);

/// A role of its own, and a binding of it to this person.
fn hand(cluster: &Cluster, who: &str, allow: &str) -> (String, String) {
    let (role, binding) = (unique("role"), unique("binding"));
    let ctl = &cluster.node(0).ctl;
    ctl.ok(&format!("role create {role} {allow}"));
    ctl.ok(&format!("binding create {binding} --role {role} --to person/{who}"));
    (role, binding)
}

/// A stream of what this person may see, of which something has come.
fn watching(ctl: &Ctl, namespace: &str) -> keiko_tests::ctl::Stream {
    let stream = ctl.stream(&format!("agent list -n {namespace} --watch -o jsonl"));
    stream.find_json("an agent", |line| line.to_string().contains("watched"));
    stream
}

#[test]
fn a_declared_role_allows_exactly_what_it_says() {
    let cluster = shared_cluster();
    let (name, team) = (unique("ann"), unique("team"));
    let ctl = person(&cluster, "guest", &name, 0);
    let agent = fake::agent::start("hers");
    let register = format!("agent register hers -n {team} {}", agent.url());
    ctl.refused(&register, 4, Code::PermissionDenied).says("registry.write");
    let (role, binding) =
        hand(&cluster, &name, &format!("--allow 'registry.*:agent/{team}/*' --allow cluster.read"));

    // At the node that was asked at once, at the others as soon as they have applied it.
    eventually("it counts", || {
        let ran = ctl.run(&register);
        expect(ran.status == 0, || ran.to_string())
    });
    ctl.ok(&format!("agent list -n {team}"));
    ctl.refused("agent list", 4, Code::PermissionDenied);
    ctl.refused("agent list -A", 4, Code::PermissionDenied);
    let elsewhere = format!("agent register other {}", agent.url());
    ctl.refused(&elsewhere, 4, Code::PermissionDenied).says("agent/default/other");
    ctl.refused("role list", 4, Code::PermissionDenied).says("security.read");
    let yes = ctl.ok(&format!("can-i register agent x -n {team}"));
    assert!(yes.stdout.contains(&binding), "{yes}");
    let no = ctl.refused("can-i register agent x", 4, Code::PermissionDenied);
    assert!(no.stdout.is_empty(), "{no}");
    let who = ctl.json("whoami");
    assert_eq!(who["subject"], format!("person/{name}"), "{who}");
    assert_eq!(who["bindings"][0], binding.as_str(), "{who}");

    turn_to(&ctl, &cluster, 0, 1);
    ctl.ok(&format!("agent get hers -n {team}"));
    let admin = &cluster.node(2).ctl;
    admin.refused(&format!("role delete {role}"), 1, Code::InUse).says(&binding);
    admin.ok(&format!("binding delete {binding}"));
    admin.ok(&format!("role delete {role}"));
    eventually("it is over", || {
        let ran = ctl.run(&format!("agent get hers -n {team}"));
        expect(ran.status == 4, || ran.to_string())
    });
}

#[test]
fn nobody_hands_on_what_they_lack() {
    let cluster = shared_cluster();
    let name = unique("eve");
    let ctl = person(&cluster, "guest", &name, 1);
    hand(&cluster, &name, "--allow security.write,security.read");
    eventually("it counts", || {
        let ran = ctl.run("role list");
        expect(ran.status == 0, || ran.to_string())
    });
    let more = unique("more");
    for line in [
        format!("role create {more} --allow '*'"),
        format!("role create {more} --allow tool.call"),
        format!("binding create {more} --role admin --to person/{name}"),
        format!("cluster token create --for admin --name {more}"),
        "cluster token create --for node".to_owned(),
    ] {
        ctl.refused(&line, 4, Code::PermissionDenied);
    }
    ctl.ok(&format!("cluster token create --for guest --name {more}"));
}

#[test]
fn a_live_stream_ends_when_its_binding_is_gone() {
    let cluster = shared_cluster();
    let (name, team) = (unique("ann"), unique("team"));
    let agent = fake::agent::start("watched");
    cluster.node(0).ctl.ok(&format!("agent register watched -n {team} {}", agent.url()));
    let (_, binding) = hand(&cluster, &name, &format!("--allow 'registry.read:agent/{team}/*'"));
    let ctl = person(&cluster, "guest", &name, 1);
    eventually("it counts", || {
        let ran = ctl.run(&format!("agent list -n {team}"));
        expect(ran.status == 0, || ran.to_string())
    });
    let stream = watching(&ctl, &team);
    cluster.node(0).ctl.ok(&format!("binding delete {binding}"));
    let begun = Instant::now();
    let status = stream.end_within(PATIENCE);
    assert_eq!(status, Some(4), "who may not, sees nothing more");
    eprintln!("ended after {:?}, promised are {PROMISED:?}", begun.elapsed());
}

#[test]
fn who_is_taken_out_is_out() {
    let cluster = shared_cluster();
    let (name, team) = (unique("ann"), unique("team"));
    let agent = fake::agent::start("watched");
    cluster.node(0).ctl.ok(&format!("agent register watched -n {team} {}", agent.url()));
    let ctl = person(&cluster, "viewer", &name, 2);
    let binding = unique("binding");
    let admin = &cluster.node(0).ctl;
    admin.ok(&format!("binding create {binding} --role operator --to person/{name}"));
    let stream = watching(&ctl, &team);
    admin.refused(&format!("person remove {name}"), 2, Code::InvalidArgument).says("--yes");
    admin.ok(&format!("person remove {name} --dry-run"));
    ctl.ok("agent list");
    let told = admin.json(&format!("person remove {name} --yes"));
    assert_eq!(told["bindings"][0], binding.as_str(), "{told}");
    assert_eq!(stream.end_within(PATIENCE), Some(4));
    eventually("calls are refused", || {
        let ran = ctl.run("agent list");
        expect(ran.status == 4 && ran.stderr.contains("KEIKO-0029"), || ran.to_string())
    });
    admin.refused(&format!("binding get {binding}"), 6, Code::NotFound);
    admin.refused(&format!("person remove {name} --yes"), 6, Code::NotFound);
}

#[test]
fn who_did_what_from_where_is_told() {
    let cluster = shared_cluster();
    let name = unique("ann");
    let ctl = person(&cluster, "operator", &name, 0);
    let agent = fake::agent::start("audited");
    let registered = unique("audited");
    ctl.ok(&format!("agent register {registered} {}", agent.url()));
    ctl.refused("cluster token create --for node", 4, Code::PermissionDenied);
    let admin = &cluster.node(1).ctl;
    eventually("both are told", || {
        let rows = admin.json(&format!("audit list --who person/{name} --since 10m"));
        let items = rows["items"].as_array().cloned().unwrap_or_default();
        let of = |what: &str, allowed: bool| {
            let fits = |row: &&Value| row["what"] == what && row["allowed"] == allowed;
            items.iter().find(fits).cloned()
        };
        let done = of("keiko.registry.agent.registered", true);
        let refused = of("security.write", false);
        let is_told = done.as_ref().is_some_and(|row| row["from"] != "")
            && refused.as_ref().is_some_and(|row| row["code"] == "KEIKO-0022");
        expect(is_told, || rows.to_string())
    });
    let unused = admin.json("security unused --days 0");
    let of = |row: &&Value| row["subject"] == format!("person/{name}");
    let row = unused["items"].as_array().and_then(|rows| rows.iter().find(of)).cloned();
    let row = row.unwrap_or_else(|| panic!("{unused}"));
    assert!(row["permissions"].to_string().contains("mcp.logs"), "{row}");
}
