//! Any bytes give an answer. That nothing panics, the run itself sees; that all nodes give the same
//! answer, the world.

use super::{Check, Class, ensure, only_head};
use crate::sim::oracle::Step;
use keiko_core::refusal::Code;

pub(super) fn step(step: &Step<'_>, class: Class) -> Check {
    ensure(step.reply.result.is_some(), || "the reply is empty".to_owned())?;
    ensure(step.applied.reply.len() < 4 << 20, || "the reply is too large to travel".to_owned())?;
    if class != Class::Unreadable {
        return Ok(());
    }
    ensure(step.refusal() == Some(Code::MalformedEntry as u32) && only_head(step), || {
        format!("unreadable bytes are answered with {:?}", step.reply)
    })
}
