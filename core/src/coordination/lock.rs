//! Locks: who holds one, with which token, and who is next.
//!
//! A mutex, a semaphore and an election are the same thing here: so many at a time, the others in
//! the order in which they came.

use super::model::{Acquire, By, End, Spot};
use super::state::{GRANTS, LOCKS, PLACES, WAITERS, check_room, count, tell};
use super::{query, session};
use crate::house::Emit;
use crate::limits::LOCK_WAITERS_MAX;
use crate::refusal::{Code, Refusal, Result};
use crate::stamp::Stamp;
use crate::store::Store;
use crate::txn::Txn;
use keiko_proto::v1::coordination_event::Event;
use keiko_proto::v1::{
    Lock, LockChanged, LockGrant, LockPlace, LockQueued, LockWaiter, WithdrawWaiterReply,
};

/// Holders that a refusal names.
const HOLDERS_NAMED: usize = 3;

/// What becomes of a wish.
pub(super) enum Acquired {
    Granted(LockGrant),
    Queued(LockWaiter),
}

/// Which grant is given back.
pub(super) struct Given {
    /// Whose; none: whoever's it is.
    pub(super) session: Option<String>,
    /// With which token; zero: with whatever token.
    pub(super) token: u64,
    pub(super) as_admin: bool,
}

pub(super) fn acquire(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    wish: Acquire,
    emit: Emit<'_>,
) -> Result<Acquired> {
    let session = session::used(txn, stamp, &wish.by)?.id;
    let lock = query::lock(txn, stamp.group, &wish.spot);
    if let Some(lock) = &lock {
        check_same(lock, &wish)?;
    }
    match query::lock_place(txn, stamp.group, &session, &wish.spot) {
        Some(LockPlace { token: 0, .. }) if !wish.wait => {
            return Err(held(txn, stamp, &wish.spot));
        }
        Some(LockPlace { token: 0, ticket }) => {
            let waiter = WAITERS.get(txn, &wish.spot.key(WAITERS.key(stamp.group)).number(ticket));
            let waiter = waiter.expect("invariant: who has a ticket waits");
            return Ok(Acquired::Queued(waiter));
        }
        Some(LockPlace { token, .. }) => {
            return Ok(Acquired::Granted(granted(txn, stamp, &wish.spot, token)));
        }
        None => {}
    }
    let mut lock = lock.unwrap_or_else(|| Lock {
        namespace: wish.spot.namespace.to_string(),
        name: wish.spot.name.to_string(),
        kind: wish.kind.as_str().to_owned(),
        limit: wish.limit,
        held: 0,
        waiting: 0,
    });
    let is_free = lock.held < lock.limit;
    if !is_free && !wish.wait {
        return Err(held(txn, stamp, &wish.spot));
    }
    check_room(txn, stamp, &session)?;
    let acquired = if is_free {
        Acquired::Granted(grant(txn, stamp, &mut lock, &wish.spot, session, wish.value, emit))
    } else {
        Acquired::Queued(queue(txn, stamp, &mut lock, &wish.spot, session, wish.value, emit)?)
    };
    count(txn, stamp.group, |record| record.places += 1);
    put(txn, stamp, &wish.spot, &lock);
    Ok(acquired)
}

/// Nobody waits for a lock that is free, so whoever comes to a free one is the next.
fn grant(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    lock: &mut Lock,
    spot: &Spot,
    session: String,
    value: String,
    emit: Emit<'_>,
) -> LockGrant {
    assert!(lock.held < lock.limit, "a lock has at most as many holders as its limit");
    let mut token = 0;
    count(txn, stamp.group, |record| {
        // Behind a restore, what was granted since the backup is not known any more; but the
        // revision is higher than any that was handed out.
        record.last_token = record.last_token.saturating_add(1).max(stamp.revision);
        token = record.last_token;
    });
    let grant = LockGrant { session, token, value, granted_ms: stamp.unix_ms };
    GRANTS.put(txn, spot.key(GRANTS.key(stamp.group)).number(token), &grant);
    put_place(txn, stamp, &grant.session, spot, LockPlace { token, ticket: 0 });
    lock.held += 1;
    tell("lock.granted", spot.subject("lock"), Event::LockGranted(changed(lock, &grant)), emit);
    grant
}

