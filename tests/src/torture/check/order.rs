//! What revisions say, in one pass: quick, and with clearer words than the search.
//!
//! Every write has a revision of its own, and a later one has a larger one. So a write that was
//! invoked when another had been acknowledged has a larger revision, a read shows no older state
//! than anybody was told before it began, and each revision of a key stands for one value.

use crate::torture::history::{Nanos, Op, Outcome, Seen};
use std::collections::HashMap;
use std::fmt::Write as _;

/// Findings that are told; the first says the most.
const TOLD_MAX: usize = 8;

/// What does not fit; empty if everything does.
pub fn check(ops: &[Op]) -> Vec<String> {
    let mut findings = Findings::default();
    one_revision_each(ops, &mut findings);
    one_value_each(ops, &mut findings);
    later_is_larger(ops, &mut findings);
    findings.told()
}

#[derive(Default)]
struct Findings {
    first: Vec<String>,
    more: usize,
}

impl Findings {
    fn say(&mut self, text: impl FnOnce() -> String) {
        if self.first.len() < TOLD_MAX {
            self.first.push(text());
        } else {
            self.more += 1;
        }
    }

    fn told(mut self) -> Vec<String> {
        if self.more > 0 {
            self.first.push(format!("and {} more", self.more));
        }
        self.first
    }
}

/// No two acknowledged writes have the same revision.
fn one_revision_each(ops: &[Op], findings: &mut Findings) {
    let mut known: HashMap<u64, &Op> = HashMap::new();
    for op in ops {
        let Some(revision) = op.acknowledged() else { continue };
        if let Some(other) = known.insert(revision, op) {
            findings.say(|| {
                format!("two writes at revision {revision}: {} and {}", told(other), told(op))
            });
        }
    }
}

/// What a key's revision stands for is the same for whoever wrote it and whoever read it.
fn one_value_each(ops: &[Op], findings: &mut Findings) {
    let mut known: HashMap<(u32, u64), (Option<u64>, &Op)> = HashMap::new();
    for op in ops {
        let (generation, value) = match op.outcome {
            Outcome::Written { revision } => (revision, op.value()),
            Outcome::Seen(Seen { value: Some(value), generation, .. }) => (generation, Some(value)),
            Outcome::Seen(_) | Outcome::Refused | Outcome::Unknown => continue,
        };
        let (first, other) = *known.entry((op.key, generation)).or_insert((value, op));
        if first != value {
            findings.say(|| {
                format!("two values at revision {generation}: {} and {}", told(other), told(op))
            });
        }
    }
}

/// What anybody was told before an operation began is behind it.
fn later_is_larger(ops: &[Op], findings: &mut Findings) {
    let answered = |op: &&Op| op.outcome != Outcome::Unknown;
    let mut events: Vec<(Nanos, bool, usize)> = Vec::new();
    for (at, op) in ops.iter().enumerate().filter(|(_, op)| answered(op)) {
        events.push((op.invoked, false, at));
        events.push((op.returned, true, at));
    }
    events.sort_unstable();
    // The newest that was told so far, of all keys and of each, and what was so at each call.
    let mut newest = Newest::default();
    let mut at_call: Vec<Option<(Told, Told)>> = vec![None; ops.len()];
    for (_, is_return, at) in events {
        let op = &ops[at];
        if !is_return {
            at_call[at] = Some((newest.all, newest.of(op.key)));
            continue;
        }
        let Some((all, key)) = at_call[at] else { continue };
        match op.outcome {
            Outcome::Written { revision } => {
                if revision <= all.revision {
                    findings.say(|| went_back(op, "a write", revision, all, ops));
                }
                newest.tell(op.key, Some(revision), revision, at);
            }
            Outcome::Seen(seen) => {
                if seen.revision < all.revision {
                    findings.say(|| went_back(op, "a stale read", seen.revision, all, ops));
                } else if seen.generation < key.revision {
                    findings.say(|| went_back(op, "a stale value", seen.generation, key, ops));
                }
                if seen.generation > seen.revision {
                    findings.say(|| format!("a value from the future: {}", told(op)));
                }
                newest.tell(op.key, Some(seen.generation), seen.revision, at);
            }
            Outcome::Refused | Outcome::Unknown => {}
        }
    }
}

