//! Seeded mutation that knows a little of structure: the inputs of every crate's fuzz targets. It is
//! taken in with `#[path]`, so it uses nothing of ours. Input `n` of a run follows from
//! `KEIKO_SEED + n` and the corpus alone: what fails is the first input of the seed that it names.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "no part of any law")]

use std::io::{Write as _, stderr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// The time of one target. There are 37, which together must stay below 15 s of one core.
const SHARE: Duration = Duration::from_millis(400);
/// With `KEIKO_TEST_FULL`.
const SHARE_FULL: Duration = Duration::from_secs(30);
/// What one input may take, at the best of eight tries.
const INPUT_MAX: Duration = Duration::from_millis(100);
/// Before an input that took longer is tried again, once, twice, three times as long.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest input: above most limits of parsers.
const BYTES_MAX: usize = 96 << 10;

/// What stands for itself in every format, numbers at the edge of something, and odd characters.
const WORDS: &str = "0 -1 1.5 9007199254740993 18446744073709551616 -9223372036854775809 1e999 00 \
     NaN null true ~ \"\" '' [] {} \0 \x1b[2J \u{202e} \u{fffd} \\ud800 \u{10ffff} \u{e9} \u{feff}";
/// What can stand in itself: how it opens and closes.
const NESTS: [&str; 7] = ["[_]", "{\"a\":_}", "(_)", "\"_\"", "- _", "a._", "{_"];

/// Numbers that follow from a seed (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }

    /// A word, a single sign, or a whole line: what the grammars of texts are made of.
    fn token(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let (at, by_line) = (self.below(bytes.len()), self.below(4) == 0);
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80;
        let inside = |byte: &u8| is_word(*byte) || (by_line && *byte != b'\n');
        if bytes.get(at).is_none_or(|byte| !inside(byte)) {
            return at..bytes.len().min(at + 1);
        }
        let before = bytes[..at].iter().rposition(|byte| !inside(byte));
        let length = bytes[at..].iter().position(|byte| !inside(byte));
        before.map_or(0, |before| before + 1)..length.map_or(bytes.len(), |length| at + length)
    }
}

/// The seeds of one target's share of time; says the first one and how many.
pub(crate) fn seeds(name: &str) -> impl Iterator<Item = u64> {
    let is_full = std::env::var_os("KEIKO_TEST_FULL").is_some();
    let share = if is_full { SHARE_FULL } else { SHARE };
    let given = std::env::var("KEIKO_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from(std::process::id()) * 7919 + 1);
    // Past libtest's capture, and before it begins: a stack that overflows says nothing afterwards.
    let say = move |more| drop(writeln!(stderr().lock(), "{name}: KEIKO_SEED={seed}{more}"));
    say(String::new());
    let end = Instant::now() + share;
    (seed..).take_while(move |next| {
        let is_open = Instant::now() < end;
        if !is_open {
            say(format!(", {} inputs", next - seed));
        }
        is_open
    })
}

/// Checks mutated inputs, each of them bounded in time. `words` are those of the format.
pub(crate) fn run(name: &str, corpus: &[impl AsRef<[u8]>], words: &[&str], check: impl Fn(&[u8])) {
    corpus.iter().for_each(|entry| check(entry.as_ref()));
    hunt(name, seeds(name), corpus, words, check);
}

/// The same with seeds of one's own.
pub(crate) fn hunt(
    name: &str,
    seeds: impl Iterator<Item = u64>,
    corpus: &[impl AsRef<[u8]>],
    words: &[&str],
    check: impl Fn(&[u8]),
) {
    for seed in seeds {
        let input = mutated(seed, corpus, words);
        let is_fast = |tries: u32| {
            // A machine that stands still does so for a while.
            std::thread::sleep(PAUSE * tries);
            let before = spent();
            check(&input);
            spent().saturating_sub(before) < INPUT_MAX
        };
        let tried = catch_unwind(AssertUnwindSafe(|| (0..8).any(is_fast)));
        let why = tried.map_or("fails", |fast| if fast { "" } else { "takes too long" });
        let start = input[..input.len().min(2000)].escape_ascii();
        assert!(why.is_empty(), "{name}: KEIKO_SEED={seed} {why}: {} bytes: {start}", input.len());
    }
}

/// The CPU time of this thread: how long it waits for others is no input's fault.
fn spent() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default())
}

