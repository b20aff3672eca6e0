//! Attempts that were refused, gathered until the journal is told of them.
//!
//! Invariants: at most [`REFUSALS_NOTED_MAX`] kinds are kept and every text is cut, so that who
//! tries a million names costs no memory; what is left out is counted; noting waits for nobody but
//! another noting. The process has one gatherer, as it has one set of counters
//! ([`super::metrics`]): a refusal is noted where it is said, without a handle through every room.

use keiko_core::limits::{REFUSAL_TEXT_BYTES_MAX, REFUSALS_NOTED_MAX};
use keiko_core::refusal::{Class, Code};
use keiko_proto::v1 as wire;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

static OF_PROCESS: LazyLock<Refusals> = LazyLock::new(Refusals::default);

tokio::task_local! {
    /// Where the call that this task answers came from.
    static FROM: Option<IpAddr>;
}

/// What was refused since it was taken last; a cheap clone.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<Mutex<wire::NoteRefusals>>);

impl Refusals {
    /// Where this process's refusals are gathered.
    pub fn of_process() -> Self {
        OF_PROCESS.clone()
    }

    /// Notes one attempt.
    pub(super) fn note(&self, attempt: wire::RefusedAttempt) {
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |kept: &&mut wire::RefusedAttempt| {
            kept.code == attempt.code
                && kept.actor == attempt.actor
                && kept.permission == attempt.permission
                && kept.resource == attempt.resource
                && kept.peer == attempt.peer
        };
        if let Some(kept) = gathered.items.iter_mut().find(same) {
            kept.count = kept.count.saturating_add(1);
        } else if gathered.items.len() < REFUSALS_NOTED_MAX {
            gathered.items.push(wire::RefusedAttempt { count: 1, ..attempt });
        } else {
            gathered.left_out = gathered.left_out.saturating_add(1);
        }
    }

    /// Everything that was gathered; none if there is nothing to tell.
    pub fn take(&self) -> Option<wire::NoteRefusals> {
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What was left out is told with what follows: an entry names one attempt at least.
        match gathered.items.is_empty() {
            true => None,
            false => Some(std::mem::take(&mut *gathered)),
        }
    }

    /// Counts what could not be told as left out.
    pub fn give_up(&self, untold: &wire::NoteRefusals) {
        let counts = untold.items.iter().map(|attempt| attempt.count);
        let lost = counts.fold(untold.left_out, u32::saturating_add);
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.left_out = gathered.left_out.saturating_add(lost);
    }
}

/// Remembers while a call is answered where it came from.
pub fn called_from<F: Future>(from: Option<IpAddr>, call: F) -> impl Future<Output = F::Output> {
    FROM.scope(from, call)
}

/// Where the call came from that this task answers; none for a socket and for what nobody called.
pub fn caller_address() -> Option<IpAddr> {
    FROM.try_with(|from| *from).ok().flatten()
}

/// Notes an attempt of the call that this task answers. What has nothing to do with who calls is
/// no such attempt.
pub(super) fn note(code: Code, actor: Option<wire::Actor>, permission: &str, resource: &str) {
    note_from(caller_address(), code, actor, permission, resource);
}

/// The same for a caller who did not get as far as a call.
pub(super) fn note_from(
    from: Option<IpAddr>,
    code: Code,
    actor: Option<wire::Actor>,
    permission: &str,
    resource: &str,
) {
    if !is_attempt(code) {
        return;
    }
    OF_PROCESS.note(wire::RefusedAttempt {
        code: code as u32,
        actor,
        permission: permission.to_owned(),
        resource: cut(resource),
        peer: from.map(|from| from.to_string()).unwrap_or_default(),
        count: 1,
    });
}

/// True if it was refused for who called, and not for what was asked.
pub(super) fn is_attempt(code: Code) -> bool {
    matches!(code.class(), Class::Unauthenticated | Class::Forbidden)
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(REFUSAL_TEXT_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(resource: &str) -> wire::RefusedAttempt {
        let code = Code::PermissionDenied as u32;
        wire::RefusedAttempt { code, resource: resource.to_owned(), ..Default::default() }
    }

    #[test]
    fn identical_ones_are_counted_and_kinds_are_bounded() {
        let refusals = Refusals::default();
        assert_eq!(refusals.take(), None);
        for _ in 0..3 {
            for kind in 0..REFUSALS_NOTED_MAX + 2 {
                refusals.note(attempt(&format!("agent/default/a{kind}")));
            }
        }
        let told = refusals.take().unwrap();
        assert_eq!((told.items.len(), told.left_out), (REFUSALS_NOTED_MAX, 6));
        assert!(told.items.iter().all(|attempt| attempt.count == 3));
        assert_eq!(refusals.take(), None);

        refusals.give_up(&told);
        assert_eq!(refusals.take(), None, "nothing but a count is left");
        refusals.note(attempt("agent/default/b"));
        let told = refusals.take().unwrap();
        let lost = u32::try_from(3 * REFUSALS_NOTED_MAX).unwrap() + 6;
        assert_eq!((told.items.len(), told.left_out), (1, lost));
    }

    #[tokio::test]
    async fn an_attempt_says_where_it_came_from() {
        let actor = |name: &str| {
            let person = wire::Person { name: name.to_owned() };
            Some(wire::Actor { who: Some(wire::actor::Who::Person(person)) })
        };
        let long = format!("agent/default/{}", "é".repeat(REFUSAL_TEXT_BYTES_MAX));
        called_from("192.0.2.7".parse().ok(), async {
            note(Code::PermissionDenied, actor("noted-here"), "registry.read", &long);
            note(Code::LimitExceeded, actor("noted-here-2"), "registry.read", &long);
        })
        .await;
        // Other tests are refused in the same process: they leave room or they do not.
        let told = OF_PROCESS.take().unwrap();
        let ours: Vec<_> =
            told.items.iter().filter(|item| item.actor == actor("noted-here")).collect();
        for item in ours {
            assert_eq!((item.peer.as_str(), item.count), ("192.0.2.7", 1));
            assert!(item.resource.len() <= REFUSAL_TEXT_BYTES_MAX && !item.resource.is_empty());
        }
        assert!(told.items.iter().all(|item| item.actor != actor("noted-here-2")));
    }
}
