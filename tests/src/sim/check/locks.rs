//! A lock has as many holders as its row says, no more than its limit, and no more than who asked
//! for it wanted; nobody waits for one that is free, and whoever waits is next in turn. Each token
//! is higher than all before it. What is fenced counts only while its grant is there, in a session
//! whose time is not over. And a session ends with all that it has, when it is told to or its time
//! is over.
//!
//! The model is what the rows say, remembered from entry to entry.

use super::{Check, Class, ensure};
use crate::sim::layout::{GRANTS, LOCKS, SESSIONS, WAITERS, place};
use crate::sim::oracle::{Change, Step};
use keiko_core::key::Parts;
use keiko_core::store::Space;
use keiko_proto::v1::coordination_op::Op;
use keiko_proto::v1::coordination_reply::Reply;
use keiko_proto::v1::{self as wire, entry::Room};
use std::collections::{BTreeMap, BTreeSet};

/// Namespace and name.
type Spot = (String, String);
/// Sessions at locks, by lock and by token or ticket.
type Places = BTreeMap<Spot, BTreeMap<u64, String>>;

#[derive(Default)]
pub(super) struct Locks {
    /// The highest token that was ever given.
    newest: u64,
    sessions: BTreeMap<String, wire::Session>,
    locks: BTreeMap<Spot, wire::Lock>,
    grants: Places,
    waiters: Places,
}

/// A grant that an entry made.
struct Given {
    spot: Spot,
    token: u64,
    session: String,
    /// The place in the queue that it had before.
    ticket: Option<u64>,
}

impl Locks {
    pub(super) fn step(&mut self, step: &Step<'_>, class: Class) -> Check {
        if class == Class::New && step.is_accepted() {
            self.fenced(step)?;
        }
        let mut given: Vec<_> = step.changes.iter().filter_map(|it| self.given(it)).collect();
        given.sort_by_key(|given| given.token);
        let (mut touched, mut ended) = (BTreeSet::new(), Vec::new());
        for change in step.changes.iter().filter(|change| change.space == Space::State) {
            self.follow(change, &mut touched, &mut ended);
        }
        for given in &given {
            self.in_turn(step, given)?;
        }
        for spot in &touched {
            self.counted(spot)?;
        }
        for session in &ended {
            self.ended(step, session)?;
        }
        self.as_asked(step, class)
    }

    /// What is accepted with a fence had the lock, before anything was done.
    fn fenced(&self, step: &Step<'_>) -> Check {
        let fence = step.entry.as_ref().and_then(|entry| entry.fence.as_ref());
        let Some(wire::Fence { namespace, lock, token }) = fence else { return Ok(()) };
        let session = self.grants.get(&spot(namespace, lock)).and_then(|held| held.get(token));
        let session = session.and_then(|session| self.sessions.get(session));
        let ends_ms = session.map_or(0, |session| session.expires_ms);
        ensure(ends_ms > step.after.unix_ms, || {
            format!("{fence:?} is let through at {} ms: {session:?}", step.after.unix_ms)
        })
    }

    fn given(&self, change: &Change) -> Option<Given> {
        if change.space != Space::State || place(&change.key) != GRANTS || change.old.is_some() {
            return None;
        }
        let (spot, token) = spot_of(&change.key);
        let session = read::<wire::LockGrant>(change.new.as_deref())?.session;
        let queue = self.waiters.get(&spot);
        let ticket = queue.and_then(|queue| queue.iter().find(|(_, other)| **other == session));
        let ticket = ticket.map(|(ticket, _)| *ticket);
        Some(Given { spot, token: token.unwrap_or_default(), session, ticket })
    }

    fn follow(
        &mut self,
        change: &Change,
        touched: &mut BTreeSet<Spot>,
        ended: &mut Vec<wire::Session>,
    ) {
        let new = change.new.as_deref();
        match place(&change.key) {
            SESSIONS => {
                let id = Parts::of(&change.key).text().unwrap_or_default();
                match read(new) {
                    Some(session) => drop(self.sessions.insert(id, session)),
                    None => ended.extend(self.sessions.remove(&id)),
                }
            }
            LOCKS => {
                let (spot, _) = spot_of(&change.key);
                match read(new) {
                    Some(lock) => drop(self.locks.insert(spot.clone(), lock)),
                    None => drop(self.locks.remove(&spot)),
                }
                touched.insert(spot);
            }
            GRANTS => {
                let session = read::<wire::LockGrant>(new).map(|grant| grant.session);
                touched.insert(put(&mut self.grants, &change.key, session));
            }
            WAITERS => {
                let session = read::<wire::LockWaiter>(new).map(|waiter| waiter.session);
                touched.insert(put(&mut self.waiters, &change.key, session));
            }
            _ => {}
        }
    }

