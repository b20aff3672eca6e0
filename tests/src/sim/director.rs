//! Decides what happens next, from the dice and what is there. It is the leader and its log, too:
//! proposals on their way are lost, repeated and overtaken.

use super::action::Action;
use super::clients::Clients;
use super::clock::Clock;
use super::node::level_of;
use super::work::{self, Room};
use super::world::World;
use super::{Settings, Weather};
use crate::report::Dice;
use keiko_core::features;
use keiko_proto::v1 as wire;
use prost::Message as _;
use std::collections::BTreeMap;

/// Proposals that are on their way at a time.
const FLIGHT_MAX: usize = 12;

/// Entries of one round: mostly a few, as between two syncs.
const ROUND_ENTRIES_MAX: u64 = 9;

pub(super) struct Director {
    clock: Clock,
    clients: Clients,
    flight: Vec<Vec<u8>>,
    weather: Weather,
    rooms: BTreeMap<Room, u64>,
    nodes: u64,
    /// What the leader knows that all voters understand.
    level: u32,
}

/// What the dice can say.
#[derive(Clone, Copy)]
enum Turn {
    Request,
    Retry,
    Commit,
    Apply,
    Crash,
    Snapshot,
    Install,
    Step,
    Garbage,
    Look,
    Blank,
    Upgrade,
}

impl Director {
    pub(super) fn new(dice: &mut Dice, settings: &Settings) -> Self {
        Self {
            clock: Clock::new(),
            clients: Clients::default(),
            flight: Vec::new(),
            weather: settings.weather,
            rooms: settings.rooms.clone(),
            nodes: settings.nodes as u64,
            level: features::LEVEL - dice.below(2) as u32,
        }
    }

    /// The next action. Requests and steps of the clock are no actions: the entries that come of
    /// them are.
    pub(super) fn next(&mut self, dice: &mut Dice, world: &World) -> Action {
        loop {
            if let Some(action) = self.turn(dice, world) {
                return action;
            }
        }
    }

    fn turn(&mut self, dice: &mut Dice, world: &World) -> Option<Action> {
        let node = dice.below(self.nodes) as usize;
        match self.roll(dice) {
            Turn::Request => {
                let entry = self.request(dice, world);
                self.propose(dice, &entry);
                None
            }
            Turn::Retry => {
                let proposed_ms = self.clock.tick(dice);
                let entry = self.clients.send_again(dice, proposed_ms)?;
                self.propose(dice, &entry);
                None
            }
            Turn::Commit => self.commit(dice),
            Turn::Apply => {
                let entries = 1 + dice.below(ROUND_ENTRIES_MAX) as usize;
                (world.nodes[node].applied < world.log_end())
                    .then_some(Action::Apply { node, entries })
            }
            Turn::Crash => Some(Action::Crash { node, batches: dice.below(4) as usize }),
            Turn::Snapshot => Some(Action::Snapshot { node }),
            Turn::Install => install(dice, world),
            Turn::Step => {
                self.clock.step(dice);
                // A new leader asks again what all voters understand.
                self.level = self.level.max(features::LEVEL - dice.below(2) as u32);
                None
            }
            Turn::Garbage => self.garbage(dice, world),
            Turn::Look => Some(Action::Look),
            Turn::Blank => Some(Action::Blank),
            Turn::Upgrade => {
                (world.nodes[node].level < features::LEVEL).then_some(Action::Upgrade { node })
            }
        }
    }

    fn roll(&self, dice: &mut Dice) -> Turn {
        let Weather { request, retry, commit, apply, crash, snapshot, install, step, garbage } =
            self.weather;
        let turns = [
            (Turn::Request, request),
            (Turn::Retry, retry),
            (Turn::Commit, commit),
            (Turn::Apply, apply),
            (Turn::Crash, crash),
            (Turn::Snapshot, snapshot),
            (Turn::Install, install),
            (Turn::Step, step),
            (Turn::Garbage, garbage),
            (Turn::Look, 3),
            (Turn::Blank, 1),
            (Turn::Upgrade, 1),
        ];
        one_of(dice, &turns)
    }

    fn request(&mut self, dice: &mut Dice, world: &World) -> wire::Entry {
        let rooms: Vec<_> = self.rooms.iter().map(|(room, weight)| (*room, *weight)).collect();
        let room = one_of(dice, &rooms);
        let server_ms = world.oracle.head().unix_ms.max(self.clock.tick(dice));
        let has_locks = self.rooms.contains_key(&Room::Coordination);
        let entry = wire::Entry {
            format: features::FORMAT,
            feature_level: self.level,
            proposed_ms: self.clock.tick(dice),
            room: work::request(dice, room, world),
            fence: has_locks.then(|| work::fence(dice, world)).flatten(),
            ..Default::default()
        };
        self.clients.send(dice, server_ms, entry)
    }

    /// Some are lost on their way to the log.
    fn propose(&mut self, dice: &mut Dice, entry: &wire::Entry) {
        if self.flight.len() < FLIGHT_MAX && dice.below(12) > 0 {
            self.flight.push(entry.encode_to_vec());
        }
    }

    /// Mostly the oldest one, sometimes another; some come twice.
    fn commit(&mut self, dice: &mut Dice) -> Option<Action> {
        if self.flight.is_empty() {
            return None;
        }
        let at = match dice.below(3) {
            0 => dice.below(self.flight.len() as u64) as usize,
            _ => 0,
        };
        let bytes = match dice.below(16) {
            0 => self.flight[at].clone(),
            _ => self.flight.remove(at),
        };
        Some(Action::Commit(bytes))
    }

    fn garbage(&mut self, dice: &mut Dice, world: &World) -> Option<Action> {
        let entry = self.request(dice, world);
        let bytes = work::garbage(dice, &entry);
        match level_of(&bytes) > features::LEVEL {
            true => Some(Action::Future(bytes)),
            false => Some(Action::Commit(bytes)),
        }
    }
}

/// The newest snapshot goes to somebody who is behind it.
fn install(dice: &mut Dice, world: &World) -> Option<Action> {
    let (applied, from) = (0..world.nodes.len())
        .filter_map(|node| Some((world.nodes[node].snapshot()?.applied, node)))
        .max()?;
    let behind: Vec<_> =
        (0..world.nodes.len()).filter(|node| world.nodes[*node].applied < applied).collect();
    let to = *behind.get(dice.below(behind.len().max(1) as u64) as usize)?;
    Some(Action::Install { from, to })
}

/// One of several, by their weights.
fn one_of<T: Copy>(dice: &mut Dice, choices: &[(T, u64)]) -> T {
    let sum: u64 = choices.iter().map(|(_, weight)| weight).sum();
    let mut at = dice.below(sum.max(1));
    for (choice, weight) in choices {
        match at.checked_sub(*weight) {
            None => return *choice,
            Some(rest) => at = rest,
        }
    }
    choices[0].0
}
