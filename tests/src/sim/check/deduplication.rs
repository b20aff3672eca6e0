//! A retry gets the reply of the first, and changes nothing.
//!
//! A request id is bound to who asked for what. The model keeps every reply for ever; the law may
//! forget one only when its id is outside of the window, where it is refused.

use super::{Check, ensure, only_head};
use crate::sim::oracle::Step;
use keiko_core::limits::{DEDUP_WINDOW_MS, REQUEST_ID_AHEAD_MS};
use keiko_core::refusal::Code;
use prost::Message as _;
use std::collections::BTreeMap;

/// What an entry is, by its request id alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Class {
    /// It has no request id that could be read.
    Unreadable,
    /// Its id is no UUIDv7.
    Malformed,
    /// Its id is too old, or ahead.
    Outside,
    /// Its id belongs to another request.
    Stolen,
    /// It was answered before.
    Retried,
    /// It is to be decided.
    New,
}

#[derive(Default)]
pub(super) struct Deduplication {
    /// By id: who asked for what, and the reply.
    known: BTreeMap<Vec<u8>, (Vec<u8>, Vec<u8>)>,
}

impl Deduplication {
    /// What an entry is; the model remembers the reply of a new one.
    pub(super) fn meet(&mut self, step: &Step<'_>) -> Class {
        let class = self.classify(step);
        let id = step.entry.as_ref().map(|entry| &entry.request_id);
        if let Some(id) = id.filter(|id| class == Class::New && !id.is_empty()) {
            self.known.insert(id.clone(), (asked_for(step), step.applied.reply.clone()));
        }
        class
    }

    fn classify(&self, step: &Step<'_>) -> Class {
        let Some(entry) = &step.entry else { return Class::Unreadable };
        if entry.request_id.is_empty() {
            return Class::New;
        }
        let unix_ms = entry.proposed_ms.max(step.before.unix_ms);
        match made_ms(&entry.request_id) {
            None => return Class::Malformed,
            Some(made_ms) => {
                let is_old = made_ms < unix_ms.saturating_sub(DEDUP_WINDOW_MS);
                if is_old || made_ms > unix_ms.saturating_add(REQUEST_ID_AHEAD_MS) {
                    return Class::Outside;
                }
            }
        }
        match self.known.get(&entry.request_id) {
            None => Class::New,
            Some((asked, _)) if *asked == asked_for(step) => Class::Retried,
            Some(_) => Class::Stolen,
        }
    }

    pub(super) fn step(&self, step: &Step<'_>, class: Class) -> Check {
        let Some(entry) = &step.entry else { return Ok(()) };
        let refused_as = |code: Code| {
            ensure(step.refusal() == Some(code as u32) && only_head(step), || {
                format!("an id that is {class:?} is answered with {:?}", step.reply)
            })
        };
        match class {
            Class::Unreadable | Class::New => Ok(()),
            Class::Malformed | Class::Stolen => refused_as(Code::InvalidArgument),
            Class::Outside => refused_as(Code::RequestIdExpired),
            Class::Retried => {
                let reply = self.known.get(&entry.request_id).map(|(_, reply)| reply);
                ensure(reply == Some(&step.applied.reply), || {
                    format!("a retry is answered with {:?}", step.reply)
                })?;
                ensure(only_head(step) && step.applied.events.is_empty(), || {
                    "a retry changes something".to_owned()
                })
            }
        }
    }
}

/// The time inside a UUIDv7.
fn made_ms(id: &[u8]) -> Option<u64> {
    let is_uuid_7 = id.len() == 16 && id[6] & 0xF0 == 0x70 && id[8] & 0xC0 == 0x80;
    is_uuid_7.then(|| id[..6].iter().fold(0, |ms, byte| ms << 8 | u64::from(*byte)))
}

/// Who asked for what, under which fence.
fn asked_for(step: &Step<'_>) -> Vec<u8> {
    let Some(entry) = &step.entry else { return Vec::new() };
    let mut asked = entry.actor.clone().unwrap_or_default().encode_length_delimited_to_vec();
    asked.extend(&entry.request_hash);
    asked.extend(entry.fence.iter().flat_map(|fence| fence.encode_to_vec()));
    asked
}
