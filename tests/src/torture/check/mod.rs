//! What must be so of a history, whatever went wrong meanwhile.
//!
//! ```text
//! order.rs     revisions in the order of time           watched.rs   what watchers were shown
//! register.rs  is there an order that explains it all?  register_tests.rs  proof that it finds bugs
//! ```

pub mod order;
pub mod register;
#[cfg(test)]
mod register_tests;
pub mod watched;

use super::history::{Call, Key, Op, Outcome, Seen};
use register::{Act, Item, LOOKS_MAX, Stuck, Verdict};
use std::collections::BTreeMap;
use watched::Watched;

/// Operations around the one that does not fit that are told.
const AROUND: usize = 8;

/// Everything that is not as it must be, the clearest words first.
pub fn check(ops: &[Op], watched: &[Watched]) -> Vec<String> {
    let mut findings = order::check(ops);
    findings.extend(registers(ops));
    findings.extend(watched::check(watched, ops));
    findings
}

/// Keys for whose operations there is no order.
pub fn registers(ops: &[Op]) -> Vec<String> {
    let mut keys: BTreeMap<Key, Vec<&Op>> = BTreeMap::new();
    for op in ops {
        keys.entry(op.key).or_default().push(op);
    }
    let judge = |(key, ops): (Key, Vec<&Op>)| {
        let (items, ops): (Vec<Item>, Vec<&Op>) =
            ops.into_iter().filter_map(|op| Some((item(op)?, op))).unzip();
        match register::check(&items, None, LOOKS_MAX) {
            Verdict::Linearizable => None,
            Verdict::Broken(stuck) => Some(broken(key, &ops, &stuck)),
            Verdict::GaveUp(stuck) => Some(format!(
                "k-{key}: whether it is linearizable was not found out, {} of {} answers were",
                stuck.explained,
                ops.len()
            )),
        }
    };
    keys.into_iter().filter_map(judge).collect()
}

fn item(op: &Op) -> Option<Item> {
    let is_in_doubt = op.outcome == Outcome::Unknown;
    let act = match (op.call, op.outcome) {
        (Call::Write { value }, Outcome::Written { .. } | Outcome::Unknown) => Act::Write(value),
        (Call::Swap { expected, value }, Outcome::Written { .. } | Outcome::Unknown) => {
            Act::Swap { expected, value }
        }
        (Call::Swap { expected, .. }, Outcome::Refused) => Act::SwapRefused { expected },
        (Call::Read { .. }, Outcome::Seen(Seen { value, .. })) => Act::Read(value),
        (Call::Read { .. } | Call::Write { .. } | Call::Swap { .. }, _) => return None,
    };
    Some(Item { act, invoked: op.invoked, returned: (!is_in_doubt).then_some(op.returned) })
}

fn broken(key: Key, ops: &[&Op], stuck: &Stuck) -> String {
    let culprit = ops[stuck.item];
    let value = |value: &Option<u64>| match value {
        None => "nothing".to_owned(),
        Some(u64::MAX) => "something that nobody read".to_owned(),
        Some(value) => value.to_string(),
    };
    let values: Vec<String> = stuck.values.iter().take(AROUND).map(value).collect();
    let mut before: Vec<&&Op> =
        ops.iter().filter(|op| op.invoked <= culprit.returned && **op != culprit).collect();
    before.sort_by_key(|op| op.returned);
    let around = before[before.len().saturating_sub(AROUND)..].iter();
    let around: Vec<String> = around.map(|op| format!("    {}", order::told(op))).collect();
    format!(
        "k-{key} is not linearizable: no order explains {}, behind {} that were explained; what \
         may have been there: {}; around it:\n{}",
        order::told(culprit),
        stuck.explained,
        values.join(", "),
        around.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(times: (u64, u64), call: Call, outcome: Outcome) -> Op {
        let (invoked, returned) = times;
        let (client, node, key, request_id, tries) = (1, 0, 3, None, 1);
        Op { client, node, key, call, invoked, returned, outcome, request_id, tries }
    }

    #[test]
    fn a_history_becomes_a_verdict() {
        let write = |times, value, outcome| op(times, Call::Write { value }, outcome);
        let read = |times, value| {
            let seen = Seen { value, generation: 1, revision: 9 };
            op(times, Call::Read { lease: false }, Outcome::Seen(seen))
        };
        let done = |revision| Outcome::Written { revision };
        let good = [
            write((1, 2), 7, done(1)),
            write((3, 4), 8, Outcome::Unknown),
            op((5, 6), Call::Swap { expected: 7, value: 9 }, Outcome::Refused),
            read((7, 8), Some(8)),
            op((9, 10), Call::Swap { expected: 8, value: 10 }, done(2)),
            op((11, 12), Call::Read { lease: true }, Outcome::Unknown),
        ];
        assert_eq!(registers(&good), Vec::<String>::new());
        let bad = [&good[..], &[read((13, 14), Some(7))]].concat();
        let found = registers(&bad);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("k-3 is not linearizable"), "{found:?}");
        assert!(found[0].contains("may have been there: something that nobody"), "{found:?}");
    }
}