fn queue(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    lock: &mut Lock,
    spot: &Spot,
    session: String,
    value: String,
    emit: Emit<'_>,
) -> Result<LockWaiter> {
    if lock.waiting as usize >= LOCK_WAITERS_MAX {
        return Err(Refusal::new(
            Code::LimitExceeded,
            format!("{LOCK_WAITERS_MAX} wait for lock {spot} already"),
        )
        .hint(format!("keikoctl lock get {} shows who holds it", spot.name)));
    }
    // One entry queues one, so its index is a place of its own behind all before it.
    let ticket = stamp.index;
    let waiter = LockWaiter { session, ticket, value, queued_ms: stamp.unix_ms };
    WAITERS.put(txn, spot.key(WAITERS.key(stamp.group)).number(ticket), &waiter);
    put_place(txn, stamp, &waiter.session, spot, LockPlace { token: 0, ticket });
    lock.waiting += 1;
    tell("lock.queued", spot.subject("lock"), Event::LockQueued(queued(lock, &waiter)), emit);
    Ok(waiter)
}

pub(super) fn release(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    spot: &Spot,
    given: Given,
    emit: Emit<'_>,
) -> Result<LockGrant> {
    let Given { session, token, as_admin } = given;
    let grant = match &session {
        Some(session) => query::lock_place(txn, stamp.group, session, spot)
            .filter(|place| place.token != 0 && (token == 0 || place.token == token))
            .map(|place| granted(txn, stamp, spot, place.token)),
        None => query::grant_with(txn, stamp.group, spot, token),
    };
    let owner = session.or_else(|| grant.as_ref().map(|grant| grant.session.clone()));
    if let Some(session) = owner {
        session::used(txn, stamp, &By { session, as_admin })?;
    }
    let Some(grant) = grant else {
        return Err(Refusal::new(
            Code::LockNotHeld,
            format!("lock {spot} is not held like that, so there is nothing to give back"),
        )
        .cause("it was released before, or its session ended")
        .hint(format!("keikoctl lock get {} shows who holds it", spot.name)));
    };
    give_back(txn, stamp, spot, grant.token, None, emit);
    Ok(grant)
}

/// Takes a grant away and gives it to the next in line. `end`: with its session.
pub(super) fn give_back(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    spot: &Spot,
    token: u64,
    end: Option<End>,
    emit: Emit<'_>,
) {
    let given = granted(txn, stamp, spot, token);
    let mut lock = known(txn, stamp, spot);
    GRANTS.delete(txn, spot.key(GRANTS.key(stamp.group)).number(token));
    delete_place(txn, stamp, &given.session, spot);
    lock.held -= 1;
    let (about, told) = (spot.subject("lock"), changed(&lock, &given));
    match end {
        Some(End::Expired) => tell("lock.expired", about, Event::LockExpired(told), emit),
        Some(End::Closed) | None => tell("lock.released", about, Event::LockReleased(told), emit),
    }
    while lock.held < lock.limit {
        let Some(waiter) = query::next_waiter(txn, stamp.group, spot) else { break };
        WAITERS.delete(txn, spot.key(WAITERS.key(stamp.group)).number(waiter.ticket));
        lock.waiting -= 1;
        let LockWaiter { session, value, .. } = waiter;
        grant(txn, stamp, &mut lock, spot, session, value, emit);
    }
    put(txn, stamp, spot, &lock);
}

pub(super) fn withdraw(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    by: &By,
    spot: &Spot,
    ticket: u64,
    emit: Emit<'_>,
) -> Result<WithdrawWaiterReply> {
    let session = session::used(txn, stamp, by)?.id;
    match query::lock_place(txn, stamp.group, &session, spot) {
        Some(place) if place.token != 0 => {
            let granted = Some(granted(txn, stamp, spot, place.token));
            Ok(WithdrawWaiterReply { withdrawn: false, granted })
        }
        Some(place) if place.ticket == ticket => {
            unqueue(txn, stamp, &session, spot, ticket, emit);
            Ok(WithdrawWaiterReply { withdrawn: true, granted: None })
        }
        Some(_) | None => Ok(WithdrawWaiterReply::default()),
    }
}

