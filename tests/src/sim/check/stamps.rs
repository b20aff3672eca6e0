//! Stamps never go back, whatever the leader's clock does.

use super::{Check, Class, ensure};
use crate::sim::oracle::Step;

pub(super) fn step(step: &Step<'_>, class: Class) -> Check {
    let (before, after) = (step.before.unix_ms, step.after.unix_ms);
    let proposed_ms = step.entry.as_ref().map_or(0, |entry| entry.proposed_ms);
    ensure(after == before.max(proposed_ms), || {
        format!("an entry of {proposed_ms} ms behind {before} ms is stamped {after} ms")
    })?;
    ensure(class == Class::Retried || step.reply.unix_ms == after, || {
        format!("the reply says {} ms, the head {after} ms", step.reply.unix_ms)
    })
}
