//! Locks acquired, awaited, released, shown, and their tokens checked.

use super::super::control::unexpected;
use super::super::follow::Follower;
use super::asker::{self, Asker, resource};
use super::service::{GROUP, Service};
use super::wait::{self, Place, Woken};
use crate::net::{Identity, Permission, Resource};
use crate::store::View;
use keiko_core::coordination::{self, LockKind, Spot};
use keiko_core::id::Name;
use keiko_core::refusal::{Code, Refusal, Result, refuse};
use keiko_proto::v1::coordination_event::Event;
use keiko_proto::v1::coordination_op::Op;
use keiko_proto::v1::coordination_reply::Reply;
use keiko_proto::v1::{
    AcquireLock, AcquireLockRequest, AcquireLockResponse, CheckFenceRequest, CheckFenceResponse,
    Consistency, CoordinationEvent, GetLockRequest, GetLockResponse, ListLocksRequest,
    ListLocksResponse, LockGrant, LockPlace, ReleaseLock, ReleaseLockRequest, ReleaseLockResponse,
    WithdrawWaiter, WriteInfo,
};
use tokio::time::Instant;
use tonic::Request;

/// Locks of one page: 500 with two holders and two waiters of 700 bytes are below 2 MiB.
const PAGE_MAX: usize = 500;
/// Of the holders and of the queue of each lock in a list.
const SHOWN: usize = 2;

/// How often a call queues up again whose place was taken back under it.
const AGAIN_MAX: u32 = 8;

pub(super) async fn acquire(
    service: &Service,
    request: Request<AcquireLockRequest>,
) -> Result<AcquireLockResponse> {
    let begun = Instant::now();
    let asked = request.get_ref();
    let spot = Spot::parse("lock", &asked.namespace, &asked.name)?;
    let asker = Asker::of(&service.control, &request, &asked.request_id, &resource("lock", &spot))?;
    let until = wait::until(&request, asked.wait_ms);
    let AcquireLockRequest { session, kind, limit, value, wait, keep_place, .. } =
        request.into_inner();
    let (kind, limit) = meant(&kind, limit)?;
    let wish = AcquireLock {
        session,
        namespace: spot.namespace.to_string(),
        name: spot.name.to_string(),
        kind: kind.as_str().to_owned(),
        limit,
        value,
        wait,
        as_admin: asker.is_admin(),
    };
    let _turn = if wait { Some(service.turns.take()?) } else { None };
    let patience = Patience { until, keep_place };
    let (grant, write) = granted(asker, &spot, wish, patience).await?;
    let query = {
        let spot = spot.clone();
        move |view: &View<'_>| {
            let lock = coordination::lock(view, GROUP, &spot);
            (coordination::holder(view, GROUP, grant), lock)
        }
    };
    let (holder, lock) = service.control.read_local(query).await?;
    let waited_ms = if wait { begun.elapsed().as_millis() } else { 0 };
    Ok(AcquireLockResponse {
        holder: Some(holder),
        lock,
        write: Some(write),
        waited_ms: u64::try_from(waited_ms).unwrap_or(u64::MAX),
    })
}

/// What is asked for by who says only half of it.
fn meant(kind: &str, limit: u32) -> Result<(LockKind, u32)> {
    let kind = match (kind, limit) {
        ("", 0 | 1) => LockKind::Lock,
        ("", _) => LockKind::Semaphore,
        (kind, _) => LockKind::parse(kind)?,
    };
    Ok((kind, limit.max(1)))
}

/// How long a call waits, and what becomes of its place behind that.
#[derive(Clone, Copy)]
struct Patience {
    until: Instant,
    keep_place: bool,
}

/// Asks, and waits in the queue if that was wished.
async fn granted(
    asker: Asker,
    spot: &Spot,
    wish: AcquireLock,
    patience: Patience,
) -> Result<(LockGrant, WriteInfo)> {
    let mut asker = asker;
    for _ in 0..AGAIN_MAX {
        match asker.propose(Op::AcquireLock(wish.clone())).await? {
            (Reply::Granted(grant), write) => return Ok((grant, write)),
            (Reply::Queued(waiter), write) => {
                let queue = Queue { asker: &asker, spot, wish: &wish, patience };
                if let Some(granted) = queue.wait(waiter.ticket, write).await? {
                    return Ok(granted);
                }
            }
            _ => return Err(unexpected()),
        }
        // The answer was to an earlier try, whose place was taken back when its call was cut.
        asker = asker.anew();
    }
    Err(late(spot))
}

