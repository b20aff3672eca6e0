//! Only an entry with a lease is removed as expired, and only the life that was meant.
//!
//! When a lease ends, the leader knows: leases are its soft state and no part of the law. The law's
//! side is that a removal which comes late hits nobody else: not who was made anew under the same
//! name, and not who has no lease (any more).

use super::objects::{self, ObjectChange};
use super::{Check, Class, ensure};
use crate::sim::oracle::Step;
use keiko_proto::v1::{self as wire, entry::Room, object::Object as Inner, registry_op::Op};

pub(super) fn step(step: &Step<'_>, class: Class) -> Check {
    if class != Class::New {
        return Ok(());
    }
    let changes = objects::changes(step);
    let removal = match step.entry.as_ref().and_then(|entry| entry.room.as_ref()) {
        Some(Room::Registry(wire::RegistryOp { op: Some(Op::Delete(delete)) })) => Some(delete),
        _ => None,
    };
    let expired = removal.filter(|delete| delete.expired);
    if let Some(delete) = expired.filter(|_| step.is_accepted()) {
        let named = delete.object.clone().unwrap_or_default();
        let is_meant = |change: &&ObjectChange| {
            change.after.is_none() && change.owner_kind() == Some(named.kind)
        };
        let gone = changes.iter().find(is_meant).and_then(|change| change.before.as_ref());
        let uid = gone.and_then(objects::metadata).map(|metadata| metadata.uid.as_str());
        ensure(uid == Some(delete.uid.as_str()) && gone.is_some_and(has_lease), || {
            format!("{named:?} of uid {:?} is removed as expired: {gone:?}", delete.uid)
        })?;
    }
    for change in &changes {
        let Some(before) = change.before.as_ref().filter(|object| has_lease(object)) else {
            continue;
        };
        ensure(change.after.is_some() || removal.is_some(), || {
            format!("who has a lease goes without being deleted: {before:?}")
        })?;
    }
    let says_expired = objects::events(step).iter().any(|event| {
        event.r#type.starts_with("keiko.registry.") && event.r#type.ends_with(".expired")
    });
    ensure(says_expired == expired.is_some_and(|_| step.is_accepted()), || {
        "the journal says that a lease expired, and the entry does not, or the reverse".to_owned()
    })
}

fn has_lease(object: &wire::Object) -> bool {
    matches!(&object.object, Some(Inner::Agent(agent))
        if agent.spec.as_ref().is_some_and(|spec| spec.lease.is_some()))
}
