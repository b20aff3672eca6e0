//! Who needs whom: cycles, and what breaks in which order. Pure, over any names.
//!
//! Both functions ask for the neighbours of one node at a time, so the graph itself may lie in a
//! store. Equal graphs give equal answers: nothing depends on the order in which neighbours come.
//! The end-to-end tests compare both with networkx over random graphs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The shortest way from `start` along `needs` back to `start`, which stands at both ends; of
/// several the one that is first in order. At most `limit` nodes are looked at: what lies beyond
/// counts as no cycle.
pub fn find_cycle<N: Ord + Clone>(
    start: &N,
    needs: impl Fn(&N) -> Vec<N>,
    limit: usize,
) -> Option<Vec<N>> {
    let mut reached_from: BTreeMap<N, N> = BTreeMap::new();
    let mut queue = VecDeque::from([start.clone()]);
    while let Some(node) = queue.pop_front() {
        for needed in needs(&node).into_iter().collect::<BTreeSet<_>>() {
            if needed == *start {
                return Some(way_back(start, node, &reached_from));
            }
            if reached_from.len() < limit && !reached_from.contains_key(&needed) {
                reached_from.insert(needed.clone(), node.clone());
                queue.push_back(needed);
            }
        }
    }
    None
}

/// From `start` to `last` and to `start` again.
fn way_back<N: Ord + Clone>(start: &N, last: N, reached_from: &BTreeMap<N, N>) -> Vec<N> {
    let mut way = vec![start.clone()];
    let mut node = Some(&last);
    while let Some(step) = node.filter(|step| *step != start) {
        way.push(step.clone());
        node = reached_from.get(step);
    }
    way.push(start.clone());
    way.reverse();
    way
}

/// Everything that needs `root`, also by way of others, each behind all that it needs of these;
/// where that leaves a choice, the least name first (the lexicographic topological order of Kahn's
/// algorithm). The number is the length of the shortest way to `root`. `None` if there are more
/// than `limit`.
///
/// In a cycle nothing can stand behind all that it needs: then the least name goes first.
pub fn affected<N: Ord + Clone>(
    root: &N,
    dependents: impl Fn(&N) -> Vec<N>,
    limit: usize,
) -> Option<Vec<(N, u32)>> {
    let mut edges: BTreeMap<N, BTreeSet<N>> = BTreeMap::new();
    let mut distances: BTreeMap<N, u32> = BTreeMap::new();
    let mut queue = VecDeque::from([(root.clone(), 0)]);
    while let Some((node, distance)) = queue.pop_front() {
        let above: BTreeSet<N> =
            dependents(&node).into_iter().filter(|dependent| dependent != root).collect();
        for dependent in &above {
            if !distances.contains_key(dependent) {
                if distances.len() == limit {
                    return None;
                }
                distances.insert(dependent.clone(), distance + 1);
                queue.push_back((dependent.clone(), distance + 1));
            }
        }
        if node != *root {
            edges.insert(node, above);
        }
    }
    let order = in_order(&edges);
    Some(order.into_iter().map(|node| (node.clone(), distances[&node])).collect())
}

/// Kahn's algorithm with the least of the free nodes first.
fn in_order<N: Ord + Clone>(edges: &BTreeMap<N, BTreeSet<N>>) -> Vec<N> {
    let mut waits_for: BTreeMap<&N, usize> = edges.keys().map(|node| (node, 0)).collect();
    for above in edges.values() {
        for dependent in above {
            *waits_for.entry(dependent).or_default() += 1;
        }
    }
    let mut free: BTreeSet<&N> =
        waits_for.iter().filter(|(_, count)| **count == 0).map(|(node, _)| *node).collect();
    let mut order = Vec::with_capacity(edges.len());
    loop {
        let next = match free.pop_first() {
            Some(node) => node,
            // Only cycles are left, and what hangs on them.
            None => match waits_for.keys().next() {
                Some(node) => *node,
                None => return order,
            },
        };
        waits_for.remove(next);
        order.push(next.clone());
        for dependent in edges.get(next).into_iter().flatten() {
            if let Some(count) = waits_for.get_mut(dependent) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    free.insert(dependent);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in `a>bc d>a`: a needs b and c, d needs a.
    fn graph(text: &str) -> BTreeMap<char, Vec<char>> {
        let edge = |word: &str| {
            let (from, to) = word.split_once('>').unwrap();
            (from.chars().next().unwrap(), to.chars().collect())
        };
        text.split_whitespace().map(edge).collect()
    }

    fn needs(graph: &BTreeMap<char, Vec<char>>, node: char) -> Vec<char> {
        graph.get(&node).cloned().unwrap_or_default()
    }

    fn dependents(graph: &BTreeMap<char, Vec<char>>, node: char) -> Vec<char> {
        graph.iter().filter(|(_, to)| to.contains(&node)).map(|(from, _)| *from).collect()
    }

    #[test]
    fn cycles() {
        let check = |text: &str, limit, expect: Option<&str>| {
            let graph = graph(text);
            let got = find_cycle(&'a', |node| needs(&graph, *node), limit);
            let got = got.map(|way| way.into_iter().collect::<String>());
            assert_eq!(got.as_deref(), expect, "{text} {limit}");
        };
        check("", 9, None);
        check("a>b b>c", 9, None);
        check("a>a", 9, Some("aa"));
        check("a>b b>a", 9, Some("aba"));
        check("a>b b>c c>a", 9, Some("abca"));
        check("a>cb b>d c>d d>a", 9, Some("abda"));
        check("a>bc b>d d>e e>a c>a", 9, Some("aca"));
        check("a>b b>c c>b", 9, None);
        check("a>b b>c c>a", 1, None);
        check("a>b b>c c>a", 2, Some("abca"));
    }

    #[test]
    fn what_breaks() {
        let check = |text: &str, expect: &str| {
            let graph = graph(text);
            let got = affected(&'a', |node| dependents(&graph, *node), 9).unwrap();
            let got: Vec<_> = got.iter().map(|(node, far)| format!("{node}{far}")).collect();
            assert_eq!(got.join(" "), expect, "{text}");
        };
        check("", "");
        check("a>b", "");
        check("b>a c>a", "b1 c1");
        check("b>c c>a", "c1 b2");
        check("d>a c>d b>ac", "d1 c2 b1");
        check("z>a b>z c>a", "c1 z1 b2");
        check("b>ax x>y", "b1");
        check("b>a a>b", "b1");
        check("b>ac c>b d>c", "b1 c2 d3");
        check("d>a d>ab b>a", "b1 d1");
    }

    #[test]
    fn no_more_than_asked_for() {
        let graph = graph("b>a c>a d>b");
        let of = |limit| affected(&'a', |node| dependents(&graph, *node), limit);
        assert_eq!(of(3).map(|all| all.len()), Some(3));
        assert_eq!(of(2), None);
    }
}
