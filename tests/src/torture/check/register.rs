//! Is one register's history linearizable? (Wing and Gong's question, answered as Lowe does: an
//! operation is put in order when it returns, together with those that have to come before it.)
//!
//! Reads, writes, compare-and-set, and writes of which nobody knows whether they took effect. No
//! two writes have the same value, so each value stands there once at most, and only one writer can
//! have put it there. From return to return it keeps everything that may be so: what is there, which
//! of the open operations took effect already, and which of the doubtful were used. A doubtful one
//! takes effect just in front of the first operation that can't do without it. That loses no order:
//! one that nobody needs where it stands can be put off until somebody does, or left out.
//!
//! Invariant: the operation that it names is the first one for which there is no order. Never:
//! answers without having looked at everything; where too much may be so, it says that it gave up.

use std::collections::{HashMap, HashSet};

/// So much is looked at before it gives up: about half a minute.
pub const LOOKS_MAX: u64 = 20_000_000;

/// Stands for every value that nobody met.
const UNMET: u64 = u64::MAX;

/// What an operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// This value is there now.
    Write(u64),
    /// This value is there now, and the expected one was before.
    Swap {
        /// Before.
        expected: u64,
        /// Now.
        value: u64,
    },
    /// Something else than the expected value was there.
    SwapRefused {
        /// What was not there.
        expected: u64,
    },
    /// This was there.
    Read(Option<u64>),
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it did; of a write in doubt, what it may do at any time from `invoked` on, or never.
    pub act: Act,
    /// It took effect behind this.
    pub invoked: u64,
    /// And in front of this. None: in doubt.
    pub returned: Option<u64>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order.
    Linearizable,
    /// There is none.
    Broken(Stuck),
    /// Nobody knows: too much may be so.
    GaveUp(Stuck),
}

/// Where it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stuck {
    /// The operation whose return can't be explained.
    pub item: usize,
    /// What may have been there when the return before it was explained; of values that nobody met,
    /// [`u64::MAX`].
    pub values: Vec<Option<u64>>,
    /// How many returns were explained.
    pub explained: usize,
}

/// Looks for an order. Panics if a value is written twice: then the history is not one of ours.
pub fn check(items: &[Item], initial: Option<u64>, looks_max: u64) -> Verdict {
    let mut search = Search::new(items, initial, looks_max);
    let mut explained = 0;
    for (time, kind, item) in events(items) {
        if kind == CALL {
            search.open.push(item);
            continue;
        }
        let values = search.values();
        search.settle(item, time);
        let stuck = Stuck { item, values, explained };
        if search.looks >= looks_max {
            return Verdict::GaveUp(stuck);
        }
        if search.may_be.is_empty() {
            return Verdict::Broken(stuck);
        }
        explained += 1;
    }
    Verdict::Linearizable
}

/// At the same instant a call counts as first: each of the two may have come before the other.
const CALL: u8 = 0;
const RETURN: u8 = 1;

/// Calls and returns of what was answered, in the order of time.
fn events(items: &[Item]) -> Vec<(u64, u8, usize)> {
    let mut events = Vec::new();
    for (at, item) in items.iter().enumerate() {
        if let Some(returned) = item.returned {
            assert!(item.invoked <= returned, "it returned before it was invoked");
            events.push((item.invoked, CALL, at));
            events.push((returned, RETURN, at));
        }
    }
    events.sort_unstable();
    events
}

/// One way in which things may be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    /// What is there.
    value: Option<u64>,
    /// Which of the open operations took effect, in order of their numbers.
    done: Vec<usize>,
    /// Which of the doubtful did, as far as that may still be otherwise; in order, too.
    used: Vec<usize>,
}

/// Each state with the least that it used up of [`Doubt::spare`]: with more of them left, everything
/// is possible that is with fewer.
type States = HashMap<State, usize>;

struct Search<'i> {
    items: &'i [Item],
    doubt: Doubt,
    /// Called and not returned.
    open: Vec<usize>,
    may_be: States,
    looks: u64,
    looks_max: u64,
}

