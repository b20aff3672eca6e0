//! The tables: what runs of beats, clocks and hashes make of the others. And what holds for every
//! run of beats.

mod clocks;
mod states;

use super::*;
use crate::fuzz::mutate::Dice;
use crate::limits::NODES_MAX;
use std::collections::{BTreeMap, BTreeSet};

fn set(ids: &[u64]) -> BTreeSet<u64> {
    ids.iter().copied().collect()
}

/// How often a node is asked here.
const LOOK_MS: u64 = 100;

/// A node that hears its peers 2, 3, … beat like clocks, until they do not.
struct World {
    detector: Detector,
    now_ms: u64,
    silent: BTreeSet<u64>,
    peers: BTreeSet<u64>,
}

impl World {
    fn of(peers: &[u64]) -> Self {
        let mut detector = Detector::default();
        detector.know(&set(peers), 0);
        Self { detector, now_ms: 0, silent: BTreeSet::new(), peers: set(peers) }
    }

    /// Goes on for so long; the beats of 2, 3, … are 20 ms apart. The last view.
    fn run(&mut self, for_ms: u64) -> View {
        let mut view = View::default();
        for _ in 0..for_ms {
            self.now_ms += 1;
            for id in self.peers.difference(&self.silent) {
                if (self.now_ms + 20 * id).is_multiple_of(BEAT_MS) {
                    self.detector.heard(*id, self.now_ms);
                }
            }
            if self.now_ms.is_multiple_of(LOOK_MS) {
                view = self.detector.view(self.now_ms);
            }
        }
        view
    }

    /// After how long `id` is down, or up.
    fn until(&mut self, id: u64, is_down: bool) -> u64 {
        let from_ms = self.now_ms;
        while self.run(LOOK_MS).down.contains(&id) != is_down {
            assert!(self.now_ms - from_ms < 60_000, "{id} never changes");
        }
        self.now_ms - from_ms
    }

    fn silence(&mut self, ids: &[u64]) -> &mut Self {
        self.silent = set(ids);
        self
    }
}

fn check(view: &View, down: &[u64], isolated: bool) {
    assert_eq!((&view.down, view.isolated), (&set(down), isolated), "{view:?}");
}

#[test]
fn a_dead_node_is_down_in_time_and_up_after_two_beats() {
    for peers in [&[2, 3][..], &[2, 3, 4, 5]] {
        let mut world = World::of(peers);
        check(&world.run(30_000), &[], false);
        world.silence(&[3]);
        let took_ms = world.until(3, true);
        assert!((700..=1600).contains(&took_ms), "{took_ms} ms");
        check(&world.run(60_000), &[3], false);
        world.silence(&[]);
        let took_ms = world.until(3, false);
        assert!((BEAT_MS..=2 * BEAT_MS + LOOK_MS).contains(&took_ms), "{took_ms} ms");
        // A beat now and then does not lead back.
        world.silence(&[3]);
        world.until(3, true);
        for _ in 0..5 {
            world.detector.heard(3, world.now_ms);
            check(&world.detector.view(world.now_ms), &[3], false);
            check(&world.run(5000), &[3], false);
        }
    }
}

#[test]
fn one_beat_is_enough_of_a_rhythm() {
    let mut world = World::of(&[2, 3]);
    world.run(BEAT_MS);
    let took_ms = world.silence(&[3]).until(3, true);
    assert!(took_ms <= 1600, "{took_ms} ms");
}

#[test]
fn a_minute_of_silence_does_not_blunt_what_follows() {
    let mut world = World::of(&[2, 3]);
    world.run(5000);
    world.silence(&[3]).run(60_000);
    world.silence(&[]).run(1500);
    world.silence(&[3]);
    let took_ms = world.until(3, true);
    assert!(took_ms <= 1800, "{took_ms} ms");
}

#[test]
fn whatever_the_rhythm_was_two_seconds_are_too_long() {
    let (mut detector, mut now_ms) = (Detector::default(), 0);
    detector.know(&set(&[2, 3]), 0);
    for round in 0..200 {
        now_ms += if round % 2 == 0 { 990 } else { 60 };
        detector.heard(2, now_ms);
        detector.view(now_ms);
    }
    assert!(detector.phi(2, now_ms + 2900).is_some_and(|phi| phi < 8.0), "a rough one");
    let last_ms = now_ms;
    while !detector.view(now_ms).down.contains(&2) {
        now_ms += BEAT_MS;
        detector.heard(3, now_ms);
    }
    assert!((2000..=2750).contains(&(now_ms - last_ms)), "{} ms", now_ms - last_ms);
}