/// The one input that follows from the seed.
pub(crate) fn mutated(seed: u64, corpus: &[impl AsRef<[u8]>], words: &[&str]) -> Vec<u8> {
    let mut dice = Dice(seed);
    let mut bytes = corpus[dice.below(corpus.len())].as_ref().to_vec();
    for _ in 0..=[0, 1, 3, 9][dice.below(4)] {
        let other = corpus[dice.below(corpus.len())].as_ref();
        match dice.below(3) {
            0 => change_bytes(&mut dice, &mut bytes, other),
            1 => change_tokens(&mut dice, &mut bytes, other),
            _ => insert(&mut dice, &mut bytes, words),
        }
        bytes.truncate(BYTES_MAX);
    }
    bytes
}

fn change_bytes(dice: &mut Dice, bytes: &mut Vec<u8>, other: &[u8]) {
    let start = dice.below(bytes.len() + 1);
    let most = [1, 4, 16, bytes.len()][dice.below(4)].min(bytes.len() - start);
    let part = start..start + dice.below(most + 1);
    match dice.below(6) {
        0 => part.for_each(|at| bytes[at] ^= 1 << dice.below(8)),
        1 => bytes[part].fill([0, 0xFF, 0x7F, 0x80, b'"', b'\n'][dice.below(6)]),
        2 => bytes.truncate(part.start),
        3 => drop(bytes.drain(part)),
        4 => drop(bytes.splice(part.end..part.end, bytes[part].repeat([1, 2, 64][dice.below(3)]))),
        _ => drop(bytes.splice(part.start.., other[dice.below(other.len() + 1)..].to_vec())),
    }
}

/// Takes a token out, doubles it, swaps it with another, or puts one from elsewhere in its place.
fn change_tokens(dice: &mut Dice, bytes: &mut Vec<u8>, other: &[u8]) {
    let (here, there) = (dice.token(bytes), dice.token(bytes));
    let (first, second) = (bytes[here.clone()].to_vec(), bytes[there.clone()].to_vec());
    match dice.below(4) {
        0 => drop(bytes.drain(here)),
        1 => drop(bytes.splice(there.end..there.end, first)),
        2 => drop(bytes.splice(here, other[dice.token(other)].to_vec())),
        _ if here.end <= there.start => {
            let between = bytes[here.end..there.start].to_vec();
            bytes.splice(here.start..there.end, [second, between, first].concat());
        }
        _ => drop(bytes.splice(there, first)),
    }
}

/// Words, numbers, long runs and deep nesting, beside a token or in its place.
fn insert(dice: &mut Dice, bytes: &mut Vec<u8>, words: &[&str]) {
    let words = if dice.below(2) == 0 { words } else { &WORDS.split(' ').collect::<Vec<_>>() };
    let word = words[dice.below(words.len())];
    let many = [2, 3, 9, 33, 65, 129, 1025, 20_000][dice.below(8)];
    let mut part = dice.token(bytes);
    let fresh = match dice.below(4) {
        0 => word.repeat(many).into_bytes(),
        1 => {
            let (open, close) = NESTS[dice.below(NESTS.len())].split_once('_').unwrap_or_default();
            let (open, close) = (open.repeat(many), close.repeat(many));
            [open.as_bytes(), &bytes[part.clone()], close.as_bytes()].concat()
        }
        _ => word.as_bytes().to_vec(),
    };
    part.end = [part.start, part.end][dice.below(2)];
    bytes.splice(part, fresh);
}
