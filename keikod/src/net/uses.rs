//! Which grants are used, gathered until the journal is told: so that what nobody needs can be found.
//!
//! Invariants: a permission of a subject is told at most once a day by this process; at most
//! [`SUBJECTS_MAX`] subjects are kept, whoever comes; noting makes no copy of a name that is known,
//! and waits for nobody but another noting. As with refusals, the process has one gatherer: a use is
//! noted where it is allowed, without a handle through every room.

use super::front::now_ms;
use super::identity::Identity;
use keiko_core::limits::USES_NOTED_MAX;
use keiko_core::security::{Permission, day_of};
use keiko_proto::v1 as wire;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// As many as there can be people and tokens: 8,192 × some 80 bytes are below 1 MiB.
const SUBJECTS_MAX: usize = 8192;

static OF_PROCESS: LazyLock<UsedGrants> = LazyLock::new(UsedGrants::default);

/// Permissions of one subject on the day, one bit for each.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    used: u32,
    told: u32,
}

#[derive(Debug, Default)]
struct Gathered {
    day: u32,
    people: BTreeMap<String, Seen>,
    tokens: BTreeMap<String, Seen>,
}

/// What was used since it was taken last; a cheap clone.
#[derive(Clone, Debug, Default)]
pub struct UsedGrants(Arc<Mutex<Gathered>>);

/// Whose use it is. Who is on a socket needs no grant, and who comes through another node is noted
/// there.
pub(super) fn note(identity: &Identity, permission: Permission) {
    let (is_person, name) = match identity {
        Identity::Person { name, .. } => (true, name),
        Identity::Token { id, one_use: false, .. } => (false, id),
        Identity::Token { .. } | Identity::Socket { .. } | Identity::Remote { .. } => return,
    };
    OF_PROCESS.note((is_person, name.as_str()), permission, day_of(now_ms()));
}

impl UsedGrants {
    /// Where this process's uses are gathered.
    pub fn of_process() -> Self {
        OF_PROCESS.clone()
    }

    fn note(&self, (is_person, name): (bool, &str), permission: Permission, day: u32) {
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if gathered.day != day {
            // What was not told of the day before is lost: it is used again, or it is not needed.
            *gathered = Gathered { day, ..Gathered::default() };
        }
        let known = gathered.people.len() + gathered.tokens.len();
        let of = if is_person { &mut gathered.people } else { &mut gathered.tokens };
        if let Some(seen) = of.get_mut(name) {
            seen.used |= permission.bit();
        } else if known < SUBJECTS_MAX {
            of.insert(name.to_owned(), Seen { used: permission.bit(), told: 0 });
        }
    }

    /// What was not told yet, of as many subjects as one entry tells; it counts as told. None if
    /// there is nothing.
    pub fn take(&self) -> Option<wire::NoteUses> {
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Gathered { day, people, tokens } = &mut *gathered;
        let people = people.iter_mut().map(|(name, seen)| ("person", name, seen));
        let tokens = tokens.iter_mut().map(|(id, seen)| ("token", id, seen));
        let untold = people.chain(tokens).filter(|(.., seen)| seen.used != seen.told);
        let told = untold.take(USES_NOTED_MAX).map(|(kind, name, seen)| {
            let fresh = seen.used & !seen.told;
            seen.told = seen.used;
            let all = Permission::ALL.iter().filter(|permission| fresh & permission.bit() != 0);
            let permissions = all.map(|permission| permission.name().to_owned()).collect();
            wire::Uses { subject: format!("{kind}/{name}"), permissions }
        });
        let items: Vec<wire::Uses> = told.collect();
        (!items.is_empty()).then_some(wire::NoteUses { items, day: *day })
    }

    /// What could not be told is told with what follows, on the same day.
    pub fn give_back(&self, untold: &wire::NoteUses) {
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if gathered.day != untold.day {
            return;
        }
        for wire::Uses { subject, permissions } in &untold.items {
            let seen = match subject.split_once('/') {
                Some(("person", name)) => gathered.people.get_mut(name),
                Some((_, id)) => gathered.tokens.get_mut(id),
                None => None,
            };
            let bits = permissions.iter().filter_map(|name| Permission::parse(name));
            if let Some(seen) = seen {
                seen.told &= !bits.fold(0, |bits, permission| bits | permission.bit());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_told_once_a_day() {
        let uses = UsedGrants::default();
        let (ann, token) = ((true, "ann"), (false, "t1"));
        let told = |uses: &UsedGrants| {
            let items = uses.take().map(|note| note.items).unwrap_or_default();
            let line =
                |uses: &wire::Uses| format!("{} {}", uses.subject, uses.permissions.join(" "));
            items.iter().map(line).collect::<Vec<_>>()
        };
        assert!(told(&uses).is_empty());
        for _ in 0..3 {
            uses.note(ann, Permission::RegistryRead, 7);
            uses.note(ann, Permission::ToolCall, 7);
            uses.note(token, Permission::RegistryRead, 7);
        }
        let expect = ["person/ann registry.read tool.call", "token/t1 registry.read"];
        assert_eq!(told(&uses), expect);
        uses.note(ann, Permission::RegistryRead, 7);
        assert!(told(&uses).is_empty());
        uses.note(ann, Permission::AgentCall, 7);
        let untold = uses.take().unwrap();
        assert!(told(&uses).is_empty());
        uses.give_back(&untold);
        assert_eq!(told(&uses), ["person/ann agent.call"]);
        uses.give_back(&wire::NoteUses { day: 6, ..untold });
        assert!(told(&uses).is_empty(), "that day is over");
        uses.note(ann, Permission::RegistryRead, 8);
        assert_eq!(told(&uses), ["person/ann registry.read"]);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let uses = UsedGrants::default();
        for number in 0..SUBJECTS_MAX + 10 {
            uses.note((true, &format!("p{number}")), Permission::RegistryRead, 7);
        }
        let mut told = 0;
        while let Some(note) = uses.take() {
            assert!(note.items.len() <= USES_NOTED_MAX);
            told += note.items.len();
        }
        assert_eq!(told, SUBJECTS_MAX);
    }
}
