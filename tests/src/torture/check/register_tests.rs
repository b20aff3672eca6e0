//! The search against histories made by hand, against a check that tries every order, and against a
//! register with bugs put in on purpose.

use super::register::{Act, Item, LOOKS_MAX, Verdict, check};
use crate::report::Dice;
use std::collections::BTreeMap;

fn is_linearizable(items: &[Item]) -> bool {
    match check(items, None, LOOKS_MAX) {
        Verdict::Linearizable => true,
        Verdict::Broken(_) => false,
        Verdict::GaveUp(stuck) => panic!("gave up: {stuck:?}"),
    }
}

fn item(invoked: u64, returned: u64, act: Act) -> Item {
    Item { act, invoked, returned: (returned > 0).then_some(returned) }
}

fn write(invoked: u64, returned: u64, value: u64) -> Item {
    item(invoked, returned, Act::Write(value))
}

fn read(invoked: u64, returned: u64, value: u64) -> Item {
    item(invoked, returned, Act::Read((value > 0).then_some(value)))
}

fn swap(invoked: u64, returned: u64, expected: u64, value: u64) -> Item {
    item(invoked, returned, Act::Swap { expected, value })
}

fn refused(invoked: u64, returned: u64, expected: u64) -> Item {
    item(invoked, returned, Act::SwapRefused { expected })
}

/// What has 0 in place of a return is in doubt.
#[test]
fn histories_by_hand() {
    let verdict = |what: &str, items: &[Item], expect: bool| {
        assert_eq!(is_linearizable(items), expect, "{what}");
    };
    verdict("nothing", &[], true);
    verdict("in order", &[write(1, 2, 7), read(3, 4, 7), write(5, 6, 8), read(7, 8, 8)], true);
    verdict("nothing there at first", &[read(1, 2, 0), write(3, 4, 7), read(5, 6, 7)], true);
    verdict("a read of what nobody wrote", &[write(1, 2, 7), read(3, 4, 9)], false);
    verdict("a stale read", &[write(1, 2, 7), write(3, 4, 8), read(5, 6, 7)], false);
    verdict("a stale read of nothing", &[write(1, 2, 7), read(3, 4, 0)], false);
    verdict("a read from the future", &[read(1, 2, 7), write(3, 4, 7)], false);
    verdict(
        "a lost write",
        &[write(1, 2, 7), write(3, 4, 8), read(5, 9, 7), read(10, 11, 7)],
        false,
    );
    let concurrent = [write(1, 10, 7), write(2, 9, 8), read(3, 4, 8), read(5, 6, 7)];
    verdict("two writes at once, in either order", &concurrent, true);
    let back = [write(1, 10, 7), write(2, 9, 8), read(3, 4, 8), read(5, 6, 7), read(7, 8, 8)];
    verdict("a resurrected write", &back, false);
    verdict(
        "a write seen before its answer",
        &[write(1, 9, 7), read(2, 3, 7), read(4, 5, 7)],
        true,
    );
    verdict("and then not", &[write(1, 9, 7), read(2, 3, 7), read(4, 5, 0)], false);

    verdict("a swap", &[write(1, 2, 7), swap(3, 4, 7, 8), read(5, 6, 8)], true);
    verdict("of two swaps one wins", &[write(1, 2, 7), swap(3, 6, 7, 8), refused(3, 6, 7)], true);
    verdict("two swaps win", &[write(1, 2, 7), swap(3, 6, 7, 8), swap(3, 6, 7, 9)], false);
    verdict("a swap refused for nothing", &[write(1, 2, 7), refused(3, 4, 7)], false);
    let effect = [write(1, 2, 7), refused(3, 9, 7), write(3, 9, 8), swap(10, 11, 7, 9)];
    verdict("a swap of what is gone", &effect, false);

    let doubt = |more: &[Item]| [&[write(1, 2, 7), write(3, 0, 8)], more].concat();
    verdict("in doubt and never done", &doubt(&[read(5, 6, 7), read(90, 91, 7)]), true);
    verdict("in doubt and done late", &doubt(&[read(5, 6, 7), read(90, 91, 8)]), true);
    verdict("done, and taken back", &doubt(&[read(5, 6, 8), read(90, 91, 7)]), false);
    verdict("in doubt explains a refusal", &doubt(&[refused(5, 6, 7)]), true);
    verdict("and only one", &doubt(&[refused(5, 6, 7), read(7, 8, 7)]), false);
    verdict("before it was sent", &[write(1, 2, 7), read(3, 4, 8), write(5, 0, 8)], false);
    let chain = [write(1, 2, 7), swap(3, 0, 7, 8), swap(4, 0, 8, 9), read(6, 7, 9)];
    verdict("one in doubt needs another", &chain, true);
    let spare =
        [write(1, 2, 7), write(3, 0, 8), refused(5, 6, 7), write(7, 8, 9), refused(10, 11, 9)];
    verdict("one explains one refusal", &spare, false);
    let two = [&spare[..], &[write(4, 0, 10)]].concat();
    verdict("two explain two", &two, true);
    let early = [write(1, 2, 7), write(3, 0, 8), refused(5, 6, 7), read(7, 8, 8), read(9, 10, 8)];
    verdict("what explained a refusal is seen", &early, true);
}

