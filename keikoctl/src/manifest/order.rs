//! In which order manifests go: what others need comes first; among equals as they were read.

use super::read::{Id, Manifest};
use keiko_core::refusal::{Code, Refusal, Result};
use std::collections::{BTreeMap, BTreeSet};

/// What has a place in the order.
pub(super) trait Ordered {
    fn id(&self) -> &Id;
    /// As in `mcp/time`, in its own namespace.
    fn needs(&self) -> &[String];
    /// Where it stands, for people.
    fn place(&self) -> String;
}

impl Ordered for Manifest {
    fn id(&self) -> &Id {
        &self.id
    }

    fn needs(&self) -> &[String] {
        &self.needs
    }

    fn place(&self) -> String {
        self.place.to_string()
    }
}

/// Rounds: nothing in a round needs anything of the same round or of a later one.
pub(super) fn rounds<T: Ordered>(items: Vec<T>) -> Result<Vec<Vec<T>>> {
    let places: BTreeMap<&Id, usize> =
        items.iter().enumerate().map(|(at, item)| (item.id(), at)).collect();
    let needs: Vec<BTreeSet<usize>> = items
        .iter()
        .map(|item| {
            let owners = item.needs().iter().filter_map(|need| owner(&item.id().namespace, need));
            owners.filter_map(|id| places.get(&id).copied()).collect()
        })
        .collect();
    let mut round_of = vec![None::<usize>; items.len()];
    let mut open: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
    let mut needed_by = vec![Vec::new(); items.len()];
    for (at, below) in needs.iter().enumerate() {
        below.iter().for_each(|need| needed_by[*need].push(at));
    }
    let mut ready: Vec<usize> = (0..items.len()).filter(|at| open[*at] == 0).collect();
    let mut round = 0;
    while !ready.is_empty() {
        let mut next = Vec::new();
        for at in ready {
            round_of[at] = Some(round);
            for above in &needed_by[at] {
                open[*above] -= 1;
                if open[*above] == 0 {
                    next.push(*above);
                }
            }
        }
        (ready, round) = (next, round + 1);
    }
    if let Some(left) = round_of.iter().position(Option::is_none) {
        return Err(cycle(&items, &needs, &round_of, left));
    }
    let mut rounds: Vec<Vec<T>> = (0..round).map(|_| Vec::new()).collect();
    for (item, round) in items.into_iter().zip(round_of) {
        rounds[round.unwrap_or(0)].push(item);
    }
    Ok(rounds)
}

/// The agent or server that a dependency means: of a tool its server.
fn owner(namespace: &str, need: &str) -> Option<Id> {
    let (kind, name) = need.split_once('/')?;
    let (noun, name) = match kind {
        "agent" => ("agent", name),
        "mcp" => ("mcp", name),
        "tool" => ("mcp", name.split('.').next()?),
        "skill" => ("agent", name.split('.').next()?),
        _ => return None,
    };
    Some(Id { namespace: namespace.to_owned(), noun, name: name.to_owned() })
}

/// Whoever is left has a need that is left too: walking on, one comes again.
fn cycle<T: Ordered>(
    items: &[T],
    needs: &[BTreeSet<usize>],
    round_of: &[Option<usize>],
    from: usize,
) -> Refusal {
    let (mut path, mut here) = (Vec::new(), from);
    while !path.contains(&here) {
        path.push(here);
        let left = needs[here].iter().find(|need| round_of[**need].is_none());
        here = *left.expect("invariant: a need that is left keeps its dependent back");
    }
    let start = path.iter().position(|at| *at == here).unwrap_or(0);
    let names: Vec<String> =
        path[start..].iter().chain([&here]).map(|at| items[*at].id().reference()).collect();
    Refusal::new(
        Code::DependencyCycle,
        "the manifests need each other in a circle: nothing was sent",
    )
    .cause(names.join(" needs "))
    .cause(format!("{} is at {}", names[0], items[here].place()))
    .hint("take one of these out of its dependsOn")
}

#[cfg(test)]
mod tests {
    use super::super::tests::read_text;
    use super::*;

    fn check(lines: &[(&str, &[&str])], expect: Option<&[&[&str]]>) {
        let documents = lines.iter().map(|(name, needs)| {
            format!(
                "{{apiVersion: keiko/v1, kind: McpServer, metadata: {{name: {name}}}, \
                 spec: {{url: 'http://{name}', dependsOn: {needs:?}}}}}\n---\n"
            )
        });
        let manifests = read_text(&documents.collect::<String>()).unwrap();
        match (rounds(manifests), expect) {
            (Ok(rounds), Some(expect)) => {
                let names: Vec<Vec<&str>> = rounds
                    .iter()
                    .map(|round| round.iter().map(|one| one.id.name.as_str()).collect())
                    .collect();
                assert_eq!(names, expect, "{lines:?}");
            }
            (Err(refusal), None) => assert_eq!(refusal.code, Code::DependencyCycle),
            (other, _) => panic!("{lines:?}: {other:?}"),
        }
    }

    #[test]
    fn what_is_needed_comes_first() {
        check(&[("b", &[]), ("a", &[])], Some(&[&["b", "a"]]));
        check(&[("a", &["mcp/b"]), ("b", &["mcp/c"]), ("c", &[])], Some(&[&["c"], &["b"], &["a"]]));
        check(&[("a", &["tool/b.x", "mcp/gone"]), ("b", &[])], Some(&[&["b"], &["a"]]));
        check(&[("a", &["agent/b"]), ("b", &[])], Some(&[&["a", "b"]]));
        check(&[("a", &["mcp/b"]), ("b", &["mcp/a"])], None);
        check(&[("a", &["tool/a.x"])], None);
        check(&[("d", &["mcp/a"]), ("a", &["mcp/b"]), ("b", &["mcp/a"]), ("c", &[])], None);
    }
}
