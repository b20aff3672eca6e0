//! Whatever happens in whatever order: never more holders than the limit, tokens that grow, queues
//! in their order, and nothing held behind the end of a session.
//!
//! A model that is nothing but lists is moved along, and both must show the same.

use super::{
    acquire, answer, arrive, close, expire, keep, open, permit, record, release, revision, shown,
    with_sessions, withdraw,
};
use crate::coordination::lock_place;
use crate::fuzz::mutate::{self, Dice};
use crate::house::tests::World;
use keiko_proto::v1::coordination_reply::Reply;
use keiko_proto::v1::{Entry, entry::Room, reply};
use std::collections::BTreeMap;

const SESSIONS: usize = 6;
const STEPS: usize = 60;
/// A mutex, and a semaphore of two.
const LOCKS: [(&str, usize); 2] = [("mutex", 1), ("pair", 2)];

/// One lock as it should be.
#[derive(Default)]
struct Expected {
    holders: Vec<usize>,
    queue: Vec<usize>,
}

impl Expected {
    fn advance(&mut self, limit: usize) {
        while self.holders.len() < limit && !self.queue.is_empty() {
            let next = self.queue.remove(0);
            self.holders.push(next);
        }
    }

    fn forget(&mut self, gone: &[usize], limit: usize) {
        self.queue.retain(|number| !gone.contains(number));
        self.holders.retain(|number| !gone.contains(number));
        self.advance(limit);
    }
}

struct Game {
    world: World,
    /// When each living session ends.
    alive: BTreeMap<usize, u64>,
    locks: [Expected; 2],
    newest: u64,
}

impl Game {
    fn new() -> Self {
        let world = with_sessions(SESSIONS);
        let ends = world.now_ms + 10_000;
        let alive = (1..=SESSIONS).map(|number| (number, ends)).collect();
        Self { world, alive, locks: Default::default(), newest: 0 }
    }

    fn play(&mut self, dice: &mut Dice) {
        let number = 1 + dice.below(SESSIONS);
        let at = dice.below(LOCKS.len());
        let (name, limit) = LOCKS[at];
        let lives = self.alive.contains_key(&number);
        match dice.below(12) {
            0..=3 => self.acquire(number, at, dice.below(4) > 0),
            4 | 5 => {
                let holds = lives && self.locks[at].holders.contains(&number);
                self.ask(release(number, name), holds);
                if holds {
                    self.locks[at].holders.retain(|other| *other != number);
                    self.locks[at].advance(limit);
                }
            }
            6 => self.withdraw(number, at, dice.below(3) > 0),
            7 | 8 => {
                self.ask(keep(number), lives);
                self.alive.entry(number).and_modify(|ends| *ends = self.world.now_ms + 10_000);
            }
            9 => {
                self.world.now_ms += dice.below(6_000) as u64;
                self.ask(expire(&self.world), true);
                let now = self.world.now_ms;
                self.end(|_, ends| ends <= now);
            }
            10 => {
                self.ask(close(number), lives);
                self.end(|other, _| other == number);
            }
            _ => {
                self.ask(open(number, 0), !lives);
                let ends = self.world.now_ms + 10_000;
                self.alive.entry(number).or_insert(ends);
            }
        }
    }

    /// Proposes, and wants to be refused or not.
    fn ask(&mut self, room: Room, expect: bool) {
        let what = format!("{room:?}");
        let entry: Entry = self.world.entry(room);
        let reply = self.world.propose(&entry).result;
        let accepted = !matches!(reply, Some(reply::Result::Refusal(_)));
        assert_eq!(accepted, expect, "{what}: {reply:?}");
    }

    fn acquire(&mut self, number: usize, at: usize, wait: bool) {
        let (name, limit) = LOCKS[at];
        let room = match limit {
            1 => acquire(number, name, wait),
            limit => permit(number, name, limit as u32, wait),
        };
        let Expected { holders, queue } = &mut self.locks[at];
        let (holds, waits) = (holders.contains(&number), queue.contains(&number));
        let is_free = holders.len() < limit;
        let expect = self.alive.contains_key(&number) && (holds || wait || is_free && !waits);
        if expect && !holds && !waits {
            if is_free { holders.push(number) } else { queue.push(number) }
        }
        self.ask(room, expect);
    }

