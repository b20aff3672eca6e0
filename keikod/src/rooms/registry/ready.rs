//! What a look says of an entry's health, from what came back or did not.

use keiko_core::refusal::{Code, Refusal};
use keiko_core::registry::health::{FailureClass, Seen, cut};

/// It did not answer as it should.
pub(super) fn failed(why: &Refusal) -> Seen {
    Seen::Failed { class: FailureClass::of(why), message: sentence(why) }
}

/// What it was reached by is gone.
pub(super) fn lost(why: &Refusal) -> Seen {
    Seen::Lost { class: FailureClass::of(why), message: sentence(why) }
}

/// It answers, and what it offers can't be kept.
pub(super) fn unkept(why: &Refusal) -> Seen {
    Seen::Incomplete { class: FailureClass::of(why), message: sentence(why) }
}

/// It answers, and some of what it offers can't be kept. `what` is tools or skills.
pub(super) fn offered(what: &str, left_out: usize, reasons: &[String]) -> Seen {
    if left_out == 0 {
        return Seen::Well;
    }
    let message = format!("{left_out} {what} left out: {}", reasons.join("; "));
    Seen::Incomplete { class: FailureClass::Schema, message: cut(&message) }
}

/// What is wrong with it, if anything is.
pub(super) fn class_of(seen: &Seen) -> Option<FailureClass> {
    match seen {
        Seen::Well => None,
        Seen::Incomplete { class, .. } | Seen::Failed { class, .. } | Seen::Lost { class, .. } => {
            Some(*class)
        }
    }
}

/// The entry was deleted, or made anew: somebody else looks after it.
pub(super) fn is_gone(refusal: &Refusal) -> bool {
    matches!(refusal.code, Code::NotFound | Code::RevisionConflict)
}

/// A sentence for people, bounded: a peer wrote parts of it.
fn sentence(refusal: &Refusal) -> String {
    let mut text = refusal.message.clone();
    for cause in refusal.causes.iter().take(2) {
        text.push_str("; ");
        text.push_str(cause);
    }
    cut(&text)
}
