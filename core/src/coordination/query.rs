//! What can be read.

use super::model::{Fenced, Spot, spot_of};
use super::state::{
    ARRIVALS, ARRIVED, BARRIERS, GRANTS, LOCKS, PLACES, RECORD, SESSIONS, WAITERS, WINDOWS,
};
use super::window::covers;
use crate::id::GroupId;
use crate::key::Parts;
use crate::refusal::{Code, Refusal, Result};
use crate::store::Store;
use keiko_proto::v1::{
    Barrier, CoordinationRecord, Fence, Lock, LockGrant, LockHolder, LockInfo, LockPlace,
    LockQueuer, LockWaiter, MaintenanceWindow, Session,
};

/// What the room counts.
pub fn record(store: &dyn Store, group: GroupId) -> CoordinationRecord {
    RECORD.get(store, &RECORD.key(group)).unwrap_or_default()
}

/// A session that has not ended.
pub fn session(store: &dyn Store, group: GroupId, id: &str) -> Option<Session> {
    SESSIONS.get(store, &SESSIONS.key(group).text(id))
}

/// Every session, by id.
pub fn sessions(store: &dyn Store, group: GroupId) -> Vec<Session> {
    SESSIONS.scan(store, &SESSIONS.key(group)).map(|(_, session)| session).collect()
}

/// A lock that somebody holds.
pub fn lock(store: &dyn Store, group: GroupId, spot: &Spot) -> Option<Lock> {
    LOCKS.get(store, &spot.key(LOCKS.key(group)))
}

/// What a session has at a lock.
pub fn lock_place(
    store: &dyn Store,
    group: GroupId,
    session: &str,
    spot: &Spot,
) -> Option<LockPlace> {
    PLACES.get(store, &spot.key(PLACES.key(group).text(session)))
}

/// The grant of a lock with a token.
pub fn grant_with(store: &dyn Store, group: GroupId, spot: &Spot, token: u64) -> Option<LockGrant> {
    GRANTS.get(store, &spot.key(GRANTS.key(group)).number(token))
}

/// In the order of their tokens.
pub(super) fn grants<'a>(
    store: &'a dyn Store,
    group: GroupId,
    spot: &Spot,
) -> impl Iterator<Item = LockGrant> + use<'a> {
    GRANTS.scan(store, &spot.key(GRANTS.key(group))).map(|(_, grant)| grant)
}

/// In the order of the queue.
pub(super) fn waiters<'a>(
    store: &'a dyn Store,
    group: GroupId,
    spot: &Spot,
) -> impl Iterator<Item = LockWaiter> + use<'a> {
    WAITERS.scan(store, &spot.key(WAITERS.key(group))).map(|(_, waiter)| waiter)
}

pub(super) fn next_waiter(store: &dyn Store, group: GroupId, spot: &Spot) -> Option<LockWaiter> {
    waiters(store, group, spot).next()
}

/// A lock with its holders and its queue, at most so many of each.
pub fn lock_info(
    store: &dyn Store,
    group: GroupId,
    spot: &Spot,
    at_most: usize,
) -> Option<LockInfo> {
    lock(store, group, spot).map(|lock| informed(store, group, spot, lock, at_most))
}

/// Locks by namespace and name, at most `limit` of them behind `after`, each as [`lock_info`] shows
/// it. True if there are more.
pub fn locks(
    store: &dyn Store,
    group: GroupId,
    namespace: Option<&str>,
    after: Option<&Spot>,
    limit: usize,
    at_most: usize,
) -> (Vec<LockInfo>, bool) {
    let table = LOCKS.key(group);
    let prefix = namespace.map_or_else(|| table.clone(), |namespace| table.clone().text(namespace));
    let mut found: Vec<_> = LOCKS
        .scan(store, &prefix)
        .filter_map(|(_, lock)| {
            let spot = Spot::parse("lock", &lock.namespace, &lock.name).ok()?;
            Some((spot, lock))
        })
        .skip_while(|(spot, _)| after.is_some_and(|after| spot <= after))
        .take(limit.saturating_add(1))
        .collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let items = found.into_iter().map(|(spot, lock)| informed(store, group, &spot, lock, at_most));
    (items.collect(), more)
}

fn informed(
    store: &dyn Store,
    group: GroupId,
    spot: &Spot,
    lock: Lock,
    at_most: usize,
) -> LockInfo {
    let queuer = |waiter: LockWaiter| {
        let Session { name, owner, .. } =
            session(store, group, &waiter.session).unwrap_or_default();
        let LockWaiter { session, value, queued_ms, .. } = waiter;
        LockQueuer { session, value, queued_ms, session_name: name, owner }
    };
    let holders = grants(store, group, spot).take(at_most);
    LockInfo {
        lock: Some(lock),
        holders: holders.map(|grant| holder(store, group, grant)).collect(),
        queue: waiters(store, group, spot).take(at_most).map(queuer).collect(),
    }
}

