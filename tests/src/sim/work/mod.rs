//! Requests of each room: few names, so that they meet; some that fit, some that can't.

mod cluster;
mod coordination;
mod garbage;
mod journal;
mod registry;
mod security;

pub(super) use garbage::garbage;

use super::world::World;
use crate::report::Dice;
use keiko_proto::v1::Fence;
use keiko_proto::v1::entry::Room as WireRoom;

/// A room that can be asked for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// See [`keiko_core::cluster`].
    Cluster,
    /// See [`keiko_core::security`].
    Security,
    /// See [`keiko_core::coordination`].
    Coordination,
    /// See [`keiko_core::registry`].
    Registry,
    /// See [`keiko_core::journal`].
    Journal,
}

/// A request of a room, with what is there in mind.
pub(super) fn request(dice: &mut Dice, room: Room, world: &World) -> Option<WireRoom> {
    Some(match room {
        Room::Cluster => WireRoom::Cluster(cluster::op(dice, world)),
        Room::Security => WireRoom::Security(security::op(dice, world)),
        Room::Coordination => WireRoom::Coordination(coordination::op(dice, world)),
        Room::Registry => WireRoom::Registry(registry::op(dice, world)),
        Room::Journal => WireRoom::Journal(journal::op(dice, world)),
    })
}

/// What the caller says that it holds; none where there is nothing to hold.
pub(super) fn fence(dice: &mut Dice, world: &World) -> Option<Fence> {
    once_in(dice, 4).then(|| coordination::fence(dice, world)).flatten()
}

/// One of several.
fn pick<'t, T: ?Sized>(dice: &mut Dice, choices: &[&'t T]) -> &'t T {
    choices[dice.below(choices.len() as u64) as usize]
}

/// True once in so many times.
fn once_in(dice: &mut Dice, times: u64) -> bool {
    dice.below(times) == 0
}
