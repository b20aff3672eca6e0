//! Declares an owner as a manifest has it, whether it answers or not.
//!
//! What probes found stays as long as the endpoint does; at another endpoint everything is to be
//! found anew.

use super::model::{Apply, ObjectKey, metadata};
use super::put::{put_one, put_parts, settle_grant, uid_of};
use super::wire::check_size;
use super::{declared, depend, place, query};
use crate::house::Emit;
use crate::refusal::{Code, Refusal, Result};
use crate::stamp::Stamp;
use crate::txn::Txn;
use keiko_proto::v1::{Change, Health, Object, ObjectStatus, PutReply};

pub(super) fn apply(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    apply: Apply,
    emit: Emit<'_>,
) -> Result<PutReply> {
    let Apply { key, mut owner, revision } = apply;
    let before = query::find(txn, stamp.group, &key);
    check_generation(&key, before.as_ref(), revision, stamp)?;
    let stays = before
        .as_ref()
        .is_some_and(|before| declared::endpoint(before) == declared::endpoint(&owner));
    match &before {
        Some(before) if stays => {
            declared::keep_found(before, &mut owner);
            check_size(&owner)?;
        }
        Some(_) | None => *super::model::status_mut(&mut owner) = not_probed(),
    }
    // At another endpoint nobody vouched for what goes there: a grant does not move along.
    let vouched = before.as_ref().filter(|_| stays);
    settle_grant(txn, stamp, vouched, &mut owner, false)?;
    place::settle(stamp, vouched, &mut owner, false);
    depend::check_acyclic(txn, stamp.group, &key, before.as_ref(), &owner)?;
    let mut changed = put_one(txn, stamp, &key, before.as_ref(), owner, emit);
    if !stays {
        changed |= !put_parts(txn, stamp, &key, Vec::new(), emit).is_empty();
    }
    let uid = uid_of(stamp, &key, before.as_ref());
    let change = match (before, changed) {
        (None, _) => Change::Created,
        (Some(_), true) => Change::Updated,
        (Some(_), false) => Change::Unchanged,
    };
    Ok(PutReply { change: change.into(), uid })
}

/// Who decided on what is no longer so decides again. Any revision fits that there is and since
/// which nothing was declared, whatever it came with.
pub(super) fn check_generation(
    key: &ObjectKey,
    before: Option<&Object>,
    revision: u64,
    stamp: &Stamp,
) -> Result<()> {
    if revision == 0 {
        return Ok(());
    }
    let Some(before) = before.and_then(metadata) else {
        return Err(Refusal::new(
            Code::RevisionConflict,
            format!("{} is not there any more, or not yet", key.subject()),
        )
        .hint("leave the revision out to make it"));
    };
    if revision >= before.generation && revision < stamp.revision {
        return Ok(());
    }
    Err(Refusal::new(
        Code::RevisionConflict,
        format!("{} was declared at revision {}, not {revision}", key.subject(), before.generation),
    )
    .hint(format!(
        "read it again, then decide: keikoctl {} get {} -o yaml",
        key.kind,
        key.typed()
    )))
}

fn not_probed() -> ObjectStatus {
    let health = Health {
        state: "recovering".to_owned(),
        message: "not probed yet".to_owned(),
        ..Default::default()
    };
    ObjectStatus { health: Some(health), ..Default::default() }
}