/// Takes a place in a queue back. Those behind it move up.
pub(super) fn unqueue(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    session: &str,
    spot: &Spot,
    ticket: u64,
    emit: Emit<'_>,
) {
    let key = spot.key(WAITERS.key(stamp.group)).number(ticket);
    let waiter = WAITERS.get(txn, &key).expect("invariant: who has a ticket waits");
    let mut lock = known(txn, stamp, spot);
    WAITERS.delete(txn, key);
    delete_place(txn, stamp, session, spot);
    lock.waiting -= 1;
    tell(
        "lock.withdrawn",
        spot.subject("lock"),
        Event::LockWithdrawn(queued(&lock, &waiter)),
        emit,
    );
    put(txn, stamp, spot, &lock);
}

/// Refuses a wish for what the lock is not.
fn check_same(lock: &Lock, wish: &Acquire) -> Result<()> {
    if lock.kind == wish.kind.as_str() && lock.limit == wish.limit {
        return Ok(());
    }
    let says = |kind: &str, limit: u32| format!("{kind} of {limit}");
    Err(Refusal::new(
        Code::LockMismatch,
        format!(
            "lock {} is held as {}, not as {}",
            wish.spot,
            says(&lock.kind, lock.limit),
            says(wish.kind.as_str(), wish.limit)
        ),
    )
    .cause("whoever takes a free lock says what it is, until nobody holds it")
    .hint("ask for it as it is, or take another name"))
}

fn held(store: &dyn Store, stamp: &Stamp, spot: &Spot) -> Refusal {
    let mut refusal = Refusal::new(Code::LockHeld, format!("lock {spot} is held"));
    for grant in query::grants(store, stamp.group, spot).take(HOLDERS_NAMED) {
        let session = query::session(store, stamp.group, &grant.session).unwrap_or_default();
        let name = match session.name.as_str() {
            "" => String::new(),
            name => format!("{name}, "),
        };
        let LockGrant { token, value, .. } = grant;
        let value = if value.is_empty() { value } else { format!(", {value}") };
        refusal = refusal.cause(format!("{name}session {}: token {token}{value}", session.id));
    }
    refusal
        .hint("without --no-wait it is granted in turn")
        .hint(format!("keikoctl lock get {} shows who holds it and who waits", spot.name))
}

fn granted(store: &dyn Store, stamp: &Stamp, spot: &Spot, token: u64) -> LockGrant {
    query::grant_with(store, stamp.group, spot, token).expect("invariant: who has a token holds")
}

fn known(store: &dyn Store, stamp: &Stamp, spot: &Spot) -> Lock {
    query::lock(store, stamp.group, spot).expect("invariant: what is held or awaited has a row")
}

fn put(txn: &mut Txn<'_>, stamp: &Stamp, spot: &Spot, lock: &Lock) {
    let key = spot.key(LOCKS.key(stamp.group));
    if lock.held > 0 {
        return LOCKS.put(txn, key, lock);
    }
    assert_eq!(lock.waiting, 0, "nobody waits for a lock that is free");
    LOCKS.delete(txn, key);
}

fn put_place(txn: &mut Txn<'_>, stamp: &Stamp, session: &str, spot: &Spot, place: LockPlace) {
    PLACES.put(txn, spot.key(PLACES.key(stamp.group).text(session)), &place);
}

fn delete_place(txn: &mut Txn<'_>, stamp: &Stamp, session: &str, spot: &Spot) {
    PLACES.delete(txn, spot.key(PLACES.key(stamp.group).text(session)));
    count(txn, stamp.group, |record| record.places -= 1);
}

fn changed(lock: &Lock, grant: &LockGrant) -> LockChanged {
    let Lock { namespace, name, kind, .. } = lock.clone();
    LockChanged { grant: Some(grant.clone()), namespace, name, kind }
}

fn queued(lock: &Lock, waiter: &LockWaiter) -> LockQueued {
    let Lock { namespace, name, kind, .. } = lock.clone();
    LockQueued { waiter: Some(waiter.clone()), namespace, name, kind }
}
