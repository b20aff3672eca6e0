//! What needs what: cycles are refused, impact is in order, and a graph library agrees.

use crate::objects::condition;
use keiko_core::registry::graph::{affected, find_cycle};
use keiko_tests::http::{Answer, ask, get};
use keiko_tests::report::Dice;
use keiko_tests::shared::unique;
use keiko_tests::{peers, seed, shared};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Random graphs that are compared.
const GRAPHS: usize = 1200;
/// Nodes of the largest.
const NODES_MAX: u64 = 40;
/// What breaks is asked of so many nodes of each.
const ROOTS: u64 = 4;

/// Who needs what.
type Needs = BTreeMap<u64, BTreeSet<u64>>;

#[derive(Clone, Debug)]
struct Graph {
    /// Edges that close a cycle stay.
    keep_cycles: bool,
    edges: Vec<(u64, u64)>,
    roots: Vec<u64>,
}

impl Graph {
    /// Sparse to dense; every fourth with its cycles.
    fn random(dice: &mut Dice, number: usize) -> Self {
        let nodes = 1 + dice.below(NODES_MAX);
        let edges_max = match dice.below(3) {
            0 => nodes,
            1 => 3 * nodes,
            _ => nodes * nodes / 2,
        };
        let edges = 1 + dice.below(edges_max.max(1));
        let edges = (0..edges).map(|_| (dice.below(nodes), dice.below(nodes))).collect();
        let roots: BTreeSet<u64> = (0..ROOTS).map(|_| dice.below(nodes)).collect();
        Self { keep_cycles: number % 4 == 3, edges, roots: roots.into_iter().collect() }
    }

    /// As the law does it: edge by edge, each looked at before it counts.
    fn compare(&self, answer: &Value) -> usize {
        let mut needs = Needs::new();
        let mut refused = 0;
        for (at, (needing, needed)) in self.edges.iter().enumerate() {
            let known = needs.entry(*needing).or_default().contains(needed);
            needs.entry(*needing).or_default().insert(*needed);
            let of = |node: &u64| needs.get(node).into_iter().flatten().copied().collect();
            let cycle = find_cycle(needing, of, usize::MAX);
            let length = cycle.as_ref().map_or(0, |way| way.len() - 1);
            assert_eq!(answer["cycles"][at], length, "edge {at} of {self:?}");
            if let Some(way) = cycle {
                assert_eq!((way.first(), way.last()), (Some(needing), Some(needing)));
                assert!(way.windows(2).all(|step| needs[&step[0]].contains(&step[1])), "{way:?}");
                refused += 1;
                if !self.keep_cycles && !known {
                    needs.entry(*needing).or_default().remove(needed);
                }
            }
        }
        for (root, expect) in self.roots.iter().zip(answer["affected"].as_array().expect("a list"))
        {
            compare_affected(&needs, *root, expect);
        }
        refused
    }
}

fn compare_affected(needs: &Needs, root: u64, expect: &Value) {
    let dependents = |node: &u64| {
        needs.iter().filter(|(_, of)| of.contains(node)).map(|(who, _)| *who).collect()
    };
    let got = affected(&root, dependents, usize::MAX).expect("there is no limit");
    let sorted: BTreeMap<u64, u32> = got.iter().copied().collect();
    assert_eq!(json!(sorted.into_iter().collect::<Vec<_>>()), expect["distances"], "{needs:?}");
    // In a cycle there is no order to agree on.
    if !expect["order"].is_null() {
        let order: Vec<u64> = got.iter().map(|(node, _)| *node).collect();
        assert_eq!(json!(order), expect["order"], "what needs {root} in {needs:?}");
    }
}

#[test]
fn networkx_agrees() {
    let test = "depends::networkx_agrees";
    let Some(command) = peers::command(test, "graphs") else { return };
    let mut dice = seed(test);
    let graphs: Vec<Graph> = (0..GRAPHS).map(|number| Graph::random(&mut dice, number)).collect();
    let asked: Vec<Value> = graphs
        .iter()
        .map(|graph| {
            json!({"keep_cycles": graph.keep_cycles, "edges": graph.edges, "roots": graph.roots})
        })
        .collect();
    let mut child = Command::new(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(json!(asked).to_string().as_bytes()).expect("it reads all before it answers");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answers.len(), graphs.len());
    let refused: usize =
        graphs.iter().zip(&answers).map(|(graph, answer)| graph.compare(answer)).sum();
    // A comparison that never met a cycle would prove little.
    assert!(refused > GRAPHS, "{refused}");
}

/// Declares an agent that needs these.
fn declare(namespace: &str, name: &str, needs: &[&str], dry_run: bool) -> Answer {
    let object = json!({
        "kind": "Agent",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"url": "http://127.0.0.1:1/", "dependsOn": needs},
    });
    let body = json!({"object": object, "dryRun": dry_run}).to_string();
    let headers = [("content-type", "application/json")];
    ask(&shared().socket(), "POST", "/v1/apply", &headers, &body).expect("it answers")
}