#[test]
fn who_never_came_is_unknown_and_then_down() {
    let mut world = World::of(&[2, 3]);
    world.silence(&[3]);
    check(&world.run(2900), &[], false);
    assert_eq!(world.detector.phi(3, world.now_ms), None);
    check(&world.run(600), &[3], false);
    // One that becomes known later has its own time.
    world.peers.insert(4);
    world.silence(&[3, 4]);
    world.detector.know(&set(&[2, 3, 4]), world.now_ms);
    check(&world.run(2900), &[3], false);
    check(&world.run(600), &[3, 4], false);
    // One that is no member any more is nothing, whatever it says.
    world.silence(&[3]);
    world.peers = set(&[2, 3]);
    world.detector.know(&set(&[2, 3]), world.now_ms);
    world.detector.heard(4, world.now_ms);
    assert_eq!(world.detector.phi(4, world.now_ms), None);
    check(&world.run(100), &[3], false);
}

#[test]
fn who_hears_nobody_is_the_sick_one() {
    for peers in [&[2][..], &[2, 3], &[2, 3, 4, 5]] {
        let mut world = World::of(peers);
        world.run(5000);
        world.silence(peers);
        for _ in 0..50 {
            assert_eq!(world.run(LOOK_MS).down, set(&[]));
        }
        check(&world.run(LOOK_MS), &[], true);
        // All of them come back, one after the other.
        let (_, rest) = peers.split_first().expect("one");
        world.silence(rest);
        check(&world.run(1000), &[], false);
        world.silence(&[]);
        check(&world.run(10_000), &[], false);
    }
    check(&World::of(&[]).run(10_000), &[], false);
    // Two that come back before the next look do not excuse each other.
    let mut world = World::of(&[2, 3]);
    world.run(5000);
    check(&world.silence(&[2, 3]).run(5000), &[], true);
    [2, 3].iter().for_each(|id| world.detector.heard(*id, world.now_ms));
    assert!(world.detector.phi(2, world.now_ms).is_some());
    // Nobody ever came: the same, once they had their time.
    let mut world = World::of(&[2, 3]);
    world.silence(&[2, 3]);
    check(&world.run(2900), &[], false);
    check(&world.run(200), &[], true);
    // Somebody new does not end it.
    world.peers.insert(4);
    world.silence(&[2, 3, 4]);
    world.detector.know(&set(&[2, 3, 4]), world.now_ms);
    check(&world.run(100), &[], true);
}

#[test]
fn who_was_down_before_an_isolation_stays_down() {
    let mut world = World::of(&[2, 3, 4]);
    world.run(5000);
    check(&world.silence(&[3]).run(3000), &[3], false);
    check(&world.silence(&[2, 3, 4]).run(10_000), &[3], true);
    // Who died meanwhile has the time of somebody new.
    check(&world.silence(&[3, 4]).run(3000), &[3], false);
    check(&world.run(1000), &[3, 4], false);
    check(&world.silence(&[]).run(1000), &[], false);
}

#[test]
fn a_cut_of_any_length_costs_nobody_a_verdict() {
    for cut_ms in (0..3000).step_by(10) {
        let mut world = World::of(&[2, 3, 4]);
        world.run(5000 + cut_ms / 7);
        assert_eq!(world.silence(&[2, 3, 4]).run(cut_ms).down, set(&[]), "{cut_ms} ms");
        for _ in 0..20 {
            assert_eq!(world.silence(&[]).run(LOOK_MS).down, set(&[]), "{cut_ms} ms");
        }
    }
}

#[test]
fn a_pause_of_its_own_costs_nobody_a_verdict() {
    for pause_ms in [500, 900, 1100, 5000, 3600 * 1000] {
        for beats_first in [false, true] {
            let mut world = World::of(&[2, 3]);
            world.run(5000);
            world.now_ms += pause_ms;
            if beats_first {
                // What waited in the socket of one comes before the first look.
                (0..100).for_each(|_| world.detector.heard(2, world.now_ms));
                let phi = world.detector.phi(2, world.now_ms + 600);
                assert!(phi.is_some_and(|phi| phi < 8.0), "a burst is no rhythm: {phi:?}");
            }
            if pause_ms > 1000 {
                let view = world.detector.view(world.now_ms);
                assert_eq!(view, View::default(), "{pause_ms} ms");
            }
            for _ in 0..20 {
                assert_eq!(world.run(LOOK_MS).down, set(&[]), "{pause_ms} ms");
            }
            let took_ms = world.silence(&[3]).until(3, true);
            assert!(took_ms <= 2000, "{took_ms} ms");
        }
    }
}

