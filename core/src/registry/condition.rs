//! Status: what was told of an object, in its place.
//!
//! Health is told by the prober, the administrative state by an operator; the condition Ready
//! follows from health. What depends on other objects is not kept: reading derives it.

use super::model::{AdminState, Kind, ObjectKey, metadata, metadata_mut, status, status_mut};
use super::state::write;
use super::{health, query};
use crate::house::Emit;
use crate::refusal::{Code, Result, refuse};
use crate::stamp::Stamp;
use crate::txn::Txn;
use keiko_proto::v1::{Condition, Health, Object, ObjectStatus};

/// The type of the condition that says why a command runs where it does.
pub(super) const PLACED: &str = "Placed";

/// The type of the condition that is derived when an object is read.
pub(super) const DEPENDENCIES: &str = "DependenciesReady";

/// True for a condition that is never kept.
pub(super) fn is_derived(condition: &str) -> bool {
    condition == DEPENDENCIES
}

/// The status that an object has once `reported` is told of it.
pub(super) fn settle(
    stamp: &Stamp,
    kind: Kind,
    before: Option<&Object>,
    reported: ObjectStatus,
) -> ObjectStatus {
    let mut settled = before.and_then(status).cloned().unwrap_or_default();
    settled.live = None;
    if settled.node != reported.node {
        settled.conditions.retain(|condition| condition.r#type != PLACED);
        settled.node = reported.node;
    }
    for mut condition in reported.conditions {
        condition.since_ms = stamp.unix_ms;
        merge(&mut settled.conditions, condition);
    }
    if let Some(health) = reported.health {
        set(stamp, kind, &mut settled, health);
    }
    settled
}

/// Sets the health of an agent or a server. True if that changed it.
pub(super) fn set_health(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    key: &ObjectKey,
    uid: &str,
    told: Health,
    emit: Emit<'_>,
) -> Result<(bool, Object)> {
    let mut object = query::find(txn, stamp.group, key).ok_or_else(|| key.not_found())?;
    if metadata(&object).is_none_or(|metadata| metadata.uid != uid) {
        return refuse(
            Code::RevisionConflict,
            format!("{} was deleted and made anew since it was probed", key.subject()),
        );
    }
    let before = object.clone();
    set(stamp, key.kind, status_mut(&mut object), told);
    Ok(finish(txn, stamp, key, &before, object, "health-changed", emit))
}

/// Sets the administrative state of an agent or a server. True if that changed it.
pub(super) fn set_admin_state(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    key: &ObjectKey,
    state: AdminState,
    reason: String,
    emit: Emit<'_>,
) -> Result<(bool, Object)> {
    let mut object = query::find(txn, stamp.group, key).ok_or_else(|| key.not_found())?;
    let before = object.clone();
    let status = status_mut(&mut object);
    state.as_str().clone_into(&mut status.admin_state);
    status.admin_reason = reason;
    let verb = match state {
        AdminState::Active => "resumed",
        AdminState::Draining => "draining",
        AdminState::Suspended => "suspended",
    };
    Ok(finish(txn, stamp, key, &before, object, verb, emit))
}

/// Writes the object unless nothing changed.
pub(super) fn finish(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    key: &ObjectKey,
    before: &Object,
    mut object: Object,
    verb: &str,
    emit: Emit<'_>,
) -> (bool, Object) {
    if *before == object {
        return (false, object);
    }
    let metadata = metadata_mut(&mut object);
    (metadata.revision, metadata.updated_ms) = (stamp.revision, stamp.unix_ms);
    write(txn, stamp, key, verb, Some(before), object.clone(), emit);
    (true, object)
}

/// Health and what follows from it; `since_ms` stays as long as the state does.
fn set(stamp: &Stamp, kind: Kind, status: &mut ObjectStatus, mut told: Health) {
    told.since_ms = match &status.health {
        Some(known) if known.state == told.state => known.since_ms,
        Some(_) | None => stamp.unix_ms,
    };
    let mut ready = health::ready_condition(kind, &told);
    ready.since_ms = stamp.unix_ms;
    merge(&mut status.conditions, ready);
    status.health = Some(told);
}

/// Puts a condition in its place; `since_ms` stays if the status does.
pub(super) fn merge(conditions: &mut Vec<Condition>, mut condition: Condition) {
    match conditions.binary_search_by(|known| known.r#type.cmp(&condition.r#type)) {
        Ok(at) => {
            if conditions[at].status == condition.status {
                condition.since_ms = conditions[at].since_ms;
            }
            conditions[at] = condition;
        }
        Err(at) => conditions.insert(at, condition),
    }
}
