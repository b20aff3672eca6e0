//! One more for each accepted command, the same for any other; a refusal leaves nothing in the
//! state but its reply.

use super::{Check, Class, ensure};
use crate::sim::layout::{HOUSE, place};
use crate::sim::oracle::Step;

pub(super) fn step(step: &Step<'_>, class: Class) -> Check {
    let (before, after) = (step.before.revision, step.after.revision);
    let counts = class == Class::New && step.is_accepted();
    ensure(after == before + u64::from(counts), || {
        format!("revision {before} becomes {after}: {class:?}, {:?}", step.reply)
    })?;
    ensure(step.applied.revision == after, || {
        format!("the law says revision {}, the head {after}", step.applied.revision)
    })?;
    ensure(class == Class::Retried || step.reply.revision == after, || {
        format!("the reply says revision {}, the head {after}", step.reply.revision)
    })?;
    ensure(step.after.index == step.index, || {
        format!("the head is at index {}, the log at {}", step.after.index, step.index)
    })?;
    let is_kept = |key: &[u8]| place(key).0 == HOUSE;
    ensure(counts || step.changes.iter().all(|change| is_kept(&change.key)), || {
        format!("what is refused changes the state: {:?}", step.reply)
    })
}
