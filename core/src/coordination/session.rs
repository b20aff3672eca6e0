//! Sessions: who opened one, until when it lives, and what ends with it.

use super::model::{By, End, Spot, spot_of};
use super::state::{PLACES, SESSIONS, count, tell};
use super::{barrier, lock, query};
use crate::house::Emit;
use crate::limits::SESSIONS_MAX;
use crate::refusal::{Code, Refusal, Result, refuse};
use crate::stamp::Stamp;
use crate::store::Store;
use crate::txn::Txn;
use keiko_proto::v1::coordination_event::Event;
use keiko_proto::v1::{DueSession, LockPlace, Session};

pub(super) fn open(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    id: String,
    name: String,
    ttl_ms: u64,
    emit: Emit<'_>,
) -> Result<Session> {
    if query::session(txn, stamp.group, &id).is_some() {
        return refuse(Code::NameTaken, format!("a session {id} exists"));
    }
    if query::record(txn, stamp.group).sessions as usize >= SESSIONS_MAX {
        return Err(Refusal::new(
            Code::LimitExceeded,
            format!("there are {SESSIONS_MAX} sessions"),
        )
        .hint("close those that are done, or take a shorter --ttl"));
    }
    let session = Session {
        id,
        owner: Some(stamp.actor.clone()),
        name,
        ttl_ms,
        expires_ms: stamp.unix_ms.saturating_add(ttl_ms),
        opened_ms: stamp.unix_ms,
    };
    put(txn, stamp, &session);
    count(txn, stamp.group, |record| record.sessions += 1);
    let event = Event::SessionOpened(session.clone());
    tell("session.opened", subject(&session), event, emit);
    Ok(session)
}

/// Told by no event: that something is still so is no change.
pub(super) fn keep(txn: &mut Txn<'_>, stamp: &Stamp, by: &By) -> Result<Session> {
    let session = used(txn, stamp, by)?;
    let expires_ms = stamp.unix_ms.saturating_add(session.ttl_ms);
    let session = Session { expires_ms: expires_ms.max(session.expires_ms), ..session };
    put(txn, stamp, &session);
    Ok(session)
}

pub(super) fn close(txn: &mut Txn<'_>, stamp: &Stamp, by: &By, emit: Emit<'_>) -> Result<Session> {
    let session = used(txn, stamp, by)?;
    end(txn, stamp, vec![session.clone()], End::Closed, emit);
    Ok(session)
}

/// Ends those whose time is over and that were not kept since the driver looked. How many.
pub(super) fn expire(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    due: Vec<DueSession>,
    emit: Emit<'_>,
) -> u32 {
    let mut over: Vec<Session> = Vec::new();
    for DueSession { id, expires_ms } in due {
        let is_new = over.iter().all(|session| session.id != id);
        let found = query::session(txn, stamp.group, &id).filter(|session| {
            is_new && session.expires_ms == expires_ms && expires_ms <= stamp.unix_ms
        });
        over.extend(found);
    }
    let expired = over.len();
    end(txn, stamp, over, End::Expired, emit);
    u32::try_from(expired).unwrap_or(u32::MAX)
}

/// Queues are left before grants are given back: none goes to a session that ends in this entry.
fn end(txn: &mut Txn<'_>, stamp: &Stamp, sessions: Vec<Session>, how: End, emit: Emit<'_>) {
    let mut held: Vec<(Spot, u64)> = Vec::new();
    for session in &sessions {
        for (spot, place) in places(txn, stamp, &session.id) {
            match place.token {
                0 => lock::unqueue(txn, stamp, &session.id, &spot, place.ticket, emit),
                token => held.push((spot, token)),
            }
        }
        for spot in query::arrivals_of(txn, stamp.group, &session.id) {
            barrier::take_back(txn, stamp, &session.id, &spot, emit);
        }
    }
    for (spot, token) in held {
        lock::give_back(txn, stamp, &spot, token, Some(how), emit);
    }
    for session in sessions {
        SESSIONS.delete(txn, SESSIONS.key(stamp.group).text(&session.id));
        count(txn, stamp.group, |record| record.sessions -= 1);
        let about = subject(&session);
        match how {
            End::Closed => tell("session.closed", about, Event::SessionClosed(session), emit),
            End::Expired => tell("session.expired", about, Event::SessionExpired(session), emit),
        }
    }
}

fn places(store: &dyn Store, stamp: &Stamp, session: &str) -> Vec<(Spot, LockPlace)> {
    let prefix = PLACES.key(stamp.group).text(session);
    let spot = |key: Vec<u8>| spot_of(&key).expect("invariant: a place's key names its lock");
    PLACES.scan(store, &prefix).map(|(key, place)| (spot(key), place)).collect()
}

/// The session that somebody wants to use, if it lives and is theirs.
pub(super) fn used(store: &dyn Store, stamp: &Stamp, by: &By) -> Result<Session> {
    let Some(session) = query::session(store, stamp.group, &by.session) else {
        return Err(Refusal::new(
            Code::SessionEnded,
            format!("session {} ended, or there never was one", by.session),
        )
        .cause("what it held went to the next in line when it ended")
        .hint("stop what it guarded, then begin with a new session"));
    };
    if !by.as_admin && session.owner.as_ref() != Some(&stamp.actor) {
        return Err(Refusal::new(
            Code::PermissionDenied,
            format!("session {} belongs to somebody else", by.session),
        )
        .hint("only who opened a session and an admin may use it: keikoctl whoami"));
    }
    Ok(session)
}

fn put(txn: &mut Txn<'_>, stamp: &Stamp, session: &Session) {
    SESSIONS.put(txn, SESSIONS.key(stamp.group).text(&session.id), session);
}

fn subject(session: &Session) -> String {
    format!("session/{}", session.id)
}
