//! Another authority in the place of the one that is, while everybody goes on calling.
//!
//! ```text
//! wanted   somebody asked: the leader makes one        trust   every member trusts both
//! renew    every member shows a certificate of the next one
//! (done)   it signs; the one before retires, and is dropped at the end of the overlap
//! ```
//!
//! A step is over when every member says that it is there; that is seen by the leader, which proposes
//! the next one. The law looks that no step is left out, and that nothing is dropped too early.
//!
//! Invariants: one authority signs people at any time; what an authority signed counts from before it
//! signs until it is dropped; only the key of the one that signs, and of the one that comes, is kept,
//! sealed. Whoever had a vote knew the cluster key, so its leaving asks for another one in the same
//! entry.

use super::query;
use super::state::{AUTHORITY, body};
use crate::cluster::{self, check_key_hash};
use crate::house::{Emit, Emitted};
use crate::limits::{
    CA_OVERLAP_MS_MAX, FORMER_AUTHORITIES_MAX, RETIRING_AUTHORITIES_MAX, ROTATION_REASON_BYTES_MAX,
};
use crate::refusal::{Code, Refusal, Result, refuse};
use crate::stamp::Stamp;
use crate::table::{RoomByte, Table};
use crate::txn::Txn;
use keiko_proto::v1::{
    Authority, AuthorityTurned, ExpelNode, Node, RetiringAuthority, RotateAuthority, Rotation,
    StoreNext, security_event, security_reply,
};

pub(super) const ROTATION: Table<Rotation> = Table::new(RoomByte::Security, 9, 1);

/// Nobody has made it yet.
pub const STEP_WANTED: &str = "wanted";

/// Members begin to trust it; it signs nothing.
pub const STEP_TRUST: &str = "trust";

/// It signs for nodes, and each takes a new certificate.
pub const STEP_RENEW: &str = "renew";

/// What can be asked, checked as far as it can be without state.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Turn {
    /// For another authority.
    Ask(RotateAuthority),
    /// To keep the one that was made.
    Next { authority: Authority, before_hash: String },
    /// On to the next step.
    Advance { step: String, hash: String },
    /// That what this one signed counts no more.
    Drop(String),
    /// The end of every overlap.
    Finish,
    /// Without a node that had a vote.
    Expel { id: u64, asked: RotateAuthority },
}

impl Turn {
    pub(super) fn asked(asked: RotateAuthority) -> Result<Self> {
        Ok(Self::Ask(check(asked)?))
    }

    pub(super) fn next(store: StoreNext) -> Result<Self> {
        let next = store.authority.unwrap_or_default();
        let sealed = next.key.as_ref().is_some_and(|key| !key.ciphertext.is_empty());
        if next.certificate.is_empty() || next.cross.is_empty() || !sealed {
            return refuse(
                Code::InvalidArgument,
                "an authority that follows has two certificates and a sealed key",
            );
        }
        check_key_hash(&next.hash)?;
        check_key_hash(&store.before_hash)?;
        // What came before it, the law knows.
        let authority = Authority { retiring: Vec::new(), former: Vec::new(), ..next };
        Ok(Self::Next { authority, before_hash: store.before_hash })
    }

    pub(super) fn expelled(expel: ExpelNode) -> Result<Self> {
        let ExpelNode { id, revoke, overlap_ms } = expel;
        let overlap_ms = if revoke { 0 } else { overlap_ms };
        let asked = RotateAuthority { overlap_ms, hurry: revoke, reason: String::new() };
        Ok(Self::Expel { id, asked: check(asked)? })
    }
}

fn check(asked: RotateAuthority) -> Result<RotateAuthority> {
    if asked.overlap_ms > CA_OVERLAP_MS_MAX {
        return Err(Refusal::new(Code::LimitExceeded, "an overlap lasts at most 90 days")
            .hint("keikoctl cluster ca rotate --overlap 7d"));
    }
    if asked.reason.len() > ROTATION_REASON_BYTES_MAX || asked.reason.contains(char::is_control) {
        return refuse(
            Code::LimitExceeded,
            format!("a reason is a line of at most {ROTATION_REASON_BYTES_MAX} bytes"),
        );
    }
    Ok(asked)
}

/// Applies one.
pub(super) fn apply(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    turn: Turn,
    emit: Emit<'_>,
) -> Result<security_reply::Reply> {
    Ok(match turn {
        Turn::Ask(asked) => security_reply::Reply::Rotation(ask(txn, stamp, asked, emit)?),
        Turn::Next { authority, before_hash } => {
            let rotation = store_next(txn, stamp, authority, before_hash, emit)?;
            security_reply::Reply::Rotation(rotation)
        }
        Turn::Advance { step, hash } => {
            security_reply::Reply::Authority(advance(txn, stamp, &step, &hash, emit)?)
        }
        Turn::Drop(hash) => security_reply::Reply::Authority(drop_one(txn, stamp, &hash, emit)?),
        Turn::Finish => security_reply::Reply::Authority(finish(txn, stamp, emit)?),
        Turn::Expel { id, asked } => {
            security_reply::Reply::Node(expel(txn, stamp, id, asked, emit)?)
        }
    })
}