/// A call in the queue of a lock.
struct Queue<'q> {
    asker: &'q Asker,
    spot: &'q Spot,
    wish: &'q AcquireLock,
    patience: Patience,
}

/// What the session has at the lock.
enum Seen {
    Granted(LockGrant, WriteInfo),
    Queued,
    Nothing,
}

impl Queue<'_> {
    /// Until it is granted; none if there is no such place any more.
    async fn wait(&self, ticket: u64, queued: WriteInfo) -> Result<Option<(LockGrant, WriteInfo)>> {
        let AcquireLock { session, namespace, name, as_admin, .. } = self.wish.clone();
        let withdraw = WithdrawWaiter { session, namespace, name, ticket, as_admin };
        let place = Place::new(self.asker, Op::WithdrawWaiter(withdraw));
        let mut follower = Follower::near(self.asker.control(), queued.revision)?;
        let mut told = None;
        loop {
            match self.look(ticket).await? {
                Seen::Granted(grant, seen) => {
                    place.settled();
                    return Ok(Some((grant, told.unwrap_or(seen))));
                }
                Seen::Queued => {}
                Seen::Nothing => {
                    place.settled();
                    return Ok(None);
                }
            }
            let concerns = |event: &CoordinationEvent| self.concerns(event);
            match wait::next(&mut follower, self.patience.until, concerns).await? {
                Woken::Look(write) => told = write,
                // What was granted with the last moment, the next call is told.
                Woken::Late if self.patience.keep_place => {
                    place.settled();
                    return Err(not_yet(self.spot).cause("its place in the queue is kept"));
                }
                Woken::Late => {
                    let given_up = place.give_up().await;
                    return match given_up {
                        Ok(Reply::Withdrawn(left)) => {
                            match (left.granted, self.look(ticket).await?) {
                                // It came with the last moment.
                                (Some(_), Seen::Granted(grant, seen)) => Ok(Some((grant, seen))),
                                _ => Err(late(self.spot)),
                            }
                        }
                        Ok(_) => Err(unexpected()),
                        Err(refusal) => Err(late(self.spot)
                            .cause("its place in the queue is given up as soon as that can be told")
                            .cause(refusal)),
                    };
                }
            }
        }
    }

    async fn look(&self, ticket: u64) -> Result<Seen> {
        let (spot, session) = (self.spot.clone(), self.wish.session.clone());
        let query = move |view: &View<'_>| {
            let place = coordination::lock_place(view, GROUP, &session, &spot);
            let grant = place
                .as_ref()
                .and_then(|place| coordination::grant_with(view, GROUP, &spot, place.token));
            let head = keiko_core::house::Head::read(view, GROUP);
            let seen = WriteInfo { revision: head.revision, unix_ms: head.unix_ms };
            match (place, grant) {
                (Some(_), Some(grant)) => Seen::Granted(grant, seen),
                (Some(LockPlace { ticket: found, .. }), None) if found == ticket => Seen::Queued,
                _ => Seen::Nothing,
            }
        };
        self.asker.control().read_local(query).await
    }

    fn concerns(&self, event: &CoordinationEvent) -> bool {
        let session = &self.wish.session;
        match &event.event {
            Some(Event::LockGranted(changed)) => {
                changed.grant.as_ref().is_some_and(|grant| grant.session == *session)
            }
            Some(Event::LockWithdrawn(queued)) => {
                queued.waiter.as_ref().is_some_and(|waiter| waiter.session == *session)
            }
            Some(Event::SessionClosed(ended) | Event::SessionExpired(ended)) => {
                ended.id == *session
            }
            _ => false,
        }
    }
}

fn late(spot: &Spot) -> Refusal {
    not_yet(spot).cause("its place in the queue is given up")
}

fn not_yet(spot: &Spot) -> Refusal {
    Refusal::new(Code::WaitTimeout, format!("lock {spot} was not granted in time"))
        .hint(format!("keikoctl lock get {} shows who holds it and who waits", spot.name))
        .hint("wait longer: --timeout 5m")
}

pub(super) async fn release(
    service: &Service,
    request: Request<ReleaseLockRequest>,
) -> Result<ReleaseLockResponse> {
    let asked = request.get_ref();
    let spot = Spot::parse("lock", &asked.namespace, &asked.name)?;
    let asker = Asker::of(&service.control, &request, &asked.request_id, &resource("lock", &spot))?;
    let ReleaseLockRequest { session, token, .. } = request.into_inner();
    let release = ReleaseLock {
        namespace: spot.namespace.to_string(),
        name: spot.name.to_string(),
        session,
        token,
        as_admin: asker.is_admin(),
    };
    match asker.propose(Op::ReleaseLock(release)).await? {
        (Reply::Released(grant), write) => {
            Ok(ReleaseLockResponse { grant: Some(grant), write: Some(write) })
        }
        _ => Err(unexpected()),
    }
}