impl<'i> Search<'i> {
    fn new(items: &'i [Item], initial: Option<u64>, looks_max: u64) -> Self {
        let doubt = Doubt::new(items);
        let value = initial.map(|value| doubt.shown(value));
        let start = State { value, done: Vec::new(), used: Vec::new() };
        let may_be = States::from([(start, 0)]);
        Self { items, doubt, open: Vec::new(), may_be, looks: 0, looks_max }
    }

    fn values(&self) -> Vec<Option<u64>> {
        let values: HashSet<_> = self.may_be.keys().map(|state| state.value).collect();
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_unstable();
        values
    }

    /// Everything that may be so when this one has taken effect, at the latest now.
    fn settle(&mut self, returned: usize, now: u64) {
        let (mut settled, mut seen, mut next) = (States::new(), States::new(), Vec::new());
        for (state, spent) in std::mem::take(&mut self.may_be) {
            if state.done.binary_search(&returned).is_ok() {
                keep_least(&mut settled, without(state, returned), spent);
            } else {
                next.push((state, spent));
            }
        }
        while let Some((state, spent)) = next.pop() {
            for item in self.open.iter().copied() {
                let Err(place) = state.done.binary_search(&item) else { continue };
                self.looks += 1;
                for way in self.ways(item, &state, spent, now) {
                    let (mut after, spent) = self.after(item, &state, &way, spent);
                    if item == returned {
                        keep_least(&mut settled, after, spent);
                        continue;
                    }
                    after.done.insert(place, item);
                    if keep_least(&mut seen, after.clone(), spent) {
                        next.push((after, spent));
                    }
                }
            }
            if self.looks >= self.looks_max {
                return;
            }
        }
        self.open.retain(|item| *item != returned);
        self.may_be = settled;
        self.surely_used(returned);
    }

    /// Who met the value of a doubtful write has settled that it took effect.
    fn surely_used(&mut self, returned: usize) {
        let (Act::Read(Some(value)) | Act::Swap { expected: value, .. }) = self.items[returned].act
        else {
            return;
        };
        let Some(writer) = self.doubt.writers.remove(&value) else { return };
        self.doubt.gone[writer] = true;
        self.doubt.met_writes.retain(|doubt| *doubt != writer);
        for (mut state, spent) in std::mem::take(&mut self.may_be) {
            state.used.retain(|doubt| *doubt != writer);
            keep_least(&mut self.may_be, state, spent);
        }
    }

    /// What is so behind this operation, and what it used up.
    fn after(&self, item: usize, before: &State, way: &[usize], spent: usize) -> (State, usize) {
        let mut after = before.clone();
        for doubt in way {
            after.value = written(self.items[*doubt].act).map(|value| self.doubt.shown(value));
            // Of what nobody met, it makes no difference which one it was.
            if self.doubt.is_met[*doubt]
                && let Err(place) = after.used.binary_search(doubt)
            {
                after.used.insert(place, *doubt);
            }
        }
        if let Some(value) = written(self.items[item].act) {
            after.value = Some(self.doubt.shown(value));
        }
        let spares = way.iter().filter(|doubt| self.doubt.is_spare[**doubt]).count();
        (after, spent + spares)
    }

    /// Which of the doubtful, in order, have to take effect so that this operation can come next:
    /// every way that another could not stand for.
    fn ways(&self, item: usize, state: &State, spent: usize, now: u64) -> Vec<Vec<usize>> {
        match self.items[item].act {
            Act::Write(_) => vec![Vec::new()],
            Act::Read(wanted) => self.reach(wanted, state, now).into_iter().collect(),
            Act::Swap { expected, .. } => {
                self.reach(Some(expected), state, now).into_iter().collect()
            }
            Act::SwapRefused { expected } => self.leave(expected, state, spent, now),
        }
    }

    /// So that this value is there: it has one writer at most, and that one may need another.
    fn reach(&self, mut wanted: Option<u64>, state: &State, now: u64) -> Option<Vec<usize>> {
        let mut chain = Vec::new();
        while wanted != state.value {
            let writer = *self.doubt.writers.get(&wanted?)?;
            if !self.is_free(writer, state, now) || chain.contains(&writer) {
                return None;
            }
            chain.push(writer);
            let Act::Swap { expected, .. } = self.items[writer].act else { break };
            wanted = Some(expected);
        }
        chain.reverse();
        Some(chain)
    }