/// Asks for another authority. One that nobody trusts yet is thrown away.
fn ask(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    asked: RotateAuthority,
    emit: Emit<'_>,
) -> Result<Rotation> {
    signing(txn, stamp)?;
    if let Some(under_way) = query::rotation(txn, stamp.group)
        && under_way.step == STEP_RENEW
    {
        return Err(Refusal::new(Code::RotationRefused, "another rotation is under way")
            .cause("members take their certificates of it")
            .hint("keikoctl cluster ca list shows whom it waits for")
            .hint("to wait for nobody who is away: keikoctl cluster ca rotate --finish"));
    }
    Ok(begin(txn, stamp, asked, emit))
}

fn begin(txn: &mut Txn<'_>, stamp: &Stamp, asked: RotateAuthority, emit: Emit<'_>) -> Rotation {
    let RotateAuthority { overlap_ms, hurry, reason } = asked;
    let rotation = Rotation {
        step: STEP_WANTED.to_owned(),
        begun_ms: stamp.unix_ms,
        overlap_ms,
        hurry,
        reason,
        ..Rotation::default()
    };
    put(txn, stamp, &rotation);
    tell(STEP_WANTED, &rotation, emit);
    rotation
}

/// Keeps the one that was made; from now on members trust both.
fn store_next(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    next: Authority,
    before_hash: String,
    emit: Emit<'_>,
) -> Result<Rotation> {
    let rotation = at_step(txn, stamp, STEP_WANTED)?;
    let before = signing(txn, stamp)?;
    if !before.hash.is_empty() && before.hash != before_hash {
        return refuse(Code::RevisionConflict, "it follows another authority than the one that is");
    }
    let step = STEP_TRUST.to_owned();
    let rotation = Rotation { step, next: Some(next), before_hash, ..rotation };
    put(txn, stamp, &rotation);
    tell(STEP_TRUST, &rotation, emit);
    Ok(rotation)
}

/// On from this step, of the rotation to the authority with this hash.
fn advance(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    step: &str,
    hash: &str,
    emit: Emit<'_>,
) -> Result<Authority> {
    let rotation = at_step(txn, stamp, step)?;
    let before = signing(txn, stamp)?;
    let next = rotation.next.clone().filter(|next| next.hash == hash);
    let Some(next) = next else {
        return refuse(Code::RevisionConflict, "another authority is coming than that one");
    };
    if step == STEP_TRUST {
        let rotation = Rotation { step: STEP_RENEW.to_owned(), ..rotation };
        put(txn, stamp, &rotation);
        tell(STEP_RENEW, &rotation, emit);
        return Ok(before);
    }
    let hurry = rotation.hurry;
    let retiring = RetiringAuthority {
        certificate: before.certificate,
        cross: before.cross,
        hash: rotation.before_hash.clone(),
        until_ms: stamp.unix_ms.saturating_add(rotation.overlap_ms),
        hurry,
    };
    let mut retiring: Vec<_> = std::iter::once(retiring).chain(before.retiring).collect();
    if hurry {
        hasten(&mut retiring, stamp);
    }
    let mut next = Authority { retiring, former: before.former, ..next };
    while next.retiring.len() > RETIRING_AUTHORITIES_MAX {
        let oldest = next.retiring.pop().unwrap_or_default();
        forget(&mut next, oldest, emit);
    }
    AUTHORITY.put(txn, AUTHORITY.key(stamp.group), &next);
    ROTATION.delete(txn, ROTATION.key(stamp.group));
    tell("signs", &rotation, emit);
    if let Some(again) = rotation.again {
        begin(txn, stamp, again, emit);
    }
    Ok(next)
}

/// What this one signed counts no more.
fn drop_one(txn: &mut Txn<'_>, stamp: &Stamp, hash: &str, emit: Emit<'_>) -> Result<Authority> {
    let mut authority = signing(txn, stamp)?;
    let Some(at) = authority.retiring.iter().position(|retiring| retiring.hash == hash) else {
        return refuse(Code::NotFound, format!("no authority {hash:?} retires"));
    };
    let until_ms = authority.retiring[at].until_ms;
    if stamp.unix_ms < until_ms {
        let message = format!("the authority counts until {until_ms} ms, it is {}", stamp.unix_ms);
        return Err(Refusal::new(Code::RotationRefused, message)
            .hint("keikoctl cluster ca rotate --finish ends every overlap"));
    }
    let gone = authority.retiring.remove(at);
    forget(&mut authority, gone, emit);
    AUTHORITY.put(txn, AUTHORITY.key(stamp.group), &authority);
    Ok(authority)
}