pub(super) async fn get(
    service: &Service,
    request: Request<GetLockRequest>,
) -> Result<GetLockResponse> {
    let asked = request.get_ref();
    let spot = Spot::parse("lock", &asked.namespace, &asked.name)?;
    Identity::of(&request)?.require(Permission::LockRead, &resource("lock", &spot))?;
    let wanted = spot.clone();
    let query = move |view: &View<'_>| coordination::lock_info(view, GROUP, &wanted, usize::MAX);
    let read = service.control.read(asked.consistency, query).await?;
    let lock = read.value.ok_or_else(|| {
        Refusal::new(Code::NotFound, format!("nobody holds lock {spot}"))
            .hint("keikoctl lock list shows those that are held")
    })?;
    let unix_ms = service.control.now_ms();
    Ok(GetLockResponse { lock: Some(lock), revision: read.revision, unix_ms })
}

pub(super) async fn list(
    service: &Service,
    request: Request<ListLocksRequest>,
) -> Result<ListLocksResponse> {
    let identity = Identity::of(&request)?.clone();
    let ListLocksRequest { namespace, consistency, page_size, page_token } = request.into_inner();
    let namespace = asker::namespace(&namespace)?;
    let among = Resource::among("lock", namespace.as_ref().map(Name::as_str));
    identity.require(Permission::LockRead, &among)?;
    let after = match page_token.as_str() {
        "" => None,
        token => match token.split_once('/') {
            Some((namespace, name)) => Some(Spot::parse("lock", namespace, name)?),
            None => return refuse(Code::InvalidArgument, "the page token is none of ours"),
        },
    };
    let limit = match page_size as usize {
        0 => PAGE_MAX,
        size => size.min(PAGE_MAX),
    };
    let query = move |view: &View<'_>| {
        let namespace = namespace.as_ref().map(Name::as_str);
        coordination::locks(view, GROUP, namespace, after.as_ref(), limit, SHOWN)
    };
    let read = service.control.read(consistency, query).await?;
    let (items, more) = read.value;
    let last = items.last().and_then(|info| info.lock.as_ref()).filter(|_| more);
    let next_page_token = last.map(|lock| format!("{}/{}", lock.namespace, lock.name));
    Ok(ListLocksResponse {
        next_page_token: next_page_token.unwrap_or_default(),
        items,
        revision: read.revision,
        unix_ms: service.control.now_ms(),
    })
}

pub(super) async fn check(
    service: &Service,
    request: Request<CheckFenceRequest>,
) -> Result<CheckFenceResponse> {
    let asked = request.get_ref();
    let spot = Spot::parse("lock", &asked.namespace, &asked.name)?;
    Identity::of(&request)?.require(Permission::LockRead, &resource("lock", &spot))?;
    let token = asked.token;
    let query = move |view: &View<'_>| {
        let applied_ms = keiko_core::house::last_stamp_ms(view, GROUP);
        (coordination::fenced(view, GROUP, &spot, token, applied_ms), applied_ms)
    };
    let read = service.control.read(Consistency::Linearizable.into(), query).await?;
    let (fenced, applied_ms) = read.value;
    // Behind the read, which may have waited for a leader for longer than a session lives.
    let now_ms = service.control.now_ms().max(applied_ms);
    let held = fenced.held && fenced.expires_ms > now_ms;
    Ok(CheckFenceResponse {
        held,
        newest_token: fenced.newest,
        expires_ms: if held { fenced.expires_ms } else { 0 },
        revision: read.revision,
        unix_ms: now_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_wish_is_understood() {
        for (kind, limit, expect) in [
            ("", 0, Some((LockKind::Lock, 1))),
            ("", 1, Some((LockKind::Lock, 1))),
            ("", 2, Some((LockKind::Semaphore, 2))),
            ("semaphore", 1, Some((LockKind::Semaphore, 1))),
            ("election", 0, Some((LockKind::Election, 1))),
            // The law says that it has one holder.
            ("lock", 2, Some((LockKind::Lock, 2))),
            ("mutex", 1, None),
        ] {
            assert_eq!(meant(kind, limit).ok(), expect, "{kind:?} {limit}");
        }
    }
}