    fn withdraw(&mut self, number: usize, at: usize, with_ticket: bool) {
        let name = LOCKS[at].0;
        let spot = super::spot(name);
        let place = lock_place(&self.world.store, World::GROUP, &super::id(number), &spot);
        let ticket = place.filter(|_| with_ticket).map_or(0, |place| place.ticket);
        if !self.alive.contains_key(&number) {
            return self.ask(withdraw(number, name, ticket), false);
        }
        let Reply::Withdrawn(left) = answer(&mut self.world, withdraw(number, name, ticket)) else {
            panic!("another reply")
        };
        let expect = ticket != 0 && self.locks[at].queue.contains(&number);
        assert_eq!(left.withdrawn, expect);
        assert_eq!(left.granted.is_some(), self.locks[at].holders.contains(&number));
        if expect {
            self.locks[at].queue.retain(|other| *other != number);
        }
    }

    fn end(&mut self, is_over: impl Fn(usize, u64) -> bool) {
        let over = self.alive.iter().filter(|(number, ends)| is_over(**number, **ends));
        let gone: Vec<_> = over.map(|(number, _)| *number).collect();
        self.alive.retain(|number, _| !gone.contains(number));
        for (lock, (_, limit)) in self.locks.iter_mut().zip(LOCKS) {
            lock.forget(&gone, limit);
        }
    }

    fn check(&mut self) {
        let mut places = 0;
        let mut newest = self.newest;
        for (lock, (name, limit)) in self.locks.iter().zip(LOCKS) {
            let (holding, waiting) = shown(&self.world, name);
            assert!(holding.len() <= limit, "{name}: {holding:?}");
            assert!(holding.len() == limit || waiting.is_empty(), "{name} is free, and awaited");
            assert_eq!(waiting, lock.queue, "{name}: the queue in its order");
            // By token is in the order in which they were granted.
            let numbers: Vec<_> = holding.iter().map(|(number, _)| *number).collect();
            assert_eq!(numbers, lock.holders, "{name}");
            assert!(holding.is_sorted_by(|(_, one), (_, two)| one < two), "{name}: {holding:?}");
            assert!(numbers.iter().all(|number| self.alive.contains_key(number)), "{name}");
            newest = holding.iter().fold(newest, |newest, (_, token)| newest.max(*token));
            places += holding.len() + waiting.len();
        }
        let kept = record(&self.world.store, World::GROUP);
        assert!(kept.last_token >= newest, "a token is never given again");
        self.newest = kept.last_token;
        assert_eq!((kept.places as usize, kept.sessions as usize), (places, self.alive.len()));
    }
}

fn game(seed: u64) {
    let mut dice = Dice(seed);
    let mut game = Game::new();
    for _ in 0..STEPS {
        let (before, tokens) = (revision(&game.world), game.newest);
        game.play(&mut dice);
        game.check();
        let told = game.world.told_after(before);
        let granted = told.iter().filter(|kind| kind.ends_with("lock.granted")).count();
        assert_eq!(granted > 0, game.newest > tokens, "each grant has a token of its own");
    }
}

#[test]
fn any_order_of_things() {
    for seed in mutate::seeds("locks") {
        let played = std::panic::catch_unwind(|| game(seed));
        assert!(played.is_ok(), "KEIKO_SEED={seed} fails again");
    }
}

#[test]
fn arrivals_come_and_go_with_their_sessions() {
    for seed in 0..100 {
        let (mut dice, mut world) = (Dice(seed), with_sessions(4));
        let mut there: Vec<usize> = Vec::new();
        let mut generation = 0;
        for _ in 0..STEPS {
            let number = 1 + dice.below(4);
            if dice.below(4) == 0 {
                world.accept(close(number));
                there.retain(|other| *other != number);
                world.accept(open(number, 0));
                continue;
            }
            let Reply::Arrived(arrived) = answer(&mut world, arrive(number, "b", 3)) else {
                panic!("seed {seed}: another reply")
            };
            if !there.contains(&number) {
                there.push(number);
            }
            assert_eq!(arrived.generation, generation + 1, "seed {seed}");
            assert_eq!(arrived.opened, there.len() == 3, "seed {seed}");
            if arrived.opened {
                there.clear();
                generation += 1;
            }
            let places = record(&world.store, World::GROUP).places as usize;
            assert_eq!(places, there.len(), "seed {seed}");
        }
    }
}