    /// So that this value is not there any more.
    fn leave(&self, expected: u64, state: &State, spent: usize, now: u64) -> Vec<Vec<usize>> {
        if state.value != Some(expected) {
            return vec![Vec::new()];
        }
        let is_free = |doubt: &&usize| self.is_free(**doubt, state, now);
        let swaps = self.doubt.swaps.get(&expected).map(Vec::as_slice).unwrap_or_default();
        // Good for nothing else: what it expects never comes back.
        let unmet = |doubt: &&usize| !self.doubt.is_met[**doubt];
        if let Some(swap) = swaps.iter().filter(is_free).find(unmet) {
            return vec![vec![*swap]];
        }
        let spare = self.doubt.spare.get(spent).filter(is_free);
        let met = swaps.iter().chain(&self.doubt.met_writes).filter(is_free);
        met.chain(spare).map(|doubt| vec![*doubt]).collect()
    }

    /// True if it may take effect now.
    fn is_free(&self, doubt: usize, state: &State, now: u64) -> bool {
        let is_used = self.doubt.gone[doubt] || state.used.binary_search(&doubt).is_ok();
        !is_used && self.items[doubt].invoked <= now
    }
}

fn without(mut state: State, item: usize) -> State {
    state.done.retain(|done| *done != item);
    state
}

/// True if that is news.
fn keep_least(states: &mut States, state: State, spent: usize) -> bool {
    let least = states.entry(state).or_insert(usize::MAX);
    let is_news = spent < *least;
    *least = spent.min(*least);
    is_news
}

/// Writes in doubt.
struct Doubt {
    /// Values that an operation names.
    met: HashSet<u64>,
    is_met: Vec<bool>,
    /// Used in every state: somebody met what it wrote.
    gone: Vec<bool>,
    /// By the value that each writes, as long as nobody is known to have met it.
    writers: HashMap<u64, usize>,
    /// Swaps, by the value that each expects.
    swaps: HashMap<u64, Vec<usize>>,
    /// Plain writes whose value somebody met.
    met_writes: Vec<usize>,
    /// Plain writes whose value nobody met, in the order in which they were invoked: one is like
    /// the other, so they are used in that order.
    spare: Vec<usize>,
    is_spare: Vec<bool>,
}

impl Doubt {
    fn new(items: &[Item]) -> Self {
        let (mut met, mut values) = (HashSet::new(), HashSet::new());
        for item in items {
            match item.act {
                Act::Read(Some(value))
                | Act::Swap { expected: value, .. }
                | Act::SwapRefused { expected: value } => {
                    met.insert(value);
                }
                Act::Read(None) | Act::Write(_) => {}
            }
            if let Some(value) = written(item.act) {
                assert!(value != UNMET && values.insert(value), "{value} is written twice");
            }
        }
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.retain(|at| items[*at].returned.is_none());
        order.sort_by_key(|at| items[*at].invoked);
        let mut doubt = Self {
            met,
            is_met: vec![false; items.len()],
            gone: vec![false; items.len()],
            writers: HashMap::new(),
            swaps: HashMap::new(),
            met_writes: Vec::new(),
            spare: Vec::new(),
            is_spare: vec![false; items.len()],
        };
        for at in order {
            let Some(value) = written(items[at].act) else { continue };
            doubt.is_met[at] = doubt.met.contains(&value);
            doubt.writers.insert(value, at);
            match items[at].act {
                Act::Swap { expected, .. } => doubt.swaps.entry(expected).or_default().push(at),
                _ if doubt.is_met[at] => doubt.met_writes.push(at),
                _ => {
                    doubt.spare.push(at);
                    doubt.is_spare[at] = true;
                }
            }
        }
        doubt
    }

    fn shown(&self, value: u64) -> u64 {
        if self.met.contains(&value) { value } else { UNMET }
    }
}

fn written(act: Act) -> Option<u64> {
    match act {
        Act::Write(value) | Act::Swap { value, .. } => Some(value),
        Act::SwapRefused { .. } | Act::Read(_) => None,
    }
}
