use super::once_in;
use crate::report::Dice;
use crate::sim::world::World;
use keiko_proto::v1::{Compact, JournalOp, journal_op::Op};

pub(super) fn op(dice: &mut Dice, world: &World) -> JournalOp {
    let revision = world.oracle.head().revision;
    let before_revision = match dice.below(12) {
        0 => 0,
        1 => u64::MAX,
        2 => revision,
        3 => revision + 1,
        4 => revision + 2,
        // Mostly the older half.
        _ => dice.below(revision / 2 + 1),
    };
    let op = Op::Compact(Compact { before_revision });
    JournalOp { op: (!once_in(dice, 24)).then_some(op) }
}
