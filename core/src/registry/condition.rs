//! Conditions: what is so, since when, and why. Only transitions are kept.

use super::model::{ObjectKey, metadata, metadata_mut, status_mut};
use super::query;
use super::state::write;
use crate::house::Emit;
use crate::refusal::{Code, Result, refuse};
use crate::stamp::Stamp;
use crate::txn::Txn;
use keiko_proto::v1::Condition;

/// Sets one condition. True if that changed the object.
pub(super) fn set(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    key: &ObjectKey,
    uid: &str,
    mut condition: Condition,
    emit: Emit<'_>,
) -> Result<bool> {
    let mut object = query::find(txn, stamp.group, key).ok_or_else(|| key.not_found())?;
    if metadata(&object).is_none_or(|metadata| metadata.uid != uid) {
        return refuse(
            Code::RevisionConflict,
            format!("{} was deleted and made anew since it was probed", key.subject()),
        );
    }
    condition.since_ms = stamp.unix_ms;
    if !merge(&mut status_mut(&mut object).conditions, condition) {
        return Ok(false);
    }
    let metadata = metadata_mut(&mut object);
    (metadata.revision, metadata.updated_ms) = (stamp.revision, stamp.unix_ms);
    write(txn, stamp, key, false, object, emit);
    Ok(true)
}

/// Puts a condition in its place; `since_ms` stays if the status does. True if anything changed.
pub(super) fn merge(conditions: &mut Vec<Condition>, mut condition: Condition) -> bool {
    match conditions.binary_search_by(|known| known.r#type.cmp(&condition.r#type)) {
        Ok(at) => {
            if conditions[at].status == condition.status {
                condition.since_ms = conditions[at].since_ms;
            }
            let changed = conditions[at] != condition;
            conditions[at] = condition;
            changed
        }
        Err(at) => {
            conditions.insert(at, condition);
            true
        }
    }
}
