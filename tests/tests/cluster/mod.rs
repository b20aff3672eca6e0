//! Three nodes that are one cluster, and the bad luck that they may have.
//!
//! ```text
//! forward    every node answers every call           leader     killed, handed over, drained
//! quorum     without a majority, and with it again   partition  a stale leader, a way that is cut
//! away       who comes back, and from elsewhere      join       a fourth, and whoever may not
//! leave      members that go, and must not           people     certificates of people
//! hosted     servers of a node that is gone          snapshot   who is too far behind for the log
//! damage     a log or a state that is not right      clocks     a clock that is off
//! strangers  who shows the wrong certificate         expired    certificates that are over
//! power      gone for all nodes at once              namespaces packets that get lost
//! recover    one goes on without the others          roles      who may what, and who is taken out
//! rotate     another CA, while everybody calls       revoke     and at once, without who knew it
//! locks      who holds one when nodes die            levels     a node that knows less than others
//! upgrade    to the next release, under load         repair     who lost all, or a piece, is back
//! ```
//!
//! Most cases share one cluster and take turns; each leaves it as it likes (see
//! [`keiko_tests::shared_cluster`]).

mod away;
mod clocks;
mod damage;
mod expired;
mod forward;
mod hosted;
mod join;
mod leader;
mod leave;
mod levels;
mod locks;
mod namespaces;
mod partition;
mod people;
#[cfg(target_os = "linux")]
mod power;
mod quorum;
mod recover;
mod repair;
mod revoke;
mod roles;
mod rotate;
mod snapshot;
mod steady;
mod strangers;
mod upgrade;

use keiko_core::refusal::Code;
use keiko_tests::cluster::{Member, View};
use keiko_tests::wait::expect;
use keiko_tests::{Cluster, Ctl, Node, Output, eventually};
use serde_json::Value;

/// Declares an agent with this value in a label.
pub(crate) fn put(ctl: &Ctl, name: &str, value: &str, flags: &str) -> Output {
    let manifest = format!(
        "apiVersion: keiko/v1\nkind: Agent\nmetadata:\n  name: {name}\n  labels: {{value: '{value}'}}\n\
         spec:\n  url: http://127.0.0.1:9/\n"
    );
    ctl.run_with(&format!("apply -f - {flags}"), &manifest)
}

/// The value that a node reads.
#[track_caller]
pub(crate) fn value(ctl: &Ctl, name: &str, flags: &str) -> String {
    let read = ctl.ok(&format!("agent get {name} {flags} -o jsonpath=.metadata.labels.value"));
    read.stdout.trim().to_owned()
}

/// Who is a member, by name: they are listed in the order in which they joined.
#[track_caller]
pub(crate) fn members(ctl: &Ctl) -> Vec<String> {
    let listed = ctl.ok("node list -o name").stdout;
    let mut names: Vec<String> = listed.lines().map(str::to_owned).collect();
    names.sort();
    names
}

/// What a node says of the cluster, with a quorum or without.
#[track_caller]
pub(crate) fn status(ctl: &Ctl) -> Value {
    let told = ctl.run("cluster status -o json");
    assert!([0, 8].contains(&told.status), "{told}");
    told.json()
}

/// There is nobody who could decide.
#[track_caller]
pub(crate) fn nobody_leads(output: Output) -> Output {
    let code = if output.stderr.contains("KEIKO-0046") { Code::Isolated } else { Code::NoLeader };
    output.refused(8, code)
}

/// Waits until a node of three knows that it is alone; what it says then.
#[track_caller]
pub(crate) fn wait_alone(ctl: &Ctl) -> String {
    eventually("it knows that it is alone", || {
        let told = ctl.run("cluster status");
        let is_alone = told.stdout.contains("NO QUORUM 1/3, need 2, last leader");
        expect(told.status == 8 && is_alone, || told.to_string()).map(|()| told.stdout)
    })
}

/// Waits until a newcomer is a voter, as the others see it.
#[track_caller]
pub(crate) fn wait_voter(cluster: &mut Cluster, name: &str) {
    eventually("it becomes a voter by itself", || {
        let views = cluster.views();
        let votes = |member: &Member| member.role == "voter";
        let all = views.iter().all(|(_, view)| view.member(name).is_some_and(votes));
        expect(all, || format!("{views:?}"))
    });
}

/// Waits until a daemon has said this, whether it goes on or has ended.
#[track_caller]
pub(crate) fn says(node: &Node, words: &[&str]) {
    eventually("the daemon says why", || {
        let log = node.log();
        let said = words.iter().any(|word| log.contains(word));
        expect(said, || format!("none of {words:?} in:\n{log}"))
    });
}

/// Waits until all of these have applied the same and have the same state.
#[track_caller]
pub(crate) fn agree(nodes: &[&Node]) {
    eventually("the same state everywhere", || {
        let state = |node: &&Node| View::ask(node).map(|view| view.own().map(Member::state_of));
        let states = nodes.iter().map(state).collect::<Result<Vec<_>, _>>()?;
        let all = states.iter().all(|state| state.is_some() && *state == states[0]);
        expect(all, || format!("{states:?}"))
    });
}
