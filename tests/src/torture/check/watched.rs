//! What the watchers of the nodes saw: no gap, no repetition, never back, and all of them the same.

use crate::torture::history::{Key, Op};
use std::collections::{BTreeMap, HashMap};

/// One thing that a watcher was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A key has this value since this revision. Also what changed nothing but its health comes.
    Change {
        /// Of the change.
        revision: u64,
        /// Which key.
        key: Key,
        /// What is there.
        value: Option<u64>,
        /// Since when.
        generation: u64,
    },
    /// Everything up to here was shown.
    Bookmark {
        /// Up to here.
        revision: u64,
    },
    /// Something is missing, it says.
    Resync,
    /// The connection was made anew, from this revision on.
    Resumed {
        /// The last that it had seen.
        after: u64,
    },
}

/// What the watcher of one node was shown, in order.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// The node's number.
    pub node: u32,
    /// Behind which revision it began.
    pub after: u64,
    /// Everything.
    pub shown: Vec<Shown>,
}

impl Watched {
    /// Up to which revision it knows everything.
    pub fn reached(&self) -> u64 {
        let revision = |shown: &Shown| match *shown {
            Shown::Change { revision, .. } | Shown::Bookmark { revision } => revision,
            Shown::Resync | Shown::Resumed { .. } => 0,
        };
        self.shown.iter().map(revision).max().unwrap_or_default().max(self.after)
    }
}

/// What one revision did: the key, what is there, and since when.
type Change = (Key, Option<u64>, u64);

/// What does not fit; empty if everything does. Every watcher is to have reached the last
/// acknowledged revision.
pub fn check(watched: &[Watched], ops: &[Op]) -> Vec<String> {
    let mut findings = Vec::new();
    let mut all: Vec<(&Watched, BTreeMap<u64, Change>)> = Vec::new();
    for one in watched {
        match changes(one) {
            Ok(changes) => all.push((one, changes)),
            Err(finding) => findings.push(finding),
        }
    }
    for (one, changes) in &all {
        findings.extend(missing(one, changes, ops));
    }
    let Some((first, known)) = all.first() else { return findings };
    for (other, changes) in &all[1..] {
        findings.extend(difference(first, known, other, changes));
    }
    findings
}

/// Its changes by revision, if they come in order and once.
fn changes(one: &Watched) -> Result<BTreeMap<u64, Change>, String> {
    let (mut changes, mut last) = (BTreeMap::new(), one.after);
    let node = one.node + 1;
    let mut generations: HashMap<Key, u64> = HashMap::new();
    for (at, shown) in one.shown.iter().enumerate() {
        match *shown {
            Shown::Change { revision, key, value, generation } => {
                if revision <= last {
                    return Err(format!(
                        "the watcher of n{node} goes back or repeats: {shown:?} behind {last}, \
                         number {at}"
                    ));
                }
                let before = generations.insert(key, generation);
                if before.is_some_and(|before| before > generation) {
                    return Err(format!("the watcher of n{node} saw k-{key} go back: {shown:?}"));
                }
                last = revision;
                changes.insert(revision, (key, value, generation));
            }
            Shown::Bookmark { revision } => {
                if revision < last {
                    return Err(format!(
                        "the watcher of n{node} was told {revision} behind {last}, number {at}"
                    ));
                }
                last = revision;
            }
            Shown::Resync => return Err(format!("the watcher of n{node} lost its place")),
            Shown::Resumed { .. } => {}
        }
    }
    Ok(changes)
}

/// Acknowledged writes that it did not show, or not so.
fn missing(one: &Watched, changes: &BTreeMap<u64, Change>, ops: &[Op]) -> Option<String> {
    let acknowledged = ops.iter().filter_map(|op| op.acknowledged().map(|revision| (revision, op)));
    for (revision, op) in acknowledged.filter(|(revision, _)| *revision > one.after) {
        let expect = (op.key, op.value(), revision);
        if changes.get(&revision) != Some(&expect) {
            return Some(format!(
                "the watcher of n{} has {:?} at revision {revision}, and not {}",
                one.node + 1,
                changes.get(&revision),
                super::order::told(op)
            ));
        }
    }
    None
}

/// The first revision, of those that both have behind them, at which two saw different things.
fn difference(
    first: &Watched,
    known: &BTreeMap<u64, Change>,
    other: &Watched,
    changes: &BTreeMap<u64, Change>,
) -> Option<String> {
    let from = first.after.max(other.after);
    let to = first.reached().min(other.reached());
    if from >= to {
        return None;
    }
    let both = || (known.range(from + 1..=to), changes.range(from + 1..=to));
    let (left, right) = both();
    let unlike = left.zip(right).find(|(left, right)| left != right);
    let counts = both();
    let (left, right) = (counts.0.count(), counts.1.count());
    let nodes = format!("the watchers of n{} and n{}", first.node + 1, other.node + 1);
    match unlike {
        Some((left, right)) => Some(format!("{nodes} saw {left:?} and {right:?}")),
        None if left != right => Some(format!("{nodes} saw {left} and {right} changes up to {to}")),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torture::history::{Call, Outcome};

    fn change(revision: u64, value: u64) -> Shown {
        Shown::Change { revision, key: 0, value: Some(value), generation: revision }
    }

    fn write(value: u64, revision: u64) -> Op {
        Op {
            client: 0,
            node: 0,
            key: 0,
            call: Call::Write { value },
            invoked: 0,
            returned: 1,
            outcome: Outcome::Written { revision },
            request_id: None,
            tries: 1,
        }
    }

    #[test]
    fn what_watchers_may_not_see() {
        let ops = [write(7, 11), write(8, 12)];
        let verdict = |shown: &[Shown], expect: &str| {
            let of = |node| Watched { node, after: 10, shown: shown.to_vec() };
            let good = vec![change(11, 7), change(12, 8), Shown::Bookmark { revision: 13 }];
            let found = check(&[Watched { node: 0, after: 10, shown: good }, of(1)], &ops);
            match expect {
                "" => assert_eq!(found, Vec::<String>::new()),
                words => assert!(found[0].contains(words), "{words}: {found:?}"),
            }
        };
        let mark = |revision| Shown::Bookmark { revision };
        verdict(&[change(11, 7), change(12, 8)], "");
        verdict(&[change(11, 7), Shown::Resumed { after: 11 }, mark(11), change(12, 8)], "");
        verdict(&[change(11, 7), change(12, 8), mark(15), change(16, 9)], "");
        verdict(&[change(12, 8)], "has None at revision 11");
        verdict(&[change(11, 8), change(12, 8)], "at revision 11, and not");
        verdict(&[change(11, 7), change(11, 7), change(12, 8)], "goes back or repeats");
        verdict(&[change(12, 8), change(11, 7)], "goes back or repeats");
        verdict(&[change(11, 7), mark(14), change(12, 8)], "goes back or repeats");
        verdict(&[change(11, 7), mark(10), change(12, 8)], "was told 10 behind 11");
        verdict(&[change(11, 7), Shown::Resync, change(12, 8)], "lost its place");
        verdict(&[change(11, 7), change(12, 8), change(13, 9)], "saw 2 and 3 changes up to 13");
        let old = Shown::Change { revision: 13, key: 0, value: Some(7), generation: 11 };
        verdict(&[change(11, 7), change(12, 8), old], "go back");
    }
}