/// As in `b1 c2`: what breaks, in order, with its distance.
fn impact(namespace: &str, kind: &str, name: &str) -> Vec<String> {
    let path = format!("/v1/objects/{kind}/{namespace}/{name}:impact");
    let answer = get(&shared().socket(), &path).expect("it answers");
    assert_eq!(answer.status, 200, "{answer:?}");
    let items = answer.json()["items"].as_array().expect("a list").clone();
    let word = |item: &Value| {
        let needs: Vec<_> =
            item["needs"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        format!(
            "{} {} {}",
            item["name"].as_str().expect("a name"),
            item["distance"],
            needs.join(",")
        )
    };
    items.iter().map(word).collect()
}

#[test]
fn what_breaks_is_told_in_order() {
    let namespace = unique("impact");
    // The last is needed by all; `b` needs `z` too, so it stands behind it.
    for (name, needs) in [
        ("root", &[][..]),
        ("z", &["agent/root"][..]),
        ("b", &["agent/root", "agent/z"][..]),
        ("a", &["agent/b", "mcp/elsewhere"][..]),
        ("tools", &["tool/clock.now"][..]),
        ("clocks", &["mcp/clock"][..]),
    ] {
        let answer = declare(&namespace, name, needs, false);
        assert_eq!(
            (answer.status, &answer.json()["change"]),
            (200, &"CHANGE_CREATED".into()),
            "{answer:?}"
        );
    }
    let expect = ["z 1 agent/root", "b 1 agent/root,agent/z", "a 2 agent/b"];
    assert_eq!(impact(&namespace, "agent", "root"), expect);
    assert_eq!(impact(&namespace, "agent", "a"), Vec::<String>::new());
    // Nothing serves these yet; what waits for them is known.
    let both = ["clocks 1 mcp/clock", "tools 1 tool/clock.now"];
    assert_eq!(impact(&namespace, "mcp_server", "clock"), both);
    assert_eq!(impact(&namespace, "tool", "clock.now"), both);
    assert_eq!(impact(&namespace, "tool", "clock.other"), ["clocks 1 mcp/clock"]);
    let path = format!("/v1/objects/agent/{namespace}/nobody:impact");
    let nobody = get(&shared().socket(), &path).expect("it answers");
    assert_eq!((nobody.status, &nobody.json()["code"]), (404, &"KEIKO-0030".into()), "{nobody:?}");
}

#[test]
fn a_cycle_is_refused_and_changes_nothing() {
    let namespace = unique("cycle");
    for (name, needs) in [("a", &["agent/b"][..]), ("b", &["skill/c.plan"]), ("c", &[])] {
        let answer = declare(&namespace, name, needs, false);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    for dry_run in [true, false] {
        let refused = declare(&namespace, "c", &["agent/a"], dry_run);
        let body = refused.json();
        assert_eq!((refused.status, &body["code"]), (412, &"KEIKO-0080".into()), "{body}");
        let way = "agent/c needs agent/a needs agent/b needs agent/c";
        assert!(body["causes"].to_string().contains(way), "{body}");
    }
    let itself = declare(&namespace, "d", &["agent/d"], false).json();
    assert_eq!(itself["code"], "KEIKO-0080", "{itself}");
    let odd = declare(&namespace, "d", &["planet/mars"], false).json();
    assert_eq!(odd["code"], "KEIKO-0002", "{odd}");
    let path = format!("/v1/objects/agent/{namespace}/c");
    let c = get(&shared().socket(), &path).expect("it answers").json();
    assert!(c["object"]["spec"]["dependsOn"].is_null(), "{c}");
}

#[test]
fn a_missing_dependency_is_shown() {
    let namespace = unique("missing");
    let answer = declare(&namespace, "a", &["agent/b"], false);
    assert_eq!(answer.status, 200, "{answer:?}");
    let path = format!("/v1/objects/agent/{namespace}/a");
    let read = || get(&shared().socket(), &path).expect("it answers").json()["object"].clone();
    let a = read();
    assert_eq!(condition(&a, "DependenciesReady"), "False", "{a}");
    assert!(a.to_string().contains("DependencyMissing"), "{a}");
    declare(&namespace, "b", &[], false);
    assert!(read().to_string().contains("DependencyNotReady"), "{}", read());
}

#[test]
fn a_dry_run_says_what_would_be_and_keeps_nothing() {
    let namespace = unique("dry");
    let answer = declare(&namespace, "a", &[], true);
    let body = answer.json();
    assert_eq!((answer.status, &body["change"]), (200, &"CHANGE_CREATED".into()), "{body}");
    assert_eq!(body["object"]["metadata"]["name"], "a", "{body}");
    assert!(body["write"].is_null() && body["before"].is_null(), "{body}");
    let path = format!("/v1/objects/agent/{namespace}/a");
    let read = || get(&shared().socket(), &path).expect("it answers");
    assert_eq!(read().status, 404);
    let made = declare(&namespace, "a", &[], false).json();
    let again = declare(&namespace, "a", &[], true).json();
    assert_eq!(again["change"], "CHANGE_UNCHANGED", "{again}");
    assert_eq!(again["before"]["metadata"]["uid"], made["object"]["metadata"]["uid"], "{again}");
    let delete = |query: &str| {
        let path = format!("{path}{query}");
        ask(&shared().socket(), "DELETE", &path, &[], "").expect("it answers")
    };
    let would = delete("?dry_run=true");
    assert_eq!(would.status, 200, "{would:?}");
    assert!(would.json()["write"].is_null(), "{would:?}");
    assert_eq!(read().status, 200);
    assert_eq!(delete("").status, 200);
    assert_eq!(read().status, 404);
}