/// A grant, with what there is to its session; nothing if it ended.
pub fn holder(store: &dyn Store, group: GroupId, grant: LockGrant) -> LockHolder {
    let Session { name, owner, expires_ms, .. } =
        session(store, group, &grant.session).unwrap_or_default();
    let LockGrant { session, token, value, granted_ms } = grant;
    LockHolder { session, token, value, granted_ms, session_name: name, owner, expires_ms }
}

/// What there is to a fencing token at a time.
pub fn fenced(store: &dyn Store, group: GroupId, spot: &Spot, token: u64, now_ms: u64) -> Fenced {
    let newest = grants(store, group, spot).last().map_or(0, |grant| grant.token);
    let holder = grant_with(store, group, spot, token);
    let session = holder.and_then(|grant| session(store, group, &grant.session));
    let expires_ms = session.map_or(0, |session| session.expires_ms);
    Fenced { held: expires_ms > now_ms, newest, expires_ms }
}

/// Refuses a fence whose token is not held at a time: its lock is somebody else's or nobody's, or
/// its holder's session is over, whether or not that was told.
pub fn check_fence(store: &dyn Store, group: GroupId, fence: &Fence, now_ms: u64) -> Result<()> {
    let Fence { namespace, lock, token } = fence;
    let spot = Spot::parse("lock", namespace, lock)?;
    let Fenced { held, newest, expires_ms } = fenced(store, group, &spot, *token, now_ms);
    if held {
        return Ok(());
    }
    let refusal = Refusal::new(
        Code::FenceStale,
        format!("lock {spot} is not held with token {token}: nothing was done"),
    );
    let why = match (expires_ms, newest) {
        (0, 0) => "nobody holds it".to_owned(),
        (0, newest) => format!("its newest token is {newest}"),
        (ended, _) => format!("its session ended {} ms ago", now_ms - ended),
    };
    let hint = format!("stop what it guarded; to begin anew: keikoctl lock acquire {}", spot.name);
    Err(refusal.cause(why).hint(hint))
}

/// A barrier that somebody waits at, or that opened not long ago.
pub fn barrier(store: &dyn Store, group: GroupId, spot: &Spot) -> Option<Barrier> {
    BARRIERS.get(store, &spot.key(BARRIERS.key(group)))
}

/// Every barrier, by namespace and name.
pub fn barriers(store: &dyn Store, group: GroupId, namespace: Option<&str>) -> Vec<Barrier> {
    let table = BARRIERS.key(group);
    let prefix = namespace.map_or_else(|| table.clone(), |namespace| table.clone().text(namespace));
    BARRIERS.scan(store, &prefix).map(|(_, barrier)| barrier).collect()
}

/// The sessions that wait at a barrier.
pub(super) fn arrived(store: &dyn Store, group: GroupId, spot: &Spot) -> Vec<String> {
    let session = |key: Vec<u8>| {
        let mut parts = Parts::of(&key);
        let session = parts.text().and_then(|_| parts.text()).and_then(|_| parts.text());
        session.expect("invariant: an arrival's key names its session")
    };
    ARRIVED.scan(store, &spot.key(ARRIVED.key(group))).map(session).collect()
}

/// True if the session waits at the barrier.
pub fn has_arrived(store: &dyn Store, group: GroupId, spot: &Spot, session: &str) -> bool {
    ARRIVED.scan(store, &spot.key(ARRIVED.key(group)).text(session)).next().is_some()
}

/// The barriers at which a session waits.
pub(super) fn arrivals_of(store: &dyn Store, group: GroupId, session: &str) -> Vec<Spot> {
    let spot = |key: Vec<u8>| spot_of(&key).expect("invariant: an arrival's key names its barrier");
    ARRIVALS.scan(store, &ARRIVALS.key(group).text(session)).map(spot).collect()
}

/// Grants, places in queues and arrivals of a session.
pub(super) fn places_of(store: &dyn Store, group: GroupId, session: &str) -> usize {
    let places = PLACES.scan(store, &PLACES.key(group).text(session)).count();
    places + ARRIVALS.scan(store, &ARRIVALS.key(group).text(session)).count()
}

/// A maintenance window by its name.
pub fn window(store: &dyn Store, group: GroupId, name: &str) -> Option<MaintenanceWindow> {
    WINDOWS.get(store, &WINDOWS.key(group).text(name))
}

/// Every maintenance window, by name.
pub fn windows(store: &dyn Store, group: GroupId) -> Vec<MaintenanceWindow> {
    WINDOWS.scan(store, &WINDOWS.key(group)).map(|(_, window)| window).collect()
}

/// The maintenance windows of something at a time: of `node/n1`, say.
pub fn active_windows(
    store: &dyn Store,
    group: GroupId,
    subject: &str,
    now_ms: u64,
) -> Vec<MaintenanceWindow> {
    let mut windows = windows(store, group);
    windows.retain(|window| {
        let is_active = (window.starts_ms..window.ends_ms).contains(&now_ms);
        is_active && covers(&window.scope, subject)
    });
    windows
}