/// Every order of every subset of what is in doubt.
fn every_order(items: &[Item]) -> bool {
    fn go(items: &[Item], left: &mut Vec<usize>, state: Option<u64>) -> bool {
        if left.iter().all(|at| items[*at].returned.is_none()) {
            return true;
        }
        let returns = left.iter().filter_map(|at| items[*at].returned);
        let first = returns.min().unwrap_or(u64::MAX);
        for position in 0..left.len() {
            let at = left[position];
            if items[at].invoked > first {
                continue;
            }
            let next = match items[at].act {
                Act::Write(value) => Some(Some(value)),
                Act::Read(value) => (state == value).then_some(state),
                Act::Swap { expected, value } => (state == Some(expected)).then_some(Some(value)),
                Act::SwapRefused { expected } => (state != Some(expected)).then_some(state),
            };
            let Some(next) = next else { continue };
            left.remove(position);
            let found = go(items, left, next);
            left.insert(position, at);
            if found {
                return true;
            }
        }
        false
    }
    go(items, &mut (0..items.len()).collect(), None)
}

#[test]
fn it_agrees_with_trying_every_order() {
    let mut counts = [0_u32; 2];
    for seed in 0..20_000 {
        let mut dice = Dice(seed);
        let (count, span) = (3 + dice.below(5), 6 + dice.below(14));
        let mut items = Vec::new();
        for number in 0..count {
            let invoked = 1 + dice.below(span);
            let returned = invoked + dice.below(5);
            let other = 1 + dice.below(count);
            let act = match dice.below(7) {
                0 | 1 => Act::Write(number + 1),
                2 => Act::Swap { expected: other, value: number + 1 },
                3 => Act::SwapRefused { expected: other },
                4 => Act::Read(None),
                _ => Act::Read(Some(other)),
            };
            let is_write = matches!(act, Act::Write(_) | Act::Swap { .. });
            let in_doubt = is_write && dice.below(2) == 0;
            items.push(Item { act, invoked, returned: (!in_doubt).then_some(returned) });
        }
        let expect = every_order(&items);
        assert_eq!(is_linearizable(&items), expect, "seed {seed}: {items:#?}");
        counts[usize::from(expect)] += 1;
    }
    assert!(counts.iter().all(|count| *count > 1_000), "one-sided: {counts:?}");
}

/// What a register may do wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    None,
    /// A read shows what was there some writes ago.
    StaleRead,
    /// An acknowledged write is forgotten.
    LosesWrite,
    /// What was there some writes ago is there again.
    Resurrects,
    /// A swap does not look.
    SwapsBlindly,
    /// A swap that is refused is carried out.
    RefusesAndSwaps,
    /// It answers first, and writes later.
    AnswersEarly,
}

/// Takes effect so late that it never does.
const NEVER: u64 = u64::MAX / 2;

/// An operation that is under way.
struct Running {
    item: Item,
    /// When it takes effect.
    effect: u64,
    done: bool,
}

/// A register with clients that overlap.
struct Register {
    dice: Dice,
    bug: Bug,
    now: u64,
    /// Everything that was there.
    past: Vec<Option<u64>>,
    running: BTreeMap<u64, Running>,
    /// What clients were told last.
    known: Option<u64>,
    items: Vec<Item>,
}

/// What is seen of it from outside.
fn play(seed: u64, operations: u64, bug: Bug) -> Vec<Item> {
    let (dice, running) = (Dice(seed), BTreeMap::new());
    let (past, known, items) = (vec![None], None, Vec::new());
    let mut register = Register { dice, bug, now: 0, past, running, known, items };
    let mut started = 0;
    while started < operations || !register.running.is_empty() {
        register.now += 1;
        let room = started < operations && register.running.len() < 6;
        if room && register.dice.below(2) == 0 {
            started += 1;
            register.invoke(started);
        }
        register.take_effect();
        register.answer();
    }
    register.items
}

