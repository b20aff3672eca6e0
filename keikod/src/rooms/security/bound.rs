//! What bindings hand to each caller, compiled once after each change of roles or bindings.
//!
//! Invariants: nothing is kept over a change: what was compiled says of which one it is, and the
//! state says which was the last; nothing is kept over the end of a binding; at most
//! [`SUBJECTS_MAX`] callers are kept. A call costs one read of that revision and one look.

use super::super::clock;
use crate::net::Bound;
use keiko_core::id::GroupId;
use keiko_core::security;
use keiko_core::store::Store;
use keiko_proto::v1::Actor;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// As many as there can be people and tokens.
const SUBJECTS_MAX: usize = 8192;

/// Compiled, until a time; zero: for as long as nothing changes.
struct Compiled {
    bound: Bound,
    until_ms: u64,
}

#[derive(Default)]
struct Known {
    changed_at: u64,
    of: BTreeMap<Vec<String>, Compiled>,
}

/// What is known of bindings; a cheap clone.
#[derive(Clone, Default)]
pub struct Bindings(Arc<Mutex<Known>>);

impl Bindings {
    /// What bindings hand to whoever has one of these names, as a view has it.
    pub fn of(&self, view: &dyn Store, subjects: &[String]) -> Bound {
        let changed_at = security::changed_at(view, GroupId::CONTROL);
        if changed_at == 0 || subjects.is_empty() {
            return Bound::default();
        }
        let now_ms = clock::unix_ms();
        if let Some(bound) = self.compiled(changed_at, subjects, now_ms) {
            return bound;
        }
        let (grants, until_ms) = security::bound(view, GroupId::CONTROL, subjects, now_ms);
        let bound = Arc::new(grants);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if changed_at > known.changed_at || known.of.len() >= SUBJECTS_MAX {
            *known = Known { changed_at: changed_at.max(known.changed_at), ..Known::default() };
        }
        // A view from before the last change is answered, and not kept.
        if changed_at == known.changed_at {
            let compiled = Compiled { bound: Arc::clone(&bound), until_ms };
            known.of.insert(subjects.to_vec(), compiled);
        }
        bound
    }

    /// What bindings hand to an actor of another node.
    pub fn of_actor(&self, view: &dyn Store, actor: &Actor) -> Bound {
        self.of(view, &security::subjects_of(view, GroupId::CONTROL, actor))
    }

    fn compiled(&self, changed_at: u64, subjects: &[String], now_ms: u64) -> Option<Bound> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let compiled = known.of.get(subjects).filter(|_| known.changed_at == changed_at)?;
        let holds = compiled.until_ms == 0 || now_ms < compiled.until_ms;
        holds.then(|| Arc::clone(&compiled.bound))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keiko_core::house::Round;
    use keiko_core::security::{Permission, Resource};
    use keiko_core::store::MemoryStore;
    use keiko_proto::v1::{
        Binding, DeleteBinding, Entry, SecurityOp, SetBinding, SocketPeer, actor::Who, entry::Room,
        security_op::Op,
    };
    use prost::Message as _;

    fn apply(store: &mut MemoryStore, index: u64, op: Op) {
        let peer = SocketPeer { node: "n1".into(), uid: Some(0) };
        let entry = Entry {
            format: keiko_core::features::FORMAT,
            feature_level: keiko_core::features::LEVEL,
            proposed_ms: 1,
            actor: Some(Actor { who: Some(Who::Socket(peer)) }),
            room: Some(Room::Security(SecurityOp { op: Some(op) })),
            ..Entry::default()
        };
        let writes = {
            let mut round = Round::new(&*store, GroupId::CONTROL);
            round.apply(index, &entry.encode_to_vec()).unwrap();
            round.into_writes()
        };
        store.commit(writes);
    }

    #[test]
    fn what_is_compiled_lives_until_the_next_change() {
        let (mut store, bindings) = (MemoryStore::default(), Bindings::default());
        let ann = ["person/ann".to_owned()];
        let reads =
            |bound: &Bound| bound.find(Permission::RegistryRead, &Resource::All("agent")).is_some();
        assert!(!reads(&bindings.of(&store, &ann)));
        let binding = Binding {
            name: "a".into(),
            role: "viewer".into(),
            subjects: ann.to_vec(),
            ..Binding::default()
        };
        apply(&mut store, 1, Op::SetBinding(SetBinding { binding: Some(binding.clone()) }));
        let before = store.clone();
        let first = bindings.of(&store, &ann);
        assert!(reads(&first));
        assert!(Arc::ptr_eq(&first, &bindings.of(&store, &ann)), "compiled once");
        apply(&mut store, 2, Op::DeleteBinding(DeleteBinding { name: "a".into() }));
        assert!(!reads(&bindings.of(&store, &ann)));
        // A view that is behind is answered as it is, and changes nothing for the others.
        assert!(reads(&bindings.of(&before, &ann)));
        assert!(!reads(&bindings.of(&store, &ann)));

        // One that ended on this node's clock: the law took it on its own.
        let binding = Binding { expires_ms: 2, ..binding };
        apply(&mut store, 3, Op::SetBinding(SetBinding { binding: Some(binding) }));
        assert!(!reads(&bindings.of(&store, &ann)));
    }
}