/// A revision, and the operation that was told it.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    revision: u64,
    op: Option<usize>,
}

#[derive(Default)]
struct Newest {
    all: Told,
    keys: HashMap<u32, Told>,
}

impl Newest {
    fn of(&self, key: u32) -> Told {
        self.keys.get(&key).copied().unwrap_or_default()
    }

    fn tell(&mut self, key: u32, generation: Option<u64>, revision: u64, op: usize) {
        let op = Some(op);
        if revision > self.all.revision {
            self.all = Told { revision, op };
        }
        let own = self.keys.entry(key).or_default();
        if let Some(revision) = generation.filter(|revision| *revision > own.revision) {
            *own = Told { revision, op };
        }
    }
}

fn went_back(op: &Op, what: &str, revision: u64, before: Told, ops: &[Op]) -> String {
    let mut text = format!("{what} at revision {revision}: {}", told(op));
    if let Some(before) = before.op {
        // Writing to a text can't fail.
        let _ = write!(text, "; before it began: {}", told(&ops[before]));
    }
    text
}

/// One operation in a line.
pub fn told(op: &Op) -> String {
    let ms = |moment: Nanos| moment as f64 / 1e6;
    format!(
        "[client {} at n{} on k-{} {:?} -> {:?}, {:.3} to {:.3} ms{}]",
        op.client,
        op.node + 1,
        op.key,
        op.call,
        op.outcome,
        ms(op.invoked),
        ms(op.returned),
        if op.tries > 1 { format!(", {} tries", op.tries) } else { String::new() },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torture::history::Call;

    fn op(invoked: Nanos, returned: Nanos, call: Call, outcome: Outcome) -> Op {
        let (client, node, key, request_id, tries) = (0, 0, 0, None, 1);
        Op { client, node, key, call, invoked, returned, outcome, request_id, tries }
    }

    fn write(invoked: Nanos, returned: Nanos, value: u64, revision: u64) -> Op {
        op(invoked, returned, Call::Write { value }, Outcome::Written { revision })
    }

    fn read(times: (Nanos, Nanos), value: Option<u64>, generation: u64, revision: u64) -> Op {
        let seen = Seen { value, generation, revision };
        op(times.0, times.1, Call::Read { lease: false }, Outcome::Seen(seen))
    }

    #[test]
    fn what_goes_back_is_found() {
        let check = |ops: &[Op], expect: Option<&str>| {
            let found = check(ops);
            match expect {
                None => assert_eq!(found, Vec::<String>::new()),
                Some(words) => assert!(found[0].starts_with(words), "{words}: {found:?}"),
            }
        };
        let first = write(1, 2, 7, 10);
        let of = |more: Op| vec![first.clone(), more];
        check(&of(write(3, 4, 8, 11)), None);
        check(&of(write(3, 4, 8, 10)), Some("two writes at revision 10"));
        check(&of(write(3, 4, 8, 9)), Some("a write at revision 9"));
        check(&of(write(2, 4, 8, 9)), None);
        check(&of(read((3, 4), Some(7), 10, 12)), None);
        check(&of(read((3, 4), Some(7), 10, 9)), Some("a stale read at revision 9"));
        check(&of(read((3, 4), Some(6), 9, 12)), Some("a stale value at revision 9"));
        check(&of(read((1, 4), Some(6), 9, 9)), None);
        check(&of(read((3, 4), Some(8), 10, 12)), Some("two values at revision 10"));
        check(&of(read((3, 4), None, 0, 12)), Some("a stale value at revision 0"));
        check(&of(read((3, 4), Some(9), 13, 12)), Some("a value from the future"));
        let reads = [read((1, 2), Some(7), 10, 12), read((3, 4), Some(7), 10, 11)];
        check(&reads, Some("a stale read at revision 11"));
        check(&[write(1, 2, 7, 10), read((1, 2), None, 0, 3)], None);
    }

    #[test]
    fn many_findings_are_counted() {
        let ops: Vec<Op> = (0..20).map(|at| write(2 * at, 2 * at + 1, at + 1, 5)).collect();
        let found = check(&ops);
        assert_eq!(found.len(), TOLD_MAX + 1);
        assert!(found[TOLD_MAX].starts_with("and "), "{found:?}");
    }
}