impl Register {
    fn invoke(&mut self, number: u64) {
        let act = match (self.dice.below(4), self.known) {
            (0, _) | (1, None) => Act::Write(number),
            (1, Some(expected)) => Act::Swap { expected, value: number },
            _ => Act::Read(None),
        };
        let effect = self.now + 1 + self.dice.below(8);
        let in_doubt = !matches!(act, Act::Read(_)) && self.dice.below(12) == 0;
        let returned = (!in_doubt).then_some(effect + 1 + self.dice.below(8));
        // Of those in doubt some take effect late, and some never.
        let late = [0, 30, NEVER][self.dice.below(3) as usize];
        let early = self.bug == Bug::AnswersEarly && matches!(act, Act::Write(_));
        let effect = match (in_doubt, early && self.dice.below(10) == 0) {
            (true, _) => effect + late,
            (false, true) => effect + 40,
            (false, false) => effect,
        };
        let item = Item { act, invoked: self.now, returned };
        self.running.insert(number, Running { item, effect, done: false });
    }

    /// One of those whose time has come.
    fn take_effect(&mut self) {
        let Self { bug, now, past, .. } = self;
        let is_due = |one: &&mut Running| one.effect <= *now && !one.done;
        let Some(one) = self.running.values_mut().find(is_due) else { return };
        one.done = true;
        let state = past[past.len() - 1];
        let strikes = *bug != Bug::None && self.dice.below(12) == 0;
        let ago = past[past.len().saturating_sub(2 + self.dice.below(3) as usize)];
        match one.item.act {
            Act::Write(_) if strikes && *bug == Bug::LosesWrite => {}
            Act::Write(value) => past.push(Some(value)),
            Act::Read(_) if strikes && *bug == Bug::StaleRead => one.item.act = Act::Read(ago),
            Act::Read(_) => one.item.act = Act::Read(state),
            Act::Swap { expected, value } => {
                if state == Some(expected) || *bug == Bug::SwapsBlindly {
                    past.push(Some(value));
                } else if one.item.returned.is_some() {
                    one.item.act = Act::SwapRefused { expected };
                    if *bug == Bug::RefusesAndSwaps {
                        past.push(Some(value));
                    }
                }
            }
            Act::SwapRefused { .. } => {}
        }
        if strikes && *bug == Bug::Resurrects {
            past.push(ago);
        }
    }

    /// Those that are over; what was answered before it is done stays until then.
    fn answer(&mut self) {
        let now = self.now;
        let is_over = |one: &Running| match one.item.returned {
            Some(returned) => one.done && returned <= now,
            None => one.done || one.effect >= NEVER,
        };
        let over = self.running.iter().filter(|(_, one)| is_over(one));
        let over: Vec<u64> = over.map(|(number, _)| *number).collect();
        for Running { item, .. } in over.iter().filter_map(|number| self.running.remove(number)) {
            // Clients expect what they were told.
            if let (Some(_), Act::Write(value) | Act::Swap { value, .. } | Act::Read(Some(value))) =
                (item.returned, item.act)
            {
                self.known = Some(value);
            }
            self.items.push(item);
        }
    }
}

#[test]
fn a_register_without_a_bug_is_found_to_have_none() {
    for seed in 0..100 {
        let items = play(seed, 300, Bug::None);
        assert!(is_linearizable(&items), "seed {seed}");
    }
}

#[test]
fn every_bug_is_found() {
    for bug in [
        Bug::StaleRead,
        Bug::LosesWrite,
        Bug::Resurrects,
        Bug::SwapsBlindly,
        Bug::RefusesAndSwaps,
        Bug::AnswersEarly,
    ] {
        let found = (0..40).filter(|seed| !is_linearizable(&play(*seed, 200, bug))).count();
        assert!(found > 10, "{bug:?}: in {found} of 40 runs");
    }
}

/// As long as what one key of a long run has, with as much in doubt.
#[test]
fn a_long_history_takes_a_moment() {
    let items = play(1, 15_000, Bug::None);
    let in_doubt = items.iter().filter(|item| item.returned.is_none()).count();
    assert!(in_doubt > 250, "{in_doubt}");
    assert!(is_linearizable(&items));
    // And one bug at its very end is found, too.
    let mut broken = items;
    let end = broken.iter().filter_map(|item| item.returned).max().unwrap_or_default();
    broken.push(write(end + 1, end + 2, u64::MAX - 1));
    broken.push(read(end + 3, end + 4, 1));
    assert!(!is_linearizable(&broken));
}