#[test]
fn one_that_comes_and_goes_does_not_cover_for_the_dead() {
    for every_ms in [250, 400, 600, 800, 1500, 3000] {
        let mut world = World::of(&[2, 3]);
        world.run(5000);
        world.silence(&[2, 3]);
        for _ in 0..12_000 / every_ms {
            world.run(every_ms);
            world.detector.heard(2, world.now_ms);
        }
        let view = world.run(LOOK_MS);
        assert!(view.down.contains(&3), "each {every_ms} ms: {view:?}");
    }
}

#[test]
fn there_is_a_limit_of_peers() {
    let ids: BTreeSet<u64> = (2..1000).collect();
    let mut detector = Detector::default();
    detector.know(&ids, 0);
    ids.iter().for_each(|id| detector.heard(*id, 10));
    assert_eq!(ids.iter().filter(|id| detector.phi(**id, 10).is_some()).count(), NODES_MAX);
}

/// One run of a node and its peers, with everything that may happen to them.
fn any_run(seed: u64) {
    let mut dice = Dice(seed);
    let peers: BTreeSet<u64> = (2..4 + dice.below(4) as u64).collect();
    let mut detector = Detector::default();
    detector.know(&peers, 0);
    let mut next_ms: BTreeMap<u64, u64> =
        peers.iter().map(|id| (*id, dice.below(250) as u64)).collect();
    let mut dead: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut now_ms, mut deaf_until_ms, mut clear_ms, mut heard_ms) = (0, 0, 0, 0);
    let mut before = View::default();
    while now_ms < 60_000 {
        now_ms += 10;
        match dice.below(3000) {
            0 if now_ms >= deaf_until_ms => {
                let id = 2 + dice.below(peers.len()) as u64;
                if dead.remove(&id).is_some() {
                    next_ms.insert(id, now_ms);
                } else {
                    dead.insert(id, now_ms);
                }
            }
            // Cut off, for a while after which all had the time to be heard again.
            1 if now_ms > clear_ms + 5000 => {
                deaf_until_ms = now_ms + dice.below(6000) as u64;
                clear_ms = deaf_until_ms;
            }
            // Stopped: what came meanwhile is there at once.
            2 if now_ms > clear_ms + 5000 => {
                now_ms += dice.below(10_000) as u64 / 10 * 10;
                clear_ms = now_ms;
            }
            _ => {}
        }
        for (id, at_ms) in &mut next_ms {
            while *at_ms <= now_ms && !dead.contains_key(id) {
                *at_ms += BEAT_MS + dice.below(80) as u64;
                if now_ms >= deaf_until_ms {
                    detector.heard(*id, now_ms);
                }
            }
        }
        if now_ms.is_multiple_of(LOOK_MS) {
            let view = detector.view(now_ms);
            let say = || format!("seed {seed} at {now_ms}: {view:?}, dead {dead:?}");
            let new: Vec<&u64> = view.down.difference(&before.down).collect();
            assert!(new.iter().all(|id| dead.contains_key(id)), "{}: a false verdict", say());
            assert!(!view.isolated || new.is_empty(), "{}: judged in isolation", say());
            if view.isolated {
                heard_ms = now_ms;
            }
            if now_ms > clear_ms + 5000 {
                let quiet = |for_ms| dead.values().all(|at| now_ms > at + for_ms);
                assert!(
                    !quiet(5000) || view.isolated == (dead.len() == peers.len()),
                    "{}: isolated or not",
                    say()
                );
                let missed = dead.iter().find(|(id, at)| {
                    now_ms > **at + 5000 && now_ms > heard_ms + 5000 && !view.down.contains(id)
                });
                assert_eq!(missed, None, "{}", say());
            }
            before = view;
        }
    }
}

#[test]
fn no_run_of_beats_makes_a_false_verdict() {
    (0..100).for_each(any_run);
}