    /// Who comes to a free lock finds no queue; who is granted from a queue was its first.
    fn in_turn(&mut self, step: &Step<'_>, given: &Given) -> Check {
        let Given { spot, token, session, ticket } = given;
        ensure(*token > self.newest && *token >= step.after.revision, || {
            format!("{spot:?} is given token {token} behind {}", self.newest)
        })?;
        self.newest = *token;
        ensure(self.sessions.contains_key(session), || {
            format!("{spot:?} is given to session {session}, which ended")
        })?;
        let first = self.waiters.get(spot).and_then(|queue| queue.keys().next());
        let is_next = first.is_none_or(|first| ticket.is_some_and(|ticket| ticket < *first));
        ensure(is_next, || format!("{spot:?} is given to {ticket:?} before {first:?}"))
    }

    fn counted(&self, spot: &Spot) -> Check {
        let count = |places: &Places| places.get(spot).map_or(0, BTreeMap::len);
        let (held, waiting) = (count(&self.grants), count(&self.waiters));
        let Some(lock) = self.locks.get(spot) else {
            return ensure(held + waiting == 0, || format!("{spot:?} is held and has no row"));
        };
        let is_counted = (lock.held as usize, lock.waiting as usize) == (held, waiting);
        ensure(is_counted && held > 0 && held <= lock.limit as usize, || {
            format!("{held} hold and {waiting} await {lock:?}")
        })?;
        ensure(waiting == 0 || held == lock.limit as usize, || format!("{lock:?} is free"))
    }

    fn ended(&self, step: &Step<'_>, session: &wire::Session) -> Check {
        let is_its = |(_, at): (&Spot, &BTreeMap<u64, String>)| {
            at.values().any(|other| *other == session.id)
        };
        let is_left = self.grants.iter().any(is_its) || self.waiters.iter().any(is_its);
        ensure(!is_left, || format!("{session:?} ended and has something"))?;
        let is_due = match op(step) {
            Some(Op::CloseSession(close)) => close.id == session.id,
            Some(Op::ExpireSessions(_)) => session.expires_ms <= step.after.unix_ms,
            _ => false,
        };
        ensure(is_due, || format!("{session:?} ends at {} ms: {:?}", step.after.unix_ms, op(step)))
    }

    /// Who is granted a lock shares it with no more than was asked for.
    fn as_asked(&self, step: &Step<'_>, class: Class) -> Check {
        let Some(Op::AcquireLock(acquire)) = op(step).filter(|_| class == Class::New) else {
            return Ok(());
        };
        let is_granted = matches!(
            &step.reply.result,
            Some(wire::reply::Result::Coordination(reply))
                if matches!(reply.reply, Some(Reply::Granted(_)))
        );
        let spot = spot(&acquire.namespace, &acquire.name);
        let held = self.grants.get(&spot).map_or(0, BTreeMap::len);
        ensure(!is_granted || held <= acquire.limit as usize, || {
            format!("{held} hold what was asked for {acquire:?}")
        })
    }
}

fn op<'s>(step: &'s Step<'_>) -> Option<&'s Op> {
    match step.entry.as_ref()?.room.as_ref()? {
        Room::Coordination(op) => op.op.as_ref(),
        _ => None,
    }
}

fn spot(namespace: &str, name: &str) -> Spot {
    let namespace = if namespace.is_empty() { "default" } else { namespace };
    (namespace.to_owned(), name.to_owned())
}

/// The lock of a row, and its token or ticket.
fn spot_of(key: &[u8]) -> (Spot, Option<u64>) {
    let mut parts = Parts::of(key);
    let (namespace, name) = (parts.text(), parts.text());
    ((namespace.unwrap_or_default(), name.unwrap_or_default()), parts.number())
}

/// A row: a version, what it holds.
fn read<M: prost::Message + Default>(row: Option<&[u8]>) -> Option<M> {
    row.map(|row| M::decode(&row[1..]).expect("invariant: a row is readable"))
}

fn put(places: &mut Places, key: &[u8], session: Option<String>) -> Spot {
    let (spot, number) = spot_of(key);
    let (at, number) = (places.entry(spot.clone()).or_default(), number.unwrap_or_default());
    match session {
        Some(session) => drop(at.insert(number, session)),
        None => drop(at.remove(&number)),
    }
    spot
}
