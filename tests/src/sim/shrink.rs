//! The shortest list of actions that still breaks the same invariant.
//!
//! Ever smaller parts of the list are left out. An entry that is left out leaves a blank behind, so
//! that the entries after it keep their index, and with it the uids that they speak of.

use super::action::{Action, Script};
use super::{Settings, Violation, replay};

/// Replays of one search: some seconds.
const TRIES_MAX: usize = 3000;

/// Shortens what broke `violation`, and says how it breaks then.
pub fn shrink(
    seed: u64,
    script: &[Action],
    settings: &Settings,
    violation: &Violation,
) -> (Script, Violation) {
    // A bug of agreement may show as a panic first once something is left out: that is another.
    let breaks = |script: &[Action]| {
        let broken = replay(seed, script, settings).err()?;
        (broken.invariant == violation.invariant).then_some(broken)
    };
    let (mut best, mut broken) = (script.to_vec(), violation.clone());
    let mut tries = 0;
    let mut size = best.len().div_ceil(2);
    while size > 0 {
        let (mut at, mut smaller) = (0, false);
        while at < best.len() && tries < TRIES_MAX {
            tries += 1;
            let candidate = without(&best, at, size);
            match candidate.as_deref().and_then(breaks) {
                Some(violation) => {
                    let shorter = candidate.as_ref().is_some_and(|found| found.len() < best.len());
                    (best, broken, smaller) = (candidate.unwrap_or_default(), violation, true);
                    at += if shorter { 0 } else { size };
                }
                None => at += size,
            }
        }
        size = if smaller && size == 1 { 1 } else { size / 2 };
        if tries >= TRIES_MAX {
            break;
        }
    }
    (best, broken)
}

/// `None` if nothing would change.
fn without(script: &[Action], at: usize, size: usize) -> Option<Script> {
    let end = (at + size).min(script.len());
    let behind_is_log = script[end..].iter().any(|action| matches!(action, Action::Commit(_)));
    let left = script[at..end].iter().filter_map(|action| match action {
        Action::Commit(_) | Action::Blank if behind_is_log => Some(Action::Blank),
        _ => None,
    });
    let shorter: Script =
        script[..at].iter().cloned().chain(left).chain(script[end..].iter().cloned()).collect();
    (shorter != script).then_some(shorter)
}