/// Waits for nobody who is away, and for the end of no overlap.
fn finish(txn: &mut Txn<'_>, stamp: &Stamp, emit: Emit<'_>) -> Result<Authority> {
    let mut authority = signing(txn, stamp)?;
    let rotation = query::rotation(txn, stamp.group);
    if rotation.is_none() && authority.retiring.is_empty() {
        return Err(Refusal::new(Code::RotationRefused, "no rotation is under way")
            .hint("keikoctl cluster ca rotate begins one"));
    }
    if let Some(rotation) = rotation {
        let rotation = Rotation { hurry: true, overlap_ms: 0, ..rotation };
        put(txn, stamp, &rotation);
        tell(&rotation.step, &rotation, emit);
    }
    hasten(&mut authority.retiring, stamp);
    AUTHORITY.put(txn, AUTHORITY.key(stamp.group), &authority);
    Ok(authority)
}

/// Takes a node with a vote out. What it knew is changed behind it: one that comes and that it may
/// know already is thrown away, or followed by another one.
fn expel(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    id: u64,
    asked: RotateAuthority,
    emit: Emit<'_>,
) -> Result<Node> {
    let node = cluster::remove(txn, stamp, id, emit)?;
    let Some(mut authority) = query::authority(txn, stamp.group) else { return Ok(node) };
    let asked = RotateAuthority { reason: format!("node {} was removed", node.name), ..asked };
    if asked.hurry {
        hasten(&mut authority.retiring, stamp);
        AUTHORITY.put(txn, AUTHORITY.key(stamp.group), &authority);
    }
    match query::rotation(txn, stamp.group) {
        Some(under_way) if under_way.step == STEP_RENEW => {
            let hurry = under_way.hurry || asked.hurry;
            let overlap_ms = if hurry { 0 } else { under_way.overlap_ms };
            let again = Some(asked);
            put(txn, stamp, &Rotation { hurry, overlap_ms, again, ..under_way });
        }
        under_way => {
            let hurry = under_way.is_some_and(|under_way| under_way.hurry) || asked.hurry;
            begin(txn, stamp, RotateAuthority { hurry, ..asked }, emit);
        }
    }
    Ok(node)
}

fn hasten(retiring: &mut [RetiringAuthority], stamp: &Stamp) {
    for retiring in retiring {
        retiring.until_ms = retiring.until_ms.min(stamp.unix_ms);
        retiring.hurry = true;
    }
}

/// Of what counts no more its hash is kept for a while.
fn forget(authority: &mut Authority, gone: RetiringAuthority, emit: Emit<'_>) {
    let former = &mut authority.former;
    former.push(gone.hash.clone());
    let surplus = former.len().saturating_sub(FORMER_AUTHORITIES_MAX);
    former.drain(..surplus);
    let turned = AuthorityTurned {
        step: "dropped".to_owned(),
        hash: gone.hash,
        hurry: gone.hurry,
        ..AuthorityTurned::default()
    };
    emit(Emitted {
        kind: "keiko.security.authority.dropped".to_owned(),
        subject: "authority".to_owned(),
        body: body(security_event::Event::AuthorityTurned(turned)),
    });
}

fn signing(txn: &Txn<'_>, stamp: &Stamp) -> Result<Authority> {
    query::authority(txn, stamp.group)
        .ok_or_else(|| Refusal::new(Code::NotFounded, "there is no authority yet"))
}

fn at_step(txn: &Txn<'_>, stamp: &Stamp, step: &str) -> Result<Rotation> {
    let rotation = query::rotation(txn, stamp.group);
    rotation.filter(|rotation| rotation.step == step).ok_or_else(|| {
        Refusal::new(Code::RevisionConflict, format!("no rotation is at the step {step:?}"))
    })
}

fn put(txn: &mut Txn<'_>, stamp: &Stamp, rotation: &Rotation) {
    ROTATION.put(txn, ROTATION.key(stamp.group), rotation);
}

fn tell(step: &str, rotation: &Rotation, emit: Emit<'_>) {
    let hash = rotation.next.as_ref().map(|next| next.hash.clone()).unwrap_or_default();
    let turned = AuthorityTurned {
        step: step.to_owned(),
        hash,
        before_hash: rotation.before_hash.clone(),
        reason: rotation.reason.clone(),
        hurry: rotation.hurry,
    };
    emit(Emitted {
        kind: format!("keiko.security.authority.{step}"),
        subject: "authority".to_owned(),
        body: body(security_event::Event::AuthorityTurned(turned)),
    });
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
